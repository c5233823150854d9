//! The cookie for development without TLS, and that it is for localhost alone.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use cloakroom_testing::{TestDatabase, UserSession};
use cloakroom_web::{CookieConfig, SameSite, SessionLayer};

use http::Request;
use tower::ServiceExt;

use crate::harness::{CLEARED, Framework, LONGEST, Site, routes, set};

async fn site(on: Framework, db: &TestDatabase, config: cloakroom_web::CookieConfigBuilder) -> Site {
    let sessions = db.sessions::<UserSession>().await;
    Site::start(on, routes().layer(SessionLayer::new(sessions).cookie(config.build().unwrap()))).await
}

async fn on_localhost_the_cookie_works_without_tls(db: TestDatabase, on: Framework) {
    let site = site(on, &db, CookieConfig::builder().insecure_on_localhost(true)).await;
    for host in ["localhost", "localhost:3000", "127.0.0.1:3000", "[::1]:3000"] {
        let answer = site.post("/login/1234", &[("host", host)]).await;
        let attributes = format!("HttpOnly; SameSite=Lax; Path=/; Max-Age={LONGEST}");
        assert_eq!(answer.cookies(), [format!("session={}; {attributes}", answer.body)], "{host}");
        let cookie = format!("session={}", answer.body);
        assert_eq!(site.get("/me", &[("host", host), ("cookie", &cookie)]).await.body, "1234");
        let answer = site.post("/logout", &[("host", host), ("cookie", &cookie)]).await;
        assert_eq!(answer.cookies(), ["session=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0"]);
    }
}

async fn left_on_by_accident_it_changes_nothing_for_another_host(db: TestDatabase, on: Framework) {
    let site = site(on, &db, CookieConfig::builder().insecure_on_localhost(true)).await;
    for headers in [
        &[("host", "example.com")][..],
        &[("host", "localhost.example.com")],
        &[("host", "10.0.0.1:3000")],
        // A proxy that puts its own idea of the host in place of the browser's.
        &[("host", "localhost:3000"), ("x-forwarded-for", "192.0.2.1")],
        &[("host", "localhost:3000"), ("forwarded", "for=192.0.2.1")],
        &[("host", "localhost:3000"), ("origin", "https://example.com")],
    ] {
        let answer = site.post("/login/1234", headers).await;
        assert_eq!(answer.cookies(), [set(&answer.body, LONGEST)], "{headers:?}");
        // The other cookie is not so much as read.
        let (insecure, strict) =
            (format!("session={}", answer.body), format!("__Host-Http-session={}", answer.body));
        let with = |cookie| [headers, &[("cookie", cookie)]].concat();
        site.get("/maybe", &with(&insecure)).await.assert_is(200, "nobody");
        site.get("/maybe", &with("session=")).await.assert_is(200, "nobody");
        assert_eq!(site.get("/maybe", &with(&strict)).await.body, "1234");
        assert_eq!(site.post("/logout", &with(&strict)).await.cookies(), [CLEARED]);
    }
}

async fn without_the_setting_localhost_is_a_host_like_any_other(db: TestDatabase, on: Framework) {
    let site = site(on, &db, CookieConfig::builder()).await;
    let answer = site.post("/login/1234", &[("host", "localhost:3000")]).await;
    assert_eq!(answer.cookies(), [set(&answer.body, LONGEST)]);
}

async fn what_needs_tls_or_a_real_domain_is_left_out_on_localhost(db: TestDatabase, on: Framework) {
    let config = CookieConfig::builder().name("__Secure-app").domain("example.com").same_site(SameSite::None);
    let site = site(on, &db, config.insecure_on_localhost(true)).await;
    let answer = site.post("/login/1234", &[("host", "localhost")]).await;
    let attributes = format!("HttpOnly; SameSite=Lax; Path=/; Max-Age={LONGEST}");
    assert_eq!(answer.cookies(), [format!("app={}; {attributes}", answer.body)]);
}

async fn a_connection_from_another_machine_has_the_strict_cookie_where_the_application_tells(
    db: TestDatabase,
    on: Framework,
) {
    let sessions = db.sessions::<UserSession>().await;
    let cookie = CookieConfig::builder().insecure_on_localhost(true).build().unwrap();
    let app = routes().layer(SessionLayer::new(sessions).cookie(cookie));
    assert_eq!(on, Framework::Axum);
    let app = app.into_axum();
    for (peer, is_strict) in [("127.0.0.1:50000", false), ("[::1]:50000", false), ("192.0.2.1:50000", true)] {
        let peer: SocketAddr = peer.parse().unwrap();
        let request =
            Request::post("/login/1234").header("host", "localhost:3000").extension(ConnectInfo(peer));
        let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let cookie = response.headers()["set-cookie"].to_str().unwrap();
        assert_eq!(cookie.starts_with("__Host-Http-session="), is_strict, "{peer}");
        assert_eq!(cookie.contains("Secure"), is_strict, "{peer}");
    }
}

each_framework! {
    on_localhost_the_cookie_works_without_tls,
    left_on_by_accident_it_changes_nothing_for_another_host,
    without_the_setting_localhost_is_a_host_like_any_other,
    what_needs_tls_or_a_real_domain_is_left_out_on_localhost,
}

/// In actix-web the connection's address is always told: `actix_alone.rs`.
mod on_axum_alone {
    on_framework!(Axum: a_connection_from_another_machine_has_the_strict_cookie_where_the_application_tells);
    cloakroom_testing::each_database! { a_connection_from_another_machine_has_the_strict_cookie_where_the_application_tells }
}
