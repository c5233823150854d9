//! Sessions and API keys in [actix-web](actix_web), on top of [`cloakroom`].
//!
//! The browser holds an opaque token in a cookie, an API client in a header; your database holds its digest.
//! A [`SessionLayer`] around an application or a scope brings in the sessions of one table. Handlers take what they need:
//! [`CurrentSession`] to know the user, [`SessionManager`] to log in and out.
//!
//! The rules are those of [`cloakroom-axum`](https://docs.rs/cloakroom-axum), by the same code, and the same suite over HTTP
//! judges both. Its front page says what you can rely on, and it holds here.
//!
//! # In a minute
//!
//! ```
//! use actix_web::web::{self, Redirect};
//! use actix_web::{App, HttpServer};
//! use cloakroom::{Config, Database, NewSession, SessionTable, Sessions};
//! use cloakroom_actix::{
//!     CsrfMiddleware, CurrentSession, Next, OptionalSession, SessionLayer, SessionManager, SessionRejection,
//! };
//!
//! #[derive(Clone, SessionTable)]
//! struct UserSession {
//!     #[session(index)]
//!     user_id: String,
//! }
//!
//! // After you have checked the password.
//! async fn log_in(
//!     user_id: web::Path<String>,
//!     next: Next,
//!     manager: SessionManager<UserSession>,
//! ) -> Result<Redirect, SessionRejection> {
//!     manager.log_in(NewSession::new(UserSession { user_id: user_id.into_inner() })).await?;
//!     Ok(Redirect::to(next.or("/account").to_owned()).see_other())
//! }
//!
//! // Only for a logged in user. All others are sent to the page for logging in.
//! async fn account(session: CurrentSession<UserSession>) -> String {
//!     format!("You are {}.", session.fields.user_id)
//! }
//!
//! // For all visitors. Not `Option<CurrentSession<_>>`: see below.
//! async fn front_page(session: OptionalSession<UserSession>) -> &'static str {
//!     if session.is_some() { "Welcome back!" } else { "Welcome!" }
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let database = Database::connect("sqlite::memory:").await?;
//! let sessions = Sessions::<UserSession>::new(database, Config::default())?;
//! sessions.migrate().await?;
//!
//! HttpServer::new(move || {
//!     App::new()
//!         .route("/", web::get().to(front_page))
//!         .route("/login/{user_id}", web::post().to(log_in))
//!         .route("/account", web::get().to(account))
//!         .wrap(SessionLayer::new(sessions.clone()).login_page("/login"))
//!         .wrap(CsrfMiddleware::default()) // Refuses what another site's page sends.
//! })
//! .bind(("127.0.0.1", 8080))?
//! .run()
//! .await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Where to look
//!
//! | you want to | look at |
//! |---|---|
//! | know the user of a request | [`CurrentSession`], [`OptionalSession`] |
//! | ask the database though a cache would answer | [`FreshSession`], [`SessionManager::current_fresh`] |
//! | log in, log out, here and elsewhere | [`SessionManager`] |
//! | accept bearer tokens and API keys, name the cookie | [`SessionLayer::sources`], [`CookieConfig`] |
//! | have several tables in one application | [`SessionLayer`], "Several tables" |
//! | protect routes: by a session, a scope, a recent password | [`guards`] |
//! | send browsers to a page for logging in, and back | [`SessionLayer::login_page`], [`Next`] |
//! | refuse what other sites' pages send | `CsrfMiddleware`, of the feature `csrf` |
//! | make a stolen cookie worthless | `SessionLayer::dbsc`, of the feature `dbsc` |
//! | record the device and its address | [`SessionLayer::on_log_in`], [`SessionLayer::on_use`] |
//! | know what clients get when something is wrong | [`SessionRejection`] |
//! | keep a basket or a language before the log-in, and after it | [`SessionLayer::for_visitors`], [`SessionManager::log_in_from`], [`Values`] |
//! | tell a user something on the next page, once | [`Flash`] |
//! | test handlers that need a session | [`testing`] |
//!
//! # What is different in actix-web
//!
//! - **`Option<CurrentSession<T>>` compiles and is wrong.** actix-web makes an extractor of every `Option`, which gives `None`
//!   for any error. While the database is away, it makes a visitor of each user. Take [`OptionalSession`], which rejects
//!   then. `Result<CurrentSession<T>, SessionRejection>` is right too.
//! - **The last `wrap` is the outermost.** The guards of a table stand within its [`SessionLayer`], so it is wrapped after
//!   them. `CsrfMiddleware` is outside of it. A layer for a part of the application is wrapped around a
//!   [`scope`](actix_web::web::scope) with a prefix: a scope without one answers 404 for all paths that it does not have.
//! - **A guard of one route** is `web::get().to(handler).wrap(require_session::<UserSession>())`; that of many is wrapped
//!   around their scope.
//! - **An error of a middleware** that is wrapped within the layer becomes a response outside of it. The cookie is put into
//!   that one too.
//! - **`HEAD`** has no route where only `GET` has one: `web::get()` does not answer it, and axum's `get` does.
//! - **Hooks** such as [`SessionLayer::on_log_in`] get the request's head by the types of the crate `http` 1, and actix-web 4
//!   has 0.2 in its interface. Each layer converts the head of each request once, on the way in. A connection's own address is
//!   in the head's extension [`PeerAddr`](actix_web::dev::PeerAddr).
//! - **`GrpcStatusLayer`** is in `cloakroom-axum` alone, since tonic is.
//!
//! # Workers and runtimes
//!
//! actix-web runs each worker on a thread and a runtime of its own, and handlers stay on the thread where they began. What this
//! crate puts into a request is the thread's alone. [`Sessions`](cloakroom::Sessions) and the [`SessionLayer`] are shared:
//! make them once, and clone them into the closure of `HttpServer::new`. Then all workers share one pool, one cache, and the
//! statements that lookups at the same time make together.
//!
//! A connection of the pool is driven by the runtime on which it was opened, and ends with it. Workers end together when the
//! server stops, so a call that asks the database after that opens a connection anew. Spawn a [`Pruner`](cloakroom::Pruner) or an
//! importer before the server starts, on the runtime of `main`, and not in a worker.

#![deny(missing_docs)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "csrf")]
mod csrf;
pub mod guards;

#[cfg(feature = "csrf")]
pub use csrf::{CsrfFuture, CsrfMiddleware, CsrfService};

#[doc(inline)]
pub use cloakroom_web::for_actix::{
    ExtractFuture, Extracted, OptionalSession, RequireService, ResponseFuture, SessionService, parts_of,
    testing,
};
#[doc(inline)]
pub use cloakroom_web::{
    CookieConfig, CookieConfigBuilder, CookieConfigError, CurrentSession, Flash, FreshSession, Lacking,
    LoggedOut, Message, Next, NotEnded, Require, RequireFresh, RequireScope, RequiredScope, SameSite,
    SessionLayer, SessionManager, SessionRejection, SignedCookie, SignedCookieError, SiteData, TokenSource,
    Values, cookie_values, require_fresh, require_scope, require_session,
};

#[cfg(feature = "dbsc")]
#[doc(inline)]
pub use cloakroom_web::for_actix::{DbscFuture, DbscService};
#[cfg(feature = "dbsc")]
#[doc(inline)]
pub use cloakroom_web::{Dbsc, DbscBuilder, DbscError, DbscLayer, RequireBound, require_bound};

#[cfg(feature = "client-ip")]
pub use client_ip;

/// The layer of tower-http whose rules [`CsrfMiddleware`] applies.
#[cfg(feature = "csrf")]
pub use tower_http::csrf::CsrfLayer;

/// Compiles the README's examples as this crate's own.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
