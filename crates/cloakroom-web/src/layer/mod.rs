use std::fmt;
use std::sync::Arc;

use cloakroom::{HasLastSeen, NewSession, Seen, SessionFields, Sessions};
use http::request::Parts;

use crate::cookie::CookieConfig;
use crate::credentials::TokenSource;
use crate::next::Next;
use crate::settings::{LoginPlace, Settings};
use crate::site_data::{self, SiteData};

/// Gives every request below it access to the sessions of one table.
///
/// In axum, add it with `Router::layer` or to any tower stack; in actix-web, with `wrap`. On the way in it reads only the
/// request's headers. The first extractor that needs the session asks the database, and all others share the answer. On the way
/// out the layer sets or clears the cookie. It never touches a body, so that streams and upgrades of the connection
/// pass.
///
/// | setting | default |
/// |---|---|
/// | [`sources`](Self::sources) | [`TokenSource::Cookie`] |
/// | [`cookie`](Self::cookie) | [`CookieConfig::default`]: `__Host-Http-session` |
/// | [`login_page`](Self::login_page), or [`redirect_to`](Self::redirect_to), [`redirect_with`](Self::redirect_with) | none: 401 |
/// | [`confirm_page`](Self::confirm_page) | none: 401 |
/// | [`on_log_in`](Self::on_log_in) | nothing is recorded |
/// | [`on_use`](Self::on_use) | only when a session was used |
/// | [`for_visitors`](Self::for_visitors) | no: only a log-in begins a session |
/// | [`clear_site_data`](Self::clear_site_data) | none |
///
/// # Several tables
///
/// Layers for different tables are independent of each other. A request may have a session of each table, and two
/// tokens are ambiguous only within one layer. Give each layer its own sources and its own cookie name:
///
/// ```
/// # use cloakroom::{SessionTable, Sessions};
/// # use cloakroom_web::{SessionLayer, TokenSource};
/// # #[derive(Clone, SessionTable)] struct UserSession { user_id: String }
/// # #[derive(Clone, SessionTable)] #[session(table = "api_keys")] struct ApiKey { user_id: String }
/// # fn example(sessions: Sessions<UserSession>, keys: Sessions<ApiKey>) {
/// let browsers = SessionLayer::new(sessions).login_page("/login");
/// let programs = SessionLayer::new(keys).sources([TokenSource::Bearer, TokenSource::header("x-api-key")]);
/// # }
/// ```
///
/// Two layers on one route with cookies of one name would each clear and end the other's sessions. A router does not
/// tell its layers of each other, so the first request detects it: every extractor of both layers answers with
/// [`SharedCookieName`](crate::SessionRejection::SharedCookieName), 500, and `tracing` gets an error. On localhost,
/// names have no prefix, so `__Host-a` and `__Secure-a` are one name there.
///
/// Two layers of one table are not meant to be on one route. If they are, and have the same sources, the inner one
/// counts.
///
/// # Panics
///
/// Adding the layer to a router panics if its cookie could not hold the tokens of its sessions: if the cookie's name
/// and a token of [`token_length`](cloakroom::ConfigBuilder::token_length) together are longer than the 4096 bytes that
/// browsers keep. So an application in which no user could log in does not start.
pub struct SessionLayer<T: SessionFields> {
    settings: Arc<Settings<T>>,
}

impl<T: SessionFields> SessionLayer<T> {
    /// Creates a layer for this table, with the token in a cookie.
    pub fn new(sessions: Sessions<T>) -> Self {
        let settings = Settings {
            sessions,
            sources: vec![TokenSource::Cookie],
            cookie: CookieConfig::default(),
            login: None,
            confirm_page: None,
            on_log_in: None,
            on_use: None,
            for_visitors: None,
            clear_site_data: None,
            #[cfg(feature = "dbsc")]
            dbsc: None,
        };
        Self { settings: Arc::new(settings) }
    }

    /// Sets the places where a token may stand, in this order. Default the cookie alone. Cookies are set and cleared
    /// only if the cookie is one of the sources.
    ///
    /// The same token in two places is one token. If two tokens differ and one of them is a bearer token or in a
    /// header, the answer is 400 in any order: the layer does not guess which one was meant. Cookies that differ among
    /// themselves are no bad request, because a browser's user cannot mend them; see
    /// [`CurrentSession`](crate::CurrentSession).
    #[must_use]
    pub fn sources(self, sources: impl IntoIterator<Item = TokenSource>) -> Self {
        let sources = sources.into_iter().collect();
        self.with(|settings| settings.sources = sources)
    }

    /// Sets the cookie's name and attributes.
    #[must_use]
    pub fn cookie(self, cookie: CookieConfig) -> Self {
        self.with(|settings| settings.cookie = cookie)
    }

    /// Sets the application's page for logging in. A browser that opens a page which needs a session, and has none, is
    /// sent there with 303, and the place that it asked for goes with it: `/login?next=/orders`. [`Next`](crate::Next)
    /// reads that, and says what is a place.
    ///
    /// A browser opens a page if it says `Sec-Fetch-Mode: navigate`, or sends no such header and prefers `text/html` by
    /// `Accept`; if it uses `GET` or `HEAD`; and if it presents no bearer token or header. Every other request gets 401: a
    /// form that was sent could not be sent again after the log-in.
    ///
    /// # Panics
    ///
    /// If `page` is not a path of this origin, as [`Next`](crate::Next) has it.
    #[must_use]
    pub fn login_page(self, page: &str) -> Self {
        let page = page_of_own(page);
        self.with(|settings| settings.login = Some(LoginPlace::Page(page)))
    }

    /// Sets the application's page on which users confirm who they are, by their password for instance. A browser that
    /// opens a page behind [`require_fresh`](crate::require_fresh) too late is sent there with 303, as it is to
    /// [`login_page`](Self::login_page): `/confirm?next=/orders`. Default none: it gets 401 as every other client.
    ///
    /// The page calls [`SessionManager::reauthenticate`](crate::SessionManager::reauthenticate).
    ///
    /// # Panics
    ///
    /// If `page` is not a path of this origin, as [`Next`](crate::Next) has it.
    #[must_use]
    pub fn confirm_page(self, page: &str) -> Self {
        let page = page_of_own(page);
        self.with(|settings| settings.confirm_page = Some(page))
    }

    /// Sets where to send a browser that needs a session and has none, with 303. For a page of the application's own,
    /// [`login_page`](Self::login_page) brings the browser back to where it was going.
    ///
    /// A request counts as a browser's if it accepts `text/html` and presents no bearer token or header. Every other
    /// request gets 401.
    #[must_use]
    pub fn redirect_to(self, path: impl Into<String>) -> Self {
        let path = path.into();
        self.redirect_with(move |_| path.clone())
    }

    /// Like [`redirect_to`](Self::redirect_to), with a place that depends on the request. Escape what you put into a query,
    /// and check it when it comes back.
    #[must_use]
    pub fn redirect_with(self, location: impl Fn(&Parts) -> String + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.login = Some(LoginPlace::Elsewhere(Arc::new(location))))
    }

    /// Sets what to record about the device at a log-in, such as the user agent or the address. Default nothing.
    ///
    /// The hook gets the request, and the session that [`SessionManager::log_in`](crate::SessionManager::log_in) is
    /// about to create.
    ///
    /// ```
    /// # use cloakroom::{SessionTable, Sessions};
    /// # use cloakroom_web::SessionLayer;
    /// # #[derive(Clone, SessionTable)]
    /// # struct UserSession { user_id: String, user_agent: Option<String> }
    /// # fn example(sessions: Sessions<UserSession>) -> SessionLayer<UserSession> {
    /// SessionLayer::new(sessions).on_log_in(|request, mut new| {
    ///     let agent = request.headers.get("user-agent").and_then(|agent| agent.to_str().ok());
    ///     new.fields_mut().user_agent = agent.map(|agent| agent.chars().take(255).collect());
    ///     new
    /// })
    /// # }
    /// ```
    ///
    /// A connection's own address is in an extension: in axum `axum::extract::ConnectInfo`, if the application is served with
    /// it, in actix-web `actix_web::dev::PeerAddr`. Behind a proxy that is the proxy's
    /// address, and the client's stands in a header, which any client may write if there is no proxy. With the feature
    /// `client-ip` your framework's crate re-exports `client_ip`, which reads the header of the one proxy that you name, for
    /// instance `client_ip::rightmost_x_forwarded_for(&request.headers)`.
    #[must_use]
    pub fn on_log_in(
        self,
        record: impl Fn(&Parts, NewSession<T>) -> NewSession<T> + Send + Sync + 'static,
    ) -> Self {
        self.with(|settings| settings.on_log_in = Some(Arc::new(record)))
    }

    /// Sets what is known of the client that uses a session: its address, its `User-Agent`. Default nothing.
    ///
    /// The session's last use is written behind, as [`Sessions::seen`](cloakroom::Sessions::seen) has it, if the table has
    /// columns for it and the configuration a [`record_seen`](cloakroom::ConfigBuilder::record_seen). A log-in is a use,
    /// and so is each request that finds its session. A request that [reads ahead](crate::CurrentSession) is none. The hook
    /// is called for every request that comes to the layer, so it should do no more than look at the request.
    ///
    /// ```
    /// # use cloakroom::{SessionTable, Sessions};
    /// use cloakroom::time::OffsetDateTime;
    /// # use cloakroom_web::SessionLayer;
    ///
    /// #[derive(Clone, SessionTable)]
    /// struct UserSession {
    ///     user_id: String,
    ///     #[session(last_seen)]
    ///     last_seen: Option<OffsetDateTime>,
    ///     #[session(last_address)]
    ///     last_address: Option<String>,
    ///     #[session(last_user_agent)]
    ///     last_user_agent: Option<String>,
    /// }
    ///
    /// # fn example(sessions: Sessions<UserSession>) -> SessionLayer<UserSession> {
    /// SessionLayer::new(sessions).on_use(|request, seen| {
    ///     // With axum; with actix-web it is `request.extensions.get::<PeerAddr>().map(|peer| peer.0.ip())`.
    ///     // let peer = request.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    ///     # let peer = None;
    ///     let agent = request.headers.get("user-agent").map(|agent| agent.as_bytes());
    ///     seen.from_client(peer, agent)
    /// })
    /// # }
    /// ```
    ///
    /// axum has the extension `ConnectInfo` if the application is served with `into_make_service_with_connect_info`. Behind a
    /// proxy it is the proxy's address; take the client's from the header of a proxy that you trust, as
    /// [`on_log_in`](Self::on_log_in) says: `client_ip::rightmost_x_forwarded_for(&request.headers).ok()`.
    #[must_use]
    pub fn on_use(self, record: impl Fn(&Parts, Seen<T>) -> Seen<T> + Send + Sync + 'static) -> Self
    where
        T: HasLastSeen,
    {
        self.with(|settings| settings.on_use = Some(Arc::new(record)))
    }

    /// Makes the layer's sessions those of visitors, who have not logged in: the first value that a handler puts in by
    /// [`Values`](crate::Values) or [`Flash`](crate::Flash) begins the session that `begin` returns. Default no.
    ///
    /// Visitors have a table of their own, beside that of the users, and a cookie of another name. So a
    /// [`CurrentSession`](crate::CurrentSession) of the users' table still means that a user is logged in, each table has its
    /// own lifetimes, and a user's columns need not be nullable. At the log-in
    /// [`log_in_from`](crate::SessionManager::log_in_from) takes over what the visitor's session holds.
    ///
    /// ```
    /// # use cloakroom::{NewSession, SessionTable, Sessions};
    /// # use cloakroom_web::{CookieConfig, CookieConfigError, SessionLayer};
    /// #[derive(Clone, SessionTable)]
    /// struct UserSession {
    ///     #[session(index)]
    ///     user_id: i64,
    /// }
    ///
    /// #[derive(Clone, SessionTable)]
    /// #[session(table = "visitors")]
    /// struct Visitor {
    ///     language: Option<String>,
    /// }
    ///
    /// # fn example(users: Sessions<UserSession>, visitors: Sessions<Visitor>) -> Result<(), CookieConfigError> {
    /// let users = SessionLayer::new(users).login_page("/login");
    /// let cookie = CookieConfig::builder().name("__Host-Http-visitor").build()?;
    /// let visitors = SessionLayer::new(visitors)
    ///     .cookie(cookie)
    ///     .for_visitors(|_| NewSession::new(Visitor { language: None }));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A program that keeps no cookies begins a session with each request that puts something in. So put nothing in before
    /// the visitor does something, set a short [`ttl`](cloakroom::ConfigBuilder::ttl) for this table, and prune it. Two
    /// requests at once that both begin a session leave two, and the browser keeps the later cookie.
    #[must_use]
    pub fn for_visitors(self, begin: impl Fn(&Parts) -> NewSession<T> + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.for_visitors = Some(Arc::new(begin)))
    }

    /// Sets what else a browser deletes when its user logs out, by the header
    /// [`Clear-Site-Data`](https://www.w3.org/TR/clear-site-data/). Default nothing: only the session's cookie is
    /// cleared.
    ///
    /// The header goes out with a response in which [`log_out`](crate::SessionManager::log_out) or
    /// [`log_out_everywhere`](crate::SessionManager::log_out_everywhere) clears the cookie that the request had, and
    /// with no other response. A page of another site can make a browser post to the log-out, and must not be able to
    /// empty the browser's storage that way. Browsers honour the header over https and on localhost.
    ///
    /// `clear_site_data([SiteData::Cache, SiteData::Storage])` suits an application with scripts that store something
    /// of the user's. Before you use [`SiteData::Cookies`], read its documentation. The header does not remove a page
    /// that the Back button still shows: see the crate's documentation, "After logging out".
    #[must_use]
    pub fn clear_site_data(self, data: impl IntoIterator<Item = SiteData>) -> Self {
        let header = site_data::header(data);
        self.with(|settings| settings.clear_site_data = header)
    }

    pub(crate) fn settings(&self) -> &Arc<Settings<T>> {
        &self.settings
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Settings<T>)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }
}

fn page_of_own(page: &str) -> Arc<str> {
    let page = Next::new(page);
    page.as_str().expect("the page is no path of this origin").into()
}

impl<T: SessionFields> Clone for SessionLayer<T> {
    fn clone(&self) -> Self {
        Self { settings: Arc::clone(&self.settings) }
    }
}

impl<T: SessionFields> fmt::Debug for SessionLayer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayer")
            .field("sessions", &self.settings.sessions)
            .field("sources", &self.settings.sources)
            .field("cookie", &self.settings.cookie)
            .field("redirects", &self.settings.login.is_some())
            .field("confirm_page", &self.settings.confirm_page)
            .field("records", &self.settings.on_log_in.is_some())
            .field("records_use", &self.settings.on_use.is_some())
            .field("is_for_visitors", &self.settings.for_visitors.is_some())
            .field("clear_site_data", &self.settings.clear_site_data)
            .finish()
    }
}
