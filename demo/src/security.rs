//! The headers of every response, and the requests that are refused.

use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower_http::csrf::{CsrfLayer, ProtectionError};

use crate::error::PageError;
use crate::pages::api::Problem;

/// How long a page may take. The driver retries for longer if a server is gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// The pages have no script, and load nothing from other hosts. `Strict-Transport-Security` is not among these headers:
/// it belongs to the server that ends TLS, and means nothing over plain http.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; \
         base-uri 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // Not `no-referrer`, with which browsers also hide the origin of the site's own forms.
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Puts the headers on a response. A response without a cache header is a page for one user, and stays out of caches.
pub(crate) async fn add_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Refuses requests that change something and were sent by another site's page.
pub(crate) fn same_site() -> CsrfLayer<impl Fn(ProtectionError) -> Response + Clone> {
    CsrfLayer::new().with_rejection_response(|_| PageError::CrossSite.into_response())
}

/// Answers with 503 if a request takes too long.
pub(crate) async fn limit_time(request: Request, next: Next) -> Response {
    let is_for_programs = request.uri().path().starts_with("/api/");
    let logs_out = request.uri().path() == "/logout";
    let response = tokio::time::timeout(PATIENCE, next.run(request)).await;
    response.unwrap_or_else(|_| {
        tracing::error!("a request took too long");
        if is_for_programs {
            Problem::unavailable().into_response()
        } else {
            PageError::TimedOut { logs_out }.into_response()
        }
    })
}
