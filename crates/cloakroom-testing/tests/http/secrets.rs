//! No token shows in what this crate prints. The types are the same in both frameworks, but for the services that
//! `actix_alone.rs` looks at.

use axum::extract::Request;
use cloakroom_axum::{SessionLayer, TokenSource, testing};
use cloakroom_testing::{TestDatabase, each_database};

use crate::harness::{Current, Manager, Site, bearer, cookie, logged_in, routes};

async fn neither_the_layer_nor_what_it_hands_out_shows_a_token(db: TestDatabase) {
    let config = db.config().secret_salt("the-salt-of-the-house");
    let sessions = db.sessions_with::<cloakroom_testing::UserSession>(config).await;
    let created = sessions.create(cloakroom_testing::user("1234")).await.unwrap();
    let layer = SessionLayer::new(sessions)
        .sources([TokenSource::Cookie, TokenSource::Bearer])
        .on_log_in(|_, new| new);
    let shown = format!("{layer:?} {:?}", tower::Layer::layer(&layer, "a service"));
    assert!(shown.contains("table: sessions") && !shown.contains("the-salt"), "{shown}");

    let app = routes()
        .into_axum()
        .route(
            "/debug",
            axum::routing::get(async |session: Current, manager: Manager, request: Request| {
                let created = manager.log_in(cloakroom_testing::user("5678")).await.unwrap();
                format!("{session:?} {manager:?} {created:?} {:?}", request.extensions())
            }),
        )
        .route(
            "/rejected",
            axum::routing::get(async |manager: Manager| {
                let error = manager.current().await.unwrap_err();
                format!("{error:?} {error}")
            }),
        )
        .layer(layer.clone());
    let site = Site::serve(app).await;
    let (cookie, bearer) = (cookie(&created), bearer(&created));
    let token = created.token.expose();
    let answer = site.get("/debug", &[("cookie", &cookie)]).await;
    let new = answer.cookies()[0].split(['=', ';']).nth(1).unwrap();
    assert!(new.len() == 64 && new != token);
    assert!(answer.body.contains("UserSession") && answer.body.contains("SessionManager"));
    assert!(!answer.body.contains(token) && !answer.body.contains(new), "{}", answer.body);
    let malformed = format!("{bearer} {token}");
    for headers in [
        [("cookie", &*cookie), ("authorization", "Bearer other")],
        [("cookie", &*cookie), ("authorization", &*malformed)],
    ] {
        let answer = site.get("/rejected", &headers).await;
        assert!(answer.status == 200 && !answer.body.contains(token), "{}", answer.body);
    }
}

async fn the_request_of_a_test_does_not_show_its_token(db: TestDatabase) {
    let (_, created) = logged_in(&db).await;
    let request = testing::authenticated(Request::new(()), &created);
    let shown = format!("{:?}", request.extensions());
    assert!(!shown.contains(created.token.expose()), "{shown}");
}

async fn a_future_under_way_does_not_show_a_token(db: TestDatabase) {
    let (sessions, created) = logged_in(&db).await;
    let layer = SessionLayer::new(sessions);
    let mut service = tower::Layer::layer(
        &layer,
        tower::service_fn(async |_: http::Request<()>| {
            Ok::<_, std::convert::Infallible>(http::Response::new(()))
        }),
    );
    let request = http::Request::builder().header("cookie", cookie(&created)).body(()).unwrap();
    let shown = format!("{:?}", tower::Service::call(&mut service, request));
    assert!(shown.starts_with("ResponseFuture") && !shown.contains(created.token.expose()), "{shown}");
}

each_database! {
    neither_the_layer_nor_what_it_hands_out_shows_a_token,
    the_request_of_a_test_does_not_show_its_token,
    a_future_under_way_does_not_show_a_token,
}
