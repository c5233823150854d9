use std::fmt;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::{Error, HttpMessage};
use cloakroom::SessionFields;
use pin_project_lite::pin_project;

use super::border::{ACTIX, Added, carry, parts_for_layer};
use super::respond::with_added;
use crate::layer::SessionLayer;
use crate::state::State;
use crate::testing::TestCredential;

impl<S, T, B> Transform<S, ServiceRequest> for SessionLayer<T>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    T: SessionFields,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Transform = SessionService<S, T>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    /// # Panics
    ///
    /// If no cookie can hold the tokens; see [`SessionLayer`].
    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(SessionService::new(self.clone(), service)))
    }
}

/// The service that [`SessionLayer`](crate::SessionLayer) makes of the service below it.
pub struct SessionService<S, T: SessionFields> {
    layer: SessionLayer<T>,
    service: S,
}

impl<S, T: SessionFields> SessionService<S, T> {
    pub(super) fn new(layer: SessionLayer<T>, service: S) -> Self {
        layer.settings().assert_that_tokens_fit();
        Self { layer, service }
    }
}

impl<S: fmt::Debug, T: SessionFields> fmt::Debug for SessionService<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { layer, service } = self;
        f.debug_struct("SessionService").field("layer", layer).field("service", service).finish()
    }
}

impl<S, T, B> Service<ServiceRequest> for SessionService<S, T>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    T: SessionFields,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Future = ResponseFuture<S::Future, T>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let mut parts = parts_for_layer(&request);
        if let Some(credential) = request.extensions_mut().remove::<TestCredential<T>>() {
            parts.extensions.insert(credential);
        }
        let state = State::put_in(Arc::clone(self.layer.settings()), &ACTIX, &mut parts);
        carry(&request, parts);
        ResponseFuture { inner: self.service.call(request), state }
    }
}

pin_project! {
    /// The response of a [`SessionService`]: the inner service's, with the cookie.
    pub struct ResponseFuture<F, T: SessionFields> {
        #[pin]
        inner: F,
        state: Arc<State<T>>,
    }
}

impl<F, T: SessionFields> ResponseFuture<F, T> {
    #[cfg(feature = "dbsc")]
    pub(super) fn state(&self) -> &Arc<State<T>> {
        &self.state
    }
}

impl<F, T, B> Future for ResponseFuture<F, T>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
    T: SessionFields,
{
    type Output = Result<ServiceResponse<B>, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        Poll::Ready(match ready!(this.inner.poll(context)) {
            Ok(mut response) => {
                let mut added = Added::to(response.headers());
                this.state.exchange.finish(&mut added.0);
                added.put_in(response.headers_mut());
                Ok(response)
            }
            // A middleware within the layer has failed. A layer outside, or the server, makes a response of its error.
            Err(error) => {
                let mut added = Added::to_any();
                this.state.exchange.finish(&mut added.0);
                Err(with_added(error, added))
            }
        })
    }
}

impl<F, T: SessionFields> fmt::Debug for ResponseFuture<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
