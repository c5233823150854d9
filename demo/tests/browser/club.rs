//! A small application whose cookie is configured as the test wants it: whoever comes says a name, and is let in.

use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::middleware::{self, Next};
use axum::response::{Html, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use cloakroom::Sessions;
use cloakroom_axum::{
    CookieConfig, CurrentSession, SessionLayer, SessionManager, SessionRejection, SiteData,
};
use cloakroom_testing::{TestDatabase, UserSession, user};
use serde::Deserialize;
use tokio::net::TcpListener;

use crate::chromium::Browser;
use crate::front::Front;

type Current = CurrentSession<UserSession>;
type Manager = SessionManager<UserSession>;

pub(crate) struct Club {
    front: Front,
    pub(crate) sessions: Sessions<UserSession>,
    requests: Requests,
}

/// A request as it came, and what was answered.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    /// `name=value`, in the order in which they were sent.
    pub(crate) cookies: Vec<String>,
    pub(crate) purpose: Option<String>,
    pub(crate) status: u16,
    /// The cookies that were set or cleared.
    pub(crate) changes: Vec<String>,
}

type Requests = Arc<Mutex<Vec<Seen>>>;

impl Club {
    pub(crate) async fn start(db: &TestDatabase, cookie: CookieConfig) -> Self {
        let sessions = db.sessions().await;
        let layer = SessionLayer::new(sessions.clone()).cookie(cookie).redirect_to("/login");
        let leaving = Router::new().route("/leave", post(log_out));
        let leaving = leaving.layer(layer.clone().clear_site_data([SiteData::Cookies]));
        let requests = Requests::default();
        let app = Router::new()
            .route("/", get(async |session: Option<Current>| page(session.as_ref())))
            .route("/account", get(async |session: Current| page(Some(&session))))
            .route("/prerendered", get(async |session: Current| page(Some(&session))))
            .route("/login", get(async || Html(LOG_IN)).post(log_in))
            .route("/logout", post(log_out))
            .layer(layer)
            .merge(leaving)
            // Itself a page of nobody's.
            .route("/ahead", get(async || Html(AHEAD)))
            .layer(middleware::from_fn_with_state(Arc::clone(&requests), watch));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { front: Front::of(address).await, sessions, requests }
    }

    pub(crate) fn origin(&self, host: &str) -> String {
        self.front.origin(host)
    }

    /// All requests for this path so far.
    pub(crate) fn requests(&self, path: &str) -> Vec<Seen> {
        let requests = self.requests.lock().expect("nobody panics with it");
        requests.iter().filter(|seen| seen.path == path).cloned().collect()
    }

    /// The values of the cookies of this name, as the last request for this path had them.
    pub(crate) fn received(&self, path: &str, name: &str) -> Vec<String> {
        let requests = self.requests(path);
        let last = requests.last().expect("there was such a request");
        let pairs = last.cookies.iter().filter_map(|cookie| cookie.split_once('='));
        pairs.filter(|(known, _)| *known == name).map(|(_, value)| value.to_owned()).collect()
    }
}

async fn watch(State(requests): State<Requests>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let cookies = texts(request.headers(), &header::COOKIE);
    let purpose = texts(request.headers(), &HeaderName::from_static("sec-purpose")).pop();
    let response = next.run(request).await;
    let cookies = cookies.iter().flat_map(|cookies| cookies.split("; ").map(str::to_owned)).collect();
    let status = response.status().as_u16();
    let changes = texts(response.headers(), &header::SET_COOKIE);
    requests.lock().expect("nobody panics with it").push(Seen { path, cookies, purpose, status, changes });
    response
}

fn texts(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    headers.get_all(name).iter().map(|value| value.to_str().expect("ASCII").to_owned()).collect()
}

const LOG_IN: &str = "<!doctype html><title>Log in</title><link rel=icon href='data:,'>\
    <form method=post><input name=name><button>Log in</button></form>";

/// Has the browser read pages before anybody asks for them.
const AHEAD: &str = "<!doctype html><title>Ahead</title><link rel=icon href='data:,'>\
    <link rel=prefetch href='/account'>\
    <script type=speculationrules>\
    {\"prefetch\": [{\"urls\": [\"/\"], \"eagerness\": \"immediate\"}],\
    \"prerender\": [{\"urls\": [\"/prerendered\"], \"eagerness\": \"immediate\"}]}</script>";

fn page(session: Option<&Current>) -> Html<String> {
    let who = session.map_or("nobody", |session| session.fields.user_id.as_str());
    Html(format!(
        "<!doctype html><title>Club</title><link rel=icon href='data:,'><h1 id=who>{who}</h1>\
         <form method=post action=/logout><button id=logout>Log out</button></form>\
         <form method=post action=/leave><button id=leave>Leave, and take everything along</button></form>"
    ))
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

async fn log_in(manager: Manager, Form(Name { name }): Form<Name>) -> Result<Redirect, SessionRejection> {
    manager.log_in(user(&name)).await?;
    Ok(Redirect::to("/account"))
}

async fn log_out(manager: Manager) -> Result<Redirect, SessionRejection> {
    manager.log_out().await?;
    Ok(Redirect::to("/"))
}

/// Whom the page greets.
pub(crate) async fn who(browser: &Browser) -> String {
    browser.text("#who").await
}

pub(crate) async fn enter(browser: &Browser, name: &str) {
    browser.go("/login").await;
    browser.submit(&[("name", name)]).await;
}
