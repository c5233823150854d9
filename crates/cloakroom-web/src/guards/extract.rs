use std::marker::PhantomData;
use std::time::Duration;

#[cfg(feature = "dbsc")]
use cloakroom::HasDeviceKey;
use cloakroom::{HasAuthenticatedAt, HasScopes, NamesScope, Session, SessionFields};
use http::request::Parts;

use super::check::check;
use crate::extract::gives_session;
use crate::rejection::SessionRejection;
use crate::requirement::Requirement;

/// One scope as a type, for [`RequireScope`].
pub trait RequiredScope {
    /// The enum of scopes; `&'static str` for `Scopes<String>`.
    type Scope: Clone + Send + Sync + 'static;

    /// The scope.
    const SCOPE: Self::Scope;
}

/// The request's session, for handlers that only a session with the scope `P` may reach.
///
/// It behaves and rejects as [`CurrentSession`](crate::CurrentSession) does. If the session has not the scope, the answer is
/// [`Lacking`](SessionRejection::Lacking), 403. For many routes use the layer [`require_scope`](crate::require_scope).
///
/// ```
/// # use cloakroom::{Scope, Scopes, SessionTable};
/// use cloakroom_web::{RequireScope, RequiredScope};
///
/// #[derive(Clone, Scope)]
/// enum Permission {
///     Read,
///     Write,
/// }
/// # #[derive(Clone, SessionTable)] struct ApiKey { user_id: String, #[session(scopes)] scopes: Scopes<Permission> }
///
/// struct Write;
///
/// impl RequiredScope for Write {
///     type Scope = Permission;
///     const SCOPE: Permission = Permission::Write;
/// }
///
/// async fn order(key: RequireScope<ApiKey, Write>) -> String {
///     format!("{} has ordered.", key.fields.user_id)
/// }
/// ```
pub struct RequireScope<T: SessionFields, P>(pub Session<T>, PhantomData<fn() -> P>);

/// The request's session, for handlers that only a user may reach who proved who they are at most `SECONDS` ago.
///
/// It behaves and rejects as [`CurrentSession`](crate::CurrentSession) does. If the authentication is older, a browser that
/// opens a page is sent to the [page for confirming](crate::SessionLayer::confirm_page), and the answer is
/// [`Lacking`](SessionRejection::Lacking), 401, for every other request. For many routes use the layer
/// [`require_fresh`](crate::require_fresh). A [`FreshSession`](crate::FreshSession) is something else: a session that was just
/// read from the database.
///
/// ```
/// # use cloakroom::{SessionTable, time::OffsetDateTime};
/// use cloakroom_web::RequireFresh;
///
/// # #[derive(Clone, SessionTable)]
/// # struct UserSession { user_id: String, #[session(authenticated_at)] authenticated_at: OffsetDateTime }
/// async fn pay(session: RequireFresh<UserSession, 300>) -> String {
///     format!("{} has paid.", session.fields.user_id)
/// }
/// ```
#[derive(Clone)]
pub struct RequireFresh<T: SessionFields, const SECONDS: u64>(pub Session<T>);

/// The request's session, for handlers that only a session which is bound to the browser's device may reach.
///
/// It behaves and rejects as [`CurrentSession`](crate::CurrentSession) does. If the session is not bound, the answer is
/// [`Lacking`](SessionRejection::Lacking), 403: the browser does not speak Device Bound Session Credentials, or the session
/// was begun a moment ago and the browser has not registered its key yet. For many routes use the layer
/// [`require_bound`](crate::require_bound).
///
/// ```
/// # use cloakroom::SessionTable;
/// # use cloakroom::device::DeviceKey;
/// # use cloakroom_web::RequireBound;
/// # #[derive(Clone, SessionTable)]
/// # struct UserSession { user_id: String, #[session(device_key)] device_key: Option<DeviceKey> }
/// async fn pay(session: RequireBound<UserSession>) -> String {
///     format!("{} has paid.", session.fields.user_id)
/// }
/// ```
#[cfg(feature = "dbsc")]
#[derive(Clone)]
pub struct RequireBound<T: SessionFields>(pub Session<T>);

impl<T: SessionFields, P> Clone for RequireScope<T, P> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

gives_session!([T: SessionFields, P] RequireScope<T, P>, "RequireScope", T);
gives_session!([T: SessionFields, const SECONDS: u64] RequireFresh<T, SECONDS>, "RequireFresh", T);
#[cfg(feature = "dbsc")]
gives_session!([T: SessionFields] RequireBound<T>, "RequireBound", T);

impl<T, P> RequireScope<T, P>
where
    T: HasScopes,
    P: RequiredScope,
    P::Scope: NamesScope<T::Scope>,
{
    pub(crate) async fn of(parts: &Parts) -> Result<Self, SessionRejection> {
        Ok(Self(check(parts, Some(&Requirement::scope(P::SCOPE)), false).await?, PhantomData))
    }
}

impl<T: HasAuthenticatedAt, const SECONDS: u64> RequireFresh<T, SECONDS> {
    pub(crate) async fn of(parts: &Parts) -> Result<Self, SessionRejection> {
        Ok(Self(check(parts, Some(&Requirement::fresh(Duration::from_secs(SECONDS))), false).await?))
    }
}

#[cfg(feature = "dbsc")]
impl<T: HasDeviceKey> RequireBound<T> {
    pub(crate) async fn of(parts: &Parts) -> Result<Self, SessionRejection> {
        Ok(Self(check(parts, Some(&Requirement::bound()), false).await?))
    }
}
