//! A site with log-in, "remember me", devices that can be signed out, and the password again before it is changed:
//! `cargo run -p cloakroom-examples --bin site`, and log in as `robin` with `a password`.

mod pages;
mod users;

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{header::USER_AGENT, request::Parts};
use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use axum::{Form, Router};
use cloakroom::{Config, NewSession, SessionFields, SessionTable, Sessions};
use cloakroom::{sqlx::SqlitePool, time::OffsetDateTime, uuid::Uuid};
use cloakroom_axum::{CookieConfig, CurrentSession, Next, RequireFresh, SessionLayer, SessionManager};
use tower_http::csrf::CsrfLayer;
use users::{Failed, Given};

#[derive(Clone, SessionTable)]
struct UserSession {
    #[session(index, owner)]
    user: String,
    device: String,
    #[session(authenticated_at)]
    authenticated_at: Option<OffsetDateTime>,
}

type Current = CurrentSession<UserSession>;
type Fresh = RequireFresh<UserSession, 300>;
type Manager = SessionManager<UserSession>;
type Pool = State<SqlitePool>;

const DAY: Duration = Duration::from_hours(24);

async fn log_in(pool: Pool, next: Next, manager: Manager, form: Form<Given>) -> Result<Redirect, Failed> {
    let Form(Given { name: user, password, remember }) = form;
    if !users::is_right(&pool, &user, password).await? {
        return Ok(Redirect::to(&next.on("/login")));
    }
    let new = NewSession::new(UserSession { user, device: String::new(), authenticated_at: None });
    manager.log_in(if remember.is_some() { new.sliding(30 * DAY) } else { new }).await?;
    Ok(Redirect::to(next.or("/")))
}

/// The layer's hook: what is recorded at a log-in.
fn with_device(request: &Parts, mut new: NewSession<UserSession>) -> NewSession<UserSession> {
    let agent = request.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    new.fields_mut().device = agent.unwrap_or("unknown").chars().take(60).collect();
    new
}

async fn devices(here: Current, manager: Manager) -> Result<Html<String>, Failed> {
    let all = manager.sessions().query().owner(&here.fields.user).fetch_all().await?;
    Ok(pages::devices(&here, &all))
}

async fn end(here: Current, manager: Manager, Path(id): Path<Uuid>) -> Result<Redirect, Failed> {
    let mine = UserSession::USER.eq(here.fields.user.as_str());
    manager.log_out_everywhere(mine.and(UserSession::ID.eq(id))).await?;
    Ok(Redirect::to("/"))
}

async fn log_out(manager: Manager) -> Result<Redirect, Failed> {
    manager.log_out().await?;
    Ok(Redirect::to("/login"))
}

type Confirm = (Pool, Current, Next, Manager);

async fn confirm((pool, here, next, manager): Confirm, form: Form<Given>) -> Result<Redirect, Failed> {
    if users::is_right(&pool, &here.fields.user, form.0.password).await? {
        manager.reauthenticate().await?;
    }
    Ok(Redirect::to(next.or("/")))
}

/// The new password, and the end of all other sessions, are written together or not at all.
async fn change(here: Fresh, manager: Manager, form: Form<Given>) -> Result<Redirect, Failed> {
    let (user, hash) = (here.fields.user.as_str(), users::hash(form.0.password).await);
    let mut transaction = manager.sessions().begin().await?;
    users::change(transaction.sqlite(), user, &hash).await?;
    let mut within = manager.sessions().within(&mut transaction);
    within.query().owner(user).filter(UserSession::ID.ne(here.id)).expire_all().await?;
    transaction.commit().await?;
    Ok(Redirect::to("/"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = users::open().await?;
    let config = Config::builder().ttl(DAY).extend_after(DAY / 24).build()?;
    let sessions = Sessions::<UserSession>::new(pool.clone(), config)?;
    sessions.migrate().await?;
    let cookie = CookieConfig::builder().insecure_on_localhost(true).ends_with_browser(true).build()?;
    let layer = SessionLayer::new(sessions).cookie(cookie).on_log_in(with_device);
    let app = Router::new()
        .route("/", get(devices))
        .route("/login", get(pages::LOG_IN).post(log_in))
        .route("/logout", post(log_out))
        .route("/end/{id}", post(end))
        .route("/confirm", get(async |_: Current| pages::CONFIRM).post(confirm))
        .route("/password", get(async |_: Fresh| pages::PASSWORD).post(change))
        .layer(layer.login_page("/login").confirm_page("/confirm"))
        .layer(CsrfLayer::new())
        .with_state(pool);
    Ok(cloakroom_examples::serve(app).await?)
}
