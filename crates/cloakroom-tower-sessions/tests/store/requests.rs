//! Requests through the layer of tower-sessions.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use axum::routing::get;
use cloakroom_testing::{TestDatabase, each_database};
use http_body_util::BodyExt;
use time::OffsetDateTime;
use tower::ServiceExt;
use tower_sessions::{Session, SessionManagerLayer};

use crate::store;

fn site(db: &TestDatabase, store: crate::CloakroomStore<crate::WebSession>) -> Router {
    let now = db.now() - OffsetDateTime::now_utc();
    // The layer reads the machine's clock.
    db.clock().advance(-now);
    Router::new()
        .route(
            "/count",
            get(|session: Session| async move {
                let count = session.get::<u32>("count").await.unwrap().unwrap_or(0) + 1;
                session.insert("count", count).await.unwrap();
                count.to_string()
            }),
        )
        .route("/cycle", get(|session: Session| async move { session.cycle_id().await.unwrap() }))
        .route("/flush", get(|session: Session| async move { session.flush().await.unwrap() }))
        .layer(SessionManagerLayer::new(store))
}

/// Returns the cookie after the request, and the body.
async fn ask(site: &Router, path: &str, cookie: Option<&str>) -> (Option<String>, String) {
    let mut request = Request::builder().uri(path);
    if let Some(cookie) = cookie {
        request = request.header(header::COOKIE, cookie);
    }
    let answer = site.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    let set = answer.headers().get(header::SET_COOKIE);
    let set = set.map(|value| value.to_str().unwrap().split(';').next().unwrap().to_owned());
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (set, String::from_utf8(body.to_vec()).unwrap())
}

async fn a_site_keeps_counts_cycles_and_flushes(db: TestDatabase) {
    let store = store(&db).await;
    let sessions = store.sessions().clone();
    let site = site(&db, store);
    let (cookie, body) = ask(&site, "/count", None).await;
    let cookie = cookie.unwrap();
    assert_eq!(body, "1");
    assert_eq!(ask(&site, "/count", Some(&cookie)).await.1, "2");
    let (cycled, _) = ask(&site, "/cycle", Some(&cookie)).await;
    let cycled = cycled.unwrap();
    assert_ne!(cycled, cookie);
    assert_eq!(ask(&site, "/count", Some(&cycled)).await.1, "3");
    assert_eq!(ask(&site, "/count", Some(&cookie)).await.1, "1");
    assert_eq!(sessions.query().count().await.unwrap(), 2);
    ask(&site, "/flush", Some(&cycled)).await;
    assert_eq!(ask(&site, "/count", Some(&cycled)).await.1, "1");
    // The table knows no id.
    let id = cookie.split_once('=').unwrap().1.to_owned();
    let everything = db.texts("SELECT auth_token_digest FROM sessions").await;
    assert!(everything.into_iter().flatten().all(|digest| !digest.contains(&id)));
}

each_database! { a_site_keeps_counts_cycles_and_flushes }
