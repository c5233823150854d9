use std::sync::{Arc, Mutex, PoisonError};

use cloakroom::{Seen, Session, SessionFields, Sessions};
use http::request::Parts;
use http::{HeaderMap, Uri, header};
use time::{Duration, OffsetDateTime};

use crate::client::Client;
use crate::cookie::{SignedCookie, is_to_be_sent_again, keep_out_of_caches, max_age};
use crate::credentials::{Credentials, Secret, TokenSource};
use crate::framework::Framework;
use crate::next::Next;
use crate::rejection::{Lacking, LoggedOut, SessionRejection};
use crate::requirement::Lack;
use crate::settings::{LoginPlace, Settings};
use crate::site_data::CLEAR_SITE_DATA;
use crate::testing::TestCredential;

use super::known::Held;
use super::places::Places;
use super::read_ahead::reads_ahead;

/// One request and its response, as far as one table is concerned: what the request presents, and the cookie that goes
/// out with the response.
pub(crate) struct Exchange<T: SessionFields> {
    settings: Arc<Settings<T>>,
    framework: &'static Framework,
    credentials: Credentials,
    is_localhost: bool,
    /// The request's path, if more cookies came with it than are looked up.
    crowded_path: Option<String>,
    client: Client,
    accepts_html: bool,
    reads_ahead: bool,
    /// What is known of the client, if a use of the session is to be recorded with it.
    seen: Option<Seen<T>>,
    /// A lock of its own, because the response is made without waiting.
    change: Mutex<CookieChange>,
    #[cfg(feature = "dbsc")]
    binding: crate::dbsc::binding::Binding<T>,
}

#[derive(Default)]
enum CookieChange {
    #[default]
    None,
    Set {
        token: Secret,
        /// Nothing if the browser forgets the cookie when it is closed.
        max_age: Option<Duration>,
    },
    Clear {
        is_log_out: bool,
    },
}

impl<T: SessionFields> Exchange<T> {
    pub(super) fn new(settings: Arc<Settings<T>>, framework: &'static Framework, parts: &mut Parts) -> Self {
        let reads_ahead = reads_ahead(&parts.headers);
        let on_use = settings.on_use.as_ref().filter(|_| !reads_ahead);
        let seen = on_use.map(|record| record(parts, Seen::new()));
        let is_localhost = settings.cookie.is_for_localhost(parts, framework.peer);
        let test_credential = parts.extensions.remove::<TestCredential<T>>();
        let parts = &*parts;
        let (method, headers) = (&parts.method, &parts.headers);
        let credentials = match test_credential {
            Some(credential) => credential.into_credentials(settings.sources.first()),
            None => Credentials::read(&settings.sources, settings.cookie.name_for(is_localhost), headers),
        };
        let client = Client::of(method, headers, credentials.is_from_api);
        let accepts_html = headers
            .get_all(header::ACCEPT)
            .iter()
            .any(|value| value.to_str().is_ok_and(|value| value.to_ascii_lowercase().contains("text/html")));
        let crowded_path =
            credentials.has_too_many.then(|| (framework.original_uri)(parts).path().to_owned());
        #[cfg(feature = "dbsc")]
        let binding = crate::dbsc::binding::Binding::new(settings.dbsc.as_ref(), headers);
        Self {
            #[cfg(feature = "dbsc")]
            binding,
            settings,
            framework,
            credentials,
            is_localhost,
            crowded_path,
            client,
            accepts_html,
            reads_ahead,
            seen,
            change: Mutex::default(),
        }
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

    /// Returns the cookie's name, as it is on this host.
    pub(super) fn cookie_name(&self) -> &str {
        self.settings.cookie.name_for(self.is_localhost)
    }

    /// Where this request's browser is sent if it is refused, as far as the application names places.
    pub(crate) fn places(&self, parts: &Parts) -> Places {
        let opens_page = self.client == Client::Page;
        let next = || next_of(parts, (self.framework.original_uri)(parts), &self.credentials);
        let login = match &self.settings.login {
            Some(LoginPlace::Elsewhere(location)) if self.accepts_html && !self.credentials.is_from_api => {
                Some(location(parts))
            }
            Some(LoginPlace::Page(page)) if opens_page => Some(next().on(page)),
            _ => None,
        };
        let confirm = self.settings.confirm_page.as_ref().filter(|_| opens_page);
        Places::new(login, confirm.map(|page| next().on(page)))
    }

    /// What a request without a session gets.
    pub(crate) fn logged_out(&self, places: &Places) -> SessionRejection {
        let is_token_refused = self.credentials.from_api.is_some();
        let location = places.login().cloned();
        SessionRejection::LoggedOut(LoggedOut { is_token_refused, client: self.client, location })
    }

    /// What a request gets whose session lacks something.
    pub(crate) fn lacking(&self, lack: &Lack, places: &Places) -> SessionRejection {
        let location = places.confirm().filter(|_| matches!(lack, Lack::Fresh(_))).cloned();
        SessionRejection::Lacking(Lacking { lack: lack.clone(), client: self.client, location })
    }

    /// Notes that something that needs a session has found none.
    pub(crate) fn note_refused(&self) {
        #[cfg(feature = "dbsc")]
        self.binding.note_refused();
    }

    /// Returns `true` if a cookie is one of the layer's sources.
    pub(super) fn has_cookies(&self) -> bool {
        self.settings.sources.contains(&TokenSource::Cookie)
    }

    /// Returns `true` if a cookie could hold this token, or if no cookie has to.
    pub(crate) fn fits(&self, token: &str) -> bool {
        !self.has_cookies() || self.settings.cookie.fits(token, self.is_localhost)
    }

    /// Notes by which client the session is used.
    pub(crate) fn note_seen(&self, session: &Session<T>) {
        if let Some(seen) = &self.seen {
            self.sessions().seen_if_recorded(session, seen.clone());
        }
    }

    /// Notes by which client, and sends the cookie again if the session was extended since, by any process, or if it is due by time.
    pub(crate) fn note_use(&self, held: &Held<T>, asked_at: OffsetDateTime) {
        if self.reads_ahead {
            return;
        }
        self.note_seen(&held.session);
        if self.credentials.is_moved {
            return self.set_cookie(held);
        }
        if !self.credentials.has_cookie() {
            return;
        }
        let config = self.sessions().config();
        let session = &held.session;
        if session.updated_at >= asked_at || is_to_be_sent_again(session, config, asked_at) {
            self.set_cookie(held);
        }
    }

    pub(super) fn set_cookie(&self, held: &Held<T>) {
        // A client that presents an old token has the new one, or is about to get it, and must keep that.
        if self.has_cookies() && !held.session.is_by_old_token() {
            let config = self.sessions().config();
            let max_age = max_age(&held.session, config, config.now());
            let ends_with_browser = self.settings.cookie.ends_with_browser(held.session.sliding());
            // A session that has ended has its cookie cleared in either case.
            let max_age = (!ends_with_browser || max_age.is_zero()).then_some(max_age);
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

    #[cfg(feature = "dbsc")]
    pub(crate) fn binding(&self) -> &crate::dbsc::binding::Binding<T> {
        &self.binding
    }

    #[cfg(feature = "dbsc")]
    pub(crate) fn is_localhost(&self) -> bool {
        self.is_localhost
    }

    /// Notes that the request's token is good for nothing but a renewal.
    #[cfg(feature = "dbsc")]
    pub(super) fn note_awaited(&self) {
        if !self.reads_ahead {
            self.binding.note_awaited();
        }
    }

    /// Offers the browser to bind this session, which it gets with the response.
    #[cfg(feature = "dbsc")]
    pub(crate) fn offer_binding(&self, session: &Session<T>) {
        // A browser binds nothing without TLS.
        if self.settings.dbsc.is_some() && self.has_cookies() && !self.is_localhost {
            self.binding.offer(Some(session.clone()));
        }
    }

    /// Returns `Set-Cookie` with this token, as a response to this request has it.
    #[cfg(feature = "dbsc")]
    pub(crate) fn cookie_of(&self, session: &Session<T>, token: &str) -> Option<http::HeaderValue> {
        let (config, cookie) = (self.sessions().config(), &self.settings.cookie);
        let max_age = max_age(session, config, config.now());
        let max_age = (!cookie.ends_with_browser(session.sliding())).then_some(max_age);
        cookie.set(token, max_age, self.is_localhost)
    }

    fn forget(&self, is_log_out: bool) {
        #[cfg(feature = "dbsc")]
        self.binding.offer(None);
        let has_signed = is_log_out && !self.credentials.signed_cookies.is_empty();
        let has_cookie = self.credentials.has_cookie() || has_signed;
        self.change(if has_cookie { CookieChange::Clear { is_log_out } } else { CookieChange::None });
    }

    fn change(&self, change: CookieChange) {
        *self.change.lock().unwrap_or_else(PoisonError::into_inner) = change;
    }

    /// Puts the cookie into the response.
    pub(crate) fn finish(&self, headers: &mut HeaderMap) {
        self.finish_cookie(headers);
        #[cfg(feature = "dbsc")]
        if let (Some(dbsc), true) = (&self.settings.dbsc, self.binding.is_marker_to_go()) {
            headers.extend(dbsc.clear_marker(self.is_localhost).map(|cookie| (header::SET_COOKIE, cookie)));
            keep_out_of_caches(headers);
        }
    }

    fn finish_cookie(&self, headers: &mut HeaderMap) {
        let change = std::mem::take(&mut *self.change.lock().unwrap_or_else(PoisonError::into_inner));
        let cookie = &self.settings.cookie;
        let replaces_signed;
        let (header, forgets_the_other) = match change {
            CookieChange::None => return,
            CookieChange::Clear { is_log_out } => {
                #[cfg(feature = "dbsc")]
                self.binding.note_cleared();
                if let Some(data) = self.settings.clear_site_data.clone().filter(|_| is_log_out) {
                    headers.append(CLEAR_SITE_DATA, data);
                }
                replaces_signed = is_log_out;
                (cookie.clear(self.is_localhost), true)
            }
            CookieChange::Set { token, max_age } => {
                let has_several = self.credentials.cookies > 1;
                let header = cookie.set(token.expose(), max_age, self.is_localhost);
                replaces_signed = header.is_some();
                (header, has_several)
            }
        };
        // First, because a browser that takes both for one cookie keeps the last one.
        let others = match &self.crowded_path {
            Some(path) => cookie.clear_above(path, self.is_localhost),
            None if forgets_the_other => cookie.clear_host_only(self.is_localhost).into_iter().collect(),
            None => Vec::new(),
        };
        let signed = self.credentials.signed_cookies.iter().filter(|_| replaces_signed);
        let signed = signed.filter_map(SignedCookie::clear);
        for header in others.into_iter().chain(signed).chain(header) {
            headers.append(header::SET_COOKIE, header);
            keep_out_of_caches(headers);
        }
    }
}

/// Where the request was going. A place with one of the request's tokens in it is none.
fn next_of(parts: &Parts, uri: &Uri, credentials: &Credentials) -> Next {
    let next = Next::of_request(&parts.method, uri);
    let has_token = next.as_str().is_some_and(|place| credentials.are_in(place));
    if has_token { Next::default() } else { next }
}
