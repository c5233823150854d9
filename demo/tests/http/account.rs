use std::time::Duration;

use cloakroom_testing::{TestDatabase, each_database};

use crate::harness::Site;

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
    phone.get("/account").await.assert_moved("/login");
    assert!(!phone.has_session());
    let page = laptop.get("/account").await;
    assert_eq!(page.rows(), rows);
    assert!(page.body.contains(&format!("data-id=\"{}\" class=\" expired\"", rows[0])), "{}", page.body);

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
        browser.get("/account").await.assert_moved("/login");
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
        "/sessions/00000000-0000-0000-0000-000000000000/expire".to_owned(),
        "/sessions/1/delete".to_owned(),
    ] {
        eve.post(&path, &[]).await.assert_status(404);
        site.browser().post(&path, &[]).await.assert_moved("/login");
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
    phone.get("/account").await.assert_moved("/login");
    tablet.get("/account").await.assert_moved("/login");
    laptop.get("/account").await.assert_status(200);

    let mut phone = site.logged_in("bob").await;
    laptop.post("/logout-everywhere", &[]).await.assert_moved("/");
    assert!(!laptop.has_session());
    laptop.get("/account").await.assert_moved("/login");
    phone.get("/account").await.assert_moved("/login");
}

async fn many_devices_come_page_by_page(db: TestDatabase) {
    let site = Site::start(&db).await;
    cloakroom_demo::fill::fill(&site.app).await.unwrap();
    let mut browser = site.browser();
    let password = cloakroom_demo::fill::PASSWORD;
    browser.post("/login", &[("name", "ada.abel"), ("password", password)]).await.assert_moved("/account");

    let (mut path, mut all, mut sizes) = (Some("/account".to_owned()), Vec::new(), Vec::new());
    while let Some(at) = path {
        let page = browser.get(&at).await;
        page.assert_status(200);
        sizes.push(page.rows().len());
        all.extend(page.rows());
        let next = page.body.split("href=\"").skip(1).find(|link| link.contains("rel=\"next\""));
        path = next.map(|link| link.split('"').next().unwrap().to_owned());
    }
    assert_eq!(sizes, [20, 11]);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 31);
    browser.get("/account?after=nonsense").await.assert_status(400);
}

async fn a_session_in_use_is_extended_and_its_cookie_sent_again(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut browser = site.signed_up("bob").await;
    // A later instant than that of the log-in, as it always is outside of tests.
    db.clock().advance(Duration::from_secs(1));
    assert!(browser.get("/account").await.cookies().is_empty());
    db.clock().advance(Duration::from_hours(3 * 24));
    let page = browser.get("/account").await;
    // To the end of the three months after which a browser logs in again.
    assert!(page.cookies().iter().any(|cookie| cookie.contains("Max-Age=7516799")), "{:?}", page.cookies());
    assert!(page.body.contains("2026-11-26T01:48:10Z"), "{}", page.body);
    db.clock().advance(Duration::from_hours(8 * 24));
    browser.get("/account").await.assert_moved("/login");
}

each_database!(
    every_device_is_listed_and_this_one_is_marked,
    a_device_that_was_ended_is_refused_at_its_next_click,
    this_device_can_be_ended_and_deleted_too,
    nobody_touches_the_devices_of_others,
    one_logs_out_elsewhere_and_everywhere,
    many_devices_come_page_by_page,
    a_session_in_use_is_extended_and_its_cookie_sent_again,
);
