//! A session that another release wrote and this one cannot decode: its owner is not locked out.

use std::time::Duration;

use axum::body::Body;
use cloakroom::{CreatedSession, NewSession, SessionTable, Sessions};
use cloakroom_testing::{ApiKey, Kind, Role, TestDatabase};
use cloakroom_web::{
    CurrentSession, FreshSession, SessionLayer, SessionManager, SessionRejection, TokenSource,
};
use http::{Request, header};
use serde::{Deserialize, Serialize};
use tower::ServiceExt;

use crate::capture::Captured;
use crate::harness::{App, Framework, LONGEST, Last, Maybe, Site, get, post, set};

type Manager = SessionManager<ApiKey>;

fn member(user_id: &str) -> NewSession<ApiKey> {
    NewSession::new(ApiKey { user_id: user_id.to_owned(), role: Role::Reader, quota: None })
}

fn routes() -> App {
    App::new()
        .route("/me", get(async |session: CurrentSession<ApiKey>| session.fields.user_id.clone()))
        .route("/fresh", get(async |session: FreshSession<ApiKey>| session.fields.user_id.clone()))
        .route(
            "/maybe",
            get(async |session: Maybe<ApiKey>| {
                session.as_ref().map_or("nobody".to_owned(), |session| session.fields.user_id.clone())
            }),
        )
        .route(
            "/login",
            post(async |manager: Manager| {
                Ok::<_, SessionRejection>(manager.log_in(member("1234")).await?.token.expose().to_owned())
            }),
        )
        .route(
            "/logout",
            post(async |manager: Manager| Ok::<_, SessionRejection>(manager.log_out().await?.to_string())),
        )
        .route(
            "/everywhere/{user}",
            post(async |manager: Manager, Last(user): Last| {
                let ended = manager.log_out_everywhere(ApiKey::USER_ID.eq(user)).await?;
                Ok::<_, SessionRejection>(ended.to_string())
            }),
        )
}

fn cookie(created: &CreatedSession<ApiKey>) -> String {
    format!("__Host-Http-session={}", created.token.expose())
}

/// A session with a role that this release does not know.
async fn unreadable(db: &TestDatabase, sessions: &Sessions<ApiKey>) -> CreatedSession<ApiKey> {
    let created = sessions.create(member("1234")).await.unwrap();
    spoil(db, &created).await;
    db.clock().advance(Duration::from_secs(1));
    created
}

async fn spoil(db: &TestDatabase, created: &CreatedSession<ApiKey>) {
    let id = created.session.id;
    let is_it = match db.kind() {
        Kind::Postgres => format!("id = '{id}'"),
        Kind::Sqlite | Kind::MariaDb => format!("id = X'{}'", id.simple()),
    };
    db.execute(&format!("UPDATE api_keys SET role = 'chief' WHERE {is_it}")).await;
}

/// How many of them are valid, decodable or not.
async fn valid(sessions: &Sessions<ApiKey>) -> u64 {
    sessions.query().count().await.unwrap()
}

async fn a_browser_whose_session_cannot_be_decoded_is_logged_out_and_the_session_ends(
    db: TestDatabase,
    on: Framework,
) {
    let sessions = db.sessions::<ApiKey>().await;
    let site =
        Site::start(on, routes().layer(SessionLayer::new(sessions.clone()).redirect_to("/login"))).await;
    for (path, status) in [("/me", 303), ("/fresh", 303), ("/maybe", 200)] {
        let other = sessions.create(member("5678")).await.unwrap();
        let created = unreadable(&db, &sessions).await;
        assert_eq!(valid(&sessions).await, 2);
        let answer = site.get(path, &[("cookie", &cookie(&created)), ("accept", "text/html")]).await;
        answer.assert_cleared(status);
        assert_eq!(answer.header("location"), (status == 303).then_some("/login"));
        assert_eq!(valid(&sessions).await, 1, "{path}");
        // Also before the browser has forgotten it.
        site.get(path, &[("cookie", &cookie(&created))]).await.assert_cleared(if status == 303 {
            401
        } else {
            200
        });
        site.get("/me", &[("cookie", &cookie(&other))]).await.assert_is(200, "5678");
        sessions.query().delete_all().await.unwrap();
    }
}

async fn its_owner_can_log_in_and_log_out_here_and_everywhere(db: TestDatabase, on: Framework) {
    let sessions = db.sessions::<ApiKey>().await;
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions.clone()))).await;
    let created = unreadable(&db, &sessions).await;
    let answer = site.post("/login", &[("cookie", &cookie(&created))]).await;
    assert_eq!((answer.status.as_u16(), answer.cookies()), (200, vec![&*set(&answer.body, LONGEST)]));
    assert_eq!(valid(&sessions).await, 1, "the new one alone");
    let new = format!("__Host-Http-session={}", answer.body);
    assert_eq!(site.get("/me", &[("cookie", &new)]).await.body, "1234");

    let created = unreadable(&db, &sessions).await;
    let answer = site.post("/logout", &[("cookie", &cookie(&created))]).await;
    answer.assert_cleared(200);
    assert_eq!((answer.body.as_str(), valid(&sessions).await), ("true", 1));

    // Of others, which can and cannot be decoded, and of this one.
    let created = unreadable(&db, &sessions).await;
    unreadable(&db, &sessions).await;
    let answer = site.post("/everywhere/1234", &[("cookie", &cookie(&created))]).await;
    answer.assert_cleared(200);
    assert_eq!((answer.body.as_str(), valid(&sessions).await), ("3", 0));
    // Of somebody else: this one is no use all the same.
    let created = unreadable(&db, &sessions).await;
    let answer = site.post("/everywhere/5678", &[("cookie", &cookie(&created))]).await;
    answer.assert_cleared(200);
    assert_eq!((answer.body.as_str(), valid(&sessions).await), ("0", 0));
}

async fn a_key_that_cannot_be_decoded_is_503_and_nobody_but_its_owner_ends_it(
    db: TestDatabase,
    on: Framework,
) {
    let sessions = db.sessions::<ApiKey>().await;
    let layer = SessionLayer::new(sessions.clone()).sources([TokenSource::Bearer, TokenSource::Cookie]);
    let site = Site::start(on, routes().layer(layer)).await;
    let first = unreadable(&db, &sessions).await;
    let bearer = format!("Bearer {}", first.token.expose());
    let headers = [("authorization", bearer.as_str())];
    for path in ["/me", "/fresh", "/maybe"] {
        site.get(path, &headers).await.assert_is(503, "This is not available for the moment.\n");
    }
    // Neither does it hinder anything else.
    site.post("/everywhere/5678", &headers).await.assert_is(200, "0");
    assert_eq!(valid(&sessions).await, 1);
    db.execute("UPDATE api_keys SET role = 'reader'").await;
    site.get("/me", &headers).await.assert_is(200, "1234");
    for (path, body) in [("/logout", "true"), ("/everywhere/1234", "1")] {
        let created = unreadable(&db, &sessions).await;
        let bearer = format!("Bearer {}", created.token.expose());
        let headers = [("authorization", bearer.as_str())];
        sessions.query().id(first.session.id).expire_all().await.unwrap();
        site.post(path, &headers).await.assert_is(200, body);
        site.get("/me", &headers).await.assert_refused(401, "You are not logged in.");
        assert_eq!(valid(&sessions).await, 0, "{path}");
    }
}

async fn beside_a_valid_session_one_that_cannot_be_decoded_is_no_hindrance(db: TestDatabase, on: Framework) {
    let sessions = db.sessions::<ApiKey>().await;
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions.clone()))).await;
    let created = sessions.create(member("5678")).await.unwrap();
    let broken = unreadable(&db, &sessions).await;
    let both = format!("{}; {}", cookie(&broken), cookie(&created));
    site.get("/me", &[("cookie", &both)]).await.assert_is(200, "5678");
    assert_eq!(valid(&sessions).await, 1, "it is ended");
    let broken = unreadable(&db, &sessions).await;
    let both = format!("{}; {}", cookie(&broken), cookie(&created));
    site.post("/logout", &[("cookie", &both)]).await.assert_cleared(200);
    assert_eq!(valid(&sessions).await, 0);
}

async fn what_cannot_be_decoded_is_reported_without_its_token(db: TestDatabase, on: Framework) {
    let sessions = db.sessions::<ApiKey>().await;
    let created = unreadable(&db, &sessions).await;
    assert_eq!(on, Framework::Axum);
    let captured = Captured::start();
    let request =
        Request::get("/maybe").header(header::COOKIE, cookie(&created)).body(Body::empty()).unwrap();
    let response = routes().layer(SessionLayer::new(sessions)).into_axum().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let told = captured.take();
    assert!(
        told.starts_with("ERROR") && told.contains("cannot be decoded") && told.contains("api_keys"),
        "{told}"
    );
    assert!(told.contains("role") && !told.contains(created.token.expose()), "{told}");
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Settings {
    theme: String,
}

#[derive(Clone, Debug, SessionTable)]
#[session(table = "themed_sessions", data = Settings)]
struct Themed {
    user_id: String,
}

async fn data_that_has_changed_its_form_locks_nobody_out(db: TestDatabase, on: Framework) {
    let sessions = db.sessions::<Themed>().await;
    let new = || NewSession::new(Themed { user_id: "1234".into() }).data(Settings::default());
    let created = sessions.create(new()).await.unwrap();
    db.execute(r#"UPDATE themed_sessions SET data = '{"theme": 5}'"#).await;
    db.clock().advance(Duration::from_secs(1));
    let app = App::new()
        .route("/maybe", get(async |session: Maybe<Themed>| session.is_some().to_string()))
        .route(
            "/login",
            post(
                move |manager: SessionManager<Themed>| async move { manager.log_in(new()).await.map(|_| "") },
            ),
        )
        .layer(SessionLayer::new(sessions.clone()));
    let site = Site::start(on, app).await;
    let cookie = format!("__Host-Http-session={}", created.token.expose());
    assert_eq!(site.post("/login", &[("cookie", &cookie)]).await.status, 200);
    assert_eq!(sessions.query().count().await.unwrap(), 1);
    let answer = site.get("/maybe", &[("cookie", &cookie)]).await;
    answer.assert_cleared(200);
    assert_eq!(answer.body, "false");
}

each_framework! {
    a_browser_whose_session_cannot_be_decoded_is_logged_out_and_the_session_ends,
    its_owner_can_log_in_and_log_out_here_and_everywhere,
    a_key_that_cannot_be_decoded_is_503_and_nobody_but_its_owner_ends_it,
    beside_a_valid_session_one_that_cannot_be_decoded_is_no_hindrance,
    data_that_has_changed_its_form_locks_nobody_out,
}

/// What is reported is heard on the thread of the test, and a worker of actix-web has one of its own.
mod on_axum_alone {
    on_framework!(Axum: what_cannot_be_decoded_is_reported_without_its_token);
    cloakroom_testing::each_database! { what_cannot_be_decoded_is_reported_without_its_token }
}
