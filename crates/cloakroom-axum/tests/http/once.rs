//! What asking costs: nothing where nobody asks, one lookup where anybody does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use axum::{RequestPartsExt, Router};
use cloakroom::{Clock, Sessions};
use cloakroom_axum::{SessionLayer, SessionRejection};
use cloakroom_testing::{START, TestDatabase, UserSession, each_database, user};
use time::OffsetDateTime;

use crate::harness::{Current, Fresh, Manager, Site, cookie, logged_in, routes};

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

async fn asks_before_and_after(before: Option<Current>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    for _ in 0..3 {
        let again = parts.extract::<Option<Current>>().await.unwrap();
        assert_eq!(again.map(|session| session.id), before.as_ref().map(|session| session.id));
    }
    next.run(Request::from_parts(parts, body)).await
}

async fn however_many_ask_there_is_one_lookup(db: TestDatabase) {
    let (sessions, created) = logged_in(&db).await;
    let clock = Arc::new(CountingClock::default());
    let config = db.config().clock(Arc::clone(&clock) as Arc<dyn Clock>).build().unwrap();
    let counted = Sessions::<UserSession>::new(sessions.database().clone(), config).unwrap();
    let together = async |one: Manager, other: Manager| {
        let (one, other) = tokio::join!(one.current(), other.current());
        assert_eq!(one.unwrap(), other.unwrap());
    };
    let app = routes()
        .route("/together", get(together))
        .route("/all", get(async |_: Current, _: Option<Current>, _: Current, _: Manager| "all"))
        // The database has said it already.
        .route("/fresh-too", get(async |_: Current, _: Fresh, _: Option<Fresh>| "all"))
        .layer(SessionLayer::new(counted.clone()));
    let site = Site::start(app).await;
    let asking = Router::new().route("/all", get(async |_: Current, _: Option<Current>| "all"));
    let asking = asking.layer(middleware::from_fn(asks_before_and_after)).layer(SessionLayer::new(counted));
    let asking = Site::start(asking).await;

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

async fn end_it(
    State(sessions): State<Sessions<UserSession>>,
    session: Current,
    request: Request,
    next: Next,
) -> Response {
    sessions.delete(session.0).await.unwrap();
    next.run(request).await
}

async fn the_answer_stays_the_same_for_the_whole_request(db: TestDatabase) {
    let (sessions, created) = logged_in(&db).await;
    let app = routes()
        .layer(middleware::from_fn_with_state(sessions.clone(), end_it))
        .layer(SessionLayer::new(sessions));
    let site = Site::start(app).await;
    site.get("/me", &[("cookie", &cookie(&created))]).await.assert_is(200, "1234");
    site.get("/me", &[("cookie", &cookie(&created))]).await.assert_cleared(401);
}

async fn a_failed_lookup_is_not_tried_again(db: TestDatabase) {
    let (sessions, created) = logged_in(&db).await;
    let site = Site::start(
        Router::new()
            .route(
                "/",
                get(async |one: Result<Current, SessionRejection>, manager: Manager| {
                    let first = one.unwrap_err();
                    // The table is back, and still the request has one answer.
                    manager.sessions().migrate().await.unwrap();
                    let again = manager.current().await.unwrap_err();
                    assert_eq!(first.status(), 503);
                    again
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

async fn who_never_asks_needs_no_database(db: TestDatabase) {
    let (sessions, created) = logged_in(&db).await;
    let other = sessions.create(user("1234")).await.unwrap();
    sessions.database().close().await;
    let site = Site::start(routes().layer(SessionLayer::new(sessions))).await;
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

each_database! {
    however_many_ask_there_is_one_lookup,
    the_answer_stays_the_same_for_the_whole_request,
    a_failed_lookup_is_not_tried_again,
    who_never_asks_needs_no_database,
}
