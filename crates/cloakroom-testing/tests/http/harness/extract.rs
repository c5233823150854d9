//! What handlers take and give that each framework has a type of its own for.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::ops::Deref;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::response::{IntoResponse, Response};
use cloakroom::{Session, SessionFields};
use cloakroom_actix::OptionalSession;
use cloakroom_web::{CurrentSession, FreshSession, SessionRejection};
use http::request::Parts;
use percent_encoding::percent_decode_str;

/// The request's session, if it has one: `Option<CurrentSession<T>>` in axum, `OptionalSession<T>` in actix-web.
pub(crate) struct Maybe<T: SessionFields>(Option<Session<T>>);

impl<T: SessionFields> Deref for Maybe<T> {
    type Target = Option<Session<T>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T: SessionFields, S: Send + Sync> FromRequestParts<S> for Maybe<T> {
    type Rejection = SessionRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, SessionRejection> {
        let session = <CurrentSession<T> as OptionalFromRequestParts<S>>::from_request_parts(parts, state);
        Ok(Self(session.await?.map(|session| session.0)))
    }
}

type Boxed<R> = Pin<Box<dyn Future<Output = R>>>;

impl<T: SessionFields> FromRequest for Maybe<T> {
    type Error = SessionRejection;
    type Future = Boxed<Result<Self, SessionRejection>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let session = OptionalSession::from_request(request, payload);
        Box::pin(async move { Ok(Self(session.await?.0)) })
    }
}

/// The request's session as the database has it, if it has one.
pub(crate) struct MaybeFresh<T: SessionFields>(Option<Session<T>>);

impl<T: SessionFields> Deref for MaybeFresh<T> {
    type Target = Option<Session<T>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T: SessionFields, S: Send + Sync> FromRequestParts<S> for MaybeFresh<T> {
    type Rejection = SessionRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, SessionRejection> {
        let session = <FreshSession<T> as OptionalFromRequestParts<S>>::from_request_parts(parts, state);
        Ok(Self(session.await?.map(|session| session.0)))
    }
}

impl<T: SessionFields> FromRequest for MaybeFresh<T> {
    type Error = SessionRejection;
    type Future = Boxed<Result<Self, SessionRejection>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let session = FreshSession::from_request(request, payload);
        Box::pin(async move {
            match session.await {
                Ok(session) => Ok(Self(Some(session.0))),
                Err(SessionRejection::LoggedOut(_)) => Ok(Self(None)),
                Err(error) => Err(error),
            }
        })
    }
}

/// The last part of the path, decoded.
pub(crate) struct Last(pub(crate) String);

impl Last {
    fn of(path: &str) -> Self {
        let last = path.rsplit('/').next().unwrap_or_default();
        Self(percent_decode_str(last).decode_utf8().unwrap().into_owned())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Last {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts.uri.path()))
    }
}

impl FromRequest for Last {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::of(request.uri().path())))
    }
}

/// A response of a handler's own.
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    pub(crate) fn see_other(place: &str) -> Self {
        Self::new(303, "").with("location", place)
    }

    pub(crate) fn with(self, name: &'static str, value: &str) -> Self {
        let headers = self.headers.into_iter().chain([(name, value.to_owned())]).collect();
        Self { headers, ..self }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = self.body.into_response();
        *response.status_mut() = self.status.try_into().unwrap();
        for (name, value) in self.headers {
            response.headers_mut().append(name, value.parse().unwrap());
        }
        response
    }
}

impl actix_web::Responder for Reply {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        let mut response = HttpResponse::build(self.status.try_into().unwrap());
        for header in self.headers {
            response.append_header(header);
        }
        response.body(self.body)
    }
}

/// The response that a rejection makes, which a handler looked at first.
pub(crate) struct Refused(pub(crate) SessionRejection);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

impl actix_web::Responder for Refused {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        actix_web::ResponseError::error_response(&self.0)
    }
}
