//! What asking costs: nothing where nobody asks, one lookup where anybody does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use axum::RequestPartsExt;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use cloakroom::{Clock, Sessions};
use cloakroom_testing::{START, TestDatabase, UserSession, user};
use cloakroom_web::{SessionLayer, SessionRejection};
use time::OffsetDateTime;

use crate::harness::{
    App, Current, Framework, Fresh, Manager, Maybe, MaybeFresh, Refused, Site, cookie, get, logged_in,
    middleware, routes,
};

/// Every lookup reads the time, so this counts lookups.
#[derive(Debug, Default)]
struct CountingClock(AtomicUsize);

impl Clock for CountingClock {
    fn now(&self) -> OffsetDateTime {
        self.0.fetch_add(1, Ordering::Relaxed);
        START + Duration::from_secs(1)
    }
}

impl CountingClock {
    fn taken(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

async fn asks_before_and_after(before: Maybe<UserSession>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    for _ in 0..3 {
        let again = parts.extract::<Maybe<UserSession>>().await.unwrap();
        assert_eq!(id(&again), id(&before));
    }
    next.run(Request::from_parts(parts, body)).await
}

async fn asks_before_and_after_in_actix(
    before: Maybe<UserSession>,
    mut request: ServiceRequest,
    next: actix_web::middleware::Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    for _ in 0..3 {
        let again = request.extract::<Maybe<UserSession>>().await.unwrap();
        assert_eq!(id(&again), id(&before));
    }
    next.call(request).await
}

fn id(session: &Maybe<UserSession>) -> Option<uuid::Uuid> {
    session.as_ref().map(|session| session.id)
}

async fn however_many_ask_there_is_one_lookup(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let clock = Arc::new(CountingClock::default());
    let config = db.config().clock(Arc::clone(&clock) as Arc<dyn Clock>).build().unwrap();
    let counted = Sessions::<UserSession>::new(sessions.database().clone(), config).unwrap();
    let together = async |one: Manager, other: Manager| {
        let (one, other) = tokio::join!(one.current(), other.current());
        assert_eq!(one.unwrap(), other.unwrap());
        "together"
    };
    let app = routes()
        .route("/together", get(together))
        .route("/all", get(async |_: Current, _: Maybe<UserSession>, _: Current, _: Manager| "all"))
        // The database has said it already.
        .route("/fresh-too", get(async |_: Current, _: Fresh, _: MaybeFresh<UserSession>| "all"))
        .layer(SessionLayer::new(counted.clone()));
    let site = Site::start(on, app).await;
    let asking = App::new().route("/all", get(async |_: Current, _: Maybe<UserSession>| "all"));
    let asking = asking
        .layer(middleware!(asks_before_and_after, asks_before_and_after_in_actix))
        .layer(SessionLayer::new(counted));
    let asking = Site::start(on, asking).await;

    let valid = cookie(&created);
    let unknown = valid.replace(created.token.expose(), &"x".repeat(64));
    for cookie in [valid, unknown] {
        let headers = [("cookie", cookie.as_str())];
        clock.taken();
        site.get("/maybe", &headers).await;
        let one = clock.taken();
        assert!(one > 0);
        for (site, path) in [(&site, "/all"), (&site, "/fresh-too"), (&site, "/together"), (&asking, "/all")]
        {
            site.get(path, &headers).await;
            assert_eq!(clock.taken(), one, "{path}");
        }
        site.get("/free", &headers).await.assert_is(200, "free");
        assert_eq!(clock.taken(), 0);
    }
}

async fn end_it(session: Current, manager: Manager, request: Request, next: Next) -> Response {
    manager.sessions().delete(session.0).await.unwrap();
    next.run(request).await
}

async fn end_it_in_actix(
    session: Current,
    manager: Manager,
    request: ServiceRequest,
    next: actix_web::middleware::Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    manager.sessions().delete(session.0).await.unwrap();
    next.call(request).await
}

async fn the_answer_stays_the_same_for_the_whole_request(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let app = routes().layer(middleware!(end_it, end_it_in_actix)).layer(SessionLayer::new(sessions));
    let site = Site::start(on, app).await;
    site.get("/me", &[("cookie", &cookie(&created))]).await.assert_is(200, "1234");
    site.get("/me", &[("cookie", &cookie(&created))]).await.assert_cleared(401);
}

async fn a_failed_lookup_is_not_tried_again(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let site = Site::start(
        on,
        App::new()
            .route(
                "/",
                get(async |one: Result<Current, SessionRejection>, manager: Manager| {
                    let first = one.unwrap_err();
                    // The table is back, and still the request has one answer.
                    manager.sessions().migrate().await.unwrap();
                    let again = manager.current().await.unwrap_err();
                    assert_eq!(first.status(), 503);
                    Refused(again)
                }),
            )
            .layer(SessionLayer::new(sessions.clone())),
    )
    .await;
    sessions.migrate_down().await.unwrap();
    let answer = site.get("/", &[("cookie", &cookie(&created))]).await;
    answer.assert_is(503, "This is not available for the moment.\n");
    assert_eq!(sessions.query().count().await.unwrap(), 0, "the table is back");
}

async fn who_never_asks_needs_no_database(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let other = sessions.create(user("1234")).await.unwrap();
    sessions.database().close().await;
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions))).await;
    let (one, other) = (cookie(&created), cookie(&other));
    for headers in [&[][..], &[("cookie", &*one)], &[("cookie", &*one), ("cookie", &*other)]] {
        site.get("/free", headers).await.assert_is(200, "free");
    }
    // And who has no token that could be looked up.
    site.get("/maybe", &[]).await.assert_is(200, "nobody");
    site.get("/me", &[("cookie", "__Host-Http-session=")]).await.assert_cleared(401);
    // While a question is a question.
    assert_eq!(site.get("/maybe", &[("cookie", &one)]).await.status, 503);
}

each_framework_on_each_database! {
    however_many_ask_there_is_one_lookup,
    the_answer_stays_the_same_for_the_whole_request,
    a_failed_lookup_is_not_tried_again,
    who_never_asks_needs_no_database,
}
