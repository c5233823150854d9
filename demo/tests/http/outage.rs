use cloakroom_testing::{TestDatabase, each_database};

use crate::harness::Site;

async fn while_the_database_is_gone_pages_are_503_and_nobody_is_logged_out(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut browser = site.signed_up("bob").await;
    let token = browser.token().to_owned();
    let form = [("name", "bob"), ("password", crate::harness::PASSWORD)];
    let mut leaving = [site.browser(), site.browser()];
    for other in &mut leaving {
        other.post("/login", &form).await.assert_moved("/account");
    }
    // Every table is away, and then back.
    let tables = ["user_sessions", "api_keys", "users"];
    for table in tables {
        db.execute(&format!("ALTER TABLE {table} RENAME TO {table}_away")).await;
    }
    for path in ["/", "/account", "/keys", "/statistics"] {
        let answer = browser.get(path).await;
        answer.assert_status(503);
        assert!(answer.body.contains("Not available for the moment"), "{path}");
        assert!(answer.cookies().is_empty(), "{path}");
    }
    // Who logs out is forgotten by the browser, and told what could not be done.
    for (other, path) in leaving.iter_mut().zip(["/logout", "/logout-everywhere"]) {
        let answer = other.post(path, &[]).await;
        answer.assert_status(503);
        assert!(answer.body.contains("Logged out on this device only"), "{path}: {}", answer.body);
        assert!(!other.has_session(), "{path}");
    }
    browser.post("/login", &form).await.assert_status(503);
    let answer = site.send("GET", "/api/me", &[("x-auth-token", &token)]).await;
    answer.assert_status(503);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    // What needs no session is there.
    site.browser().get("/login").await.assert_status(200);

    for table in tables {
        db.execute(&format!("ALTER TABLE {table}_away RENAME TO {table}")).await;
    }
    assert_eq!(browser.token(), token);
    browser.get("/account").await.assert_status(200);
}

async fn with_no_connection_to_be_had_pages_are_503(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut browser = site.signed_up("bob").await;
    db.database().close().await;
    let answer = browser.get("/account").await;
    answer.assert_status(503);
    assert!(answer.body.contains("Not available for the moment"));
    assert!(browser.has_session());
}

each_database!(
    while_the_database_is_gone_pages_are_503_and_nobody_is_logged_out,
    with_no_connection_to_be_had_pages_are_503,
);
