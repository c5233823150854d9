use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use cloakroom::{HasDeviceKey, SessionFields};
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::framework::AXUM;
use super::layer::SessionService;
use crate::dbsc::{Asked, DbscLayer, Passing};

impl<S, T: SessionFields> Layer<S> for DbscLayer<T> {
    type Service = DbscService<S, T>;

    /// # Panics
    ///
    /// If no cookie can hold the tokens; see [`SessionLayer`](crate::SessionLayer).
    fn layer(&self, inner: S) -> Self::Service {
        DbscService { inner: self.session_layer().layer(inner), layer: self.clone() }
    }
}

/// The service that [`DbscLayer`](crate::DbscLayer) makes of the service below it.
pub struct DbscService<S, T: SessionFields> {
    inner: SessionService<S, T>,
    layer: DbscLayer<T>,
}

impl<S: Clone, T: SessionFields> Clone for DbscService<S, T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), layer: self.layer.clone() }
    }
}

impl<S, T: SessionFields> fmt::Debug for DbscService<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DbscService").field("dbsc", &self.layer.switched()).finish_non_exhaustive()
    }
}

type Boxed<F> = Pin<Box<dyn Future<Output = F> + Send>>;

impl<S, T, B, R> Service<Request<B>> for DbscService<S, T>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send,
    T: HasDeviceKey,
    R: From<String> + Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Boxed<Result<Response<R>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Some(dbsc) = self.layer.switched().cloned() else {
            return Box::pin(self.inner.call(request));
        };
        let (parts, body) = request.into_parts();
        self.layer.look_at(&AXUM, &dbsc, &parts);
        if let Some(asked) = Asked::of(&dbsc, &parts) {
            let settings = Arc::clone(self.layer.session_layer().settings());
            return Box::pin(
                async move { Ok(asked.answered(settings, &AXUM, &dbsc, parts).await.map(R::from)) },
            );
        }
        let passing = Passing::of(&parts);
        let inner = self.inner.call(Request::from_parts(parts, body));
        let state = Arc::clone(inner.state());
        Box::pin(async move {
            let mut response = inner.await?;
            let other = passing.answered(&state, &dbsc, response.headers_mut()).await;
            Ok(other.map_or(response, |other| other.map(R::from)))
        })
    }
}
