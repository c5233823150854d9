//! What needs the password again, and what changing it does.

use std::time::Duration;

use cloakroom_testing::{TestDatabase, each_database};

use crate::harness::{PASSWORD, Site};

const KEY: [(&str, &str); 3] = [("name", "backup"), ("read", "on"), ("expires", "30d")];

async fn a_key_is_made_only_soon_after_the_password_was_given(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut browser = site.signed_up("bob").await;
    browser.get("/keys/new").await.assert_status(200);
    db.clock().advance(Duration::from_mins(11));
    browser.get("/keys/new").await.assert_moved("/confirm?next=/keys/new");
    let refused = browser.post("/keys/new", &KEY).await;
    refused.assert_status(401);
    assert!(refused.body.contains("href=\"/confirm?next=/keys\""), "{}", refused.body);
    assert!(browser.rows("/keys").await.is_empty());

    let before = browser.token().to_owned();
    let wrong = browser.post("/confirm?next=/keys/new", &[("password", "not the password")]).await;
    wrong.assert_status(401);
    assert!(wrong.body.contains("class=\"error\""), "{}", wrong.body);
    browser.get("/keys/new").await.assert_moved("/confirm?next=/keys/new");
    browser.post("/confirm?next=/keys/new", &[("password", PASSWORD)]).await.assert_moved("/keys/new");
    // A copy of the token from before is worth nothing.
    assert_ne!(browser.token(), before);
    site.send("GET", "/api/me", &[("x-auth-token", &before)]).await.assert_status(401);
    let key = browser.make_key(&KEY).await;
    site.send("GET", "/api/me", &[("x-api-key", &key)]).await.assert_status(200);

    // A key is rotated no later either, and revoked at any time.
    db.clock().advance(Duration::from_mins(11));
    let row = browser.rows("/keys").await.remove(0);
    let rotate = format!("/keys/{row}/rotate");
    browser.get(&rotate).await.assert_moved(&format!("/confirm?next={rotate}"));
    browser.post(&rotate, &[("grace", "1d")]).await.assert_status(401);
    site.send("GET", "/api/me", &[("x-api-key", &key)]).await.assert_status(200);
    browser.post(&format!("/keys/{row}/revoke"), &[]).await.assert_moved("/keys");
}

async fn one_comes_back_to_where_one_was_going_and_never_elsewhere(db: TestDatabase) {
    let site = Site::start(&db).await;
    site.signed_up("bob").await;
    let form = [("name", "bob"), ("password", PASSWORD)];
    let mut browser = site.browser();
    browser.get("/account?sort=used").await.assert_sent_to_log_in("/account%3Fsort%3Dused");
    let page = browser.get("/login?next=/keys").await;
    assert!(page.body.contains("href=\"/signup?next=/keys\""), "{}", page.body);
    browser.post("/login?next=/keys", &form).await.assert_moved("/keys");
    for elsewhere in ["https://evil.example", "//evil.example", "/%5Cevil.example", "evil"] {
        browser.post(&format!("/login?next={elsewhere}"), &form).await.assert_moved("/account");
        let confirm = format!("/confirm?next={elsewhere}");
        browser.post(&confirm, &[("password", PASSWORD)]).await.assert_moved("/account");
    }
}

async fn a_new_password_logs_out_all_others_and_the_old_one_is_refused(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut laptop = site.signed_up("bob").await;
    let mut phone = site.logged_in("bob").await;
    let mut eve = site.signed_up("eve").await;
    let key = laptop.make_key(&KEY).await;
    let before = laptop.token().to_owned();
    for (form, status) in [
        ([("password", "not the password"), ("new_password", "battery staple")], 401),
        ([("password", PASSWORD), ("new_password", "short")], 422),
    ] {
        let refused = laptop.post("/password", &form).await;
        refused.assert_status(status);
        assert!(refused.body.contains("class=\"error\""), "{}", refused.body);
    }
    phone.get("/account").await.assert_status(200);

    let form = [("password", PASSWORD), ("new_password", "battery staple")];
    laptop.post("/password", &form).await.assert_moved("/account");
    let page = laptop.get("/account").await;
    page.assert_notice("Your password is changed. 1 other device is logged out.");
    assert!(page.body.contains("<span class=\"badge\">password changed</span>"), "{}", page.body);
    phone.get("/account").await.assert_sent_to_log_in("/account");
    site.send("GET", "/api/me", &[("x-auth-token", &before)]).await.assert_status(401);
    eve.get("/account").await.assert_status(200);
    site.send("GET", "/api/me", &[("x-api-key", &key)]).await.assert_status(200);

    let mut tablet = site.browser();
    tablet.post("/login", &[("name", "bob"), ("password", PASSWORD)]).await.assert_status(401);
    let new = [("name", "bob"), ("password", "battery staple")];
    tablet.post("/login", &new).await.assert_moved("/account");
}

async fn a_password_is_changed_with_the_ends_of_the_others_or_not_at_all(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut laptop = site.signed_up("bob").await;
    let mut phone = site.logged_in("bob").await;
    // The end of the others cannot be recorded.
    db.execute("ALTER TABLE user_sessions_audit_log RENAME TO away").await;
    let form = [("password", PASSWORD), ("new_password", "battery staple")];
    laptop.post("/password", &form).await.assert_status(503);
    db.execute("ALTER TABLE away RENAME TO user_sessions_audit_log").await;
    phone.get("/account").await.assert_status(200);
    let old = [("name", "bob"), ("password", PASSWORD)];
    site.browser().post("/login", &old).await.assert_moved("/account");
}

each_database!(
    a_key_is_made_only_soon_after_the_password_was_given,
    one_comes_back_to_where_one_was_going_and_never_elsewhere,
    a_new_password_logs_out_all_others_and_the_old_one_is_refused,
    a_password_is_changed_with_the_ends_of_the_others_or_not_at_all,
);
