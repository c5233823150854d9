//! After the move: Cloakroom. `cargo run -p cloakroom-examples --bin after`.

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use cloakroom::{Config, Database, NewSession, SessionTable, Sessions};
use cloakroom_axum::{CookieConfig, CurrentSession, Next, SessionLayer, SessionManager, SessionRejection};
use serde::Deserialize;
use tower_http::csrf::CsrfLayer;

mod users;

#[derive(Clone, SessionTable)]
struct UserSession {
    #[session(index, owner)]
    user_id: i64,
}

#[derive(Deserialize)]
struct Credentials {
    name: String,
    password: String,
}

type Manager = SessionManager<UserSession>;

async fn log_in(
    next: Next,
    manager: Manager,
    Form(credentials): Form<Credentials>,
) -> Result<Response, SessionRejection> {
    let Some(user) = users::authenticate(&credentials.name, &credentials.password) else {
        return Ok((StatusCode::UNAUTHORIZED, "wrong name or password\n").into_response());
    };
    manager.log_in(NewSession::new(UserSession { user_id: user.id })).await?;
    Ok(Redirect::to(next.or("/")).into_response())
}

async fn account(session: CurrentSession<UserSession>) -> Result<Html<String>, StatusCode> {
    let user = users::by_id(session.fields.user_id).ok_or(StatusCode::UNAUTHORIZED)?;
    Ok(Html(format!("Hello, {}!", user.name)))
}

async fn log_out(manager: Manager) -> Result<Redirect, SessionRejection> {
    manager.log_out().await?;
    Ok(Redirect::to("/login"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sessions =
        Sessions::<UserSession>::new(Database::connect("sqlite::memory:").await?, Config::default())?;
    sessions.migrate().await?;
    let cookie = CookieConfig::builder().insecure_on_localhost(true).build()?;
    let app = Router::new()
        .route("/", get(account))
        .route("/logout", post(log_out))
        .route("/login", get(async || Html(users::LOGIN_PAGE)).post(log_in))
        .layer(SessionLayer::new(sessions).cookie(cookie).login_page("/login"))
        .layer(CsrfLayer::new());
    Ok(cloakroom_examples::serve(app).await?)
}
