#!/usr/bin/env bash
# crates.io tonic 0.14.9, tonic-health 0.14.9, axum 0.8
#
# Expected: a middleware in front of a gRPC service answers 401, 403 or 503, and the client makes UNAUTHENTICATED,
#   PERMISSION_DENIED or UNAVAILABLE of it, as gRPC's table of HTTP statuses says ("for clients that receive no grpc-status").
#
# Seen: only if the answer has no body. With one, tonic reads the body as messages first, whatever its Content-Type is, and
#   reports INTERNAL for the first byte of the text. So a middleware whose refusals say something in words, as those for
#   HTTP do, turns "log in" and "try again later" into "internal error" for this client.
#
#   401: Unauthenticated without a body, Internal with one
#   403: PermissionDenied without a body, Internal with one
#   503: Unavailable without a body, Internal with one
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

seen='401: Unauthenticated without a body, Internal with one
403: PermissionDenied without a body, Internal with one
503: Unavailable without a body, Internal with one'

expect "$seen" "$(
    cargo_run 'axum = { version = "0.8", default-features = false, features = ["http2", "tokio"] }' \
        'tonic = { version = "=0.14.9", default-features = false, features = ["channel"] }' \
        'tonic-health = { version = "=0.14.9", default-features = false }' \
        'tokio = { version = "1", features = ["macros", "net", "rt"] }' <<'RUST'
use axum::Router;
use axum::http::StatusCode;
use tonic::Code;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

async fn code(status: StatusCode, text: &'static str) -> Code {
    let app = Router::new().fallback(move || async move { (status, text) });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, app).into_future());
    let channel = Channel::from_shared(address).unwrap().connect().await.unwrap();
    let request = HealthCheckRequest { service: String::new() };
    HealthClient::new(channel).check(request).await.unwrap_err().code()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    for status in [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::SERVICE_UNAVAILABLE] {
        let (without, with) = (code(status, "").await, code(status, "Please log in.\n").await);
        println!("{}: {without:?} without a body, {with:?} with one", status.as_u16());
    }
}
RUST
)"
