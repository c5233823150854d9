#!/usr/bin/env bash
# crates.io axum-login 0.18.0, tower-sessions 0.14.0, axum 0.8; what a browser does with 307: RFC 9110, section 15.4.8
#
# Expected: a form that is sent to a route behind `login_required!(Backend, login_url = "/login")` after the session has ended
#   is answered as a page is: the browser opens the page for logging in by GET.
#
# Seen: the answer is 307, which keeps the method and the body. The browser sends the form's fields to `POST /login`, which
#   reads another form and refuses it; the user sees that error in place of the page for logging in. `next` names the address
#   that was posted to, which is opened by GET after the log-in.
#
#   GET /transfer: 307 to /login?next=%2Ftransfer
#   POST /transfer: 307 to /login?next=%2Ftransfer
#   what a client that follows it sends: POST /login?next=%2Ftransfer "amount=5", answered 422
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

seen='GET /transfer: 307 to /login?next=%2Ftransfer
POST /transfer: 307 to /login?next=%2Ftransfer
what a client that follows it sends: POST /login?next=%2Ftransfer "amount=5", answered 422'

expect "$seen" "$(
    cargo_run 'axum = { version = "0.8", default-features = false, features = ["form"] }' \
        'axum-login = { version = "=0.18.0", default-features = false }' \
        'tower-sessions = { version = "=0.14.0", default-features = false, features = ["axum-core", "memory-store"] }' \
        'serde = { version = "1", features = ["derive"] }' \
        'tower = { version = "0.5", features = ["util"] }' \
        'tokio = { version = "1", features = ["rt", "macros"] }' <<'RUST'
use std::convert::Infallible;

use axum::body::Body;
use axum::http::{Request, header};
use axum::routing::post;
use axum::{Form, Router};
use axum_login::{AuthManagerLayerBuilder, AuthUser, AuthnBackend, login_required};
use tower::ServiceExt;
use tower_sessions::{MemoryStore, SessionManagerLayer};

#[derive(Clone, Debug)]
struct User;

impl AuthUser for User {
    type Id = i64;
    fn id(&self) -> i64 {
        1
    }
    fn session_auth_hash(&self) -> &[u8] {
        b"of the password"
    }
}

#[derive(Clone)]
struct Backend;

impl AuthnBackend for Backend {
    type User = User;
    type Credentials = ();
    type Error = Infallible;
    async fn authenticate(&self, (): ()) -> Result<Option<User>, Infallible> {
        Ok(Some(User))
    }
    async fn get_user(&self, _: &i64) -> Result<Option<User>, Infallible> {
        Ok(Some(User))
    }
}

#[derive(serde::Deserialize)]
struct LogIn {
    #[allow(dead_code)]
    name: String,
}

async fn log_in(_: Form<LogIn>) {}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let app = Router::new()
        .route("/transfer", post(async || "sent").get(async || "a form"))
        .route_layer(login_required!(Backend, login_url = "/login"))
        .route("/login", post(log_in))
        .layer(AuthManagerLayerBuilder::new(Backend, SessionManagerLayer::new(MemoryStore::default())).build());
    let send = async |method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path);
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let body = if method == "POST" { Body::from("amount=5") } else { Body::empty() };
        app.clone().oneshot(request.body(body).unwrap()).await.unwrap()
    };
    let mut place = String::new();
    for method in ["GET", "POST"] {
        let answer = send(method, "/transfer").await;
        place = answer.headers()[header::LOCATION].to_str().unwrap().to_owned();
        println!("{method} /transfer: {} to {place}", answer.status().as_u16());
    }
    let answer = send("POST", &place).await;
    println!("what a client that follows it sends: POST {place} \"amount=5\", answered {}", answer.status().as_u16());
}
RUST
)"
