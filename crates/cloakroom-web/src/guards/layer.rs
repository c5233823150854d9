use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cloakroom::{HasAuthenticatedAt, HasScopes, NamesScope, SessionFields};
use http::request::Parts;

use super::check::check;
use crate::rejection::SessionRejection;
use crate::requirement::Requirement;

/// A layer that lets requests with a session go on, and refuses all others; see [`guards`](crate::guards).
pub fn require_session<T: SessionFields>() -> Require<T> {
    Require { requirement: None, is_uncached: false }
}

/// A layer that lets requests go on whose session has this scope: `require_scope::<ApiKey>(Permission::Write)`. See
/// [`guards`](crate::guards).
///
/// For several scopes add several layers. A request without a session is refused as by [`require_session`].
pub fn require_scope<T>(scope: impl NamesScope<T::Scope> + Clone + Send + Sync + 'static) -> Require<T>
where
    T: HasScopes,
{
    Require { requirement: Some(Arc::new(Requirement::scope(scope))), is_uncached: false }
}

/// A layer that lets requests go on whose user proved who they are at most `span` ago:
/// `require_fresh::<UserSession>(Duration::from_mins(5))`. See [`guards`](crate::guards) and
/// [`Session::is_fresh`](cloakroom::Session::is_fresh).
///
/// A browser that comes too late is sent to the [page for confirming](crate::SessionLayer::confirm_page). A request without
/// a session is refused as by [`require_session`]. The layer does not ask how old the session itself is: a
/// [`Cache`](cloakroom::Cache) may answer for it, unless the guard is [`uncached`](Require::uncached).
pub fn require_fresh<T: HasAuthenticatedAt>(span: Duration) -> Require<T> {
    Require { requirement: Some(Arc::new(Requirement::fresh(span))), is_uncached: false }
}

/// A layer that lets requests go on whose session is bound to the browser's device: `require_bound::<UserSession>()`. See
/// [`guards`](crate::guards) and [`Dbsc`](crate::Dbsc).
#[cfg(feature = "dbsc")]
pub fn require_bound<T: cloakroom::HasDeviceKey>() -> Require<T> {
    Require { requirement: Some(Arc::new(Requirement::bound())), is_uncached: false }
}

/// The layer that [`require_session`] and the other [guards](crate::guards) make.
#[must_use]
pub struct Require<T: SessionFields> {
    requirement: Option<Arc<Requirement<T>>>,
    is_uncached: bool,
}

impl<T: SessionFields> Require<T> {
    /// Asks the database for the session even if a [`Cache`](cloakroom::Cache) would answer, as
    /// [`FreshSession`](crate::FreshSession) does. Every extractor within the guard then has what the database said.
    pub fn uncached(mut self) -> Self {
        self.is_uncached = true;
        self
    }

    /// Fails if the request may not go on.
    pub(crate) async fn check(&self, parts: &Parts) -> Result<(), SessionRejection> {
        check(parts, self.requirement.as_deref(), self.is_uncached).await.map(drop)
    }
}

impl<T: SessionFields> Clone for Require<T> {
    fn clone(&self) -> Self {
        Self { requirement: self.requirement.clone(), is_uncached: self.is_uncached }
    }
}

impl<T: SessionFields> fmt::Debug for Require<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lack = self.requirement.as_ref().map(|requirement| requirement.lack());
        f.debug_struct("Require").field("asks_for", &lack).field("is_uncached", &self.is_uncached).finish()
    }
}
