//! The application: its state, and every route.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::http::header;
use axum::routing::{get, post};
use axum::{Router, middleware};
use cloakroom::{Config, ConfigBuilder, Database, Sessions};
use cloakroom_axum::{CookieConfig, Dbsc, SessionLayer, TokenSource};
use tower_http::trace::{DefaultMakeSpan, DefaultOnResponse, TraceLayer};
use tracing::Level;

use crate::rate_limit::{AttemptLimit, Passwords};
use crate::tables::{ApiKey, UserSession};
use crate::users::Users;
use crate::{client, pages, security};

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
        let browsers = config.clone().ttl(Duration::from_hours(7 * 24));
        // A browser logs in again after three months, however often it is used.
        let browsers = browsers.max_lifetime(Duration::from_hours(90 * 24)).build()?;
        // A key ends when its owner wanted.
        let programs: Config = config.auto_extend(false).build()?;
        let app = Self {
            users: Users::new(database.clone()),
            sessions: Sessions::new(database.clone(), browsers)?,
            keys: Sessions::new(database.clone(), programs)?,
            passwords: Passwords::new()?,
            attempts: Arc::new(AttemptLimit::new()),
            dbsc: None,
            database,
        };
        app.users.migrate().await?;
        app.sessions.migrate().await?;
        app.keys.migrate().await?;
        Ok(app)
    }

    /// Binds the sessions of browsers that can do it to a key of their device.
    #[must_use]
    pub fn bind_devices(self, dbsc: Dbsc) -> Self {
        Self { dbsc: Some(dbsc), ..self }
    }

    /// Returns the web site.
    pub fn router(self) -> Router {
        // The name is the default, `__Host-Http-session`; the localhost setting is for a demo over plain http.
        let cookie = CookieConfig::builder().insecure_on_localhost(true).build().unwrap_or_default();
        let for_browsers = SessionLayer::new(self.sessions.clone())
            .cookie(cookie)
            .redirect_to("/login")
            .on_log_in(client::record);

        let site = Router::new()
            .route("/", get(pages::front::show))
            .route("/signup", get(pages::login::sign_up_form).post(pages::login::sign_up))
            .route("/login", get(pages::login::log_in_form).post(pages::login::log_in))
            .route("/account", get(pages::account::show))
            .route("/sessions/{id}/expire", post(pages::account::expire))
            .route("/sessions/{id}/delete", post(pages::account::delete))
            .route("/logout", post(pages::account::log_out))
            .route("/logout-everywhere", post(pages::account::log_out_everywhere))
            .route("/logout-others", post(pages::account::log_out_others))
            .route("/keys", get(pages::keys::show).post(pages::keys::create))
            .route("/keys/{id}/revoke", post(pages::keys::revoke))
            .route("/statistics", get(pages::statistics::show))
            .fallback(pages::not_found)
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
            .layer(middleware::from_fn(security::limit_time))
            .layer(SessionLayer::new(self.sessions.clone()).sources([pages::api::SESSION_HEADER]))
            .layer(
                SessionLayer::new(self.keys.clone()).sources([TokenSource::Bearer, pages::api::KEY_HEADER]),
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
