//! What only actix-web can be asked, since the framework has it in its own way.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use actix_web::dev::{Service, ServiceResponse};
use actix_web::test::{TestRequest, call_service, init_service};
use actix_web::{Error, HttpResponse, web};
use cloakroom::sqlx::{MySqlPool, PgPool, SqlitePool};
use cloakroom::{Database, Sessions};
use cloakroom_actix::{
    CookieConfig, CurrentSession, OptionalSession, SessionLayer, SessionManager, SessionRejection,
    TokenSource, require_session, testing,
};
use cloakroom_testing::{ApiKey, Kind, TestDatabase, UserSession, each_database, user};
use futures_util::stream;

use crate::harness::{LONGEST, cookie, logged_in, set};

type Current = CurrentSession<UserSession>;

async fn me(session: Current) -> String {
    session.fields.user_id.clone()
}

async fn maybe(session: OptionalSession<UserSession>) -> String {
    session.as_ref().map_or("nobody".to_owned(), |session| session.fields.user_id.clone())
}

fn cookies(response: &ServiceResponse<impl actix_web::body::MessageBody>) -> Vec<&str> {
    response.headers().get_all("set-cookie").map(|value| value.to_str().unwrap()).collect()
}

/// What is expected of every extractor that may find none is `None` for "logged out" and an error for all else. actix-web's
/// `Option` of an extractor gives `None` for both.
async fn an_option_of_a_session_hides_that_the_database_is_away_and_an_optional_session_does_not(
    db: TestDatabase,
) {
    let (sessions, created) = logged_in(&db).await;
    let option = async |session: Option<Current>| session.is_some().to_string();
    let result = async |session: Result<Current, SessionRejection>| {
        session.map_or_else(|error| error.status().as_u16(), |_| 200).to_string()
    };
    let app = actix_web::App::new()
        .route("/option", web::get().to(option))
        .route("/result", web::get().to(result))
        .route("/maybe", web::get().to(maybe))
        .wrap(SessionLayer::new(sessions));
    let app = init_service(app).await;
    let get = async |path: &str| {
        let request = TestRequest::get().uri(path).insert_header(("cookie", cookie(&created)));
        let response = call_service(&app, request.to_request()).await;
        let status = response.status().as_u16();
        (status, String::from_utf8(actix_web::test::read_body(response).await.to_vec()).unwrap())
    };
    assert_eq!(get("/option").await, (200, "true".to_owned()));
    db.execute("ALTER TABLE sessions RENAME TO elsewhere").await;
    assert_eq!(get("/option").await, (200, "false".to_owned()));
    assert_eq!(get("/result").await, (200, "503".to_owned()));
    assert_eq!(get("/maybe").await.0, 503);
}

async fn an_error_of_a_middleware_within_the_layer_has_the_cookie_in_its_response(db: TestDatabase) {
    let (sessions, created) = logged_in(&db).await;
    let app = actix_web::App::new()
        .wrap_fn(|request, service| {
            let answered = service.call(request);
            async move {
                let answered: ServiceResponse = answered.await?;
                let (request, _) = answered.into_parts();
                drop(request);
                Err::<ServiceResponse, _>(SessionRejection::UnfitToken.into())
            }
        })
        .route("/me", web::get().to(me))
        .wrap(SessionLayer::new(sessions));
    let app = init_service(app).await;
    db.clock().advance(Duration::from_hours(48));
    let request = TestRequest::get().uri("/me").insert_header(("cookie", cookie(&created))).to_request();
    let error: Error = app.call(request).await.unwrap_err();
    // What the error is can still be asked.
    assert!(matches!(error.as_error(), Some(SessionRejection::UnfitToken)));
    let response = error.error_response();
    assert_eq!(response.status(), 500);
    let set_cookies: Vec<_> = response.headers().get_all("set-cookie").collect();
    assert_eq!(set_cookies, [&*set(created.token.expose(), LONGEST)]);
    assert_eq!(response.headers().get("cache-control").unwrap(), "no-store");
}

async fn a_test_of_an_application_has_a_session_whatever_the_sources_are(db: TestDatabase) {
    let (sessions, created) = logged_in(&db).await;
    let named = CookieConfig::builder().name("app").build().unwrap();
    let layers = [
        SessionLayer::new(sessions.clone()).cookie(named),
        SessionLayer::new(sessions.clone()).sources([TokenSource::header("x-api-key"), TokenSource::Cookie]),
    ];
    for (layer, sent) in layers.into_iter().zip([1, 0]) {
        let app = init_service(actix_web::App::new().route("/me", web::get().to(me)).wrap(layer)).await;
        let request = || testing::authenticated(TestRequest::get().uri("/me").to_request(), &created);
        let response = call_service(&app, request()).await;
        assert_eq!((response.status().as_u16(), cookies(&response).len()), (200, 0));
        // It is a session like any other.
        db.clock().advance(Duration::from_hours(48));
        assert_eq!(cookies(&call_service(&app, request()).await).len(), sent);
        db.clock().advance(Duration::from_secs(1));
        let shown = format!("{:?}", request());
        assert!(!shown.contains(created.token.expose()), "{shown}");
    }
}

async fn a_connection_from_another_machine_has_the_strict_cookie(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let cookie = CookieConfig::builder().insecure_on_localhost(true).build().unwrap();
    let log_in =
        async |manager: SessionManager<UserSession>| manager.log_in(user("1234")).await.map(|_| "logged in");
    let layer = SessionLayer::new(sessions).cookie(cookie);
    let app = init_service(actix_web::App::new().route("/login", web::post().to(log_in)).wrap(layer)).await;
    for (peer, is_strict) in [("127.0.0.1:50000", false), ("[::1]:50000", false), ("192.0.2.1:50000", true)] {
        let request = TestRequest::post().uri("/login").insert_header(("host", "localhost:3000"));
        let request = request.peer_addr(peer.parse().unwrap()).to_request();
        let response = call_service(&app, request).await;
        let [cookie] = cookies(&response)[..] else { panic!("{:?}", cookies(&response)) };
        assert_eq!(cookie.starts_with("__Host-Http-session="), is_strict, "{peer}");
        assert_eq!(cookie.contains("Secure"), is_strict, "{peer}");
    }
}

async fn scopes_of_one_application_have_layers_and_guards_of_their_own(db: TestDatabase) {
    let (sessions, created) = logged_in(&db).await;
    let keys = db.sessions::<ApiKey>().await;
    let site = web::scope("/site")
        .route("/me", web::get().to(me))
        .wrap(require_session::<UserSession>())
        .wrap(SessionLayer::new(sessions).login_page("/login"));
    let api = web::scope("/api")
        .service(web::resource("/key").route(web::get().to(async || "key").wrap(require_session::<ApiKey>())))
        .wrap(SessionLayer::new(keys).sources([TokenSource::Bearer]));
    let app = init_service(actix_web::App::new().service(site).service(api)).await;
    let status = async |path: &str| {
        let request = TestRequest::get().uri(path).insert_header(("cookie", cookie(&created)));
        call_service(&app, request.to_request()).await.status().as_u16()
    };
    assert_eq!(status("/site/me").await, 200);
    assert_eq!(status("/api/key").await, 401);
    // What is around a scope is around the paths that it does not have, and a guard of a route is not.
    assert_eq!(status("/site/elsewhere").await, 404);
    assert_eq!(status("/api/elsewhere").await, 404);
    let request = TestRequest::get().uri("/site/elsewhere").insert_header(("sec-fetch-mode", "navigate"));
    let response = call_service(&app, request.to_request()).await;
    assert_eq!(response.headers().get("location").unwrap(), "/login?next=/site/elsewhere");
}

async fn a_response_is_not_waited_for(db: TestDatabase) {
    let (sessions, created) = logged_in(&db).await;
    let streaming =
        async |_: Current| HttpResponse::Ok().streaming(stream::pending::<Result<web::Bytes, Error>>());
    let app =
        actix_web::App::new().route("/stream", web::get().to(streaming)).wrap(SessionLayer::new(sessions));
    let app = init_service(app).await;
    db.clock().advance(Duration::from_hours(48));
    let request = TestRequest::get().uri("/stream").insert_header(("cookie", cookie(&created)));
    let response = call_service(&app, request.to_request()).await;
    assert_eq!(cookies(&response), [set(created.token.expose(), LONGEST)]);
}

async fn a_session_need_not_be_sent_between_threads(db: TestDatabase) {
    let (sessions, created) = logged_in(&db).await;
    let seen = Rc::new(RefCell::new(Vec::new()));
    let notes = Rc::clone(&seen);
    let handler = move |session: Current, manager: SessionManager<UserSession>| {
        let seen = Rc::clone(&notes);
        async move {
            let held = Rc::new(session);
            manager.rotate().await?;
            seen.borrow_mut().push(held.fields.user_id.clone());
            Ok::<_, SessionRejection>("rotated")
        }
    };
    let layer = SessionLayer::new(sessions);
    let app = init_service(actix_web::App::new().route("/", web::get().to(handler)).wrap(layer)).await;
    let request = TestRequest::get().uri("/").insert_header(("cookie", cookie(&created))).to_request();
    let response = call_service(&app, request).await;
    assert_eq!((response.status().as_u16(), cookies(&response).len()), (200, 1));
    assert_eq!(*seen.borrow(), ["1234"]);
}

/// A pool that has opened no connection yet.
fn lazy(db: &TestDatabase) -> Database {
    match db.kind() {
        Kind::Sqlite => SqlitePool::connect_lazy(db.url()).unwrap().into(),
        Kind::Postgres => PgPool::connect_lazy(db.url()).unwrap().into(),
        Kind::MariaDb => MySqlPool::connect_lazy(db.url()).unwrap().into(),
    }
}

/// A worker's runtime ends with the server, and so does what drives the connections that were opened there.
async fn what_a_stopped_server_has_opened_does_not_fail_who_asks_afterwards(db: TestDatabase) {
    let (_, created) = logged_in(&db).await;
    let sessions = Sessions::<UserSession>::new(lazy(&db), db.config().build().unwrap()).unwrap();
    let layer = SessionLayer::new(sessions.clone());
    let app = move || actix_web::App::new().route("/me", web::get().to(me)).wrap(layer.clone());
    let server = actix_web::HttpServer::new(app).workers(2).disable_signals().bind("127.0.0.1:0").unwrap();
    let site = crate::harness::Site { address: server.addrs()[0] };
    let server = server.run();
    let handle = server.handle();
    let running = tokio::spawn(server);
    for _ in 0..8 {
        site.get("/me", &[("cookie", &cookie(&created))]).await.assert_is(200, "1234");
    }
    handle.stop(true).await;
    running.await.unwrap().unwrap();
    for _ in 0..8 {
        assert!(sessions.authenticate(created.token.expose()).await.unwrap().is_some());
    }
    sessions.database().close().await;
}

each_database! {
    an_option_of_a_session_hides_that_the_database_is_away_and_an_optional_session_does_not,
    an_error_of_a_middleware_within_the_layer_has_the_cookie_in_its_response,
    a_test_of_an_application_has_a_session_whatever_the_sources_are,
    a_connection_from_another_machine_has_the_strict_cookie,
    scopes_of_one_application_have_layers_and_guards_of_their_own,
    a_response_is_not_waited_for,
    a_session_need_not_be_sent_between_threads,
    what_a_stopped_server_has_opened_does_not_fail_who_asks_afterwards,
}
