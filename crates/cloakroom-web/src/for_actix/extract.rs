use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
#[cfg(feature = "dbsc")]
use cloakroom::HasDeviceKey;
use cloakroom::{HasAuthenticatedAt, HasScopes, NamesScope, SessionFields};

use super::border::carried;
use super::optional::OptionalSession;
use crate::extract::{CurrentSession, FreshSession, found, required};
use crate::flash::Flash;
#[cfg(feature = "dbsc")]
use crate::guards::RequireBound;
use crate::guards::{RequireFresh, RequireScope, RequiredScope};
use crate::manager::SessionManager;
use crate::next::Next;
use crate::rejection::SessionRejection;
use crate::values::Values;

/// What an extractor gives that may ask the database.
pub type ExtractFuture<E> = Pin<Box<dyn Future<Output = Result<E, SessionRejection>>>>;

/// What an extractor gives at once.
pub type Extracted<E> = Ready<Result<E, SessionRejection>>;

macro_rules! session_extractor {
    ($extractor:ident, is_fresh: $is_fresh:literal) => {
        impl<T: SessionFields> FromRequest for $extractor<T> {
            type Error = SessionRejection;
            type Future = ExtractFuture<Self>;

            fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
                let parts = carried(request);
                Box::pin(async move { required(&parts, $is_fresh).await.map(Self) })
            }
        }
    };
}

session_extractor!(CurrentSession, is_fresh: false);
session_extractor!(FreshSession, is_fresh: true);

impl<T: SessionFields> FromRequest for OptionalSession<T> {
    type Error = SessionRejection;
    type Future = ExtractFuture<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let parts = carried(request);
        Box::pin(async move { Ok(Self(found(&parts, false).await?.ok())) })
    }
}

macro_rules! extractor {
    ($extractor:ident) => {
        impl<T: SessionFields> FromRequest for $extractor<T> {
            type Error = SessionRejection;
            type Future = Extracted<Self>;

            fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
                ready(Self::of(&carried(request)))
            }
        }
    };
}

extractor!(SessionManager);
extractor!(Values);
extractor!(Flash);

macro_rules! guard {
    ([$($generics:tt)*] $extractor:ty) => {
        impl<$($generics)*> FromRequest for $extractor {
            type Error = SessionRejection;
            type Future = ExtractFuture<Self>;

            fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
                let parts = carried(request);
                Box::pin(async move { Self::of(&parts).await })
            }
        }
    };
}

guard!([T: HasScopes, P: RequiredScope<Scope: NamesScope<T::Scope>> + 'static] RequireScope<T, P>);
guard!([T: HasAuthenticatedAt, const SECONDS: u64] RequireFresh<T, SECONDS>);
#[cfg(feature = "dbsc")]
guard!([T: HasDeviceKey] RequireBound<T>);

impl FromRequest for Next {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::in_query(request.uri().query())))
    }
}
