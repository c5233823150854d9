use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use cloakroom::{
    CreatedSession, ErrorKind, Filter, HasAuthenticatedAt, HasScopes, NamesScope, NewSession, Session,
    SessionFields, Sessions, TableDefinition, Token,
};
use http::request::Parts;

use crate::rejection::{NotEnded, SessionRejection};
use crate::requirement::Requirement;
use crate::state::{Places, State};

/// How often a rotation starts anew while other processes keep writing the session.
pub(crate) const ATTEMPTS: usize = 10;

/// Gives a session a new token. Its type ends here, so that those of handlers do not grow with it.
type Rotate<T> = for<'s> fn(
    &'s Sessions<T>,
    &'s mut Session<T>,
) -> Pin<Box<dyn Future<Output = cloakroom::Result<Token>> + Send + 's>>;

/// Logs in and out, as an extractor for handlers that change what the client holds.
///
/// A handler need not return anything for the cookie: the layer sets or clears it when the response goes out. A change
/// that is made after that, in a body that is still streaming, does not reach the client.
///
/// Every later extractor of the same request sees the change at once. If the database fails, every method fails with
/// 503 and leaves the cookie as it is, except for [`log_out`](Self::log_out), which clears it. If the request's
/// credentials are malformed or ambiguous, every method fails with 400.
pub struct SessionManager<T: SessionFields> {
    state: Arc<State<T>>,
    /// For the application's hook, if there is one.
    parts: Option<Box<Parts>>,
    places: Places,
}

impl<T: SessionFields> SessionManager<T> {
    /// Returns the request's session, if it has one.
    pub async fn current(&self) -> Result<Option<Session<T>>, SessionRejection> {
        Ok(self.state.lock().await?.held().map(|held| held.session.clone()))
    }

    /// Returns the request's session, if it has one, as the database has it at this moment: even if a
    /// [`Cache`](cloakroom::Cache) would answer, and even if this request has asked before.
    ///
    /// Use it late in a request, before something that a session which another process has just ended must not do. A
    /// handler that does such a thing first takes [`FreshSession`](crate::FreshSession) instead. The session that is
    /// found here is the request's session from then on.
    pub async fn current_fresh(&self) -> Result<Option<Session<T>>, SessionRejection> {
        Ok(self.state.lock_afresh(true).await?.held().map(|held| held.session.clone()))
    }

    /// Begins a new session with a new token, which goes out in the cookie, and ends the sessions that the request came
    /// with, of any user. A token that was known before the log-in is worth nothing after it.
    ///
    /// A session that does not decode is ended too, and so are all sessions of several cookies of one name. Nothing
    /// that keeps a browser from having a session keeps its user from logging in.
    ///
    /// The answer has the token too, for API clients. If the cookie is not one of the layer's sources, the token is
    /// only there.
    ///
    /// # Errors
    ///
    /// Those of [`Sessions::create`], and [`UnfitToken`](SessionRejection::UnfitToken). After an error no user is
    /// logged in anew, and the request's old session stays.
    pub async fn log_in(&self, new: NewSession<T>) -> Result<CreatedSession<T>, SessionRejection> {
        let new = match (&self.state.exchange.settings().on_log_in, &self.parts) {
            (Some(record), Some(parts)) => record(parts, new),
            _ => new,
        };
        let mut current = self.state.lock_to_end().await?;
        let created = self.sessions().create(new).await?;
        let is_begun = if self.state.exchange.fits(created.token.expose()) {
            current.end_presented().await.map(drop).map_err(Into::into)
        } else {
            Err(SessionRejection::UnfitToken)
        };
        if let Err(error) = is_begun {
            // No client ever gets its token. If the row stays, it expires in its time.
            let _ = self.sessions().delete(created.session).await;
            return Err(error);
        }
        current.replace(created.session.clone(), created.token.expose());
        self.state.exchange.note_seen(&created.session);
        #[cfg(feature = "dbsc")]
        current.offer_binding(&created.session);
        Ok(created)
    }

    /// Ends the request's session and clears the cookie. Returns `true` if there was a session. Calling it twice is no
    /// error.
    ///
    /// It ends the same sessions as a log-in does: also a session that does not decode, and all sessions of several
    /// cookies of one name.
    ///
    /// A handler that logs out should take only the manager: with a [`CurrentSession`](crate::CurrentSession) beside
    /// it, it is not called while the database is away.
    ///
    /// # Errors
    ///
    /// [`NotEnded`](SessionRejection::NotEnded) if the database fails. The cookie is cleared all the same, because on a
    /// shared machine a cookie that stays is worse. But the session itself stays valid until it expires, and `tracing`
    /// gets an error. The same holds if the method is dropped while it waits for the database, for example by a
    /// time-out inside the layer.
    pub async fn log_out(&self) -> Result<bool, SessionRejection> {
        self.state.check()?;
        // Before the first wait.
        self.state.exchange.clear_cookie_on_log_out();
        let waiting = Waiting(self.sessions().definition());
        let ended = match self.state.lock_to_end().await {
            Ok(mut current) => {
                // The lookup may have sent the cookie again.
                self.state.exchange.clear_cookie_on_log_out();
                let ended = current.end_presented().await;
                current.log_out();
                Ok(ended.map_err(Arc::new))
            }
            Err(SessionRejection::Database(error)) => Ok(Err(error)),
            Err(other) => Err(other),
        };
        waiting.has_answer();
        ended?.map_err(|error| {
            tracing::error!(
                table = %self.sessions().definition(),
                error = &*error as &dyn StdError,
                "somebody logged out, and the session could not be ended: it is valid until it expires",
            );
            SessionRejection::NotEnded(NotEnded {
                error,
                has_cookie: self.state.exchange.credentials().has_cookie(),
            })
        })
    }

    /// Ends every session that matches. Returns their number. `log_out_everywhere(UserSession::USER_ID.eq("1234"))`.
    ///
    /// If the request's own session is among them, the cookie is cleared. So this also ends one session of a list:
    /// `UserSession::USER_ID.eq(user).and(UserSession::ID.eq(id))`. No session need decode for that, not even the
    /// request's own.
    ///
    /// If the database fails, the cookie stays as it is, unlike with [`log_out`](Self::log_out), because it is not
    /// known if the request's own session is among them. A handler that wants to log out this browser in any case calls
    /// `log_out` after such a failure.
    pub async fn log_out_everywhere(&self, whose: impl Into<Filter<T>>) -> Result<u64, SessionRejection> {
        let mut current = self.state.lock_to_end().await?;
        let ended = self.sessions().query().filter(whose).expire_all().await?;
        if !current.is_still_there().await? {
            current.log_out();
        }
        self.state.exchange.settle(current.known()).await;
        Ok(ended)
    }

    /// Ends every session that matches except for the request's own. Returns their number.
    ///
    /// # Errors
    ///
    /// [`LoggedOut`](SessionRejection::LoggedOut) if the request has no session.
    pub async fn log_out_others(&self, whose: impl Into<Filter<T>>) -> Result<u64, SessionRejection> {
        let mut current = self.state.lock().await?;
        let held = current.held().ok_or_else(|| self.logged_out())?;
        let others = whose.into().and(T::ID.ne(held.session.id));
        Ok(self.sessions().query().filter(others).expire_all().await?)
    }

    /// Gives the request's session a new token, which goes out in the cookie. The old token is refused from now on. Use
    /// it after a change of privileges.
    ///
    /// A browser that renews a bound session at the same moment may be left with the other token, whichever answer comes
    /// last. With the old one it is asked to renew, and logged in still.
    ///
    /// # Errors
    ///
    /// [`LoggedOut`](SessionRejection::LoggedOut) if the request has no session, or no longer has it: if the session
    /// ended meanwhile, or if another request gave it a new token first. In a table whose tokens are replaced
    /// [with a grace](cloakroom::Sessions::rotate_with_grace), a token that was replaced is good for that long, for this too:
    /// refuse it if [`is_by_old_token`](cloakroom::Session::is_by_old_token).
    pub async fn rotate(&self) -> Result<Token, SessionRejection> {
        self.rotated(|sessions, session| Box::pin(sessions.rotate(session))).await
    }

    async fn rotated(&self, rotate: Rotate<T>) -> Result<Token, SessionRejection> {
        let mut current = self.state.lock().await?;
        let mut attempts = 0;
        loop {
            let held = current.held().ok_or_else(|| self.logged_out())?;
            match rotate(self.sessions(), &mut held.session).await {
                Ok(token) => {
                    let session = held.session.clone();
                    current.replace(session, token.expose());
                    return Ok(token);
                }
                Err(error) if is_overtaken(error.kind()) && attempts < ATTEMPTS => {
                    attempts += 1;
                    // By the token and not by the id: a client that no longer has the valid token gets no new one. And
                    // from the database, because a cache may have the session from before the other write.
                    match self.sessions().authenticate_fresh(held.token.expose()).await? {
                        Some(session) => held.session = session,
                        None => current.clear(),
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Extends the request's session if that is due, and then sends the cookie again. Returns `true` if it did.
    ///
    /// Reading the session extends it too, unless the configuration turns
    /// [`auto_extend`](cloakroom::ConfigBuilder::auto_extend) off.
    ///
    /// # Errors
    ///
    /// [`LoggedOut`](SessionRejection::LoggedOut) if the request has no session, or no longer has it.
    pub async fn extend(&self) -> Result<bool, SessionRejection> {
        let mut current = self.state.lock().await?;
        let held = current.held().ok_or_else(|| self.logged_out())?;
        let is_extended = match self.sessions().extend(&mut held.session).await {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            result => Some(result?),
        };
        let is_valid = held.session.is_valid(self.sessions().config().now());
        let Some(is_extended) = is_extended.filter(|_| is_valid) else {
            current.clear();
            return Err(self.logged_out());
        };
        if is_extended {
            let (session, token) = (held.session.clone(), held.token.clone());
            current.replace(session, token.expose());
        }
        Ok(is_extended)
    }

    /// Records that the session's user has just proved anew who they are, and gives the session a new token, which goes out
    /// in the cookie. Call it once the password or the second factor was checked. See
    /// [`Sessions::reauthenticate`](cloakroom::Sessions::reauthenticate).
    ///
    /// # Errors
    ///
    /// The same as those of [`rotate`](Self::rotate).
    pub async fn reauthenticate(&self) -> Result<Token, SessionRejection>
    where
        T: HasAuthenticatedAt,
    {
        self.rotated(|sessions, session| Box::pin(sessions.reauthenticate(session))).await
    }

    /// Returns the request's session if it has this scope. As a layer it is [`require_scope`](crate::require_scope), and as
    /// an extractor [`RequireScope`](crate::RequireScope).
    ///
    /// # Errors
    ///
    /// [`Lacking`](SessionRejection::Lacking), 403, if it has not; and [`LoggedOut`](SessionRejection::LoggedOut) if the
    /// request has no session.
    pub async fn require_scope<S>(&self, scope: S) -> Result<Session<T>, SessionRejection>
    where
        T: HasScopes,
        S: NamesScope<T::Scope> + Clone + Send + Sync + 'static,
    {
        self.require(&Requirement::scope(scope)).await
    }

    /// Returns the request's session if its user proved who they are at most `span` ago. As a layer it is
    /// [`require_fresh`](crate::require_fresh), and as an extractor [`RequireFresh`](crate::RequireFresh).
    ///
    /// # Errors
    ///
    /// [`Lacking`](SessionRejection::Lacking), 401 or 303, if that is longer ago; and
    /// [`LoggedOut`](SessionRejection::LoggedOut) if the request has no session.
    pub async fn require_fresh(&self, span: Duration) -> Result<Session<T>, SessionRejection>
    where
        T: HasAuthenticatedAt,
    {
        self.require(&Requirement::fresh(span)).await
    }

    /// Returns the request's session if it is bound to the browser's device, for what a copied cookie must not do. As a
    /// layer it is [`require_bound`](crate::require_bound), and as an extractor [`RequireBound`](crate::RequireBound).
    ///
    /// # Errors
    ///
    /// [`Lacking`](SessionRejection::Lacking), 403, if it is not; and [`LoggedOut`](SessionRejection::LoggedOut) if the
    /// request has no session.
    #[cfg(feature = "dbsc")]
    pub async fn require_bound(&self) -> Result<Session<T>, SessionRejection>
    where
        T: cloakroom::HasDeviceKey,
    {
        self.require(&Requirement::bound()).await
    }

    async fn require(&self, requirement: &Requirement<T>) -> Result<Session<T>, SessionRejection> {
        let session = self.current().await?.ok_or_else(|| self.logged_out())?;
        let met = requirement.check(&session, self.sessions().config().now());
        met.map_err(|lack| self.state.exchange.lacking(lack, &self.places))?;
        Ok(session)
    }

    /// Offers the browser to bind the request's session to its device, as a log-in does: for sessions from before that was
    /// switched on. Call it now and then, such as when the user opens the page of the account. Nothing happens if the session is
    /// bound already.
    ///
    /// # Errors
    ///
    /// [`LoggedOut`](SessionRejection::LoggedOut) if the request has no session.
    #[cfg(feature = "dbsc")]
    pub async fn offer_binding(&self) -> Result<(), SessionRejection>
    where
        T: cloakroom::HasDeviceKey,
    {
        let session = self.current().await?.ok_or_else(|| self.logged_out())?;
        if !session.is_bound() && self.state.exchange.credentials().has_cookie() {
            self.state.exchange.offer_binding(&session);
        }
        Ok(())
    }

    /// Returns the sessions of the table, for everything else.
    pub fn sessions(&self) -> &Sessions<T> {
        &self.state.exchange.settings().sessions
    }

    pub(crate) fn state(&self) -> &State<T> {
        &self.state
    }

    fn logged_out(&self) -> SessionRejection {
        self.state.exchange.note_refused();
        self.state.exchange.logged_out(&self.places)
    }
}

/// Another process wrote or ended the session meanwhile.
pub(crate) fn is_overtaken(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Conflict | ErrorKind::NotFound | ErrorKind::Expired)
}

/// Reports to `tracing` a log-out that is dropped before the database has answered.
struct Waiting<'t>(&'t TableDefinition);

impl Waiting<'_> {
    fn has_answer(self) {
        std::mem::forget(self);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        tracing::error!(
            table = %self.0,
            "a log-out was given up before the database answered: the session may be valid until it expires",
        );
    }
}

impl<T: SessionFields> SessionManager<T> {
    pub(crate) fn of(parts: &Parts) -> Result<Self, SessionRejection> {
        let state = State::<T>::of(&parts.extensions)?;
        let places = state.exchange.places(parts);
        let parts = state.exchange.settings().on_log_in.is_some().then(|| Box::new(parts.clone()));
        Ok(Self { state, parts, places })
    }
}

/// The request's own headers hold secrets.
impl<T: SessionFields> fmt::Debug for SessionManager<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionManager").field("sessions", self.sessions()).finish_non_exhaustive()
    }
}
