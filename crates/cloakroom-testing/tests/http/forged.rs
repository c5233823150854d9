//! Requests that another site's page has a browser send, with a layer by tower-http's rules outside of this one.

use actix_web::HttpResponse;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use cloakroom_testing::TestDatabase;
use cloakroom_web::SessionLayer;
use http::StatusCode;

use crate::harness::{Csrf, Framework, Site, cookie, logged_in, middleware, routes};

async fn a_forged_request_does_not_come_to_the_session(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let app = routes().layer(SessionLayer::new(sessions.clone())).layer(Csrf);
    let site = Site::start(on, app).await;
    let cookie = ("cookie", &*cookie(&created));
    let (own, sibling, evil) = ("https://example.com", "https://other.example.com", "https://evil.example");
    for headers in [
        &[("sec-fetch-site", "cross-site"), ("origin", evil)][..],
        &[("sec-fetch-site", "same-site"), ("origin", sibling)],
        &[("sec-fetch-site", "cross-site")],
        // A browser from before 2023, which sends the origin alone.
        &[("origin", evil)],
        &[("origin", sibling)],
        &[("origin", "null")],
        &[("origin", "https://example.com.evil.example")],
    ] {
        let answer = site.post("/logout", &[headers, &[cookie]].concat()).await;
        assert_eq!((answer.status.as_u16(), answer.cookies()), (403, vec![]), "{headers:?}");
    }
    site.get("/me", &[cookie]).await.assert_is(200, "1234");
    // What the site's own pages send, and what programs send.
    for headers in [
        &[("sec-fetch-site", "same-origin"), ("origin", own)][..],
        // Under `Referrer-Policy: no-referrer`.
        &[("sec-fetch-site", "same-origin"), ("origin", "null")],
        &[("sec-fetch-site", "none")],
        &[("origin", own)],
        &[],
    ] {
        site.post("/others/1234", &[headers, &[cookie]].concat()).await.assert_is(200, "0");
    }
}

/// As an application compares the origin of a handshake.
async fn of_own_origin(request: Request<Body>, next: Next) -> Response {
    match request.headers().get("origin") {
        Some(origin) if origin == "https://example.com" => next.run(request).await,
        _ => StatusCode::FORBIDDEN.into_response(),
    }
}

async fn of_own_origin_in_actix(
    request: ServiceRequest,
    next: actix_web::middleware::Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    match request.headers().get("origin") {
        Some(origin) if origin == "https://example.com" => Ok(next.call(request).await?.map_into_left_body()),
        _ => Ok(request.into_response(HttpResponse::Forbidden().finish()).map_into_right_body()),
    }
}

async fn a_handshake_of_a_websocket_has_to_be_compared_by_the_application(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let app = routes().layer(SessionLayer::new(sessions)).layer(Csrf);
    let handshake = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://evil.example"),
        ("cookie", &*cookie(&created)),
    ];
    // It is a GET, and so it passes.
    Site::start(on, app.clone()).await.get("/me", &handshake).await.assert_is(200, "1234");
    let site = Site::start(on, app.layer(middleware!(of_own_origin, of_own_origin_in_actix))).await;
    assert_eq!(site.get("/me", &handshake).await.status, 403);
    let own = [("origin", "https://example.com"), handshake[4]];
    site.get("/me", &own).await.assert_is(200, "1234");
}

each_framework! {
    a_forged_request_does_not_come_to_the_session,
    a_handshake_of_a_websocket_has_to_be_compared_by_the_application,
}
