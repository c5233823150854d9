use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use cloakroom::{Error, Session, SessionFields};
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderValue, Uri, header};
use time::{Duration, OffsetDateTime};
use tokio::sync::MutexGuard;

use crate::cookie::keep_out_of_caches;
use crate::layer::Settings;
use crate::rejection::{LoggedOut, SessionRejection};
use crate::source::{Credentials, Problem, Secret, TokenSource};
use crate::testing::TestCredential;

/// What one request has of one table: what it presents, the session that this turned out to be, and the
/// cookie that is to go out with the response. The layer puts it into the request's extensions.
pub(crate) struct State<T: SessionFields> {
    settings: Arc<Settings<T>>,
    credentials: Credentials,
    is_localhost: bool,
    accepts_html: bool,
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

pub(crate) enum Slot<T: SessionFields> {
    NotAsked,
    /// Asked in vain. Nobody asks again: who waited for a time-out once need not do so twice.
    Failed(Arc<Error>),
    Known(Option<Held<T>>),
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
        expires_at: Option<OffsetDateTime>,
    },
    Clear,
}

impl<T: SessionFields> State<T> {
    pub(crate) fn new(
        settings: Arc<Settings<T>>,
        uri: &Uri,
        headers: &HeaderMap,
        extensions: &mut Extensions,
    ) -> Self {
        let is_localhost = settings.cookie.is_for_localhost(uri, headers);
        let credentials = match extensions.remove::<TestCredential<T>>() {
            Some(credential) => credential.into_credentials(settings.sources.first()),
            None => Credentials::read(&settings.sources, settings.cookie.name_for(is_localhost), headers),
        };
        let accepts_html = headers
            .get_all(header::ACCEPT)
            .iter()
            .any(|value| value.to_str().is_ok_and(|value| value.to_ascii_lowercase().contains("text/html")));
        Self {
            settings,
            credentials,
            is_localhost,
            accepts_html,
            slot: tokio::sync::Mutex::new(Slot::NotAsked),
            change: Mutex::default(),
        }
    }

    pub(crate) fn of(extensions: &Extensions) -> Result<Arc<Self>, SessionRejection> {
        let handle = extensions.get::<Handle<T>>().cloned();
        let missing = SessionRejection::MissingLayer { table: std::any::type_name::<T>() };
        handle.map(|Handle(state)| state).ok_or(missing)
    }

    pub(crate) fn settings(&self) -> &Settings<T> {
        &self.settings
    }

    /// The request's session, once it is known, for one caller at a time.
    pub(crate) async fn lock(&self) -> Result<Current<'_, T>, SessionRejection> {
        match self.credentials.problem {
            Some(Problem::Malformed) => return Err(SessionRejection::Malformed),
            Some(Problem::Ambiguous) => return Err(SessionRejection::Ambiguous),
            None => {}
        }
        let mut slot = self.slot.lock().await;
        if let Slot::NotAsked = *slot {
            *slot = self.ask().await.map_or_else(|error| Slot::Failed(Arc::new(error)), Slot::Known);
        }
        match &*slot {
            Slot::Failed(error) => Err(SessionRejection::Database(Arc::clone(error))),
            _ => Ok(Current { state: self, slot }),
        }
    }

    async fn ask(&self) -> Result<Option<Held<T>>, Error> {
        let sessions = &self.settings.sessions;
        let asked_at = sessions.config().now();
        let session = match &self.credentials.token {
            Some(token) => sessions.authenticate(token.expose()).await?,
            None => None,
        };
        let held = session.zip(self.credentials.token.clone());
        let held = held.map(|(session, token)| Held { session, token });
        match &held {
            // Written since, so it was extended; by whomever, the browser's cookie ends too early.
            Some(held) if self.credentials.has_cookie && held.session.updated_at >= asked_at => {
                self.set_cookie(held);
            }
            Some(_) => {}
            None => self.clear_cookie(),
        }
        Ok(held)
    }

    /// Where to send this request to log in: where it is a browser's, and the application says.
    pub(crate) fn location(&self, parts: &Parts) -> Option<HeaderValue> {
        let is_of_browser = self.accepts_html && !self.credentials.is_from_api;
        is_of_browser.then(|| self.settings.location(parts)).flatten()
    }

    /// What a request without a session is told.
    pub(crate) fn logged_out(&self, location: Option<HeaderValue>) -> SessionRejection {
        let is_token_refused = self.credentials.is_from_api && self.credentials.token.is_some();
        SessionRejection::LoggedOut(LoggedOut { is_token_refused, location })
    }

    fn has_cookies(&self) -> bool {
        self.settings.sources.contains(&TokenSource::Cookie)
    }

    /// Whether a cookie could hold this token, where it would have to.
    pub(crate) fn fits(&self, token: &str) -> bool {
        !self.has_cookies() || self.settings.cookie.set(token, None, self.is_localhost).is_some()
    }

    fn set_cookie(&self, held: &Held<T>) {
        if self.has_cookies() {
            let (token, expires_at) = (held.token.clone(), held.session.expires_at);
            self.change(CookieChange::Set { token, expires_at });
        }
    }

    /// Takes back what the request set, and has the browser forget what it sent.
    fn clear_cookie(&self) {
        self.change(if self.credentials.has_cookie { CookieChange::Clear } else { CookieChange::None });
    }

    fn change(&self, change: CookieChange) {
        *self.change.lock().unwrap_or_else(PoisonError::into_inner) = change;
    }

    /// Puts the cookie into the response.
    pub(crate) fn finish(&self, headers: &mut HeaderMap) {
        let change = std::mem::take(&mut *self.change.lock().unwrap_or_else(PoisonError::into_inner));
        let cookie = &self.settings.cookie;
        let header = match change {
            CookieChange::None => return,
            CookieChange::Clear => cookie.clear(self.is_localhost),
            CookieChange::Set { token, expires_at } => {
                let now = self.settings.sessions.config().now();
                let life = expires_at.map(|expires_at| Duration::max(expires_at - now, Duration::ZERO));
                cookie.set(token.expose(), life, self.is_localhost)
            }
        };
        if let Some(header) = header {
            headers.append(header::SET_COOKIE, header);
            keep_out_of_caches(headers);
        }
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
    pub(crate) fn held(&mut self) -> Option<&mut Held<T>> {
        match &mut *self.slot {
            Slot::Known(held) => held.as_mut(),
            _ => None,
        }
    }

    /// From here on this is the request's session, and the client is to have its token.
    pub(crate) fn replace(&mut self, session: Session<T>, token: &str) {
        let held = Held { session, token: Secret::new(token) };
        self.state.set_cookie(&held);
        *self.slot = Slot::Known(Some(held));
    }

    /// From here on the request has no session.
    pub(crate) fn clear(&mut self) {
        *self.slot = Slot::Known(None);
        self.state.clear_cookie();
    }
}
