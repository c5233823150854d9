//! What a browser fetches ahead of its user is no use of the session.

use std::time::Duration;

use cloakroom::{Cache, Sessions};
use cloakroom_testing::{TestDatabase, UserSession, user};
use cloakroom_web::SessionLayer;

use crate::harness::{Framework, LONGEST, Site, cookie, logged_in, routes, set};

const TWO_DAYS: Duration = Duration::from_hours(48);

const AHEAD: [&str; 3] = ["prefetch", "prefetch;prerender", "prefetch;anonymous-client-ip"];

async fn finds_and_leaves(on: Framework, db: &TestDatabase, sessions: Sessions<UserSession>) {
    let created = sessions.create(user("1234")).await.unwrap();
    db.clock().advance(Duration::from_secs(1));
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions.clone()))).await;
    let cookie = cookie(&created);
    site.get("/me", &[("cookie", &cookie)]).await.assert_is(200, "1234");
    db.clock().advance(TWO_DAYS);
    for purpose in AHEAD {
        for path in ["/me", "/maybe", "/fresh"] {
            let headers = [("cookie", cookie.as_str()), ("sec-purpose", purpose), ("sec-fetch-site", "none")];
            site.get(path, &headers).await.assert_is(200, "1234");
        }
    }
    // Through a handle that extends nothing itself.
    let looking = db.sessions_with::<UserSession>(db.config().auto_extend(false)).await;
    let row = looking.query().id(created.session.id).fetch_one().await.unwrap();
    assert_eq!(row.expires_at, created.session.expires_at, "it was not extended");
    assert_eq!(row.updated_at, created.session.updated_at);
    // Its user comes themselves.
    assert_eq!(
        site.get("/me", &[("cookie", &cookie)]).await.cookies(),
        [set(created.token.expose(), LONGEST)]
    );
    // Any other purpose is theirs.
    db.clock().advance(TWO_DAYS);
    let headers = [("cookie", cookie.as_str()), ("sec-purpose", "other")];
    assert_eq!(site.get("/me", &headers).await.cookies(), [set(created.token.expose(), LONGEST)]);
}

async fn reading_ahead_finds_the_session_and_neither_extends_it_nor_sets_its_cookie(
    db: TestDatabase,
    on: Framework,
) {
    finds_and_leaves(on, &db, db.sessions().await).await;
}

async fn with_a_cache_it_does_no_more(db: TestDatabase, on: Framework) {
    let cache = Cache::new(8).max_staleness(Duration::from_hours(200)).listen(false);
    finds_and_leaves(on, &db, db.sessions_with(db.config().cache(cache)).await).await;
}

async fn reading_ahead_clears_and_ends_nothing(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let other = sessions.create(user("5678")).await.unwrap();
    db.clock().advance(Duration::from_secs(1));
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions.clone()))).await;
    let unknown = format!("__Host-Http-session={}", "x".repeat(64));
    for cookie in [
        unknown.clone(),
        "__Host-Http-session=".to_owned(),
        format!("{}; {}", cookie(&created), cookie(&other)),
    ] {
        for purpose in AHEAD {
            let headers = [("cookie", cookie.as_str()), ("sec-purpose", purpose)];
            site.get("/me", &headers).await.assert_refused(401, "You are not logged in.");
            site.get("/maybe", &headers).await.assert_is(200, "nobody");
        }
    }
    assert_eq!(sessions.query().count().await.unwrap(), 2);
    // A page that logs in or out does so.
    let headers = [("cookie", unknown.as_str()), ("sec-purpose", "prefetch")];
    assert_eq!(site.post("/login/1234", &headers).await.cookies().len(), 1);
    site.post("/logout", &[("cookie", &cookie(&created)), ("sec-purpose", "prefetch")])
        .await
        .assert_cleared(200);
    assert!(sessions.authenticate(&created.token).await.unwrap().is_none());
}

each_framework! {
    reading_ahead_finds_the_session_and_neither_extends_it_nor_sets_its_cookie,
    with_a_cache_it_does_no_more,
    reading_ahead_clears_and_ends_nothing,
}
