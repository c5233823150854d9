//! Sessions and API keys in [axum], on top of [`cloakroom`].
//!
//! The browser holds an opaque token in a cookie, an API client in a header; your database holds its digest.
//! A [`SessionLayer`] brings the sessions of one table into a router. Handlers take what they need:
//! [`CurrentSession`] to know who is asking, [`SessionManager`] to log in and out.
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
//! // Only for who is logged in. Everybody else is sent to the page for logging in.
//! async fn account(session: CurrentSession<UserSession>) -> String {
//!     format!("You are {}.", session.fields.user_id)
//! }
//!
//! // For everybody.
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
//!     .layer(SessionLayer::new(sessions).redirect_to("/login"));
//! # Ok(())
//! # }
//! ```
//!
//! # Where to look
//!
//! | you want to | look at |
//! |---|---|
//! | know who is asking | [`CurrentSession`], `Option<CurrentSession>` |
//! | log in, log out, here and elsewhere | [`SessionManager`] |
//! | accept bearer tokens and API keys | [`SessionLayer::sources`], [`TokenSource`] |
//! | have several tables in one application | [`SessionLayer`], "Several tables" |
//! | send browsers to a page for logging in | [`SessionLayer::redirect_to`] |
//! | name the cookie, or develop without TLS | [`CookieConfig`] |
//! | record the device and its address | [`SessionLayer::on_log_in`] |
//! | know what clients are told when something is wrong | [`SessionRejection`] |
//! | test what needs a session | [`testing`] |
//!
//! # What you can rely on
//!
//! 1. **A request that never asks costs no query**, and one that asks costs one lookup, however many extractors
//!    and middlewares ask, at the same time or one after another.
//! 2. **Trouble is not "logged out".** A database that cannot be asked is 503, for optional sessions too. Nobody
//!    loses the cookie over it, and nobody gets a new session.
//! 3. **No fixation.** Logging in always makes a new token and ends the session that the request came with.
//! 4. **No guesses.** A request with two different tokens is answered with 400.
//! 5. **Secrets do not leak.** No token is in any `Debug` output, error or log event of this crate; the
//!    `Set-Cookie` header is [marked as sensitive](http::HeaderValue::set_sensitive). The request's own
//!    headers belong to axum: keep `Cookie` and `Authorization` out of your request log.
//! 6. **Bodies pass.** Nothing is buffered; upgrades and streams are not touched.
//!
//! # The cookie
//!
//! By default it is `__Host-session; Secure; HttpOnly; SameSite=Lax; Path=/`, with no `Domain` and with
//! `Max-Age` to the end of the session, or 400 days, which is the most that browsers allow, where it has
//! none. A session that was extended has its cookie sent again. A cookie whose session is unknown or has
//! expired, or that is malformed, is cleared by the first request that asks for the session.
//!
//! A browser that sends two requests at once gets two responses in any order. Where one of them logs in or
//! rotates and the other clears or repeats the old cookie, the old one may win: then that user logs in again.
//!
//! `SameSite=Lax` keeps other sites' posts without the cookie, but not those of a sister subdomain. Routes
//! that change something should be `POST` and behind a defence against forged requests, such as that of
//! tower-http.
//!
//! # Caches
//!
//! A response that sets or clears the cookie is `Cache-Control: no-store`, unless the application has said
//! `no-store` itself, perhaps with more; anything laxer is replaced. No other response is changed. A page
//! for one user that carries no cookie is the application's to keep out of shared caches: send it with
//! `Cache-Control: private` or `no-store`.
//!
//! # Order of layers
//!
//! What asks for the session must be inside the [`SessionLayer`]: add that one after, which is outside of,
//! your own middleware. Layers outside see the response with the cookie: compression and tracing belong there.

#![deny(missing_docs)]

mod cookie;
mod extract;
mod future;
mod layer;
mod manager;
mod rejection;
mod source;
mod state;
pub mod testing;

pub use cookie::{CookieConfig, CookieConfigBuilder, CookieConfigError, SameSite};
pub use extract::CurrentSession;
pub use future::ResponseFuture;
pub use layer::{SessionLayer, SessionService};
pub use manager::SessionManager;
pub use rejection::{LoggedOut, SessionRejection};
pub use source::TokenSource;

#[cfg(feature = "client-ip")]
pub use client_ip;

/// The README's examples, compiled as this crate's own.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
