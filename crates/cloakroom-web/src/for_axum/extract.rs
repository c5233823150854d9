use std::convert::Infallible;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
#[cfg(feature = "dbsc")]
use cloakroom::HasDeviceKey;
use cloakroom::{HasAuthenticatedAt, HasScopes, NamesScope, SessionFields};
use http::request::Parts;

use crate::extract::{CurrentSession, FreshSession, found, required};
use crate::flash::Flash;
#[cfg(feature = "dbsc")]
use crate::guards::RequireBound;
use crate::guards::{RequireFresh, RequireScope, RequiredScope};
use crate::manager::SessionManager;
use crate::next::Next;
use crate::rejection::SessionRejection;
use crate::values::Values;

macro_rules! session_extractor {
    ($extractor:ident, is_fresh: $is_fresh:literal) => {
        impl<T: SessionFields, S: Send + Sync> FromRequestParts<S> for $extractor<T> {
            type Rejection = SessionRejection;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, SessionRejection> {
                required(parts, $is_fresh).await.map(Self)
            }
        }

        impl<T: SessionFields, S: Send + Sync> OptionalFromRequestParts<S> for $extractor<T> {
            type Rejection = SessionRejection;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, SessionRejection> {
                Ok(found(parts, $is_fresh).await?.ok().map(Self))
            }
        }
    };
}

session_extractor!(CurrentSession, is_fresh: false);
session_extractor!(FreshSession, is_fresh: true);

macro_rules! extractor {
    ($extractor:ident) => {
        impl<T: SessionFields, S: Send + Sync> FromRequestParts<S> for $extractor<T> {
            type Rejection = SessionRejection;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, SessionRejection> {
                Self::of(parts)
            }
        }
    };
}

extractor!(SessionManager);
extractor!(Values);
extractor!(Flash);

macro_rules! guard {
    ([$($generics:tt)*] $extractor:ty) => {
        impl<$($generics)*, S: Send + Sync> FromRequestParts<S> for $extractor {
            type Rejection = SessionRejection;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, SessionRejection> {
                Self::of(parts).await
            }
        }
    };
}

guard!([T: HasScopes, P: RequiredScope<Scope: NamesScope<T::Scope>>] RequireScope<T, P>);
guard!([T: HasAuthenticatedAt, const SECONDS: u64] RequireFresh<T, SECONDS>);
#[cfg(feature = "dbsc")]
guard!([T: HasDeviceKey] RequireBound<T>);

impl<S: Send + Sync> FromRequestParts<S> for Next {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::in_query(parts.uri.query()))
    }
}
