use std::time::Duration;

use cloakroom_testing::{TestDatabase, each_database};
use serde_json::json;

use crate::harness::Site;

const KEY: [(&str, &str); 3] = [("name", "backup"), ("read", "on"), ("expires", "never")];

async fn a_key_is_shown_once_and_works_until_it_is_revoked(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut browser = site.signed_up("bob").await;
    let page = browser.post("/keys/new", &KEY).await;
    page.assert_status(200);
    let key = page.text("new-key").to_owned();
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let line = format!("http://{}/api/me", site.address);
    assert!(page.text("curl").contains(&key) && page.text("curl").ends_with(&line), "{}", page.body);
    assert!(!browser.get("/keys").await.body.contains(&key));

    let bearer = format!("Bearer {key}");
    for header in [("authorization", bearer.as_str()), ("x-api-key", &key)] {
        let answer = site.send("GET", "/api/me", &[header]).await;
        answer.assert_status(200);
        let answer = answer.json();
        assert_eq!(
            (&answer["user"]["name"], &answer["via"], &answer["scopes"]),
            (&json!("bob"), &json!("key"), &json!("read"))
        );
    }

    let rows = browser.rows("/keys").await;
    assert_eq!(rows.len(), 1);
    browser.post(&format!("/keys/{}/revoke", rows[0]), &[]).await.assert_moved("/keys");
    let refused = site.send("GET", "/api/me", &[("authorization", &bearer)]).await;
    refused.assert_status(401);
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    assert_eq!(refused.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
    assert_eq!(refused.json()["status"], 401);
}

async fn a_key_ends_when_it_was_said_to(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut browser = site.signed_up("bob").await;
    let for_ever = browser.make_key(&KEY).await;
    let for_a_day =
        browser.make_key(&[("name", "ci"), ("write", "on"), ("read", "on"), ("expires", "1d")]).await;
    let is_valid = async |key: &str| site.send("GET", "/api/me", &[("x-api-key", key)]).await.status == 200;
    // Use does not extend it.
    db.clock().advance(Duration::from_hours(20));
    assert!(is_valid(&for_a_day).await);
    db.clock().advance(Duration::from_hours(4));
    assert!(!is_valid(&for_a_day).await);
    db.clock().advance(Duration::from_hours(1_000 * 24));
    assert!(is_valid(&for_ever).await);
}

async fn nobody_revokes_the_keys_of_others(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut bob = site.signed_up("bob").await;
    let mut eve = site.signed_up("eve").await;
    let key = bob.make_key(&KEY).await;
    let rows = bob.rows("/keys").await;
    assert!(eve.rows("/keys").await.is_empty());
    eve.post(&format!("/keys/{}/revoke", rows[0]), &[]).await.assert_status(404);
    site.send("GET", "/api/me", &[("x-api-key", &key)]).await.assert_status(200);
}

async fn a_session_speaks_for_its_user_by_header_and_not_by_cookie(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut browser = site.signed_up("bob").await;
    let answer = site.send("GET", "/api/me", &[("x-auth-token", browser.token())]).await;
    answer.assert_status(200);
    let answer = answer.json();
    assert_eq!(
        (&answer["user"]["name"], &answer["via"], &answer["scopes"]),
        (&json!("bob"), &json!("session"), &json!(null))
    );
    browser.get("/api/me").await.assert_status(401);
    // A key is no session, and a session no key.
    let key = browser.make_key(&KEY).await;
    site.send("GET", "/api/me", &[("x-auth-token", &key)]).await.assert_status(401);
    site.send("GET", "/api/me", &[("x-api-key", browser.token())]).await.assert_status(401);
}

async fn what_is_no_credential_is_a_problem(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut browser = site.signed_up("bob").await;
    let key = browser.make_key(&KEY).await;
    let token = browser.token();
    let cases: [(&[(&str, &str)], u16); 6] = [
        (&[], 401),
        (&[("x-api-key", "unknown-unknown-unknown")], 401),
        (&[("authorization", "Bearer a b")], 400),
        (&[("x-api-key", "a b")], 400),
        (&[("x-api-key", &key), ("authorization", "Bearer another")], 400),
        (&[("x-api-key", &key), ("x-auth-token", token)], 400),
    ];
    for (headers, status) in cases {
        let answer = site.send("GET", "/api/me", headers).await;
        answer.assert_status(status);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        let problem = answer.json();
        assert_eq!(problem["status"], status);
        assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
    }
}

async fn a_key_that_cannot_be_is_refused(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut browser = site.signed_up("bob").await;
    for form in
        [[("name", " "), ("read", "on"), ("expires", "1d")], [("name", "ci"), ("", ""), ("expires", "1d")]]
    {
        let answer = browser.post("/keys/new", &form).await;
        answer.assert_status(422);
        assert!(answer.body.contains("class=\"error\""));
    }
    for form in [&[("name", "ci"), ("read", "on"), ("expires", "2d")][..], &[("name", "ci"), ("read", "on")]]
    {
        browser.post("/keys/new", form).await.assert_status(400);
    }
    assert!(browser.rows("/keys").await.is_empty());
}

each_database!(
    a_key_is_shown_once_and_works_until_it_is_revoked,
    a_key_ends_when_it_was_said_to,
    nobody_revokes_the_keys_of_others,
    a_session_speaks_for_its_user_by_header_and_not_by_cookie,
    what_is_no_credential_is_a_problem,
    a_key_that_cannot_be_is_refused,
);
