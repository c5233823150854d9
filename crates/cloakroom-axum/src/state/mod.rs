use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::OriginalUri;
use cloakroom::{Error, Session, SessionFields, Sessions};
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderValue, Uri, header};
use time::{Duration, OffsetDateTime};
use tokio::sync::MutexGuard;

use crate::ask::{Reading, end, end_by_token, reload};
use crate::cookie::keep_out_of_caches;
use crate::layer::Settings;
use crate::lifetime;
use crate::neighbour::{Neighbour, Outer, is_taken};
use crate::read_ahead::reads_ahead;
use crate::rejection::{LoggedOut, SessionRejection};
use crate::site_data::CLEAR_SITE_DATA;
use crate::source::{Credentials, Problem, Secret, TokenSource};
use crate::testing::TestCredential;

/// The state of one table in one request: what the request presents, the session that was found for it, and the cookie
/// that goes out with the response. The layer puts it into the request's extensions.
pub(crate) struct State<T: SessionFields> {
    settings: Arc<Settings<T>>,
    credentials: Credentials,
    is_localhost: bool,
    /// The request's path, if more cookies came with it than are looked up.
    crowded_path: Option<String>,
    accepts_html: bool,
    reads_ahead: bool,
    outer: Option<Outer>,
    /// Another layer of this request has a cookie of the same name.
    is_refused: AtomicBool,
    /// Locked while the database is asked, so that later extractors share the answer.
    slot: tokio::sync::Mutex<Slot<T>>,
    /// A lock of its own, because the response is made without waiting.
    change: Mutex<CookieChange>,
}

/// The state as it stands in the extensions.
pub(crate) struct Handle<T: SessionFields>(pub(crate) Arc<State<T>>);

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

/// What is known of the request's session.
pub(crate) struct Known<T: SessionFields> {
    pub(crate) held: Option<Held<T>>,
    /// Tokens of sessions that the request presents but cannot use, and that are to be ended.
    pub(crate) leftovers: Vec<Secret>,
    /// The error that an API client gets if its session does not decode. A browser is logged out instead.
    pub(crate) unreadable: Option<Arc<Error>>,
    /// Whether the database said so, and not a cache.
    pub(crate) is_fresh: bool,
    /// Whether the leftovers have been ended, as far as that was possible.
    pub(crate) is_settled: bool,
}

impl<T: SessionFields> Default for Known<T> {
    fn default() -> Self {
        Self { held: None, leftovers: Vec::new(), unreadable: None, is_fresh: true, is_settled: false }
    }
}

/// The session that this request has, and its current token.
pub(crate) struct Held<T: SessionFields> {
    pub(crate) session: Session<T>,
    pub(crate) token: Secret,
}

#[derive(Default)]
enum CookieChange {
    #[default]
    None,
    Set {
        token: Secret,
        max_age: Duration,
    },
    Clear {
        is_log_out: bool,
    },
}

impl<T: SessionFields> State<T> {
    pub(crate) fn new(
        settings: Arc<Settings<T>>,
        uri: &Uri,
        headers: &HeaderMap,
        extensions: &mut Extensions,
    ) -> Self {
        let is_localhost = settings.cookie.is_for_localhost(uri, headers, extensions);
        let credentials = match extensions.remove::<TestCredential<T>>() {
            Some(credential) => credential.into_credentials(settings.sources.first()),
            None => Credentials::read(&settings.sources, settings.cookie.name_for(is_localhost), headers),
        };
        let accepts_html = headers
            .get_all(header::ACCEPT)
            .iter()
            .any(|value| value.to_str().is_ok_and(|value| value.to_ascii_lowercase().contains("text/html")));
        let crowded_path = credentials.has_too_many.then(|| {
            // A nested router's own path is shorter.
            extensions.get::<OriginalUri>().map_or(uri, |OriginalUri(uri)| uri).path().to_owned()
        });
        let state = Self {
            settings,
            credentials,
            is_localhost,
            crowded_path,
            accepts_html,
            reads_ahead: reads_ahead(headers),
            outer: extensions.get().cloned(),
            is_refused: AtomicBool::new(false),
            slot: tokio::sync::Mutex::new(Slot { is_asked: false, failure: None, known: Known::default() }),
            change: Mutex::default(),
        };
        if state.cookie_name().is_some_and(|name| is_taken(name, state.outer.as_ref())) {
            state.refuse();
        }
        state
    }

    pub(crate) fn of(extensions: &Extensions) -> Result<Arc<Self>, SessionRejection> {
        let handle = extensions.get::<Handle<T>>().cloned();
        let missing = SessionRejection::MissingLayer { table: std::any::type_name::<T>() };
        handle.map(|Handle(state)| state).ok_or(missing)
    }

    pub(crate) fn settings(&self) -> &Settings<T> {
        &self.settings
    }

    pub(crate) fn sessions(&self) -> &Sessions<T> {
        &self.settings.sessions
    }

    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Returns `true` if the browser asks for a page that its user may never see.
    pub(crate) fn reads_ahead(&self) -> bool {
        self.reads_ahead
    }

    /// Fails if the request's session cannot be determined, so that the database is not asked.
    pub(crate) fn check(&self) -> Result<(), SessionRejection> {
        if self.is_refused.load(Ordering::Relaxed) {
            let name = self.settings.cookie.name_for(self.is_localhost).to_owned();
            return Err(SessionRejection::SharedCookieName { name });
        }
        match self.credentials.problem {
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
            let mut asked = self.ask_for(&held.token, Reading::Fresh).await?;
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
            match self.ask(reading).await {
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

    /// Where to send this request to log in, if it is a browser's and the application names a place.
    pub(crate) fn location(&self, parts: &Parts) -> Option<HeaderValue> {
        let is_of_browser = self.accepts_html && !self.credentials.is_from_api;
        is_of_browser.then(|| self.settings.location(parts)).flatten()
    }

    /// What a request without a session gets.
    pub(crate) fn logged_out(&self, location: Option<HeaderValue>) -> SessionRejection {
        let is_token_refused = self.credentials.from_api.is_some();
        SessionRejection::LoggedOut(LoggedOut { is_token_refused, location })
    }

    fn has_cookies(&self) -> bool {
        self.settings.sources.contains(&TokenSource::Cookie)
    }

    /// Returns `true` if a cookie could hold this token, or if no cookie has to.
    pub(crate) fn fits(&self, token: &str) -> bool {
        !self.has_cookies() || self.settings.cookie.fits(token, self.is_localhost)
    }

    /// Sends the cookie again if the session was extended since, by any process, or if it is due by time.
    pub(crate) fn note_use(&self, held: &Held<T>, asked_at: OffsetDateTime) {
        if self.reads_ahead || !self.credentials.has_cookie() {
            return;
        }
        let config = self.sessions().config();
        let session = &held.session;
        if session.updated_at >= asked_at || lifetime::is_to_be_sent_again(session, config, asked_at) {
            self.set_cookie(held);
        }
    }

    fn set_cookie(&self, held: &Held<T>) {
        if self.has_cookies() {
            let config = self.sessions().config();
            let max_age = lifetime::max_age(&held.session, config, config.now());
            self.change(CookieChange::Set { token: held.token.clone(), max_age });
        }
    }

    /// Takes back the cookie that this request set, and clears the one that the browser sent.
    pub(crate) fn clear_cookie(&self) {
        self.forget(false);
    }

    /// The same, for a log-out.
    pub(crate) fn clear_cookie_on_log_out(&self) {
        self.forget(true);
    }

    fn forget(&self, is_log_out: bool) {
        let has_cookie = self.credentials.has_cookie();
        self.change(if has_cookie { CookieChange::Clear { is_log_out } } else { CookieChange::None });
    }

    fn change(&self, change: CookieChange) {
        *self.change.lock().unwrap_or_else(PoisonError::into_inner) = change;
    }

    /// Puts the cookie into the response.
    pub(crate) fn finish(&self, headers: &mut HeaderMap) {
        let change = std::mem::take(&mut *self.change.lock().unwrap_or_else(PoisonError::into_inner));
        let cookie = &self.settings.cookie;
        let (header, forgets_the_other) = match change {
            CookieChange::None => return,
            CookieChange::Clear { is_log_out } => {
                if let Some(data) = self.settings.clear_site_data.clone().filter(|_| is_log_out) {
                    headers.append(CLEAR_SITE_DATA, data);
                }
                (cookie.clear(self.is_localhost), true)
            }
            CookieChange::Set { token, max_age } => {
                let has_several = self.credentials.cookies > 1;
                (cookie.set(token.expose(), max_age, self.is_localhost), has_several)
            }
        };
        // First, because a browser that takes both for one cookie keeps the last one.
        let others = match &self.crowded_path {
            Some(path) => cookie.clear_above(path, self.is_localhost),
            None if forgets_the_other => cookie.clear_host_only(self.is_localhost).into_iter().collect(),
            None => Vec::new(),
        };
        for header in others.into_iter().chain(header) {
            headers.append(header::SET_COOKIE, header);
            keep_out_of_caches(headers);
        }
    }
}

impl<T: SessionFields> Neighbour for State<T> {
    fn cookie_name(&self) -> Option<&str> {
        self.has_cookies().then(|| self.settings.cookie.name_for(self.is_localhost))
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
        f.debug_struct("State").field("credentials", &self.credentials).finish_non_exhaustive()
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
        let state = self.state;
        let known = self.known();
        if let Some(error) = &known.unreadable {
            return Err(SessionRejection::Database(Arc::clone(error)));
        }
        state.settle(known).await;
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
        let sessions = self.state.sessions();
        let known = self.known();
        let mut was_valid = false;
        if let Some(held) = &mut known.held {
            was_valid |= end(sessions, &mut held.session).await?;
        }
        for token in &known.leftovers {
            was_valid |= end_by_token(sessions, token).await?;
        }
        Ok(was_valid)
    }

    /// Reads the sessions that the request presents again. Returns `true` if any is still valid, or if there were none.
    pub(crate) async fn is_still_there(&mut self) -> Result<bool, Error> {
        let sessions = self.state.sessions();
        let known = self.known();
        let mut is_there = known.held.is_none() && known.leftovers.is_empty();
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
        self.state.set_cookie(&held);
        *self.known() = Known { held: Some(held), is_settled: true, ..Known::default() };
    }

    /// Takes the session from the request from here on.
    pub(crate) fn clear(&mut self) {
        self.state.clear_cookie();
        *self.known() = Known { is_settled: true, ..Known::default() };
    }

    /// The same, for a log-out.
    pub(crate) fn log_out(&mut self) {
        self.clear();
        self.state.clear_cookie_on_log_out();
    }
}
