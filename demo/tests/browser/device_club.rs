//! A small application that binds its sessions to the browser's device.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use cloakroom::device::DeviceKey;
use cloakroom::{NewSession, Session, SessionTable, Sessions, Status};
use cloakroom_axum::{CurrentSession, Dbsc, SessionLayer, SessionManager, SessionRejection};
use cloakroom_testing::TestDatabase;
use tokio::net::TcpListener;
use tokio::sync::{OwnedRwLockWriteGuard, RwLock};

use crate::front::{APP, Front};

/// The cookie with the token, which lasts, and the bound one, whose end has the browser renew.
pub(crate) const COOKIE: &str = "__Host-Http-session";
pub(crate) const BOUND_COOKIE: &str = "__Host-session-bound";

pub(crate) const RENEW_AT: &str = "/dbsc/refresh";

#[derive(Clone, Debug, SessionTable)]
#[session(table = "members")]
pub(crate) struct Member {
    pub(crate) name: String,
    #[session(device_key)]
    pub(crate) device_key: Option<DeviceKey>,
}

type Manager = SessionManager<Member>;

pub(crate) struct DeviceClub {
    front: Front,
    sessions: Sessions<Member>,
    watch: Watch,
    pub(crate) address: SocketAddr,
}

/// What became of renewals, and what they wait for.
#[derive(Clone, Default)]
struct Watch {
    renewals: Arc<Mutex<Vec<Renewal>>>,
    gate: Arc<RwLock<()>>,
}

/// The status and the length of the answer: without a body it goes on, and with one the binding is over.
type Renewal = (u16, bool);

pub(crate) const RENEWED: Renewal = (200, false);
pub(crate) const CHALLENGED: Renewal = (403, false);
pub(crate) const ENDED: Renewal = (200, true);

impl DeviceClub {
    pub(crate) async fn start(db: &TestDatabase) -> Self {
        let sessions: Sessions<Member> = db.sessions().await;
        let watch = Watch::default();
        let app = Router::new()
            .route("/", get(page))
            .route("/login/{name}", get(log_in))
            .route("/logout", get(log_out))
            .route("/leave", get(leave))
            .route("/link/{port}", get(link))
            // For pages that name no icon.
            .route("/favicon.ico", get(async || StatusCode::NO_CONTENT))
            .layer(SessionLayer::new(sessions.clone()).dbsc(Dbsc::default()))
            .layer(middleware::from_fn_with_state(watch.clone(), hold_and_note));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { front: Front::of(address).await, sessions, watch, address }
    }

    pub(crate) fn origin(&self, host: &str) -> String {
        self.front.origin(host)
    }

    /// What the renewals since the last call were answered.
    pub(crate) fn take_renewals(&self) -> Vec<Renewal> {
        self.watch.renewals.lock().expect("nobody panics with it").drain(..).collect()
    }

    /// Lets renewals wait until what this returns is dropped.
    pub(crate) async fn hold_renewals(&self) -> OwnedRwLockWriteGuard<()> {
        Arc::clone(&self.watch.gate).write_owned().await
    }

    pub(crate) async fn session(&self, name: &str) -> Option<Session<Member>> {
        let query = self.sessions.query().filter(Member::NAME.eq(name)).status(Status::Valid);
        query.fetch_optional().await.expect("the database answers")
    }
}

async fn hold_and_note(State(watch): State<Watch>, request: Request, next: Next) -> Response {
    if request.uri().path() != RENEW_AT {
        return next.run(request).await;
    }
    drop(watch.gate.read().await);
    let response = next.run(request).await;
    let has_body = response.headers().contains_key("content-type");
    watch.renewals.lock().expect("nobody panics with it").push((response.status().as_u16(), has_body));
    response
}

fn show(who: &str) -> Html<String> {
    Html(format!("<!doctype html><title>Club</title><link rel=icon href='data:,'><h1 id=who>{who}</h1>"))
}

async fn page(session: Option<CurrentSession<Member>>) -> Html<String> {
    show(session.as_ref().map_or("nobody", |session| &session.fields.name))
}

async fn log_in(manager: Manager, Path(name): Path<String>) -> Result<Html<String>, SessionRejection> {
    let page = show(&name);
    manager.log_in(NewSession::new(Member { name, device_key: None })).await?;
    Ok(page)
}

async fn log_out(manager: Manager) -> Result<Html<String>, SessionRejection> {
    manager.log_out().await?;
    Ok(show("nobody"))
}

/// Has the browser forget its binding at once.
async fn leave(manager: Manager) -> Result<impl IntoResponse, SessionRejection> {
    Ok(([("clear-site-data", "\"cookies\"")], log_out(manager).await?))
}

/// A page with a link to the application, which is at the same port of another host.
async fn link(Path(port): Path<u16>) -> Html<String> {
    let to = format!("https://{APP}:{port}/");
    Html(format!(
        "<!doctype html><title>Link</title><link rel=icon href='data:,'><a id=there href='{to}'>There</a>"
    ))
}
