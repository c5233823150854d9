use cloakroom_testing::{TestDatabase, each_database};

use crate::harness::Site;

async fn a_post_from_another_site_is_refused_and_does_nothing(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut browser = site.signed_up("bob").await;
    let rows = browser.rows("/account").await;
    let form = ("content-type", "application/x-www-form-urlencoded");
    for path in [
        "/logout".to_owned(),
        "/logout-everywhere".to_owned(),
        "/logout-others".to_owned(),
        format!("/sessions/{}/expire", rows[0]),
        format!("/sessions/{}/delete", rows[0]),
        format!("/sessions/{}/rename", rows[0]),
        "/keys/new".to_owned(),
        "/confirm".to_owned(),
        "/password".to_owned(),
        format!("/keys/{}/rotate", rows[0]),
        format!("/keys/{}/revoke", rows[0]),
        "/login".to_owned(),
        "/signup".to_owned(),
    ] {
        let cross_site: [&[(&str, &str)]; 3] = [
            &[form, ("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")],
            &[form, ("sec-fetch-site", "same-site")],
            // A browser from before `Sec-Fetch-Site`.
            &[form, ("origin", "https://evil.example")],
        ];
        for headers in cross_site {
            let body = "name=eve&label=eve&password=correct+horse&new_password=wrong+horse&read=on&expires=never&grace=none".to_owned();
            let answer = browser.send("POST", &path, headers, body).await;
            answer.assert_status(403);
            assert!(answer.cookies().is_empty());
            assert!(answer.body.contains("another site"), "{}", answer.body);
        }
    }
    assert_eq!(browser.rows("/account").await, rows);
    assert!(browser.rows("/keys").await.is_empty());
}

async fn every_response_carries_the_headers(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut browser = site.signed_up("bob").await;
    for path in [
        "/",
        "/login",
        "/account",
        "/logout-everywhere",
        "/keys",
        "/keys/new",
        "/confirm",
        "/password",
        "/audit",
        "/statistics",
        "/api/me",
        "/style.css",
        "/icon.svg",
        "/nothing",
    ] {
        let answer = browser.get(path).await;
        let policy = answer.header("content-security-policy").unwrap();
        for rule in [
            "default-src 'none'",
            "style-src 'self'",
            "img-src 'self' data:",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.split("; ").any(|known| known == rule), "{rule}: {policy}");
        }
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"), "{path}");
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{path}");
        // Over plain http it means nothing.
        assert_eq!(answer.header("strict-transport-security"), None, "{path}");
        assert!(!answer.body.contains("<script") && !answer.body.contains("style=\""), "{path}");
        if !path.contains('.') {
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        }
    }
    let refused = site.send("POST", "/logout", &[("origin", "https://evil.example")]).await;
    refused.assert_status(403);
    assert!(refused.header("content-security-policy").is_some());
}

async fn for_another_host_the_cookie_is_secure(db: TestDatabase) {
    let site = Site::start(&db).await;
    site.signed_up("bob").await;
    let headers = [
        ("host", "example.com"),
        ("origin", "https://example.com"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let body = "name=bob&password=correct+horse".to_owned();
    let answer = crate::harness::send(site.address, "POST", "/login", &headers, body).await;
    answer.assert_moved("/account");
    let cookies = answer.cookies();
    let session = cookies.iter().find(|cookie| cookie.starts_with("__Host-Http-session=")).unwrap();
    assert!(session.contains("Secure") && session.contains("HttpOnly"), "{session}");
}

async fn a_body_that_is_too_large_is_refused(db: TestDatabase) {
    let site = Site::start(&db).await;
    let long = "a".repeat(20_000);
    site.browser().post("/login", &[("name", "bob"), ("password", &long)]).await.assert_status(400);
}

each_database!(
    a_post_from_another_site_is_refused_and_does_nothing,
    every_response_carries_the_headers,
    for_another_host_the_cookie_is_secure,
    a_body_that_is_too_large_is_refused,
);
