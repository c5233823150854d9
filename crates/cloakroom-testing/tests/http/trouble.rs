//! A database that cannot be asked: 503, and the client keeps what it has.

use std::task::Poll;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use cloakroom_testing::TestDatabase;
use cloakroom_web::{SessionLayer, TokenSource};

use http::StatusCode;
use tower::ServiceExt;

use crate::capture::Captured;
use crate::harness::{
    Framework, LONGEST, Middleware, Site, bearer, cookie, logged_in, middleware, routes, set,
};

const STILL_VALID: &str =
    "This browser is told to forget the session, but it could not be ended, and may still be valid.\n";

const NOT_NOW: &str = "This is not available for the moment.\n";

async fn assert_everything_is_503(site: &Site, header: (&str, &str)) {
    // A browser that would be sent to log in, were it logged out.
    let headers = [header, ("accept", "text/html")];
    for path in ["/me", "/maybe"] {
        site.get(path, &headers).await.assert_is(503, NOT_NOW);
    }
    for path in ["/login/1234", "/everywhere/1234", "/others/1234", "/rotate", "/extend"] {
        site.post(path, &headers).await.assert_is(503, NOT_NOW);
    }
    site.get("/free", &headers).await.assert_is(200, "free");
}

async fn while_the_database_is_away_nobody_is_logged_out_and_nobody_in(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let layer = SessionLayer::new(sessions.clone()).sources([TokenSource::Cookie, TokenSource::Bearer]);
    let site = Site::start(on, routes().layer(layer.redirect_to("/login"))).await;
    sessions.database().close().await;
    let unknown = cookie(&created).replace(created.token.expose(), &"x".repeat(64));
    for header in [
        ("cookie", cookie(&created)),
        ("cookie", unknown),
        ("authorization", bearer(&created)),
        ("authorization", "Bearer unknown".to_owned()),
    ] {
        assert_everything_is_503(&site, (header.0, &header.1)).await;
    }
    // Without a token there is nothing to ask, but nobody can be logged in.
    site.post("/login/1234", &[]).await.assert_is(503, NOT_NOW);
}

async fn when_the_table_is_back_the_same_cookie_works(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let site =
        Site::start(on, routes().layer(SessionLayer::new(sessions.clone()).redirect_to("/login"))).await;
    db.execute("ALTER TABLE sessions RENAME TO elsewhere").await;
    assert_everything_is_503(&site, ("cookie", &cookie(&created))).await;
    db.execute("ALTER TABLE elsewhere RENAME TO sessions").await;
    site.get("/me", &[("cookie", &cookie(&created))]).await.assert_is(200, "1234");
    assert_eq!(sessions.query().count().await.unwrap(), 1);
}

async fn a_session_that_cannot_be_ended_stays_and_so_does_its_cookie_unless_its_user_logs_out(
    db: TestDatabase,
    on: Framework,
) {
    let (sessions, created) = logged_in(&db).await;
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions.clone()))).await;
    let cookie = cookie(&created);
    refuse_updates(&db).await;
    for path in ["/everywhere/1234", "/rotate", "/login/5678"] {
        let answer = site.post(path, &[("cookie", &cookie)]).await;
        assert!(answer.status.is_server_error() && answer.cookies().is_empty(), "{path}: {}", answer.status);
        site.get("/me", &[("cookie", &cookie)]).await.assert_is(200, "1234");
    }
    assert_eq!(sessions.query().count().await.unwrap(), 1, "a log-in that failed leaves nothing behind");
    let answer = site.post("/logout", &[("cookie", &cookie)]).await;
    answer.assert_cleared(503);
    assert_eq!(answer.body, STILL_VALID);
    db.clock().advance(std::time::Duration::from_hours(48));
    // An extension that cannot be written is no reason to refuse anybody, nor to send a cookie.
    site.get("/me", &[("cookie", &cookie)]).await.assert_is(200, "1234");
    allow_updates(&db).await;
    let answer = site.get("/me", &[("cookie", &cookie)]).await;
    assert_eq!(answer.cookies(), [set(created.token.expose(), LONGEST)]);
}

async fn logging_out_while_the_database_is_away_clears_the_cookie_and_says_what_was_not_done(
    db: TestDatabase,
    on: Framework,
) {
    let (sessions, created) = logged_in(&db).await;
    let layer = SessionLayer::new(sessions.clone()).sources([TokenSource::Cookie, TokenSource::Bearer]);
    let site = Site::start(on, routes().layer(layer)).await;
    let (cookie, bearer) = (cookie(&created), bearer(&created));
    db.execute("ALTER TABLE sessions RENAME TO elsewhere").await;
    let answer = site.post("/logout", &[("cookie", &cookie)]).await;
    answer.assert_cleared(503);
    assert_eq!(answer.body, STILL_VALID);
    let answer = site.post("/logout", &[("authorization", &bearer)]).await;
    answer.assert_is(503, "The session could not be ended, and may still be valid.\n");
    // Who presents nothing has nothing to lose, and what is no log-out stays.
    site.post("/logout", &[]).await.assert_is(200, "false");
    let ambiguous = [("cookie", &*cookie), ("authorization", "Bearer another")];
    assert_eq!(site.post("/logout", &ambiguous).await.status, 400);
    db.execute("ALTER TABLE elsewhere RENAME TO sessions").await;
    site.get("/me", &[("cookie", &cookie)]).await.assert_is(200, "1234");
    site.post("/logout", &[("cookie", &cookie)]).await.assert_cleared(200);
    site.get("/me", &[("cookie", &cookie)]).await.assert_cleared(401);
}

/// As a time-out inside the layer gives up: after the first step of the future, whatever that waits for.
async fn give_up_at_once(request: Request, next: Next) -> Response {
    let mut response = std::pin::pin!(next.run(request));
    let first = std::future::poll_fn(|context| Poll::Ready(response.as_mut().poll(context))).await;
    match first {
        Poll::Ready(response) => response,
        Poll::Pending => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// In actix-web what gives up has no request any more, and so no response, but an error.
async fn give_up_at_once_in_actix(
    request: ServiceRequest,
    next: actix_web::middleware::Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let mut response = std::pin::pin!(next.call(request));
    let first = std::future::poll_fn(|context| Poll::Ready(response.as_mut().poll(context))).await;
    match first {
        Poll::Ready(response) => response,
        Poll::Pending => Err(actix_web::error::ErrorServiceUnavailable("given up")),
    }
}

const GIVES_UP: Middleware = middleware!(give_up_at_once, give_up_at_once_in_actix);

async fn a_log_out_that_is_given_up_while_it_waits_clears_the_cookie_too(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let held = cloakroom_testing::hold_connections(sessions.database()).await;
    let app = routes().layer(GIVES_UP).layer(SessionLayer::new(sessions));
    let site = Site::start(on, app).await;
    let cookie = cookie(&created);
    assert_eq!(site.get("/me", &[("cookie", &cookie)]).await.cookies(), Vec::<&str>::new());
    site.post("/logout", &[("cookie", &cookie)]).await.assert_cleared(503);
    drop(held);
}

async fn a_log_out_that_is_given_up_is_reported_and_one_that_has_its_answer_is_not(
    db: TestDatabase,
    on: Framework,
) {
    let (sessions, created) = logged_in(&db).await;
    let layer = SessionLayer::new(sessions.clone());
    assert_eq!(on, Framework::Axum);
    let given_up = routes().layer(GIVES_UP).layer(layer.clone()).into_axum();
    let log_out = || Request::post("/logout").header("cookie", cookie(&created)).body(Body::empty()).unwrap();
    let captured = Captured::start();
    let held = cloakroom_testing::hold_connections(sessions.database()).await;
    assert_eq!(given_up.oneshot(log_out()).await.unwrap().status(), 503);
    drop(held);
    let told = captured.take();
    assert!(told.starts_with("ERROR") && told.contains("may be valid until it expires"), "{told}");
    assert!(told.lines().count() == 1 && !told.contains(created.token.expose()), "{told}");
    assert_eq!(routes().layer(layer).into_axum().oneshot(log_out()).await.unwrap().status(), 200);
    assert_eq!(captured.take(), "");
}

async fn several_sessions_that_cannot_be_ended_are_none_and_keep_their_cookies(
    db: TestDatabase,
    on: Framework,
) {
    let (sessions, created) = logged_in(&db).await;
    let other = sessions.create(cloakroom_testing::user("5678")).await.unwrap();
    db.clock().advance(std::time::Duration::from_secs(1));
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions.clone()))).await;
    let both = format!("{}; {}", cookie(&created), cookie(&other));
    refuse_updates(&db).await;
    // If one were cleared, the other would count.
    site.get("/me", &[("cookie", &both)]).await.assert_refused(401, "You are not logged in.");
    site.get("/maybe", &[("cookie", &both)]).await.assert_is(200, "nobody");
    assert!(site.post("/login/1234", &[("cookie", &both)]).await.status.is_server_error());
    allow_updates(&db).await;
    site.get("/maybe", &[("cookie", &both)]).await.assert_cleared(200);
    assert_eq!(sessions.query().count().await.unwrap(), 0);
}

async fn a_log_out_that_could_not_end_the_session_is_reported_without_its_token(
    db: TestDatabase,
    on: Framework,
) {
    let (sessions, created) = logged_in(&db).await;
    assert_eq!(on, Framework::Axum);
    let app = routes().layer(SessionLayer::new(sessions)).into_axum();
    db.execute("ALTER TABLE sessions RENAME TO elsewhere").await;
    let captured = Captured::start();
    let request = Request::post("/logout").header("cookie", cookie(&created)).body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 503);
    let told = captured.take();
    assert!(told.starts_with("ERROR") && told.contains("could not be ended"), "{told}");
    assert!(told.lines().count() == 1 && !told.contains(created.token.expose()), "{told}");
}

async fn refuse_updates(db: &TestDatabase) {
    match db.kind() {
        cloakroom_testing::Kind::Sqlite => {
            db.execute(
                "CREATE TRIGGER refused BEFORE UPDATE ON sessions BEGIN SELECT RAISE(ABORT, 'no'); END",
            )
            .await;
        }
        cloakroom_testing::Kind::Postgres => {
            db.execute(
                "CREATE FUNCTION refused() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN RAISE EXCEPTION 'no'; END $$; \
                 CREATE TRIGGER refused BEFORE UPDATE ON sessions \
                 FOR EACH ROW EXECUTE FUNCTION refused()",
            )
            .await;
        }
        cloakroom_testing::Kind::MariaDb => {
            db.execute(
                "CREATE TRIGGER refused BEFORE UPDATE ON sessions FOR EACH ROW \
                 SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'",
            )
            .await;
        }
    }
}

async fn allow_updates(db: &TestDatabase) {
    let on_table = if db.kind() == cloakroom_testing::Kind::Postgres { " ON sessions" } else { "" };
    db.execute(&format!("DROP TRIGGER refused{on_table}")).await;
}

each_framework_on_each_database! {
    while_the_database_is_away_nobody_is_logged_out_and_nobody_in,
    when_the_table_is_back_the_same_cookie_works,
    a_session_that_cannot_be_ended_stays_and_so_does_its_cookie_unless_its_user_logs_out,
    several_sessions_that_cannot_be_ended_are_none_and_keep_their_cookies,
    logging_out_while_the_database_is_away_clears_the_cookie_and_says_what_was_not_done,
    a_log_out_that_is_given_up_while_it_waits_clears_the_cookie_too,
}

/// What is reported is heard on the thread of the test, and a worker of actix-web has one of its own.
mod on_axum_alone {
    on_framework!(Axum: a_log_out_that_could_not_end_the_session_is_reported_without_its_token, a_log_out_that_is_given_up_is_reported_and_one_that_has_its_answer_is_not);
    cloakroom_testing::each_database! { a_log_out_that_could_not_end_the_session_is_reported_without_its_token, a_log_out_that_is_given_up_is_reported_and_one_that_has_its_answer_is_not }
}
