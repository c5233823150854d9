use std::future::{Ready, ready};
use std::pin::Pin;
use std::rc::Rc;

use actix_web::body::EitherBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::{Error, ResponseError};
use cloakroom::SessionFields;

use super::border::carried;
use crate::guards::Require;

impl<S, T, B> Transform<S, ServiceRequest> for Require<T>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    T: SessionFields,
    B: 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = RequireService<S, T>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(RequireService { service: Rc::new(service), guard: self.clone() }))
    }
}

/// The service that a [guard](crate::guards) makes of the service below it.
#[derive(Debug)]
pub struct RequireService<S, T: SessionFields> {
    service: Rc<S>,
    guard: Require<T>,
}

/// The response of a [`RequireService`].
pub type GuardFuture<B> = Pin<Box<dyn Future<Output = Result<ServiceResponse<EitherBody<B>>, Error>>>>;

impl<S, T, B> Service<ServiceRequest> for RequireService<S, T>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    T: SessionFields,
    B: 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = GuardFuture<B>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let (guard, service) = (self.guard.clone(), Rc::clone(&self.service));
        let parts = carried(request.request());
        Box::pin(async move {
            match guard.check(&parts).await {
                Ok(()) => Ok(service.call(request).await?.map_into_left_body()),
                Err(refusal) => Ok(request.into_response(refusal.error_response()).map_into_right_body()),
            }
        })
    }
}
