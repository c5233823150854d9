//! The page of keys: hints, scopes, rotation, and how many there may be.

use std::time::Duration;

use cloakroom_testing::{TestDatabase, each_database};
use serde_json::json;

use crate::harness::Site;

/// Each has a prefix by which it is known for what it is, and a hint.
const PREFIX: &str = "cloakroom_demo_";

async fn status(site: &Site, key: &str) -> u16 {
    site.send("GET", "/api/me", &[("x-api-key", key)]).await.status.as_u16()
}

fn named(name: &str) -> [(&str, &str); 3] {
    [("name", name), ("read", "on"), ("expires", "30d")]
}

async fn a_key_is_known_by_its_hint_and_its_last_use(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut browser = site.signed_up("bob").await;
    let key = browser.make_key(&named("backup")).await;
    assert!(key.starts_with(PREFIX), "it begins otherwise");
    let hint = format!("{}…{}", &key[..PREFIX.len() + 4], &key[key.len() - 10..key.len() - 6]);
    let page = browser.get("/keys").await;
    assert!(page.body.contains(&format!("<span class=\"key-hint\">{hint}</span>")), "{hint}: {}", page.body);
    assert!(page.body.contains("<span class=\"none\">never</span>"), "{}", page.body);
    // The form proposes an end, and a key gets it.
    assert!(page.body.contains("2026-12-23T01:48:09Z"), "{}", page.body);
    let form = browser.get("/keys/new").await.body;
    assert!(form.contains("<select id=\"expires\" name=\"expires\"><option value=\"30d\">"), "{form}");

    db.clock().advance(Duration::from_mins(5));
    assert_eq!(status(&site, &key).await, 200);
    let page = browser.get("/keys").await;
    assert!(page.body.contains("datetime=\"2026-11-23T01:53:09Z\""), "{}", page.body);
    // A wrong letter is noticed by the checksum.
    let mistyped = format!("{}{}", &key[..key.len() - 1], if key.ends_with('0') { '1' } else { '0' });
    assert_eq!(status(&site, &mistyped).await, 401);
}

async fn a_key_does_what_its_scopes_say(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut browser = site.signed_up("bob").await;
    let mut phone = site.logged_in("bob").await;
    let reader = browser.make_key(&named("reader")).await;
    let writer = browser.make_key(&[("name", "writer"), ("write", "on"), ("expires", "1d")]).await;
    let end = async |key: &str| site.send("DELETE", "/api/sessions", &[("x-api-key", key)]).await;

    let refused = end(&reader).await;
    refused.assert_status(403);
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    assert_eq!(
        refused.header("www-authenticate"),
        Some("Bearer error=\"insufficient_scope\", scope=\"write\"")
    );
    assert_eq!(status(&site, &writer).await, 403);
    phone.get("/account").await.assert_status(200);
    let ended = end(&writer).await;
    ended.assert_status(200);
    assert_eq!(ended.json(), json!({ "ended": 2 }));
    phone.get("/account").await.assert_sent_to_log_in("/account");
    assert_eq!(status(&site, &reader).await, 200);
}

async fn a_rotated_key_works_beside_the_new_one_until_the_grace_is_over(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut browser = site.signed_up("bob").await;
    let old = browser.make_key(&named("backup")).await;
    let rotate = format!("/keys/{}/rotate", browser.rows("/keys").await[0]);
    browser.get(&rotate).await.assert_status(200);
    let page = browser.post(&rotate, &[("grace", "1d")]).await;
    page.assert_status(200);
    let new = page.text("new-key").to_owned();
    assert!(
        page.body.contains("id=\"old-until\"") && page.body.contains("2026-11-24T01:48:09Z"),
        "{}",
        page.body
    );
    assert_ne!(old, new);
    assert_eq!((status(&site, &old).await, status(&site, &new).await), (200, 200));
    let list = browser.get("/keys").await;
    assert_eq!(list.rows().len(), 1);
    let hint = format!("…{}</span> works too, until", &old[old.len() - 10..old.len() - 6]);
    assert!(list.body.contains(&hint), "{}", list.body);
    assert!(!list.body.contains(&new));
    db.clock().advance(Duration::from_hours(24));
    assert_eq!((status(&site, &old).await, status(&site, &new).await), (401, 200));

    // A leaked one is refused at once. The browser has been away for a day.
    let mut browser = site.logged_in("bob").await;
    let page = browser.post(&rotate, &[("grace", "none")]).await;
    let newest = page.text("new-key").to_owned();
    assert!(page.body.contains("refused from now on"), "{}", page.body);
    assert_eq!((status(&site, &new).await, status(&site, &newest).await), (401, 200));
    browser.post(&rotate, &[("grace", "for ever")]).await.assert_status(400);
}

async fn an_eleventh_key_ends_the_one_that_was_not_used_for_the_longest_time(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut browser = site.signed_up("bob").await;
    let mut keys = Vec::new();
    for number in 1..=10 {
        db.clock().advance(Duration::from_secs(1));
        let form = browser.get("/keys/new").await.body;
        assert!(!form.contains("id=\"next-to-go\""), "{number}: {form}");
        keys.push(browser.make_key(&named(&format!("key {number}"))).await);
    }
    // The first is in use, so the second is to go.
    db.clock().advance(Duration::from_secs(1));
    assert_eq!(status(&site, &keys[0]).await, 200);
    let form = browser.get("/keys/new").await.body;
    assert!(form.contains("will end the key “key 2”"), "{form}");
    let page = browser.post("/keys/new", &named("one more")).await;
    assert!(page.body.contains("the key “key 2” has ended"), "{}", page.body);
    assert!(page.body.contains("<span class=\"badge\">made room for another</span>"), "{}", page.body);
    assert_eq!((status(&site, &keys[0]).await, status(&site, &keys[1]).await), (200, 401));
    assert_eq!(browser.rows("/keys").await.len(), 11);
    let log = browser.get("/audit?of=keys").await;
    assert!(log.body.contains("Ended, to make room for another"), "{}", log.body);
}

async fn a_key_is_rotated_by_its_owner_alone(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut bob = site.signed_up("bob").await;
    let mut eve = site.signed_up("eve").await;
    let key = bob.make_key(&named("backup")).await;
    let rotate = format!("/keys/{}/rotate", bob.rows("/keys").await[0]);
    eve.get(&rotate).await.assert_status(404);
    eve.post(&rotate, &[("grace", "none")]).await.assert_status(404);
    assert_eq!(status(&site, &key).await, 200);
}

each_database!(
    a_key_is_known_by_its_hint_and_its_last_use,
    a_key_does_what_its_scopes_say,
    a_rotated_key_works_beside_the_new_one_until_the_grace_is_over,
    an_eleventh_key_ends_the_one_that_was_not_used_for_the_longest_time,
    a_key_is_rotated_by_its_owner_alone,
);
