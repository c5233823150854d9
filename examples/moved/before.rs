//! Before the move: tower-sessions and axum-login. `cargo run -p cloakroom-examples --bin before`.

use std::convert::Infallible;

use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use axum_login::{AuthManagerLayerBuilder, AuthSession, AuthUser, AuthnBackend, login_required};
use serde::Deserialize;
use tower_sessions::{Expiry, MemoryStore, SessionManagerLayer, cookie::time::Duration};

mod users;
use users::User;

impl AuthUser for User {
    type Id = i64;

    fn id(&self) -> i64 {
        self.id
    }

    fn session_auth_hash(&self) -> &[u8] {
        self.password.as_bytes()
    }
}

#[derive(Clone, Deserialize)]
struct Credentials {
    name: String,
    password: String,
}

#[derive(Deserialize)]
struct Place {
    next: Option<String>,
}

#[derive(Clone)]
struct Backend;

impl AuthnBackend for Backend {
    type User = User;
    type Credentials = Credentials;
    type Error = Infallible;

    async fn authenticate(&self, credentials: Credentials) -> Result<Option<User>, Infallible> {
        Ok(users::authenticate(&credentials.name, &credentials.password))
    }

    async fn get_user(&self, id: &i64) -> Result<Option<User>, Infallible> {
        Ok(users::by_id(*id))
    }
}

type Auth = AuthSession<Backend>;

async fn log_in(
    Query(place): Query<Place>,
    mut auth: Auth,
    Form(credentials): Form<Credentials>,
) -> Result<Response, StatusCode> {
    let Ok(Some(user)) = auth.authenticate(credentials).await else {
        return Ok((StatusCode::UNAUTHORIZED, "wrong name or password\n").into_response());
    };
    auth.login(&user).await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    // Where a stranger's link may lead to is not checked here.
    Ok(Redirect::to(place.next.as_deref().unwrap_or("/")).into_response())
}

async fn account(auth: Auth) -> Result<Html<String>, StatusCode> {
    let user = auth.user.ok_or(StatusCode::UNAUTHORIZED)?;
    Ok(Html(format!("Hello, {}!", user.name)))
}

async fn log_out(mut auth: Auth) -> Result<Redirect, StatusCode> {
    auth.logout().await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(Redirect::to("/login"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sessions = SessionManagerLayer::new(MemoryStore::default())
        .with_secure(false)
        .with_expiry(Expiry::OnInactivity(Duration::days(7)));
    let app = Router::new()
        .route("/", get(account))
        .route("/logout", post(log_out))
        .route_layer(login_required!(Backend, login_url = "/login"))
        .route("/login", get(async || Html(users::LOGIN_PAGE)).post(log_in))
        .layer(AuthManagerLayerBuilder::new(Backend, sessions).build());
    Ok(cloakroom_examples::serve(app).await?)
}
