use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use cloakroom::{
    CreatedSession, ErrorKind, Filter, NewSession, Session, SessionFields, Sessions, TableDefinition, Token,
};
use http::HeaderValue;
use http::request::Parts;

use crate::rejection::{NotEnded, SessionRejection};
use crate::state::State;

/// How often a rotation starts anew when others keep writing the session.
const ATTEMPTS: usize = 10;

/// Logs in and out: an extractor, for handlers that change what the client holds.
///
/// Nothing need be returned for the cookie: the layer sets or clears it when the response goes out. What is
/// done after that, in a body that is still streaming, no longer reaches the client.
///
/// What is done here shows at once to every later extractor of the same request. If the database is in trouble,
/// every method fails with 503 and leaves the cookie as it is, but for [`log_out`](Self::log_out), which clears it.
/// If the request's credentials are malformed or ambiguous, they fail with 400.
pub struct SessionManager<T: SessionFields> {
    state: Arc<State<T>>,
    /// For the application's hook, where there is one.
    parts: Option<Box<Parts>>,
    location: Option<HeaderValue>,
}

impl<T: SessionFields> SessionManager<T> {
    /// The request's session, if it has one.
    pub async fn current(&self) -> Result<Option<Session<T>>, SessionRejection> {
        Ok(self.state.lock().await?.held().map(|held| held.session.clone()))
    }

    /// The request's session, if it has one, as the database has it at this moment: though a
    /// [`Cache`](cloakroom::Cache) would answer, and though this request has asked before.
    ///
    /// For what must not be done by a session that another process has just ended, and is done late in a request.
    /// A handler that does it first takes [`FreshSession`](crate::FreshSession). What is found here is the request's
    /// session from then on.
    pub async fn current_fresh(&self) -> Result<Option<Session<T>>, SessionRejection> {
        Ok(self.state.lock_afresh(true).await?.held().map(|held| held.session.clone()))
    }

    /// Begins a new session, with a new token that goes out in the cookie, and ends those that the request came
    /// with, whosever they are: a token that was known before somebody logged in is worth nothing after.
    ///
    /// So a session that cannot be decoded ends here, too, and so do all those of several cookies of one name. What
    /// keeps a browser from having a session never keeps its user from logging in.
    ///
    /// The token is in the answer too, for API clients. Where a cookie is none of the layer's sources, that
    /// is the only place.
    ///
    /// # Errors
    ///
    /// Those of [`Sessions::create`], and [`UnfitToken`](SessionRejection::UnfitToken). Nobody is logged in
    /// then, and who was still is.
    pub async fn log_in(&self, new: NewSession<T>) -> Result<CreatedSession<T>, SessionRejection> {
        let new = match (&self.state.settings().on_log_in, &self.parts) {
            (Some(record), Some(parts)) => record(parts, new),
            _ => new,
        };
        let mut current = self.state.lock_to_end().await?;
        let created = self.sessions().create(new).await?;
        let is_begun = if self.state.fits(created.token.expose()) {
            current.end_presented().await.map(drop).map_err(Into::into)
        } else {
            Err(SessionRejection::UnfitToken)
        };
        if let Err(error) = is_begun {
            // Nobody will ever have its token. If it stays, then as a row that expires in its time.
            let _ = self.sessions().delete(created.session).await;
            return Err(error);
        }
        current.replace(created.session.clone(), created.token.expose());
        Ok(created)
    }

    /// Ends the request's session and clears the cookie; whether there was a session. Twice is no error.
    ///
    /// It ends what a log-in would: also a session that cannot be decoded, and all those of several cookies of one
    /// name.
    ///
    /// A handler that logs out should take nothing but the manager: with a
    /// [`CurrentSession`](crate::CurrentSession) beside it, it is not called while the database is away.
    ///
    /// # Errors
    ///
    /// [`NotEnded`](SessionRejection::NotEnded) if the database is in trouble. The cookie is cleared all the same,
    /// since on a shared machine a cookie that stays is worse; but the session itself stays valid until it
    /// expires, and an error says so to `tracing`. The same holds if the method is dropped while it waits for the
    /// database, as by a time-out inside the layer.
    pub async fn log_out(&self) -> Result<bool, SessionRejection> {
        self.state.check()?;
        // Before anything is waited for.
        self.state.clear_cookie_on_log_out();
        let waiting = Waiting(self.sessions().definition());
        let ended = match self.state.lock_to_end().await {
            Ok(mut current) => {
                // The lookup may have sent the cookie again.
                self.state.clear_cookie_on_log_out();
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
            SessionRejection::NotEnded(NotEnded { error, has_cookie: self.state.credentials().has_cookie() })
        })
    }

    /// Ends every session that matches; their number. `log_out_everywhere(UserSession::USER_ID.eq("1234"))`.
    ///
    /// If the request's own session is among them, the cookie is cleared. So this also ends one session of
    /// a list: `UserSession::USER_ID.eq(user).and(UserSession::ID.eq(id))`. No session need be decoded for it, and
    /// the request's own need not be one that can be.
    ///
    /// If the database is in trouble, the cookie stays as it is, unlike with [`log_out`](Self::log_out): whether
    /// the request's own session would have been among them is not known. A handler that means this browser in any
    /// case calls `log_out` when this has failed.
    pub async fn log_out_everywhere(&self, whose: impl Into<Filter<T>>) -> Result<u64, SessionRejection> {
        let mut current = self.state.lock_to_end().await?;
        let ended = self.sessions().query().filter(whose).expire_all().await?;
        if !current.is_still_there().await? {
            current.log_out();
        }
        self.state.settle(current.known()).await;
        Ok(ended)
    }

    /// Ends every session that matches but the request's own; their number.
    ///
    /// # Errors
    ///
    /// [`LoggedOut`](SessionRejection::LoggedOut) where the request has no session.
    pub async fn log_out_others(&self, whose: impl Into<Filter<T>>) -> Result<u64, SessionRejection> {
        let mut current = self.state.lock().await?;
        let held = current.held().ok_or_else(|| self.logged_out())?;
        let others = whose.into().and(T::ID.ne(held.session.id));
        Ok(self.sessions().query().filter(others).expire_all().await?)
    }

    /// Gives the request's session a new token, which goes out in the cookie; the old one is refused from
    /// now on. For a change of privileges.
    ///
    /// # Errors
    ///
    /// [`LoggedOut`](SessionRejection::LoggedOut) where the request has no session, or no longer: where it
    /// ended meanwhile, or another request gave it a new token first.
    pub async fn rotate(&self) -> Result<Token, SessionRejection> {
        let mut current = self.state.lock().await?;
        let mut attempts = 0;
        loop {
            let held = current.held().ok_or_else(|| self.logged_out())?;
            match self.sessions().rotate(&mut held.session).await {
                Ok(token) => {
                    let session = held.session.clone();
                    current.replace(session, token.expose());
                    return Ok(token);
                }
                Err(error) if is_overtaken(error.kind()) && attempts < ATTEMPTS => {
                    attempts += 1;
                    // By the token and not by the id: who no longer has the one gets no new one. And from the
                    // database: a cache may have what was overtaken.
                    match self.sessions().authenticate_fresh(held.token.expose()).await? {
                        Some(session) => held.session = session,
                        None => current.clear(),
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Extends the request's session where that is due; whether it was. Then the cookie is sent again.
    ///
    /// Reading the session does so too, unless the configuration turns
    /// [`auto_extend`](cloakroom::ConfigBuilder::auto_extend) off.
    ///
    /// # Errors
    ///
    /// [`LoggedOut`](SessionRejection::LoggedOut) where the request has no session, or no longer.
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

    /// The sessions of the table, for everything else.
    pub fn sessions(&self) -> &Sessions<T> {
        &self.state.settings().sessions
    }

    fn logged_out(&self) -> SessionRejection {
        self.state.logged_out(self.location.clone())
    }
}

/// Somebody else wrote or ended the session meanwhile.
fn is_overtaken(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Conflict | ErrorKind::NotFound | ErrorKind::Expired)
}

/// Says so to `tracing` if a log-out is dropped before the database has answered.
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

impl<T: SessionFields, S: Send + Sync> FromRequestParts<S> for SessionManager<T> {
    type Rejection = SessionRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, SessionRejection> {
        let state = State::<T>::of(&parts.extensions)?;
        let location = state.location(parts);
        let parts = state.settings().on_log_in.is_some().then(|| Box::new(parts.clone()));
        Ok(Self { state, parts, location })
    }
}

/// The request's own headers hold secrets.
impl<T: SessionFields> fmt::Debug for SessionManager<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionManager").field("sessions", self.sessions()).finish_non_exhaustive()
    }
}
