//! Looks up the tokens that a request presents, and ends the sessions that the request cannot use.

#[cfg(feature = "dbsc")]
use std::pin::Pin;
use std::sync::Arc;

use cloakroom::{Error, ErrorKind, Session, SessionFields, Sessions};

use crate::credentials::Secret;

use super::exchange::Exchange;
use super::known::{Held, Known};

/// How a token is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// A cache may answer.
    AsConfigured,
    /// The database is asked.
    Fresh,
}

impl<T: SessionFields> Exchange<T> {
    /// The session that the request has.
    pub(crate) async fn ask(&self, reading: Reading) -> Result<Known<T>, Error> {
        let credentials = self.credentials();
        match (&credentials.from_api, &*credentials.from_cookies) {
            (Some(token), _) | (None, [token]) => self.ask_for(token, reading).await,
            (None, []) => Ok(Known::default()),
            (None, _) if credentials.has_too_many => {
                tracing::warn!(
                    table = %self.sessions().definition(),
                    cookies = credentials.cookies,
                    "a request has too many cookies of one name; it is logged out",
                );
                Ok(Known::default())
            }
            // Rare, and larger than the rest.
            (None, tokens) => Box::pin(self.choose(tokens, reading)).await,
        }
    }

    /// Finds the session of the one token that the request has.
    pub(crate) async fn ask_for(&self, token: &Secret, reading: Reading) -> Result<Known<T>, Error> {
        let asked_at = self.sessions().config().now();
        match self.look_up(token, reading).await {
            Ok(session) => {
                let held = session.map(|session| Held { session, token: token.clone() });
                if let Some(held) = &held {
                    self.note_use(held, asked_at);
                }
                let is_fresh = reading == Reading::Fresh || self.sessions().config().cache().is_none();
                let awaits_renewal = match held {
                    Some(_) => None,
                    None => self.awaiting(token).await?,
                };
                Ok(Known { held, awaits_renewal, is_fresh, ..Known::default() })
            }
            Err(error) if error.kind() == ErrorKind::Decode => {
                self.report_unreadable(&error);
                let unreadable = self.credentials().is_from_api.then(|| Arc::new(error));
                Ok(Known { unreadable, leftovers: vec![token.clone()], ..Known::default() })
            }
            Err(error) => Err(error),
        }
    }

    /// Finds the session of several cookies of one name: the only one that is valid. If several are valid, nothing
    /// tells which of them the browser's user means and which was planted.
    async fn choose(&self, tokens: &[Secret], reading: Reading) -> Result<Known<T>, Error> {
        let mut valid = Vec::new();
        let mut leftovers = Vec::new();
        for token in tokens {
            match self.sessions().authenticate_without_extending(token.expose()).await {
                Ok(Some(_)) => valid.push(token.clone()),
                Ok(None) => {}
                Err(error) if error.kind() == ErrorKind::Decode => {
                    self.report_unreadable(&error);
                    leftovers.push(token.clone());
                }
                Err(error) => return Err(error),
            }
        }
        let mut known = match &*valid {
            [token] => self.ask_for(token, reading).await?,
            [] => {
                let mut known = Known::default();
                for token in tokens {
                    if known.awaits_renewal.is_none() {
                        known.awaits_renewal = self.awaiting(token).await?;
                    }
                }
                known
            }
            several => {
                tracing::warn!(
                    table = %self.sessions().definition(),
                    sessions = several.len(),
                    "a request has cookies of one name for several valid sessions; it is logged out, and they are \
                     to be ended",
                );
                Known { leftovers: valid, ..Known::default() }
            }
        };
        known.leftovers.append(&mut leftovers);
        Ok(known)
    }

    /// Returns the token if its session is bound to the browser's device and is to be renewed.
    #[cfg(feature = "dbsc")]
    async fn awaiting(&self, token: &Secret) -> Result<Option<Secret>, Error> {
        if self.settings().dbsc.is_none() || !self.has_cookies() {
            return Ok(None);
        }
        let awaits = erased(self.sessions().awaits_renewal(token.expose())).await?;
        if awaits {
            self.note_awaited();
        }
        Ok(awaits.then(|| token.clone()))
    }

    #[cfg(not(feature = "dbsc"))]
    #[expect(clippy::unused_async, reason = "the same call as with the feature")]
    #[expect(clippy::unnecessary_wraps, reason = "the same call as with the feature")]
    async fn awaiting(&self, _: &Secret) -> Result<Option<Secret>, Error> {
        Ok(None)
    }

    async fn look_up(&self, token: &Secret, reading: Reading) -> Result<Option<Session<T>>, Error> {
        let (sessions, token) = (self.sessions(), token.expose());
        if self.reads_ahead() {
            sessions.authenticate_without_extending(token).await
        } else if reading == Reading::Fresh {
            sessions.authenticate_fresh(token).await
        } else {
            sessions.authenticate(token).await
        }
    }

    /// Ends the sessions in cookies that the request cannot use, and clears the cookie, once.
    ///
    /// A session that cannot be ended keeps its cookie: the next request tries again.
    pub(crate) async fn settle(&self, known: &mut Known<T>) {
        if known.is_settled || self.reads_ahead() || known.unreadable.is_some() {
            return;
        }
        known.is_settled = true;
        while let Some(token) = known.leftovers.last() {
            if let Err(error) = Box::pin(end_by_token(self.sessions(), token)).await {
                tracing::warn!(
                    table = %self.sessions().definition(),
                    error = &error as &dyn std::error::Error,
                    "a session that no request can have could not be ended",
                );
                return;
            }
            known.leftovers.pop();
        }
        if known.held.is_none() && known.awaits_renewal.is_none() {
            self.clear_cookie();
        }
    }

    fn report_unreadable(&self, error: &Error) {
        tracing::error!(
            table = %self.sessions().definition(),
            error = error as &dyn std::error::Error,
            "a session cannot be decoded: it was written by another version of the application",
        );
    }
}

/// Ends the session with this token. Returns `true` if it was valid. The session need not decode.
pub(crate) async fn end_by_token<T: SessionFields>(
    sessions: &Sessions<T>,
    token: &Secret,
) -> Result<bool, Error> {
    Ok(sessions.query().token(token.expose()).expire_all().await? > 0)
}

/// Ends the session that awaits renewal with this token. Returns `true` if it was valid.
#[cfg(feature = "dbsc")]
pub(crate) async fn end_awaiting<T: SessionFields>(
    sessions: &Sessions<T>,
    token: &Secret,
) -> Result<bool, Error> {
    erased(sessions.end_awaiting_renewal(token.expose())).await
}

/// Puts a future on the heap and forgets its type: it is rare, and larger than the rest, and the type of a handler's future
/// must not become so deep that the compiler asks the application for a greater `recursion_limit`.
#[cfg(feature = "dbsc")]
fn erased<'f, R>(
    future: impl Future<Output = R> + Send + 'f,
) -> Pin<Box<dyn Future<Output = R> + Send + 'f>> {
    Box::pin(future)
}

/// Ends this session. Returns `true` if it was valid.
pub(crate) async fn end<T: SessionFields>(
    sessions: &Sessions<T>,
    session: &mut Session<T>,
) -> Result<bool, Error> {
    match sessions.expire(session).await {
        // Another write has left the row in a form that does not decode.
        Err(error) if error.kind() == ErrorKind::Decode => {
            Ok(sessions.query().id(session.id).expire_all().await? > 0)
        }
        result => result,
    }
}

/// Reads this session again. Returns `true` if it is still valid.
pub(crate) async fn reload<T: SessionFields>(
    sessions: &Sessions<T>,
    session: &mut Session<T>,
) -> Result<bool, Error> {
    match sessions.reload(session).await {
        Ok(()) => Ok(session.is_valid(sessions.config().now())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        // Another write has left the row in a form that does not decode.
        Err(error) if error.kind() == ErrorKind::Decode => sessions.query().id(session.id).exists().await,
        Err(error) => Err(error),
    }
}
