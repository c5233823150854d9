//! Statuses of gRPC for clients of gRPC. This file does not know what was refused, only that it was.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use cloakroom_web::for_axum::Rejected;
use http::{HeaderValue, Request, Response, StatusCode, header};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

/// A layer that answers clients of gRPC with a status of gRPC's, if the request was refused by this crate.
///
/// A client of gRPC reads the body of every answer as messages. A refusal of HTTP has a text in its body, and clients then
/// report something else than the refusal: tonic 0.14 reports `INTERNAL`. This layer replaces such an answer by one that has
/// headers alone, with `grpc-status`, as
/// [gRPC's protocol](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses) has it:
///
/// | [`SessionRejection`](crate::SessionRejection) with | `grpc-status` |
/// |---|---|
/// | 401, or 303 to a page for logging in | 16, `UNAUTHENTICATED` |
/// | 403 | 7, `PERMISSION_DENIED` |
/// | 400 | 3, `INVALID_ARGUMENT` |
/// | 404 | 5, `NOT_FOUND` |
/// | 409 | 10, `ABORTED` |
/// | 503 | 14, `UNAVAILABLE` |
/// | 500 | 13, `INTERNAL` |
///
/// `WWW-Authenticate` stays, and is metadata to the client. Other requests, and other answers, are left alone. Add it outside of
/// the [`SessionLayer`](crate::SessionLayer) and of the guards:
///
/// ```
/// use axum::Router;
/// # use cloakroom::{SessionTable, Sessions};
/// use cloakroom_axum::{GrpcStatusLayer, SessionLayer, TokenSource, require_session};
/// # #[derive(Clone, SessionTable)] struct ApiKey { user_id: i64 }
///
/// // `routes` is tonic's `Routes::into_axum_router()`.
/// fn service(routes: Router, keys: Sessions<ApiKey>) -> Router {
///     routes
///         .route_layer(require_session::<ApiKey>())
///         .layer(SessionLayer::new(keys).sources([TokenSource::Bearer]))
///         .layer(GrpcStatusLayer)
/// }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct GrpcStatusLayer;

impl<S> Layer<S> for GrpcStatusLayer {
    type Service = GrpcStatusService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        GrpcStatusService { inner }
    }
}

/// The service that a [`GrpcStatusLayer`] makes of the service below it.
#[derive(Clone, Copy, Debug)]
pub struct GrpcStatusService<S> {
    inner: S,
}

impl<S, Q, B> Service<Request<Q>> for GrpcStatusService<S>
where
    S: Service<Request<Q>, Response = Response<B>>,
    B: Default,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = GrpcStatusFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let is_grpc = request.headers().get(header::CONTENT_TYPE).is_some_and(is_grpc);
        GrpcStatusFuture { inner: self.inner.call(request), is_grpc }
    }
}

pin_project! {
    /// The response of a [`GrpcStatusService`].
    #[derive(Debug)]
    pub struct GrpcStatusFuture<F> {
        #[pin]
        inner: F,
        is_grpc: bool,
    }
}

impl<F, B, E> Future for GrpcStatusFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Default,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(context))?;
        let is_rejected = response.extensions().get::<Rejected>().is_some();
        Poll::Ready(Ok(if *this.is_grpc && is_rejected { with_status(response) } else { response }))
    }
}

/// `application/grpc`, alone or with a format or a parameter after it, and not `application/grpc-web`.
fn is_grpc(kind: &HeaderValue) -> bool {
    let kind = kind.as_bytes();
    let rest =
        kind.get(..16).filter(|start| start.eq_ignore_ascii_case(b"application/grpc")).map(|_| &kind[16..]);
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}

fn with_status<B: Default>(refused: Response<B>) -> Response<B> {
    let status = match refused.status() {
        // A page for logging in is of no use to a program.
        StatusCode::UNAUTHORIZED | StatusCode::SEE_OTHER => "16",
        StatusCode::FORBIDDEN => "7",
        StatusCode::BAD_REQUEST => "3",
        StatusCode::NOT_FOUND => "5",
        StatusCode::CONFLICT => "10",
        StatusCode::SERVICE_UNAVAILABLE => "14",
        _ => "13",
    };
    let (mut parts, _) = refused.into_parts();
    parts.status = StatusCode::OK;
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::LOCATION);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    parts.headers.insert("grpc-status", HeaderValue::from_static(status));
    Response::from_parts(parts, B::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_grpc_are_known_by_their_type() {
        for kind in ["application/grpc", "application/grpc+proto", "Application/gRPC; x=y"] {
            assert!(is_grpc(&HeaderValue::from_static(kind)), "{kind}");
        }
        for kind in
            ["", "application/json", "application/grpc-web", "application/grpcs", "text/application/grpc"]
        {
            assert!(!is_grpc(&HeaderValue::from_static(kind)), "{kind}");
        }
    }
}
