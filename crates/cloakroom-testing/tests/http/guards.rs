//! Guards, as layers, as extractors and in a handler; what they tell programs, and where they send browsers.

use std::time::Duration;

use cloakroom::time::OffsetDateTime;
use cloakroom::{Cache, CreatedSession, NewSession, Scope, Scopes, SessionTable, Sessions};
use cloakroom_testing::TestDatabase;
use cloakroom_web::{
    CurrentSession, Next, RequireFresh, RequireScope, RequiredScope, SessionLayer, SessionManager,
    SessionRejection, TokenSource, require_fresh, require_scope, require_session,
};

use crate::harness::{Answer, App, Framework, Reply, Site, get, post};

const MINUTES: Duration = Duration::from_mins(5);
const NAVIGATION: (&str, &str) = ("sec-fetch-mode", "navigate");

#[derive(Clone, Debug, PartialEq, Scope)]
enum Permission {
    Read,
    Write,
}

#[derive(Clone, SessionTable)]
#[session(table = "guarded")]
struct Guarded {
    user_id: String,
    #[session(authenticated_at)]
    authenticated_at: Option<OffsetDateTime>,
    #[session(scopes)]
    scopes: Scopes<Permission>,
}

struct Write;

impl RequiredScope for Write {
    type Scope = Permission;
    const SCOPE: Permission = Permission::Write;
}

type Manager = SessionManager<Guarded>;

fn with_scopes(scopes: &str) -> NewSession<Guarded> {
    let scopes = scopes.parse().unwrap();
    NewSession::new(Guarded { user_id: "1234".into(), authenticated_at: None, scopes })
}

/// The same three guards in each form: under `/layer`, `/extractor` and `/handler`.
fn routes() -> App {
    let layers = App::new()
        .merge(
            App::new()
                .route("/write", post(async || "done"))
                .route_layer(require_scope::<Guarded>(Permission::Write)),
        )
        .merge(
            App::new()
                .route("/fresh", get(async || "done").post(async || "done"))
                .route_layer(require_fresh::<Guarded>(MINUTES)),
        )
        .merge(
            App::new()
                .route("/page", get(async || "done").post(async || "done"))
                .route("/{*rest}", get(async || "done"))
                .route_layer(require_session::<Guarded>()),
        );
    let extractors = App::new()
        .route("/write", post(async |_: RequireScope<Guarded, Write>| "done"))
        .route(
            "/fresh",
            get(async |_: RequireFresh<Guarded, 300>| "done")
                .post(async |_: RequireFresh<Guarded, 300>| "done"),
        )
        .route(
            "/page",
            get(async |_: CurrentSession<Guarded>| "done").post(async |_: CurrentSession<Guarded>| "done"),
        )
        .route("/{*rest}", get(async |_: CurrentSession<Guarded>| "done"));
    let handlers = App::new()
        .route(
            "/write",
            post(async |manager: Manager| manager.require_scope(Permission::Write).await.map(|_| "done")),
        )
        .route("/fresh", get(fresh).post(fresh));
    App::new()
        .nest("/layer", layers)
        .nest("/extractor", extractors)
        .nest("/handler", handlers)
        .route("/login", post(log_in))
        .route("/confirm", post(confirm))
}

async fn fresh(manager: Manager) -> Result<&'static str, SessionRejection> {
    manager.require_fresh(MINUTES).await.map(|_| "done")
}

async fn log_in(next: Next, manager: Manager) -> Result<Reply, SessionRejection> {
    manager.log_in(with_scopes("read")).await?;
    Ok(Reply::see_other(next.or("/home")))
}

async fn confirm(next: Next, manager: Manager) -> Result<Reply, SessionRejection> {
    manager.reauthenticate().await?;
    Ok(Reply::see_other(next.or("/home")))
}

async fn start(on: Framework, db: &TestDatabase) -> (Sessions<Guarded>, Site) {
    let sessions = db.sessions::<Guarded>().await;
    let layer = SessionLayer::new(sessions.clone())
        .sources([TokenSource::Cookie, TokenSource::Bearer])
        .login_page("/login")
        .confirm_page("/confirm?why=age");
    (sessions.clone(), Site::start(on, routes().layer(layer)).await)
}

async fn made(db: &TestDatabase, sessions: &Sessions<Guarded>, scopes: &str) -> CreatedSession<Guarded> {
    let created = sessions.create(with_scopes(scopes)).await.unwrap();
    db.clock().advance(Duration::from_secs(1));
    created
}

fn bearer(created: &CreatedSession<Guarded>) -> String {
    format!("Bearer {}", created.token.expose())
}

fn cookie(created: &CreatedSession<Guarded>) -> String {
    format!("__Host-Http-session={}", created.token.expose())
}

fn challenge(answer: &Answer) -> &str {
    answer.header("www-authenticate").unwrap()
}

/// The whole text that a program gets.
fn problem(answer: &Answer) -> serde_json::Value {
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    serde_json::from_str(&answer.body).unwrap()
}

async fn a_program_without_the_scope_is_told_so_by_each_form_of_the_guard(db: TestDatabase, on: Framework) {
    let (sessions, site) = start(on, &db).await;
    let (reader, writer) = (made(&db, &sessions, "read").await, made(&db, &sessions, "read write").await);
    for form in ["/layer", "/extractor", "/handler"] {
        let path = format!("{form}/write");
        let answer = site.post(&path, &[("authorization", &bearer(&reader))]).await;
        assert_eq!(challenge(&answer), "Bearer error=\"insufficient_scope\", scope=\"write\"", "{form}");
        answer.assert_refused(403, "This is more than the credential allows.");
        assert_eq!(
            (&problem(&answer)["error"], &problem(&answer)["scope"]),
            (&"insufficient_scope".into(), &"write".into())
        );
        let answer = site.post(&path, &[("authorization", "Bearer unknown")]).await;
        assert_eq!(challenge(&answer), "Bearer error=\"invalid_token\"");
        answer.assert_refused(401, "You are not logged in.");
        let answer = site.post(&path, &[]).await;
        assert_eq!(challenge(&answer), "Bearer");
        answer.assert_refused(401, "You are not logged in.");
        assert_eq!(
            problem(&answer),
            serde_json::json!({
                "title": "Unauthorized", "status": 401, "detail": "You are not logged in.",
            })
        );
        site.post(&path, &[("authorization", "Bearer ?")])
            .await
            .assert_refused(400, "The credential in this request is malformed.");
        // The browser's user reads it, and logging in would not help.
        let answer = site.post(&path, &[NAVIGATION, ("cookie", &cookie(&reader))]).await;
        answer.assert_is(403, "This is more than the credential allows.\n");
        for (name, value) in [("authorization", bearer(&writer)), ("cookie", cookie(&writer))] {
            site.post(&path, &[(name, &value)]).await.assert_is(200, "done");
        }
    }
    // A route guard says nothing about other paths.
    assert_eq!(site.get("/elsewhere", &[]).await.status, 404);
}

async fn what_was_proved_too_long_ago_is_to_be_confirmed(db: TestDatabase, on: Framework) {
    let (sessions, site) = start(on, &db).await;
    let created = made(&db, &sessions, "").await;
    for form in ["/layer", "/extractor", "/handler"] {
        let path = format!("{form}/fresh");
        site.get(&path, &[("authorization", &bearer(&created))]).await.assert_is(200, "done");
    }
    db.clock().advance(MINUTES);
    for form in ["/layer", "/extractor", "/handler"] {
        let path = format!("{form}/fresh?a=b&c");
        let answer = site.get(&path, &[("authorization", &bearer(&created))]).await;
        assert_eq!(challenge(&answer), "Bearer error=\"insufficient_user_authentication\", max_age=\"300\"");
        answer.assert_refused(401, "You have to confirm who you are.");
        // A page's script is a program too.
        let scripted = [("sec-fetch-mode", "cors"), ("accept", "text/html"), ("cookie", &cookie(&created))];
        site.get(&path, &scripted).await.assert_refused(401, "You have to confirm who you are.");
        let browser = [NAVIGATION, ("cookie", &cookie(&created))];
        let answer = site.get(&path, &browser).await;
        answer.assert_is(303, "You have to confirm who you are.\n");
        let place = format!("/confirm?why=age&next={form}/fresh%3Fa%3Db%26c");
        assert_eq!(answer.header("location"), Some(&*place));
        // A form is not sent again later.
        let answer = site.post(&path, &browser).await;
        answer.assert_is(401, "You have to confirm who you are.\n");
        assert_eq!(answer.header("location"), None);
        // A request without a session has to log in first.
        let answer = site.get(&path, &[NAVIGATION]).await;
        let place = format!("/login?next={form}/fresh%3Fa%3Db%26c");
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, Some(&*place)));
    }
    let answer = site.post("/confirm?why=age&next=/layer/fresh", &[("cookie", &cookie(&created))]).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, Some("/layer/fresh")));
    let renewed = answer.cookies()[0].split(';').next().unwrap().to_owned();
    assert_ne!(renewed, cookie(&created), "a new token");
    db.clock().advance(Duration::from_secs(1));
    site.get("/layer/fresh", &[("cookie", &renewed)]).await.assert_is(200, "done");
    site.get("/layer/fresh", &[("cookie", &cookie(&created))]).await.assert_cleared(401);
    site.post("/confirm", &[]).await.assert_refused(401, "You are not logged in.");
}

async fn a_browser_that_opens_a_page_is_sent_to_log_in_and_comes_back(db: TestDatabase, on: Framework) {
    let (sessions, site) = start(on, &db).await;
    for form in ["/layer", "/extractor"] {
        for accepted in [NAVIGATION, ("accept", "text/html,application/xml;q=0.9,*/*;q=0.8")] {
            let answer = site.get(&format!("{form}/a/b?x=%2F&y=1"), &[accepted]).await;
            answer.assert_is(303, "You are not logged in.\n");
            let place = answer.header("location").unwrap();
            assert_eq!(place, format!("/login?next={form}/a/b%3Fx%3D%252F%26y%3D1"));
            let answer = site.post(place, &[]).await;
            assert_eq!(answer.header("location"), Some(&*format!("{form}/a/b?x=%2F&y=1")));
        }
        for headers in [
            &[("accept", "application/json, text/html;q=0.9")][..],
            &[("sec-fetch-mode", "cors"), ("accept", "text/html")],
            &[NAVIGATION, ("authorization", "Bearer unknown")],
        ] {
            site.get(&format!("{form}/page"), headers).await.assert_refused(401, "You are not logged in.");
        }
        site.post(&format!("{form}/page"), &[NAVIGATION]).await.assert_is(401, "You are not logged in.\n");
    }
    // No place that leads elsewhere, is too long, or has a token in it.
    let mut ended = made(&db, &sessions, "").await;
    sessions.expire(&mut ended.session).await.unwrap();
    let long = format!("/layer/{}", "a".repeat(1024));
    let token = ended.token.expose();
    for place in [&*long, &format!("/layer/a?token={token}")] {
        let answer = site.get(place, &[NAVIGATION, ("cookie", &cookie(&ended))]).await;
        answer.assert_cleared(303);
        assert_eq!(answer.header("location"), Some("/login"));
    }
    for query in [
        "next=//evil.example",
        "next=%2F%5Cevil.example",
        "next=/%09/evil.example",
        "next=%2F%09/evil.example",
        "next=https:evil.example",
        "next=/a&next=//evil.example",
        "other=/a",
        "",
    ] {
        let answer = site.post(&format!("/login?{query}"), &[]).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, Some("/home")), "{query}");
    }
}

async fn a_guard_may_ask_the_database_though_a_cache_would_answer(db: TestDatabase, on: Framework) {
    let elsewhere = db.sessions_with::<Guarded>(db.config().announce(false)).await;
    let cache = Cache::new(8).max_staleness(Duration::from_hours(1)).listen(false);
    let sessions = db.sessions_with::<Guarded>(db.config().cache(cache)).await;
    let mut created = made(&db, &sessions, "").await;
    let guarded = |path, guard| App::new().route(path, get(async || "done")).route_layer(guard);
    let app = guarded("/cached", require_session::<Guarded>())
        .merge(guarded("/asked", require_session::<Guarded>().uncached()));
    let site = Site::start(on, app.layer(SessionLayer::new(sessions))).await;
    let cookie = cookie(&created);
    site.get("/cached", &[("cookie", &cookie)]).await.assert_is(200, "done");
    elsewhere.expire(&mut created.session).await.unwrap();
    site.get("/cached", &[("cookie", &cookie)]).await.assert_is(200, "done");
    site.get("/asked", &[("cookie", &cookie)]).await.assert_cleared(401);
    db.execute("ALTER TABLE guarded RENAME TO elsewhere").await;
    let answer = site.get("/asked", &[("cookie", &cookie)]).await;
    answer.assert_is(503, "This is not available for the moment.\n");
}

each_framework! {
    a_program_without_the_scope_is_told_so_by_each_form_of_the_guard,
    what_was_proved_too_long_ago_is_to_be_confirmed,
    a_browser_that_opens_a_page_is_sent_to_log_in_and_comes_back,
    a_guard_may_ask_the_database_though_a_cache_would_answer,
}
