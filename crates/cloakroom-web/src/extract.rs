use cloakroom::{Session, SessionFields};
use http::request::Parts;

use crate::rejection::SessionRejection;
use crate::state::State;

/// The request's session, as an extractor for handlers that need one.
///
/// | the request has | `CurrentSession<T>` | `Option<CurrentSession<T>>` |
/// |---|---|---|
/// | the token of a valid session | the session | `Some` |
/// | no token, or an unknown or expired one, or a malformed cookie | [`LoggedOut`](SessionRejection::LoggedOut): 401, or 303 to the page for logging in | `None` |
/// | several cookies of the name, and one of them is of a valid session | that session | `Some` |
/// | several cookies of the name, and none or several of them are of valid sessions | `LoggedOut`; such sessions are ended | `None`; the same |
/// | a cookie of a session that does not decode | `LoggedOut`; the session is ended | `None`; the same |
/// | a bearer token or header of a session that does not decode | [`Database`](SessionRejection::Database): 503 | the same |
/// | a malformed bearer token or header | [`Malformed`](SessionRejection::Malformed): 400 | the same |
/// | two tokens that differ, and one of them is a bearer token or in a header | [`Ambiguous`](SessionRejection::Ambiguous): 400 | the same |
/// | any token, and the database fails | [`Database`](SessionRejection::Database): 503 | the same, never `None` |
///
/// The extractor holds a copy of the session that the lookup found. Extracting it extends the session if that is due,
/// and then the cookie is sent again. To protect many routes alike, use
/// [`require_session`](crate::require_session).
///
/// If it rejects a request that has a cookie of the name as "logged out", the response clears that cookie as it is
/// configured. If [`domain`](crate::CookieConfigBuilder::domain) or [`path`](crate::CookieConfigBuilder::path) is set,
/// the response also clears the cookie of this name without them.
///
/// # Several cookies of one name
///
/// A browser sends several cookies of one name if `domain` was switched on after it had got one, or if a sibling host
/// has set one for their common domain. With a name that begins with `__Host-` only the application itself can cause
/// it. The browser's user cannot mend it, so it is never a bad request. Up to eight different tokens are looked up,
/// without extending anything. If several sessions are valid, nothing tells which of them the user means, and which was
/// planted to make the user act in another account. So none of them counts, and all are ended, so that a planted one
/// does not remain as the last. Logging in always works.
///
/// A request with more than eight different tokens counts as one without a token, and none is looked up. The response
/// then clears the cookies of this name for each path above the request's, for this host and for the configured domain.
///
/// # A session that does not decode
///
/// A release that changes `data` or an enum meets sessions that an earlier release has written. If a browser's session
/// does not decode, it is ended, and its user logs in again; `tracing` gets an error that names the column. To avoid
/// that, let a new release read what the old one wrote, and let the old one read what the new one writes while both
/// run: use `#[serde(default)]` for what is added. An API client cannot log in, and its key is not ended because one
/// release cannot read it: it gets 503 until a release can.
///
/// # Reading ahead
///
/// A browser that fetches or renders a page before its user asks for it says so in `Sec-Purpose`. Such a request finds
/// its session, but does not extend it, sets and clears no cookie, and ends nothing: a link that the user never follows
/// must not keep a session alive. What a handler does through [`SessionManager`](crate::SessionManager) is done all the
/// same.
#[derive(Clone)]
pub struct CurrentSession<T: SessionFields>(pub Session<T>);

/// The request's session as the database has it, for handlers that justify a query of their own, such as a payment or a
/// change of password.
///
/// It behaves and rejects as [`CurrentSession`] does, with one difference: a [`Cache`](cloakroom::Cache) never answers
/// for it. So a session that another process has ended is refused at once, and not up to
/// [`max_staleness`](cloakroom::Cache::max_staleness) later. Without a cache both are the same. A request asks the
/// database once for all extractors of this type. To ask again later in a request, use
/// [`SessionManager::current_fresh`](crate::SessionManager::current_fresh).
///
/// ```
/// # use cloakroom::SessionTable;
/// # use cloakroom_web::FreshSession;
/// # #[derive(Clone, SessionTable)] struct UserSession { user_id: String }
/// async fn pay(session: FreshSession<UserSession>) -> String {
///     format!("{} has paid.", session.fields.user_id)
/// }
/// ```
#[derive(Clone)]
pub struct FreshSession<T: SessionFields>(pub Session<T>);

/// Returns the request's session, or what a handler that needs one would answer. Fails if it is not known which of the two.
pub(crate) async fn found<T: SessionFields>(
    parts: &Parts,
    is_fresh: bool,
) -> Result<Result<Session<T>, SessionRejection>, SessionRejection> {
    let state = State::<T>::of(&parts.extensions)?;
    let mut current = if is_fresh { state.lock_afresh(false).await? } else { state.lock().await? };
    let session = current.held().map(|held| held.session.clone());
    Ok(session.ok_or_else(|| state.exchange.logged_out(&state.exchange.places(parts))))
}

/// Returns the request's session, or why the request is refused.
pub(crate) async fn required<T: SessionFields>(
    parts: &Parts,
    is_fresh: bool,
) -> Result<Session<T>, SessionRejection> {
    let found = found(parts, is_fresh).await?;
    if found.is_err() {
        State::<T>::of(&parts.extensions)?.exchange.note_refused();
    }
    found
}

/// Makes an extractor give its session.
macro_rules! gives_session {
    ([$($generics:tt)*] $extractor:ty, $name:literal, $table:ident) => {
        impl<$($generics)*> std::ops::Deref for $extractor {
            type Target = cloakroom::Session<$table>;

            fn deref(&self) -> &cloakroom::Session<$table> {
                &self.0
            }
        }

        impl<$($generics)*> std::ops::DerefMut for $extractor {
            fn deref_mut(&mut self) -> &mut cloakroom::Session<$table> {
                &mut self.0
            }
        }

        impl<$($generics)*> std::fmt::Debug for $extractor
        where
            $table: std::fmt::Debug,
            $table::Data: std::fmt::Debug,
        {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_tuple($name).field(&self.0).finish()
            }
        }
    };
}

pub(crate) use gives_session;

gives_session!([T: SessionFields] CurrentSession<T>, "CurrentSession", T);
gives_session!([T: SessionFields] FreshSession<T>, "FreshSession", T);
