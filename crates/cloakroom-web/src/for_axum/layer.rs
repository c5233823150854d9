use std::sync::Arc;
use std::task::{Context, Poll};

use cloakroom::SessionFields;
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::framework::AXUM;
use super::future::ResponseFuture;
use crate::layer::SessionLayer;
use crate::state::State;

impl<S, T: SessionFields> Layer<S> for SessionLayer<T> {
    type Service = SessionService<S, T>;

    /// # Panics
    ///
    /// If no cookie can hold the tokens; see [`SessionLayer`].
    fn layer(&self, inner: S) -> Self::Service {
        self.settings().assert_that_tokens_fit();
        SessionService { inner, layer: self.clone() }
    }
}

/// The service that [`SessionLayer`] makes of the service below it.
#[derive(Debug)]
pub struct SessionService<S, T: SessionFields> {
    inner: S,
    layer: SessionLayer<T>,
}

impl<S: Clone, T: SessionFields> Clone for SessionService<S, T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), layer: self.layer.clone() }
    }
}

impl<S, T, B, R> Service<Request<B>> for SessionService<S, T>
where
    S: Service<Request<B>, Response = Response<R>>,
    T: SessionFields,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, T>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let state = State::put_in(Arc::clone(self.layer.settings()), &AXUM, &mut parts);
        ResponseFuture::new(self.inner.call(Request::from_parts(parts, body)), state)
    }
}
