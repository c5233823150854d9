use std::fmt;
use std::ops::{Deref, DerefMut};

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use cloakroom::{Session, SessionFields};
use http::request::Parts;

use crate::rejection::SessionRejection;
use crate::state::State;

/// The request's session: an extractor, for handlers that need one.
///
/// | the request has | `CurrentSession<T>` | `Option<CurrentSession<T>>` |
/// |---|---|---|
/// | the token of a valid session | the session | `Some` |
/// | no token, or an unknown or expired one, or a malformed cookie | [`LoggedOut`](SessionRejection::LoggedOut): 401, or 303 to the page for logging in | `None` |
/// | a malformed bearer token or header | [`Malformed`](SessionRejection::Malformed): 400 | the same |
/// | two tokens that differ | [`Ambiguous`](SessionRejection::Ambiguous): 400 | the same |
/// | any token, and the database is in trouble | [`Database`](SessionRejection::Database): 503 | the same, never `None` |
///
/// It is a copy of what the lookup found. Reading it extends the session where that is due, and then the
/// cookie is sent again. To protect all routes of a router alike, use
/// [`axum::middleware::from_extractor`] with it.
#[derive(Clone)]
pub struct CurrentSession<T: SessionFields>(pub Session<T>);

impl<T: SessionFields> Deref for CurrentSession<T> {
    type Target = Session<T>;

    fn deref(&self) -> &Session<T> {
        &self.0
    }
}

impl<T: SessionFields> DerefMut for CurrentSession<T> {
    fn deref_mut(&mut self) -> &mut Session<T> {
        &mut self.0
    }
}

impl<T: SessionFields + fmt::Debug> fmt::Debug for CurrentSession<T>
where
    T::Data: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CurrentSession").field(&self.0).finish()
    }
}

impl<T: SessionFields, S: Send + Sync> FromRequestParts<S> for CurrentSession<T> {
    type Rejection = SessionRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, SessionRejection> {
        let state = State::<T>::of(&parts.extensions)?;
        let session = state.lock().await?.held().map(|held| held.session.clone());
        session.map(Self).ok_or_else(|| state.logged_out(state.location(parts)))
    }
}

impl<T: SessionFields, S: Send + Sync> OptionalFromRequestParts<S> for CurrentSession<T> {
    type Rejection = SessionRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, SessionRejection> {
        let state = State::<T>::of(&parts.extensions)?;
        let session = state.lock().await?.held().map(|held| held.session.clone());
        Ok(session.map(Self))
    }
}
