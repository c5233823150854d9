//! The application: its state, and every route.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::http::header;
use axum::routing::{delete, get, post};
use axum::{Router, middleware};
use cloakroom::{Config, ConfigBuilder, Database, Evict, PerOwner, Sessions, TokenFormat};
use cloakroom_axum::{CookieConfig, Dbsc, SessionLayer, TokenSource};
use tower_http::trace::{DefaultMakeSpan, DefaultOnResponse, TraceLayer};
use tracing::Level;

use crate::rate_limit::{AttemptLimit, Passwords};
use crate::tables::{ApiKey, UserSession};
use crate::users::Users;
use crate::{client, notice, pages, security, upgrade};

/// How long a log-in lasts without a click if the browser is not to be remembered.
pub(crate) const TTL: Duration = Duration::from_hours(24);

/// A browser logs in again after three months, however often it is used.
const MAX_LIFETIME: Duration = Duration::from_hours(90 * 24);

/// How long it may take until a use is written.
const RECORD_SEEN: Duration = Duration::from_mins(1);

/// How long the audit logs go back.
const AUDITED: Duration = Duration::from_hours(90 * 24);

/// How many valid keys a user has at most.
pub(crate) const MOST_KEYS: u64 = 10;

/// Everything that a handler may need. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    pub(crate) database: Database,
    pub(crate) users: Users,
    pub(crate) sessions: Sessions<UserSession>,
    pub(crate) keys: Sessions<ApiKey>,
    pub(crate) passwords: Passwords,
    pub(crate) attempts: Arc<AttemptLimit>,
    /// How sessions are bound to the browser's device, if they are.
    pub(crate) dbsc: Option<Dbsc>,
}

impl App {
    /// Creates the application on this database. Missing tables are created. `config` is that of both session tables,
    /// except where they differ.
    pub async fn new(
        database: Database,
        config: ConfigBuilder,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let config = config.record_seen(RECORD_SEEN).audit_retention(AUDITED);
        let browsers = config.clone().ttl(TTL).max_lifetime(MAX_LIFETIME).build()?;
        // A key ends when its owner wanted. Those from before keys had a prefix go on.
        let programs = config.auto_extend(false).token_format(TokenFormat::prefixed("cloakroom_demo")?);
        let programs: Config = programs.accept_formats([TokenFormat::default()]).build()?;
        // The key that makes room for an eleventh is the one that was not used for the longest time.
        let most_keys = PerOwner::at_most(MOST_KEYS).evict(Evict::LeastRecentlySeen);
        let app = Self {
            users: Users::new(database.clone()),
            sessions: Sessions::new(database.clone(), browsers)?,
            keys: Sessions::new(database.clone(), programs)?.with_limit(most_keys)?,
            passwords: Passwords::new()?,
            attempts: Arc::new(AttemptLimit::new()),
            dbsc: None,
            database,
        };
        upgrade::run(&app.database).await?;
        app.users.migrate().await?;
        app.sessions.migrate().await?;
        app.keys.migrate().await?;
        Ok(app)
    }

    /// Writes what is noted of the last uses, when the application stops.
    pub async fn close(&self) -> cloakroom::Result<()> {
        self.sessions.close().await?;
        self.keys.close().await
    }

    /// Binds the sessions of browsers that can do it to a key of their device.
    #[must_use]
    pub fn bind_devices(self, dbsc: Dbsc) -> Self {
        Self { dbsc: Some(dbsc), ..self }
    }

    /// Returns the web site.
    pub fn router(self) -> Router {
        // The name is the default, `__Host-Http-session`; the localhost setting is for a demo over plain http. The cookie
        // of a browser that is not to be remembered goes when the browser is closed.
        let cookie = CookieConfig::builder().insecure_on_localhost(true).ends_with_browser(true);
        let cookie = cookie.build().unwrap_or_default();
        let for_browsers = SessionLayer::new(self.sessions.clone())
            .cookie(cookie)
            .login_page("/login")
            .confirm_page("/confirm")
            .on_log_in(client::record)
            .on_use(client::note);

        let site = Router::new()
            .route("/", get(pages::front::show))
            .route("/signup", get(pages::login::sign_up_form).post(pages::login::sign_up))
            .route("/login", get(pages::login::log_in_form).post(pages::login::log_in))
            .route("/account", get(pages::account::show))
            .route("/sessions/{id}/rename", post(pages::devices::rename))
            .route("/sessions/{id}/expire", post(pages::devices::expire))
            .route("/sessions/{id}/delete", post(pages::devices::delete))
            .route("/logout", post(pages::leaving::log_out))
            .route("/logout-everywhere", get(pages::leaving::ask).post(pages::leaving::log_out_everywhere))
            .route("/logout-others", post(pages::leaving::log_out_others))
            .route("/keys", get(pages::keys::show))
            .route("/keys/new", get(pages::keys::form).post(pages::keys::create))
            .route("/keys/{id}/rotate", get(pages::keys::ask_to_rotate).post(pages::keys::rotate))
            .route("/keys/{id}/revoke", post(pages::keys::revoke))
            .route("/confirm", get(pages::confirm::ask).post(pages::confirm::confirm))
            .route("/password", get(pages::password::ask).post(pages::password::change))
            .route("/audit", get(pages::audit::show))
            .route("/statistics", get(pages::statistics::show))
            .fallback(pages::not_found)
            .layer(middleware::from_fn(notice::forget))
            // Inside the session's layer, so that a log-out that takes too long clears the cookie too.
            .layer(middleware::from_fn(security::limit_time));
        // Of all that this site does, the layer that answers renewals comes first.
        let (site, dbsc) = match self.dbsc.clone() {
            None => (site.layer(for_browsers), None),
            Some(dbsc) => (site, Some(for_browsers.dbsc(dbsc))),
        };

        // The same sessions by header instead of by cookie, and the keys. Each layer has its own sources.
        let api = Router::new()
            .route("/api/me", get(pages::api::me))
            .route("/api/sessions", delete(pages::api::log_out_everywhere))
            .layer(middleware::from_fn(security::limit_time))
            .layer(
                SessionLayer::new(self.sessions.clone())
                    .sources([pages::api::SESSION_HEADER])
                    .on_use(client::note),
            )
            .layer(
                SessionLayer::new(self.keys.clone())
                    .sources([TokenSource::Bearer, pages::api::KEY_HEADER])
                    .on_use(client::note),
            );

        let trace = TraceLayer::new_for_http()
            .make_span_with(DefaultMakeSpan::new().level(Level::INFO))
            .on_response(DefaultOnResponse::new().level(Level::INFO));
        let all = site
            .merge(api)
            .layer(DefaultBodyLimit::max(16 * 1024))
            .layer(security::same_site())
            .route("/style.css", get(style))
            .route("/icon.svg", get(icon))
            .layer(middleware::map_response(security::add_headers))
            .layer(trace)
            .with_state(self);
        match dbsc {
            Some(dbsc) => all.layer(dbsc),
            None => all,
        }
    }
}

const CACHED: &str = "public, max-age=300";

async fn style() -> impl axum::response::IntoResponse {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, CACHED)];
    (headers, include_str!("../static/style.css"))
}

async fn icon() -> impl axum::response::IntoResponse {
    let headers = [(header::CONTENT_TYPE, "image/svg+xml"), (header::CACHE_CONTROL, CACHED)];
    (headers, include_str!("../static/icon.svg"))
}
