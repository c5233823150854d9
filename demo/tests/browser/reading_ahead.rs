//! Pages that a browser asks for before anybody wants them.

use std::time::{Duration, Instant};

use cloakroom_axum::CookieConfig;
use cloakroom_testing::{Kind, TestDatabase};

use crate::chromium::{Browser, Driver, Profile};
use crate::club::{Club, Seen, enter, who};
use crate::front::APP;

crate::in_a_browser!(a_page_that_is_read_ahead_extends_no_session_and_sets_no_cookie);

/// Prefetched by a link, prefetched by a rule, and prerendered.
const READ_AHEAD: [(&str, &str); 3] =
    [("/account", "prefetch"), ("/", "prefetch"), ("/prerendered", "prefetch;prerender")];

async fn a_page_that_is_read_ahead_extends_no_session_and_sets_no_cookie() {
    let db = TestDatabase::new(Kind::Sqlite).await;
    let club = Club::start(&db, CookieConfig::default()).await;
    let driver = Driver::start();
    let ada = driver.open(&club.origin(APP), Profile::default()).await;
    enter(&ada, "ada").await;
    let session = ada.cookies("/").await;
    assert_eq!(session.len(), 1, "{session:?}");

    // By now an extension is due.
    db.clock().advance(Duration::from_hours(48));
    let before = ends(&db).await;
    ada.go("/ahead").await;
    for (path, purpose) in READ_AHEAD {
        let seen = until_read_ahead(&ada, &club, path, purpose).await;
        // As herself, so that she finds what she would.
        let cookie = format!("{}={}", session[0].name, session[0].value);
        assert_eq!((seen.status, &seen.cookies[..]), (200, &[cookie][..]), "{path}");
        assert!(seen.changes.is_empty(), "{path}: {:?}", seen.changes);
    }
    assert_eq!(ends(&db).await, before);

    // Another address than those, for which there is an answer already.
    ada.go("/account?wanted").await;
    assert_eq!(who(&ada).await, "ada");
    assert!(ends(&db).await > before);
    ada.close().await;
}

/// When the one session ends. A query for it would extend it.
async fn ends(db: &TestDatabase) -> String {
    let mut ends = db.texts("SELECT expires_at FROM sessions").await;
    assert_eq!(ends.len(), 1);
    ends.remove(0).expect("it ends")
}

async fn until_read_ahead(browser: &Browser, club: &Club, path: &str, purpose: &str) -> Seen {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let requests = club.requests(path);
        if let Some(seen) = requests.iter().find(|seen| seen.purpose.as_deref() == Some(purpose)) {
            return seen.clone();
        }
        let console = browser.take_console().await;
        assert!(Instant::now() < deadline, "{path} was not read ahead: {requests:?}, {console:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
