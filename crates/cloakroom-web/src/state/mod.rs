//! The state of one table in one request.

mod exchange;
mod known;
mod lookup;
mod neighbour;
mod places;
mod read_ahead;

pub(crate) use places::Places;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cloakroom::{Error, Session, SessionFields};
use http::Extensions;
use http::request::Parts;
use tokio::sync::MutexGuard;

use crate::credentials::{Problem, Secret};
use crate::framework::Framework;
use crate::rejection::SessionRejection;
use crate::settings::Settings;

use exchange::Exchange;
use known::{Held, Known};
use lookup::{Reading, end, end_by_token, reload};
use neighbour::{Neighbour, Outer, is_taken};

/// The state of one table in one request: the exchange with the client, and the session that was found for it. The layer
/// puts it into the request's extensions.
pub(crate) struct State<T: SessionFields> {
    pub(crate) exchange: Exchange<T>,
    outer: Option<Outer>,
    /// Another layer of this request has a cookie of the same name.
    is_refused: AtomicBool,
    /// Locked while the database is asked, so that later extractors share the answer.
    slot: tokio::sync::Mutex<Slot<T>>,
}

/// The state as it stands in the extensions.
struct Handle<T: SessionFields>(Arc<State<T>>);

impl<T: SessionFields> Clone for Handle<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Slot<T: SessionFields> {
    is_asked: bool,
    /// The lookup failed. It is not repeated: a request that has waited for a time-out once need not do so twice.
    failure: Option<Arc<Error>>,
    known: Known<T>,
}

impl<T: SessionFields> State<T> {
    fn new(settings: Arc<Settings<T>>, framework: &'static Framework, parts: &mut Parts) -> Self {
        let state = Self {
            exchange: Exchange::new(settings, framework, parts),
            outer: parts.extensions.get().cloned(),
            is_refused: AtomicBool::new(false),
            slot: tokio::sync::Mutex::new(Slot { is_asked: false, failure: None, known: Known::default() }),
        };
        if state.cookie_name().is_some_and(|name| is_taken(name, state.outer.as_ref())) {
            state.refuse();
        }
        state
    }

    /// Makes the state of this request and puts it in, for every extractor within the layer.
    pub(crate) fn put_in(
        settings: Arc<Settings<T>>,
        framework: &'static Framework,
        parts: &mut Parts,
    ) -> Arc<Self> {
        let state = Arc::new(Self::new(settings, framework, parts));
        parts.extensions.insert(Handle(Arc::clone(&state)));
        let as_neighbour: Arc<dyn Neighbour> = Arc::<Self>::clone(&state);
        parts.extensions.insert(Outer(as_neighbour));
        state
    }

    pub(crate) fn of(extensions: &Extensions) -> Result<Arc<Self>, SessionRejection> {
        let handle = extensions.get::<Handle<T>>().cloned();
        let missing = SessionRejection::MissingLayer { table: std::any::type_name::<T>() };
        handle.map(|Handle(state)| state).ok_or(missing)
    }

    /// Fails if the request's session cannot be determined, so that the database is not asked.
    pub(crate) fn check(&self) -> Result<(), SessionRejection> {
        if self.is_refused.load(Ordering::Relaxed) {
            let name = self.exchange.cookie_name().to_owned();
            return Err(SessionRejection::SharedCookieName { name });
        }
        match self.exchange.credentials().problem {
            Some(Problem::Malformed) => Err(SessionRejection::Malformed),
            Some(Problem::Ambiguous) => Err(SessionRejection::Ambiguous),
            None => Ok(()),
        }
    }

    /// Returns the request's session, once it is known, for one caller at a time.
    pub(crate) async fn lock(&self) -> Result<Current<'_, T>, SessionRejection> {
        let (current, _) = self.lock_unsettled(Reading::AsConfigured).await?;
        current.settled().await
    }

    /// The same, as the database has it. With `again` the database is asked even if it has answered in this request
    /// before.
    pub(crate) async fn lock_afresh(&self, again: bool) -> Result<Current<'_, T>, SessionRejection> {
        let (mut current, is_first) = self.lock_unsettled(Reading::Fresh).await?;
        let known = current.known();
        if let Some(held) = known.held.as_ref().filter(|_| !is_first && (again || !known.is_fresh)) {
            let mut asked = self.exchange.ask_for(&held.token, Reading::Fresh).await?;
            asked.leftovers.append(&mut known.leftovers);
            *known = asked;
        }
        current.settled().await
    }

    /// For callers that end the sessions that the request presents: also sessions that do not decode.
    pub(crate) async fn lock_to_end(&self) -> Result<Current<'_, T>, SessionRejection> {
        Ok(self.lock_unsettled(Reading::AsConfigured).await?.0)
    }

    /// Returns also whether this call is the one that asked.
    async fn lock_unsettled(&self, reading: Reading) -> Result<(Current<'_, T>, bool), SessionRejection> {
        self.check()?;
        let mut slot = self.slot.lock().await;
        let is_first = !slot.is_asked;
        if is_first {
            match self.exchange.ask(reading).await {
                Ok(known) => slot.known = known,
                Err(error) => slot.failure = Some(Arc::new(error)),
            }
            slot.is_asked = true;
        }
        match &slot.failure {
            Some(error) => Err(SessionRejection::Database(Arc::clone(error))),
            None => Ok((Current { state: self, slot }, is_first)),
        }
    }
}

impl<T: SessionFields> Neighbour for State<T> {
    fn cookie_name(&self) -> Option<&str> {
        self.exchange.has_cookies().then(|| self.exchange.cookie_name())
    }

    fn outer(&self) -> Option<&Outer> {
        self.outer.as_ref()
    }

    fn refuse(&self) {
        self.is_refused.store(true, Ordering::Relaxed);
    }
}

impl<T: SessionFields> fmt::Debug for State<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("credentials", self.exchange.credentials()).finish_non_exhaustive()
    }
}

/// The request's session, locked: no other extractor may look at it or change it meanwhile.
pub(crate) struct Current<'s, T: SessionFields> {
    state: &'s State<T>,
    slot: MutexGuard<'s, Slot<T>>,
}

impl<T: SessionFields> Current<'_, T> {
    /// For callers that only look: a session that the request cannot use is ended, or refused.
    async fn settled(mut self) -> Result<Self, SessionRejection> {
        let exchange = &self.state.exchange;
        let known = self.known();
        if let Some(error) = &known.unreadable {
            return Err(SessionRejection::Database(Arc::clone(error)));
        }
        exchange.settle(known).await;
        Ok(self)
    }

    pub(crate) fn known(&mut self) -> &mut Known<T> {
        &mut self.slot.known
    }

    pub(crate) fn held(&mut self) -> Option<&mut Held<T>> {
        self.known().held.as_mut()
    }

    /// Ends every session that the request presents. Returns `true` if any was valid.
    pub(crate) async fn end_presented(&mut self) -> Result<bool, Error> {
        let sessions = self.state.exchange.sessions();
        let known = self.known();
        let mut was_valid = false;
        if let Some(held) = &mut known.held {
            was_valid |= end(sessions, &mut held.session).await?;
        }
        for token in &known.leftovers {
            was_valid |= end_by_token(sessions, token).await?;
        }
        #[cfg(feature = "dbsc")]
        if let Some(token) = &known.awaits_renewal {
            was_valid |= lookup::end_awaiting(sessions, token).await?;
        }
        Ok(was_valid)
    }

    /// Reads the sessions that the request presents again. Returns `true` if any is still valid, or if there were none.
    pub(crate) async fn is_still_there(&mut self) -> Result<bool, Error> {
        let sessions = self.state.exchange.sessions();
        let known = self.known();
        let mut is_there =
            known.held.is_none() && known.leftovers.is_empty() && known.awaits_renewal.is_none();
        #[cfg(feature = "dbsc")]
        if let Some(token) = &known.awaits_renewal {
            is_there |= sessions.awaits_renewal(token.expose()).await?;
        }
        if let Some(held) = &mut known.held {
            is_there |= reload(sessions, &mut held.session).await?;
        }
        for token in &known.leftovers {
            is_there |= sessions.query().token(token.expose()).exists().await?;
        }
        Ok(is_there)
    }

    /// Makes this the request's session from here on, and sends its token to the client.
    pub(crate) fn replace(&mut self, session: Session<T>, token: &str) {
        let held = Held { session, token: Secret::new(token) };
        self.state.exchange.set_cookie(&held);
        *self.known() = Known { held: Some(held), is_settled: true, ..Known::default() };
    }

    /// Offers the browser to bind this session to its device.
    #[cfg(feature = "dbsc")]
    pub(crate) fn offer_binding(&self, session: &Session<T>) {
        self.state.exchange.offer_binding(session);
    }

    /// Takes the session from the request from here on.
    pub(crate) fn clear(&mut self) {
        self.state.exchange.clear_cookie();
        *self.known() = Known { is_settled: true, ..Known::default() };
    }

    /// The same, for a log-out.
    pub(crate) fn log_out(&mut self) {
        self.clear();
        self.state.exchange.clear_cookie_on_log_out();
    }
}
