//! Sessions and API keys in [axum], on top of [`cloakroom`].
//!
//! The browser holds an opaque token in a cookie, an API client in a header; your database holds its digest.
//! A [`SessionLayer`] brings the sessions of one table into a router. Handlers take what they need:
//! [`CurrentSession`] to know the user, [`SessionManager`] to log in and out.
//!
//! # In a minute
//!
//! ```
//! use axum::extract::Path;
//! use axum::response::Redirect;
//! use axum::routing::{get, post};
//! use axum::{Json, Router};
//! use cloakroom::{Config, Database, NewSession, SessionTable, Sessions};
//! use cloakroom_axum::{CurrentSession, SessionLayer, SessionManager, SessionRejection};
//!
//! #[derive(Clone, SessionTable)]
//! struct UserSession {
//!     #[session(index)]
//!     user_id: String,
//! }
//!
//! // After you have checked the password.
//! async fn log_in(
//!     Path(user_id): Path<String>,
//!     manager: SessionManager<UserSession>,
//! ) -> Result<Redirect, SessionRejection> {
//!     manager.log_in(NewSession::new(UserSession { user_id })).await?;
//!     Ok(Redirect::to("/account"))
//! }
//!
//! // Only for a logged in user. All others are sent to the page for logging in.
//! async fn account(session: CurrentSession<UserSession>) -> String {
//!     format!("You are {}.", session.fields.user_id)
//! }
//!
//! // For all visitors.
//! async fn front_page(session: Option<CurrentSession<UserSession>>) -> &'static str {
//!     if session.is_some() { "Welcome back!" } else { "Welcome!" }
//! }
//!
//! // On this device, and on all the others.
//! async fn log_out_everywhere(
//!     session: CurrentSession<UserSession>,
//!     manager: SessionManager<UserSession>,
//! ) -> Result<Redirect, SessionRejection> {
//!     let user = session.fields.user_id.as_str();
//!     manager.log_out_everywhere(UserSession::USER_ID.eq(user)).await?;
//!     Ok(Redirect::to("/"))
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let database = Database::connect("sqlite::memory:").await?;
//! let sessions = Sessions::<UserSession>::new(database, Config::default())?;
//! sessions.migrate().await?;
//!
//! let app: Router = Router::new()
//!     .route("/", get(front_page))
//!     .route("/login/{user_id}", post(log_in))
//!     .route("/account", get(account))
//!     .route("/logout-everywhere", post(log_out_everywhere))
//!     .layer(SessionLayer::new(sessions).login_page("/login"));
//! # Ok(())
//! # }
//! ```
//!
//! # Where to look
//!
//! | you want to | look at |
//! |---|---|
//! | know the user of a request | [`CurrentSession`], `Option<CurrentSession>` |
//! | ask the database though a cache would answer | [`FreshSession`], [`SessionManager::current_fresh`] |
//! | log in, log out, here and elsewhere | [`SessionManager`] |
//! | accept bearer tokens and API keys | [`SessionLayer::sources`], [`TokenSource`] |
//! | take over the cookies of express-session or better-auth | [`SignedCookie`] |
//! | describe that in an `OpenAPI` document | `SessionLayer::add_security_schemes`, of the feature `utoipa` |
//! | have several tables in one application | [`SessionLayer`], "Several tables" |
//! | protect routes: by a session, a scope, a recent password | [`guards`] |
//! | send browsers to a page for logging in, and back | [`SessionLayer::login_page`], [`Next`] |
//! | name the cookie, or develop without TLS | [`CookieConfig`] |
//! | know how long a browser keeps it | [`CookieConfig`], "How long a browser keeps it" |
//! | read a cookie of your own as strictly | [`cookie_values`] |
//! | empty the browser at a log-out | [`SessionLayer::clear_site_data`] |
//! | ask for the password again before something that matters | [`require_fresh`], [`SessionManager::reauthenticate`] |
//! | make a stolen cookie worthless | `SessionLayer::dbsc`, of the feature `dbsc` |
//! | record the device and its address | [`SessionLayer::on_log_in`], [`SessionLayer::on_use`] for the last use |
//! | remember a browser, or have it forget | [`CookieConfigBuilder::ends_with_browser`] |
//! | know what clients get when something is wrong | [`SessionRejection`] |
//! | refuse clients of gRPC in their own way | [`GrpcStatusLayer`] |
//! | keep a basket or a language before the log-in, and after it | [`SessionLayer::for_visitors`], [`SessionManager::log_in_from`] |
//! | read and change values of a session, and lose none | [`Values`] |
//! | tell a user something on the next page, once | [`Flash`] |
//! | test handlers that need a session | [`testing`] |
//!
//! # What you can rely on
//!
//! 1. **A request that never needs its session costs no query**, and one that does costs one lookup, however many
//!    extractors and middlewares need it, at the same time or one after another. Two things cost more: several cookies
//!    of one name, and a [`FreshSession`] after a cache had answered.
//! 2. **A failing database is not "logged out".** If the database cannot be asked, the answer is 503, for optional
//!    sessions too. No client loses its cookie over it, except by logging out, and none gets a new session.
//! 3. **No fixation.** Logging in always makes a new token and ends the sessions that the request came with. A cookie
//!    is recognised only if its name is the same byte for byte.
//! 4. **No guesses.** A request gets 400 if its bearer token or header differs from its cookie. If a request has
//!    several cookies of one name, and exactly one is of a valid session, that one counts. If several are, none counts.
//! 5. **No user is locked out.** Logging in works with any cookies in the browser, and with any session that an earlier
//!    release has written.
//! 6. **Secrets do not leak.** No token is in any `Debug` output, error or log event of this crate. The `Set-Cookie`
//!    header is [marked as sensitive](http::HeaderValue::set_sensitive). The request's own headers belong to axum: keep
//!    `Cookie` and `Authorization` out of your request log.
//! 7. **Bodies pass.** Nothing is buffered; upgrades and streams are not touched.
//!
//! # The cookie
//!
//! By default it is `__Host-Http-session; Secure; HttpOnly; SameSite=Lax; Path=/`, with no `Domain`. Its `Max-Age`
//! leads to the end of the session's absolute lifetime. If there is none, it is 400 days, the most that browsers allow.
//! The server decides when a session is over, and the cookie must not end before it. When a request has extended a
//! session, its cookie is sent again. If a cookie is malformed, or its session is unknown or has expired, the first
//! request that asks for the session clears it.
//!
//! A browser that sends two requests at once gets two responses in any order. If one of them logs in or rotates and the
//! other clears or repeats the old cookie, the old one may win: then that user logs in again.
//!
//! `SameSite=Lax` keeps the cookie out of posts from other sites, but not out of those from a sibling subdomain. Routes
//! that change something should be `POST` and behind a defence against forged requests: add tower-http's
//! [`CsrfLayer`](https://docs.rs/tower-http/0.7/tower_http/csrf/struct.CsrfLayer.html) outside of the [`SessionLayer`].
//! It goes by `Sec-Fetch-Site`, and by `Origin` where a browser does not send that. It lets every `GET` pass, and so
//! `WebSocket` handshakes.
//!
//! # Caches
//!
//! A response that sets or clears the cookie is sent with `Cache-Control: no-store`. If the application has set a
//! `Cache-Control` with `no-store`, that one stays; any laxer one is replaced. No other response is changed. A page for
//! one user that carries no cookie is the application's to keep out of shared caches: send it with `Cache-Control:
//! private` or `no-store`.
//!
//! # After logging out: the Back button
//!
//! When the user goes back, a browser may show a page again without asking the server. Chromium keeps pages for that in
//! memory, also pages that are `no-store`. It drops a `no-store` page if an `HttpOnly` cookie changes meanwhile, and
//! clearing the session's cookie is such a change. So send pages that are for one user with `Cache-Control: no-store`:
//! then they do not come back once the user has logged out in this browser. (This was measured in Chromium.) It does
//! not help if a session ended on the server alone, because the browser does not know of that, and
//! [`Clear-Site-Data`](SessionLayer::clear_site_data) does not help either. Pages that must go then have to ask the
//! server by a script, on the event `pageshow`.
//!
//! # `WebSocket` handshakes
//!
//! A browser sends its cookies with the handshake of a WebSocket, whichever page opens it, and no rule for requests
//! between origins applies. A page of another site gets a connection that speaks for the user, unless `SameSite` keeps
//! the cookie back. A page of a sibling host gets one in any case. So compare the handshake's `Origin` with your own
//! before you accept it, and refuse any other. A handshake is a `GET`, which defences against forged requests let pass.
//! A session that ends does not end a connection that is open. Ask again from time to time with
//! [`Sessions::authenticate`](cloakroom::Sessions::authenticate). That also extends the session, which an open
//! connection does not do by itself.
//!
//! # Order of layers
//!
//! Everything that needs the session must be inside the [`SessionLayer`]: add the layer after your own middleware, so
//! that it is outside of it. Layers outside see the response with the cookie; compression and tracing belong there. A
//! time-out belongs inside, so that a log-out that it cuts short still clears the cookie.

#![deny(missing_docs)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod grpc;
pub mod guards;

pub use grpc::{GrpcStatusFuture, GrpcStatusLayer, GrpcStatusService};

#[doc(inline)]
pub use cloakroom_web::for_axum::{RequireService, ResponseFuture, SessionService};
#[doc(inline)]
pub use cloakroom_web::{
    CookieConfig, CookieConfigBuilder, CookieConfigError, CurrentSession, Flash, FreshSession, Lacking,
    LoggedOut, Message, Next, NotEnded, Require, RequireFresh, RequireScope, RequiredScope, SameSite,
    SessionLayer, SessionManager, SessionRejection, SignedCookie, SignedCookieError, SiteData, TokenSource,
    Values, cookie_values, require_fresh, require_scope, require_session,
};

#[cfg(feature = "dbsc")]
#[doc(inline)]
pub use cloakroom_web::for_axum::DbscService;
#[cfg(feature = "dbsc")]
#[doc(inline)]
pub use cloakroom_web::{Dbsc, DbscBuilder, DbscError, DbscLayer, RequireBound, require_bound};

#[doc(inline)]
pub use cloakroom_web::for_axum::testing;

#[cfg(feature = "client-ip")]
pub use client_ip;

/// Compiles the README's examples as this crate's own.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
