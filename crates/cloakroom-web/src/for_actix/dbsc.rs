use std::fmt;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;

use actix_web::Error;
use actix_web::body::EitherBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use cloakroom::{HasDeviceKey, SessionFields};

use super::border::{ACTIX, Added, parts_for_layer, response_of};
use super::middleware::SessionService;
use crate::dbsc::{Asked, DbscLayer, Passing};

impl<S, T, B> Transform<S, ServiceRequest> for DbscLayer<T>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    S::Future: 'static,
    T: HasDeviceKey,
    B: 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = DbscService<S, T>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    /// # Panics
    ///
    /// If no cookie can hold the tokens; see [`SessionLayer`](crate::SessionLayer).
    fn new_transform(&self, service: S) -> Self::Future {
        let inner = SessionService::new(self.session_layer().clone(), service);
        ready(Ok(DbscService { inner, layer: self.clone() }))
    }
}

/// The service that [`DbscLayer`](crate::DbscLayer) makes of the service below it.
pub struct DbscService<S, T: SessionFields> {
    inner: SessionService<S, T>,
    layer: DbscLayer<T>,
}

impl<S, T: SessionFields> fmt::Debug for DbscService<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DbscService").field("dbsc", &self.layer.switched()).finish_non_exhaustive()
    }
}

/// The response of a [`DbscService`].
pub type DbscFuture<B> = Pin<Box<dyn Future<Output = Result<ServiceResponse<EitherBody<B>>, Error>>>>;

impl<S, T, B> Service<ServiceRequest> for DbscService<S, T>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    S::Future: 'static,
    T: HasDeviceKey,
    B: 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = DbscFuture<B>;

    forward_ready!(inner);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let Some(dbsc) = self.layer.switched().cloned() else {
            let inner = self.inner.call(request);
            return Box::pin(async move { Ok(inner.await?.map_into_left_body()) });
        };
        let parts = parts_for_layer(&request);
        self.layer.look_at(&ACTIX, &dbsc, &parts);
        if let Some(asked) = Asked::of(&dbsc, &parts) {
            let settings = Arc::clone(self.layer.session_layer().settings());
            return Box::pin(async move {
                let answer = asked.answered(settings, &ACTIX, &dbsc, parts).await;
                Ok(request.into_response(response_of(answer)).map_into_right_body())
            });
        }
        let passing = Passing::of(&parts);
        let inner = self.inner.call(request);
        let state = Arc::clone(inner.state());
        Box::pin(async move {
            let mut response = inner.await?;
            let mut added = Added::to(response.headers());
            if let Some(other) = passing.answered(&state, &dbsc, &mut added.0).await {
                return Ok(response.into_response(response_of(other)).map_into_right_body());
            }
            added.put_in(response.headers_mut());
            Ok(response.map_into_left_body())
        })
    }
}
