use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::EitherBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::{Error, HttpResponse};
use cloakroom_web::for_actix::parts_of;
use http::{Request, Response};
use tower_http::csrf::{Csrf, CsrfLayer};
use tower_layer::Layer as _;
use tower_service::Service as _;

/// A middleware that answers 403 to what another site's page has a browser send, by the rules of tower-http's
/// [`CsrfLayer`].
///
/// `GET`, `HEAD` and `OPTIONS` pass, and so do handshakes of a WebSocket. Of all others those pass that say `same-origin` or
/// `none` in `Sec-Fetch-Site`, those whose `Origin` is of the request's own host where a browser does not send that, and those
/// without either header, which no browser of today sends. Wrap it after the [`SessionLayer`](crate::SessionLayer), so that
/// it is outside.
///
/// ```
/// # use cloakroom_actix::{CsrfLayer, CsrfMiddleware};
/// let layer = CsrfLayer::new().add_trusted_origin("https://pay.example.com").expect("an origin");
/// let middleware = CsrfMiddleware::from(layer);
/// ```
#[derive(Clone, Debug, Default)]
pub struct CsrfMiddleware(CsrfLayer);

impl From<CsrfLayer> for CsrfMiddleware {
    fn from(layer: CsrfLayer) -> Self {
        Self(layer)
    }
}

impl<S, B> Transform<S, ServiceRequest> for CsrfMiddleware
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = CsrfService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(CsrfService { judge: self.0.layer(Passes), service: Rc::new(service) }))
    }
}

/// Stands for the application while tower-http judges a request's head.
#[derive(Clone, Copy, Debug)]
struct Passes;

impl tower_service::Service<Request<()>> for Passes {
    /// Whether the request has come here. A refusal has the default.
    type Response = Response<bool>;
    type Error = Infallible;
    type Future = Ready<Result<Response<bool>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::new(true)))
    }
}

/// The service that [`CsrfMiddleware`] makes of the service below it.
#[derive(Debug)]
pub struct CsrfService<S> {
    judge: Csrf<Passes>,
    service: Rc<S>,
}

/// The response of a [`CsrfService`].
pub type CsrfFuture<B> = Pin<Box<dyn Future<Output = Result<ServiceResponse<EitherBody<B>>, Error>>>>;

impl<S, B> Service<ServiceRequest> for CsrfService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = CsrfFuture<B>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let head = Request::from_parts(parts_of(request.request()), ());
        let judged = self.judge.clone().call(head);
        let service = Rc::clone(&self.service);
        Box::pin(async move {
            let Ok(judgement) = judged.await;
            if judgement.into_body() {
                Ok(service.call(request).await?.map_into_left_body())
            } else {
                Ok(request.into_response(HttpResponse::Forbidden()).map_into_right_body())
            }
        })
    }
}
