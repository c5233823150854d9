use std::fmt;
use std::ops::{Deref, DerefMut};

use axum::extract::FromRequestParts;
use cloakroom::{HasDeviceKey, Session, SessionFields};
use http::request::Parts;

use crate::extract::CurrentSession;
use crate::rejection::SessionRejection;

/// The request's session, for handlers that only a session which is bound to the browser's device may reach.
///
/// It behaves and rejects as [`CurrentSession`] does. If the session is not bound, the answer is
/// [`NotBound`](SessionRejection::NotBound), 403: the browser does not speak Device Bound Session Credentials, or the session
/// was begun a moment ago and the browser has not registered its key yet. To guard all routes of a router alike, use
/// [`axum::middleware::from_extractor`] with it.
///
/// ```
/// # use axum::Router;
/// # use axum::routing::post;
/// # use cloakroom::SessionTable;
/// # use cloakroom::device::DeviceKey;
/// # use cloakroom_axum::RequireBound;
/// # #[derive(Clone, SessionTable)]
/// # struct UserSession { user_id: String, #[session(device_key)] device_key: Option<DeviceKey> }
/// async fn pay(session: RequireBound<UserSession>) -> String {
///     format!("{} has paid.", session.fields.user_id)
/// }
///
/// let admin: Router = Router::new()
///     .route("/pay", post(pay))
///     .layer(axum::middleware::from_extractor::<RequireBound<UserSession>>());
/// ```
#[derive(Clone)]
pub struct RequireBound<T: SessionFields>(pub Session<T>);

impl<T: SessionFields> Deref for RequireBound<T> {
    type Target = Session<T>;

    fn deref(&self) -> &Session<T> {
        &self.0
    }
}

impl<T: SessionFields> DerefMut for RequireBound<T> {
    fn deref_mut(&mut self) -> &mut Session<T> {
        &mut self.0
    }
}

impl<T: SessionFields + fmt::Debug> fmt::Debug for RequireBound<T>
where
    T::Data: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequireBound").field(&self.0).finish()
    }
}

impl<T: HasDeviceKey, S: Send + Sync> FromRequestParts<S> for RequireBound<T> {
    type Rejection = SessionRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, SessionRejection> {
        let session = <CurrentSession<T> as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        if session.is_bound() { Ok(Self(session.0)) } else { Err(SessionRejection::NotBound) }
    }
}
