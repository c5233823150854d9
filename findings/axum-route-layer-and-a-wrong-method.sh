#!/usr/bin/env bash
# crates.io axum 0.8.9
#
# Expected: `route_layer` is for guards, because its layer runs only for requests that match a route: one that no handler takes
#   is answered by the router alone, 404 for a wrong path and 405 for a wrong method.
#
# Seen: for a wrong method the guard runs, since the path has matched. So a client without a session that sends DELETE to a page
#   which only has GET is told to log in, and hears 405 only afterwards. A path that has a guarded method and an open one, merged
#   of two routers, is answered as the router that was merged last would answer it.
#
#   a wrong path: 404
#   a wrong method on a guarded path: 401
#   a wrong method on a path with a guarded GET and an open POST, merged in this order: 405
#   merged in the other order: 401
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

seen='a wrong path: 404
a wrong method on a guarded path: 401
a wrong method on a path with a guarded GET and an open POST, merged in this order: 405
merged in the other order: 401'

printed="$(
    cargo_run 'axum = { version = "=0.8.9", default-features = false }' \
        'tower = { version = "0.5", features = ["util"] }' \
        'tokio = { version = "1", features = ["macros", "rt"] }' <<'RUST'
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::routing::{get, post};
use tower::ServiceExt;

fn guarded() -> Router {
    Router::new().route("/account", get(async || "hello")).route_layer(from_fn(async |_: Request<Body>, _: Next| StatusCode::UNAUTHORIZED))
}

fn open() -> Router {
    Router::new().route("/account", post(async || "sent"))
}

async fn answer(app: Router, path: &str) -> u16 {
    let request = Request::builder().method("DELETE").uri(path).body(Body::empty()).unwrap();
    app.oneshot(request).await.unwrap().status().as_u16()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    println!("a wrong path: {}", answer(guarded(), "/other").await);
    println!("a wrong method on a guarded path: {}", answer(guarded(), "/account").await);
    let merged = answer(guarded().merge(open()), "/account").await;
    println!("a wrong method on a path with a guarded GET and an open POST, merged in this order: {merged}");
    println!("merged in the other order: {}", answer(open().merge(guarded()), "/account").await);
}
RUST
)"
expect "$seen" "$printed"
