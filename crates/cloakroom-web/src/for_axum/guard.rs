use std::pin::Pin;
use std::task::{Context, Poll};

use axum::response::{IntoResponse, Response};
use cloakroom::SessionFields;
use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use crate::guards::Require;

impl<S, T: SessionFields> Layer<S> for Require<T> {
    type Service = RequireService<S, T>;

    fn layer(&self, inner: S) -> Self::Service {
        RequireService { inner, guard: self.clone() }
    }
}

/// The service that a [guard](crate::guards) makes of the service below it.
#[derive(Debug)]
pub struct RequireService<S, T: SessionFields> {
    inner: S,
    guard: Require<T>,
}

impl<S: Clone, T: SessionFields> Clone for RequireService<S, T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), guard: self.guard.clone() }
    }
}

/// The response of a [`RequireService`].
pub type GuardFuture<E> = Pin<Box<dyn Future<Output = Result<Response, E>> + Send>>;

impl<S, T, B> Service<Request<B>> for RequireService<S, T>
where
    S: Service<Request<B>, Response = Response> + Clone + Send + 'static,
    S::Future: Send,
    T: SessionFields,
    B: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = GuardFuture<S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let guard = self.guard.clone();
        // The one that is ready.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            match guard.check(&parts).await {
                Ok(()) => inner.call(Request::from_parts(parts, body)).await,
                Err(refusal) => Ok(refusal.into_response()),
            }
        })
    }
}
