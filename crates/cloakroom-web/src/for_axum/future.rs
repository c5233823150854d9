use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use cloakroom::SessionFields;
use http::Response;
use pin_project_lite::pin_project;

use crate::state::State;

pin_project! {
    /// The response of a [`SessionService`](crate::SessionService): the inner service's, with the cookie.
    pub struct ResponseFuture<F, T: SessionFields> {
        #[pin]
        inner: F,
        state: Arc<State<T>>,
    }
}

impl<F, T: SessionFields> ResponseFuture<F, T> {
    pub(crate) fn new(inner: F, state: Arc<State<T>>) -> Self {
        Self { inner, state }
    }

    #[cfg(feature = "dbsc")]
    pub(crate) fn state(&self) -> &Arc<State<T>> {
        &self.state
    }
}

impl<F, T, R, E> Future for ResponseFuture<F, T>
where
    F: Future<Output = Result<Response<R>, E>>,
    T: SessionFields,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(context))?;
        this.state.exchange.finish(response.headers_mut());
        Poll::Ready(Ok(response))
    }
}

impl<F, T: SessionFields> fmt::Debug for ResponseFuture<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
