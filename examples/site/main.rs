//! A site with log-in, "remember me", devices that can be signed out, and the password again before it is changed:
//! `cargo run -p cloakroom-examples --bin site`.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{header::USER_AGENT, request::Parts};
use axum::response::{Html, Redirect, Result};
use axum::routing::{get, post};
use axum::{Form, Router};
use cloakroom::sqlx::SqlitePool;
use cloakroom::time::OffsetDateTime;
use cloakroom::uuid::Uuid;
use cloakroom::{Config, NewSession, SessionFields, SessionTable, Sessions};
use cloakroom_axum::SessionRejection as Refused;
use cloakroom_axum::{CookieConfig, CurrentSession, Next, RequireFresh, SessionLayer, SessionManager};
use serde::Deserialize;

mod users;

#[derive(Clone, SessionTable)]
struct UserSession {
    #[session(index, owner)]
    user: String,
    device: String,
    #[session(authenticated_at)]
    authenticated_at: Option<OffsetDateTime>,
}

type Current = CurrentSession<UserSession>;
type Manager = SessionManager<UserSession>;
type Pool = State<SqlitePool>;

const DAY: Duration = Duration::from_hours(24);

#[derive(Deserialize)]
struct Given {
    #[serde(default)]
    name: String,
    password: String,
    remember: Option<String>,
}

async fn log_in(
    State(pool): Pool,
    next: Next,
    manager: Manager,
    Form(given): Form<Given>,
) -> Result<Redirect> {
    if !users::is_right(&pool, &given.name, given.password).await? {
        return Ok(Redirect::to(&next.on("/login")));
    }
    let new =
        NewSession::new(UserSession { user: given.name, device: String::new(), authenticated_at: None });
    manager.log_in(if given.remember.is_some() { new.sliding(30 * DAY) } else { new }).await?;
    Ok(Redirect::to(next.or("/")))
}

/// The layer's hook: what is recorded at a log-in.
fn with_device(request: &Parts, mut new: NewSession<UserSession>) -> NewSession<UserSession> {
    let agent = request.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or("unknown");
    new.fields_mut().device = agent.chars().filter(|char| !"<&".contains(*char)).take(60).collect();
    new
}

async fn devices(here: Current, manager: Manager) -> Result<Html<String>, Refused> {
    let mut page = format!("<h1>Hello, {}</h1><ul>", here.fields.user);
    for session in manager.sessions().query().owner(&here.fields.user).fetch_all().await? {
        let (id, device, since) = (session.id, &session.fields.device, session.inserted_at);
        page += &format!(
            "<li>{device} since {since}<form method=post action=/end/{id}><button>Sign out</button></form>"
        );
    }
    page +=
        "</ul><form method=post action=/logout><button>Log out</button></form><a href=/password>Password</a>";
    Ok(Html(page))
}

async fn end(here: Current, manager: Manager, Path(id): Path<Uuid>) -> Result<Redirect, Refused> {
    let mine = UserSession::USER.eq(here.fields.user.as_str());
    manager.log_out_everywhere(mine.and(UserSession::ID.eq(id))).await?;
    Ok(Redirect::to("/"))
}

async fn log_out(manager: Manager) -> Result<Redirect, Refused> {
    manager.log_out().await?;
    Ok(Redirect::to("/login"))
}

async fn confirm(
    State(pool): Pool,
    here: Current,
    next: Next,
    manager: Manager,
    Form(given): Form<Given>,
) -> Result<Redirect> {
    if users::is_right(&pool, &here.fields.user, given.password).await? {
        manager.reauthenticate().await?;
    }
    Ok(Redirect::to(next.or("/")))
}

/// The new password, and the end of all other sessions, are written together or not at all.
async fn change(
    here: RequireFresh<UserSession, 300>,
    manager: Manager,
    Form(given): Form<Given>,
) -> Result<Redirect> {
    let (user, hash) = (here.fields.user.as_str(), users::hash(given.password).await);
    let mut transaction = manager.sessions().begin().await.map_err(Refused::from)?;
    users::change_password(transaction.sqlite(), user, &hash).await?;
    let mut within = manager.sessions().within(&mut transaction);
    let others = within.query().owner(user).filter(UserSession::ID.ne(here.id));
    others.expire_all().await.map_err(Refused::from)?;
    transaction.commit().await.map_err(Refused::from)?;
    Ok(Redirect::to("/"))
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let pool = users::open().await?;
    let sessions = Sessions::<UserSession>::new(
        pool.clone(),
        Config::builder().ttl(DAY).extend_after(DAY / 24).build()?,
    )?;
    sessions.migrate().await?;
    let cookie = CookieConfig::builder().insecure_on_localhost(true).build()?;
    let layer = SessionLayer::new(sessions).cookie(cookie).on_log_in(with_device);
    let app = Router::new()
        .route("/", get(devices))
        .route("/login", get(async || Html(include_str!("login.html"))).post(log_in))
        .route("/logout", post(log_out))
        .route("/end/{id}", post(end))
        .route("/confirm", get(async |_: Current| Html(include_str!("confirm.html"))).post(confirm))
        .route(
            "/password",
            get(async |_: RequireFresh<UserSession, 300>| Html(include_str!("password.html"))).post(change),
        )
        .layer(layer.login_page("/login").confirm_page("/confirm"))
        .with_state(pool);
    let port = std::env::args().nth(1).map_or(Ok(3000), |port| port.parse())?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}
