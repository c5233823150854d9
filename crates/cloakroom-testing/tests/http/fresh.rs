//! What must be asked of the database though a cache would answer.

use std::time::Duration;

use cloakroom::{Cache, CreatedSession, Sessions};
use cloakroom_testing::{TestDatabase, UserSession, user};
use cloakroom_web::{SessionLayer, SessionRejection};

use crate::harness::{Current, Framework, Fresh, Manager, MaybeFresh, Site, cookie, get, routes};

/// Sessions with a cache that hears of nothing, and the same as another process has them.
async fn cached(
    db: &TestDatabase,
) -> (Sessions<UserSession>, Sessions<UserSession>, CreatedSession<UserSession>) {
    let elsewhere = db.sessions_with::<UserSession>(db.config().announce(false)).await;
    let cache = Cache::new(8).max_staleness(Duration::from_hours(1)).listen(false);
    let sessions = db.sessions_with::<UserSession>(db.config().cache(cache)).await;
    let created = sessions.create(user("1234")).await.unwrap();
    db.clock().advance(Duration::from_secs(1));
    (sessions, elsewhere, created)
}

async fn a_fresh_session_is_asked_of_the_database_though_a_cache_would_answer(
    db: TestDatabase,
    on: Framework,
) {
    let (sessions, elsewhere, mut created) = cached(&db).await;
    let app = routes()
        .route("/both", get(async |_: Current, session: Fresh| session.fields.user_id.clone()))
        .route("/perhaps", get(async |session: MaybeFresh<UserSession>| session.is_some().to_string()))
        .layer(SessionLayer::new(sessions));
    let site = Site::start(on, app).await;
    let cookie = cookie(&created);
    let headers = [("cookie", cookie.as_str())];
    for path in ["/me", "/fresh", "/both"] {
        site.get(path, &headers).await.assert_is(200, "1234");
    }
    "5678".clone_into(&mut created.session.fields.user_id);
    elsewhere.update(&mut created.session).await.unwrap();
    db.clock().advance(Duration::from_secs(1));
    site.get("/me", &headers).await.assert_is(200, "1234");
    site.get("/both", &headers).await.assert_is(200, "5678");
    elsewhere.expire(&mut created.session).await.unwrap();
    site.get("/me", &headers).await.assert_is(200, "5678");
    site.get("/both", &headers).await.assert_cleared(401);
    site.get("/fresh", &headers).await.assert_cleared(401);
    let answer = site.get("/perhaps", &headers).await;
    answer.assert_cleared(200);
    assert_eq!(answer.body, "false");
    // Everybody knows it now.
    site.get("/me", &headers).await.assert_cleared(401);
}

async fn the_manager_asks_each_time_and_the_request_goes_by_what_it_hears(db: TestDatabase, on: Framework) {
    let (sessions, elsewhere, created) = cached(&db).await;
    let late = move |session: Fresh, manager: Manager| {
        let elsewhere = elsewhere.clone();
        async move {
            assert!(manager.current_fresh().await?.is_some());
            elsewhere.expire(&mut session.0.clone()).await?;
            assert!(manager.current().await?.is_some(), "what this request heard before");
            assert!(manager.current_fresh().await?.is_none());
            assert!(manager.current().await?.is_none());
            Ok::<_, SessionRejection>("ended")
        }
    };
    let app = routes().route("/late", get(late)).layer(SessionLayer::new(sessions));
    let site = Site::start(on, app).await;
    let answer = site.get("/late", &[("cookie", &cookie(&created))]).await;
    answer.assert_cleared(200);
    assert_eq!(answer.body, "ended");
}

async fn after_a_log_in_it_is_the_new_session_that_is_fresh(db: TestDatabase, on: Framework) {
    let (sessions, _, created) = cached(&db).await;
    let app = routes()
        .route(
            "/again",
            get(async |manager: Manager| {
                manager.log_in(user("5678")).await?;
                let session = manager.current_fresh().await?.expect("somebody is logged in");
                Ok::<_, SessionRejection>(session.fields.user_id.clone())
            }),
        )
        .layer(SessionLayer::new(sessions));
    let site = Site::start(on, app).await;
    let answer = site.get("/again", &[("cookie", &cookie(&created))]).await;
    assert_eq!((answer.body.as_str(), answer.cookies().len()), ("5678", 1));
    site.get("/fresh", &[]).await.assert_refused(401, "You are not logged in.");
}

async fn where_the_database_is_away_a_fresh_session_is_503_and_the_cookie_stays(
    db: TestDatabase,
    on: Framework,
) {
    let (sessions, _, created) = cached(&db).await;
    let cookie = cookie(&created);
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions))).await;
    site.get("/me", &[("cookie", &cookie)]).await.assert_is(200, "1234");
    db.execute("ALTER TABLE sessions RENAME TO elsewhere").await;
    site.get("/me", &[("cookie", &cookie)]).await.assert_is(200, "1234");
    site.get("/fresh", &[("cookie", &cookie)])
        .await
        .assert_is(503, "This is not available for the moment.\n");
}

each_framework! {
    a_fresh_session_is_asked_of_the_database_though_a_cache_would_answer,
    the_manager_asks_each_time_and_the_request_goes_by_what_it_hears,
    after_a_log_in_it_is_the_new_session_that_is_fresh,
    where_the_database_is_away_a_fresh_session_is_503_and_the_cookie_stays,
}
