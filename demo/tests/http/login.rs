use cloakroom_testing::{TestDatabase, each_database};

use crate::harness::{PASSWORD, Site};

async fn signing_up_logs_in_and_remembers_the_name(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut browser = site.browser();
    let answer = browser.post("/signup", &[("name", " zoë "), ("password", PASSWORD)]).await;
    answer.assert_moved("/account");
    let session = answer.cookies().into_iter().find(|cookie| cookie.starts_with("session=")).unwrap();
    assert!(session.contains("HttpOnly") && session.contains("SameSite=Lax"), "{session}");
    assert!(browser.get("/account").await.body.contains("zoë"));
    browser.get("/").await.assert_moved("/account");

    browser.post("/logout", &[]).await.assert_moved("/");
    browser.get("/account").await.assert_sent_to_log_in("/account");
    browser.get("/").await.assert_status(200);
    assert!(browser.get("/login").await.body.contains("value=\"zoë\""));
}

async fn a_taken_name_is_refused(db: TestDatabase) {
    let site = Site::start(&db).await;
    site.signed_up("bob").await;
    let mut other = site.browser();
    let answer = other.post("/signup", &[("name", "bob"), ("password", "another password")]).await;
    answer.assert_status(422);
    assert!(answer.body.contains("class=\"error\"") && answer.body.contains("taken"), "{}", answer.body);
    assert!(!other.has_session());
    // Two names on every database.
    site.signed_up("Bob").await;
}

async fn a_name_or_a_password_that_is_none_is_refused(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut browser = site.browser();
    let long = "a".repeat(41);
    for (name, password) in
        [("", PASSWORD), ("   ", PASSWORD), (&long, PASSWORD), ("a\nb", PASSWORD), ("bob", "short")]
    {
        let answer = browser.post("/signup", &[("name", name), ("password", password)]).await;
        answer.assert_status(422);
        assert!(answer.body.contains("class=\"error\""), "{name:?}");
    }
    browser.post("/signup", &[("name", "bob")]).await.assert_status(400);
    assert!(!browser.has_session());
}

async fn wrong_credentials_are_refused_alike(db: TestDatabase) {
    let site = Site::start(&db).await;
    site.signed_up("bob").await;
    let mut browser = site.browser();
    let wrong = browser.post("/login", &[("name", "bob"), ("password", "not the password")]).await;
    wrong.assert_status(401);
    assert!(wrong.body.contains("class=\"error\""), "{}", wrong.body);
    let unknown = browser.post("/login", &[("name", "rob"), ("password", "not the password")]).await;
    unknown.assert_status(401);
    assert_eq!(wrong.body.replace("bob", "rob"), unknown.body);
    assert!(!browser.has_session());
}

async fn logging_in_again_ends_the_session_before(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut browser = site.signed_up("bob").await;
    let before = browser.token().to_owned();
    browser.post("/login", &[("name", "bob"), ("password", PASSWORD)]).await.assert_moved("/account");
    assert_ne!(browser.token(), before);
    let old = site.send("GET", "/api/me", &[("x-auth-token", &before)]).await;
    old.assert_status(401);
}

async fn attempts_are_limited_for_a_name_and_not_for_others(db: TestDatabase) {
    let site = Site::start(&db).await;
    site.signed_up("bob").await;
    site.signed_up("eve").await;
    let mut browser = site.browser();
    let mut refused = 0;
    for _ in 0..12 {
        // Too short to be anybody's, so that no time goes into hashing.
        let answer = browser.post("/login", &[("name", "bob"), ("password", "guess")]).await;
        match answer.status.as_u16() {
            401 => assert_eq!(refused, 0),
            429 => {
                assert!(answer.body.contains("class=\"error\""));
                refused += 1;
            }
            status => panic!("{status}"),
        }
    }
    assert!(refused > 0);
    // Not even the right one is looked at.
    browser.post("/login", &[("name", "bob"), ("password", PASSWORD)]).await.assert_status(429);
    browser.post("/login", &[("name", "eve"), ("password", PASSWORD)]).await.assert_moved("/account");
}

each_database!(
    signing_up_logs_in_and_remembers_the_name,
    a_taken_name_is_refused,
    a_name_or_a_password_that_is_none_is_refused,
    wrong_credentials_are_refused_alike,
    logging_in_again_ends_the_session_before,
    attempts_are_limited_for_a_name_and_not_for_others,
);
