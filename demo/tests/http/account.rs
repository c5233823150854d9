use std::collections::BTreeSet;
use std::time::Duration;

use cloakroom_testing::{TestDatabase, each_database};

use crate::harness::{Browser, Site};

async fn every_device_is_listed_and_this_one_is_marked(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut laptop = site.signed_up("bob").await;
    db.clock().advance(Duration::from_mins(1));
    let mut phone = site.logged_in("bob").await;

    let page = phone.get("/account").await;
    let rows = page.rows();
    assert_eq!(rows.len(), 2);
    // Newest first.
    let (first, second) = page.body.split_once(&rows[1]).unwrap();
    assert!(first.contains("Safari on iPhone") && second.contains("Firefox on Linux"), "{}", page.body);
    assert!(page.body.contains(&format!("data-id=\"{}\" class=\"current\"", rows[0])), "{}", page.body);
    assert_eq!(page.body.matches("class=\"current\"").count(), 1);
    assert!(page.body.contains("127.0.0.1") && page.body.contains("2026-11-23T01:49:09Z"), "{}", page.body);
    let page = laptop.get("/account").await;
    assert!(page.body.contains(&format!("data-id=\"{}\" class=\"current\"", rows[1])), "{}", page.body);
}

async fn a_device_that_was_ended_is_refused_at_its_next_click(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut laptop = site.signed_up("bob").await;
    db.clock().advance(Duration::from_mins(1));
    let mut phone = site.logged_in("bob").await;
    let rows = laptop.rows("/account").await;

    laptop.post(&format!("/sessions/{}/expire", rows[0]), &[]).await.assert_moved("/account");
    laptop.get("/account").await.assert_notice("The device is logged out.");
    phone.get("/account").await.assert_sent_to_log_in("/account");
    assert!(!phone.has_session());
    let page = laptop.get("/account").await;
    assert_eq!(page.rows(), rows);
    assert!(page.body.contains(&format!("data-id=\"{}\" class=\" expired\"", rows[0])), "{}", page.body);
    assert!(page.body.contains("<span class=\"badge\">logged out</span>"), "{}", page.body);

    laptop.post(&format!("/sessions/{}/delete", rows[0]), &[]).await.assert_moved("/account");
    assert_eq!(laptop.rows("/account").await, rows[1..]);
}

async fn this_device_can_be_ended_and_deleted_too(db: TestDatabase) {
    let site = Site::start(&db).await;
    for verb in ["expire", "delete"] {
        let mut browser = site.signed_up(&format!("bob to {verb}")).await;
        let rows = browser.rows("/account").await;
        browser.post(&format!("/sessions/{}/{verb}", rows[0]), &[]).await.assert_moved("/account");
        assert!(!browser.has_session(), "{verb}");
        browser.get("/account").await.assert_sent_to_log_in("/account");
    }
}

async fn nobody_touches_the_devices_of_others(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut bob = site.signed_up("bob").await;
    let mut eve = site.signed_up("eve").await;
    let rows = bob.rows("/account").await;
    for path in [
        format!("/sessions/{}/expire", rows[0]),
        format!("/sessions/{}/delete", rows[0]),
        format!("/sessions/{}/rename", rows[0]),
        "/sessions/00000000-0000-0000-0000-000000000000/expire".to_owned(),
        "/sessions/1/delete".to_owned(),
    ] {
        eve.post(&path, &[("label", "mine")]).await.assert_status(404);
        site.browser().post(&path, &[("label", "mine")]).await.assert_status(401);
    }
    eve.post("/logout-everywhere", &[]).await.assert_moved("/");
    assert_eq!(bob.rows("/account").await, rows);
}

async fn one_logs_out_elsewhere_and_everywhere(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut laptop = site.signed_up("bob").await;
    let mut phone = site.logged_in("bob").await;
    let mut tablet = site.logged_in("bob").await;
    laptop.post("/logout-others", &[]).await.assert_moved("/account");
    laptop.get("/account").await.assert_notice("2 other devices are logged out.");
    // It is told once.
    assert!(!laptop.get("/account").await.body.contains("notice"));
    phone.get("/account").await.assert_sent_to_log_in("/account");
    tablet.get("/account").await.assert_sent_to_log_in("/account");
    laptop.get("/account").await.assert_status(200);

    let mut phone = site.logged_in("bob").await;
    let question = laptop.get("/logout-everywhere").await;
    question.assert_status(200);
    assert!(question.body.contains("2 devices will be logged out"), "{}", question.body);
    laptop.get("/account").await.assert_status(200);
    laptop.post("/logout-everywhere", &[]).await.assert_moved("/");
    assert!(!laptop.has_session());
    laptop.get("/").await.assert_notice("You are logged out everywhere: 2 devices.");
    laptop.get("/account").await.assert_sent_to_log_in("/account");
    phone.get("/account").await.assert_sent_to_log_in("/account");
}

/// Follows the links to the next page, and returns the ids of each page.
async fn pages(browser: &mut Browser, first: &str) -> Vec<Vec<String>> {
    let (mut path, mut pages) = (Some(first.to_owned()), Vec::new());
    while let Some(at) = path {
        let page = browser.get(&at).await;
        page.assert_status(200);
        pages.push(page.rows());
        let next = page.body.split("href=\"").skip(1).find(|link| link.contains("rel=\"next\""));
        path = next.map(|link| link.split('"').next().unwrap().replace("&#38;", "&"));
    }
    pages
}

async fn many_devices_come_page_by_page_in_each_order(db: TestDatabase) {
    let site = Site::start(&db).await;
    cloakroom_demo::fill::fill(&site.app).await.unwrap();
    let mut browser = site.browser();
    let password = cloakroom_demo::fill::PASSWORD;
    browser.post("/login", &[("name", "ada.abel"), ("password", password)]).await.assert_moved("/account");

    let newest = pages(&mut browser, "/account").await;
    let sizes: Vec<_> = newest.iter().map(Vec::len).collect();
    assert_eq!(sizes, [20, 11]);
    let newest = newest.concat();
    let distinct: BTreeSet<_> = newest.iter().collect();
    assert_eq!(distinct.len(), 31);
    let mut oldest = pages(&mut browser, "/account?sort=oldest").await.concat();
    oldest.reverse();
    assert_eq!(oldest, newest);

    let used = pages(&mut browser, "/account?sort=used").await;
    assert_eq!(used.iter().map(Vec::len).collect::<Vec<_>>(), [20, 11]);
    assert_eq!(used.concat().iter().collect::<BTreeSet<_>>(), distinct);
    // This browser is in use at this moment.
    assert_eq!(used[0][0], newest[0]);
    assert_ne!(used.concat(), newest);

    let valid = pages(&mut browser, "/account?ended=hidden").await.concat();
    assert!((1..31).contains(&valid.len()), "{}", valid.len());
    let page = browser.get("/account?ended=hidden&sort=used").await;
    assert!(!page.body.contains(" expired\""), "{}", page.body);
    for nonsense in ["after=nonsense", "sort=name", "ended=1", "sort=used&page=-1"] {
        browser.get(&format!("/account?{nonsense}")).await.assert_status(400);
    }
    let beyond = browser.get("/account?sort=used&page=18446744073709551615").await;
    assert!(beyond.body.contains("nothing on this page"), "{}", beyond.body);
}

async fn a_device_is_renamed(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut browser = site.signed_up("bob").await;
    let path = format!("/sessions/{}/rename", browser.rows("/account").await[0]);
    browser.post(&path, &[("label", " Bob's <laptop> ")]).await.assert_moved("/account");
    let page = browser.get("/account").await;
    page.assert_notice("The device has a new name.");
    assert!(page.body.contains("Bob&#39;s &#60;laptop&#62;</span>"), "{}", page.body);
    assert!(!page.body.contains("Firefox on Linux"), "{}", page.body);
    for unfit in [&"x".repeat(61), "a\nb"] {
        browser.post(&path, &[("label", unfit)]).await.assert_status(400);
    }
    browser.post(&path, &[]).await.assert_status(400);
    // Without a name it is called by its browser again.
    browser.post(&path, &[("label", " ")]).await.assert_moved("/account");
    assert!(browser.get("/account").await.body.contains("Firefox on Linux"));
}

async fn it_is_seen_when_a_device_was_last_active(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut laptop = site.signed_up("bob").await;
    let mut phone = site.logged_in("bob").await;
    db.clock().advance(Duration::from_hours(2));
    phone.get("/account").await.assert_status(200);
    // Noted, and not written yet.
    let rows = laptop.get("/account?sort=used").await;
    assert!(
        rows.body.contains("Last active\"><div><time class=\"what\" datetime=\"2026-11-23T03:48:09Z\""),
        "{}",
        rows.body
    );
    // A minute later it is written, from where as well.
    site.app.close().await.unwrap();
    let seen = db.texts("SELECT last_address FROM user_sessions WHERE last_seen IS NOT NULL").await;
    assert_eq!(seen, [Some("127.0.0.1".to_owned()), Some("127.0.0.1".to_owned())]);
}

async fn a_browser_that_is_remembered_stays_for_a_month(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut laptop = site.signed_up("bob").await;
    let mut phone = site.browser();
    let form = [("name", "bob"), ("password", crate::harness::PASSWORD), ("remember", "on")];
    let answer = phone.post("/login", &form).await;
    answer.assert_moved("/account");
    let session = answer.cookies().into_iter().find(|cookie| cookie.starts_with("session=")).unwrap();
    assert!(session.contains("Max-Age="), "{session}");
    db.clock().advance(Duration::from_hours(25));
    laptop.get("/account").await.assert_sent_to_log_in("/account");
    // A later instant than that of the log-in, as it always is outside of tests.
    db.clock().advance(Duration::from_hours(3 * 24));
    let page = phone.get("/account").await;
    // It is extended, and its cookie sent again, to the end of the three months after which a browser logs in again.
    let left = 90 * 24 * 3600 - (3 * 24 + 25) * 3600;
    let cookies = page.cookies();
    assert!(cookies.iter().any(|cookie| cookie.contains(&format!("Max-Age={left}"))), "{cookies:?}");
    db.clock().advance(Duration::from_hours(31 * 24));
    phone.get("/account").await.assert_sent_to_log_in("/account");
}

async fn a_browser_that_is_not_remembered_has_a_cookie_until_it_is_closed(db: TestDatabase) {
    let site = Site::start(&db).await;
    site.signed_up("bob").await;
    let mut browser = site.browser();
    let form = [("name", "bob"), ("password", crate::harness::PASSWORD)];
    let answer = browser.post("/login", &form).await;
    let session = answer.cookies().into_iter().find(|cookie| cookie.starts_with("session=")).unwrap();
    assert!(!session.contains("Max-Age") && !session.contains("Expires"), "{session}");
}

each_database!(
    every_device_is_listed_and_this_one_is_marked,
    a_device_that_was_ended_is_refused_at_its_next_click,
    this_device_can_be_ended_and_deleted_too,
    nobody_touches_the_devices_of_others,
    one_logs_out_elsewhere_and_everywhere,
    many_devices_come_page_by_page_in_each_order,
    a_device_is_renamed,
    it_is_seen_when_a_device_was_last_active,
    a_browser_that_is_remembered_stays_for_a_month,
    a_browser_that_is_not_remembered_has_a_cookie_until_it_is_closed,
);
