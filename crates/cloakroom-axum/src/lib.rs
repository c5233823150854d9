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
//! | ask the database though a cache would answer | [`FreshSession`], [`SessionManager::current_fresh`] |
//! | log in, log out, here and elsewhere | [`SessionManager`] |
//! | accept bearer tokens and API keys | [`SessionLayer::sources`], [`TokenSource`] |
//! | have several tables in one application | [`SessionLayer`], "Several tables" |
//! | send browsers to a page for logging in | [`SessionLayer::redirect_to`] |
//! | name the cookie, or develop without TLS | [`CookieConfig`] |
//! | know how long a browser keeps it | [`CookieConfig`], "How long a browser keeps it" |
//! | read a cookie of your own as strictly | [`cookie_values`] |
//! | empty the browser at a log-out | [`SessionLayer::clear_site_data`] |
//! | record the device and its address | [`SessionLayer::on_log_in`] |
//! | know what clients are told when something is wrong | [`SessionRejection`] |
//! | test what needs a session | [`testing`] |
//!
//! # What you can rely on
//!
//! 1. **A request that never asks costs no query**, and one that asks costs one lookup, however many extractors
//!    and middlewares ask, at the same time or one after another. Two things cost more: several cookies of one name,
//!    and a [`FreshSession`] where a cache had answered before.
//! 2. **Trouble is not "logged out".** A database that cannot be asked is 503, for optional sessions too. Nobody
//!    loses the cookie over it but who logs out, and nobody gets a new session.
//! 3. **No fixation.** Logging in always makes a new token and ends the sessions that the request came with. A
//!    cookie is this one only if its name is, byte for byte.
//! 4. **No guesses.** A request whose bearer token or header differs from its cookie is answered with 400. Of
//!    several cookies of one name, the only one that is of a valid session counts, and if there are several such,
//!    none.
//! 5. **Nobody is locked out.** Whatever stands in a browser's cookies, and whatever an earlier release has written
//!    into its session: logging in works.
//! 6. **Secrets do not leak.** No token is in any `Debug` output, error or log event of this crate; the
//!    `Set-Cookie` header is [marked as sensitive](http::HeaderValue::set_sensitive). The request's own
//!    headers belong to axum: keep `Cookie` and `Authorization` out of your request log.
//! 7. **Bodies pass.** Nothing is buffered; upgrades and streams are not touched.
//!
//! # The cookie
//!
//! By default it is `__Host-Http-session; Secure; HttpOnly; SameSite=Lax; Path=/`, with no `Domain` and with
//! `Max-Age` to the end of the session's absolute lifetime, or 400 days, which is the most that browsers allow, if it
//! has none: the server decides when a session is over, and the cookie must not end before it. A session that a
//! request has extended has its cookie sent again. A cookie whose session is unknown or has expired, or that is
//! malformed, is cleared by the first request that asks for the session.
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
//! # After logging out: the Back button
//!
//! What a browser has once shown, it may show again without asking anybody, when its user goes back. Chromium keeps
//! pages for that in memory, also those that are `no-store`. It drops a `no-store` page when a cookie that is
//! `HttpOnly` changes meanwhile, which clearing the session's cookie does. So send pages that are for one user with
//! `Cache-Control: no-store`: then they do not come back once their user has logged out in this browser. (So it
//! is in Chromium, where it was measured.) It does not help against a session that ended on
//! the server alone, since the browser has not heard of it, and [`Clear-Site-Data`](SessionLayer::clear_site_data)
//! does not either. Pages that must go then have to ask by a script, on the event `pageshow`.
//!
//! # `WebSocket` handshakes
//!
//! A browser sends its cookies with the handshake of a WebSocket to whichever page opens one, and no rule for
//! requests between origins applies: a page of another site gets a connection that speaks for the user, unless
//! `SameSite` keeps the cookie back, and a page of a sibling host gets it in any case. So compare the handshake's
//! `Origin` with your own before you accept it, and refuse what differs. It is a `GET`, which defences against forged
//! requests let pass. A session that ends does not end a connection that is open: ask again from time to time, by
//! [`Sessions::authenticate`](cloakroom::Sessions::authenticate), which also extends it, since an open connection is
//! no request that does.
//!
//! # Order of layers
//!
//! What asks for the session must be inside the [`SessionLayer`]: add that one after, which is outside of,
//! your own middleware. Layers outside see the response with the cookie: compression and tracing belong there. A
//! time-out belongs inside, so that a log-out that it cuts short still clears the cookie.

#![deny(missing_docs)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod ask;
mod cookie;
mod cookie_header;
mod extract;
mod future;
#[cfg(test)]
mod fuzz;
mod layer;
mod lifetime;
mod localhost;
mod manager;
mod neighbour;
mod read_ahead;
mod rejection;
mod site_data;
mod source;
mod state;
pub mod testing;

pub use cookie::{CookieConfig, CookieConfigBuilder, CookieConfigError, SameSite};
pub use cookie_header::cookie_values;
pub use extract::{CurrentSession, FreshSession};
pub use future::ResponseFuture;
pub use layer::{SessionLayer, SessionService};
pub use manager::SessionManager;
pub use rejection::{LoggedOut, NotEnded, SessionRejection};
pub use site_data::SiteData;
pub use source::TokenSource;

#[cfg(feature = "client-ip")]
pub use client_ip;

/// The README's examples, compiled as this crate's own.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
