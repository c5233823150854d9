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

/// What one request has of one table: what it presents, the session that this turned out to be, and the
/// cookie that is to go out with the response. The layer puts it into the request's extensions.
pub(crate) struct State<T: SessionFields> {
    settings: Arc<Settings<T>>,
    credentials: Credentials,
    is_localhost: bool,
    /// The request's path, where more cookies came with it than are looked up.
    crowded_path: Option<String>,
    accepts_html: bool,
    reads_ahead: bool,
    outer: Option<Outer>,
    /// Another layer of this request has a cookie of the same name.
    is_refused: AtomicBool,
    /// Locked for as long as something is asked of the database, so that who asks later shares the answer.
    slot: tokio::sync::Mutex<Slot<T>>,
    /// A lock of its own, since the response is made without waiting.
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
    /// It was asked in vain. Nobody asks again: who waited for a time-out once need not do so twice.
    failure: Option<Arc<Error>>,
    known: Known<T>,
}

/// What is known of the request's session.
pub(crate) struct Known<T: SessionFields> {
    pub(crate) held: Option<Held<T>>,
    /// Tokens of sessions that the request presents, that it cannot have, and that are to be ended.
    pub(crate) leftovers: Vec<Secret>,
    /// What an API client is told whose session cannot be decoded. A browser is logged out.
    pub(crate) unreadable: Option<Arc<Error>>,
    /// The database said so, and no cache.
    pub(crate) is_fresh: bool,
    /// The leftovers have been seen to, as far as that could be done.
    pub(crate) is_settled: bool,
}

impl<T: SessionFields> Default for Known<T> {
    fn default() -> Self {
        Self { held: None, leftovers: Vec::new(), unreadable: None, is_fresh: true, is_settled: false }
    }
}

/// The session that this request has, and the token that it has at present.
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
            // A nested router's own is shorter.
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

    /// The browser asks for a page that its user may never see.
    pub(crate) fn reads_ahead(&self) -> bool {
        self.reads_ahead
    }

    /// Why nothing can be said of the request's session, whatever the database says.
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

    /// The request's session, once it is known, for one caller at a time.
    pub(crate) async fn lock(&self) -> Result<Current<'_, T>, SessionRejection> {
        let (current, _) = self.lock_unsettled(Reading::AsConfigured).await?;
        current.settled().await
    }

    /// The same, as the database has it. `again` asks it also where it has said so in this request.
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

    /// For those who end what the request presents: also where it cannot be decoded.
    pub(crate) async fn lock_to_end(&self) -> Result<Current<'_, T>, SessionRejection> {
        Ok(self.lock_unsettled(Reading::AsConfigured).await?.0)
    }

    /// And whether this call is the one that asked.
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

    /// Where to send this request to log in: where it is a browser's, and the application says.
    pub(crate) fn location(&self, parts: &Parts) -> Option<HeaderValue> {
        let is_of_browser = self.accepts_html && !self.credentials.is_from_api;
        is_of_browser.then(|| self.settings.location(parts)).flatten()
    }

    /// What a request without a session is told.
    pub(crate) fn logged_out(&self, location: Option<HeaderValue>) -> SessionRejection {
        let is_token_refused = self.credentials.from_api.is_some();
        SessionRejection::LoggedOut(LoggedOut { is_token_refused, location })
    }

    fn has_cookies(&self) -> bool {
        self.settings.sources.contains(&TokenSource::Cookie)
    }

    /// Whether a cookie could hold this token, where it would have to.
    pub(crate) fn fits(&self, token: &str) -> bool {
        !self.has_cookies() || self.settings.cookie.fits(token, self.is_localhost)
    }

    /// Sends the cookie again where the session was extended since, by whomever, or where it is time to.
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

    /// Takes back what the request set, and has the browser forget what it sent.
    pub(crate) fn clear_cookie(&self) {
        self.forget(false);
    }

    /// The same, because somebody logs out.
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
        // First, since a browser that takes both for one cookie keeps what it is told last.
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

/// The request's session, while nobody else may look at it or change it.
pub(crate) struct Current<'s, T: SessionFields> {
    state: &'s State<T>,
    slot: MutexGuard<'s, Slot<T>>,
}

impl<T: SessionFields> Current<'_, T> {
    /// For those who only look: what the request cannot have is ended, or refused.
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

    /// Ends every session that the request presents; whether any was valid.
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

    /// Whether any session that the request presents is still valid, where there was one. It is read again.
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

    /// From here on this is the request's session, and the client is to have its token.
    pub(crate) fn replace(&mut self, session: Session<T>, token: &str) {
        let held = Held { session, token: Secret::new(token) };
        self.state.set_cookie(&held);
        *self.known() = Known { held: Some(held), is_settled: true, ..Known::default() };
    }

    /// From here on the request has no session.
    pub(crate) fn clear(&mut self) {
        self.state.clear_cookie();
        *self.known() = Known { is_settled: true, ..Known::default() };
    }

    /// The same, because somebody logs out.
    pub(crate) fn log_out(&mut self) {
        self.clear();
        self.state.clear_cookie_on_log_out();
    }
}
