//! Lets requests go on only if their session is as it must be.
//!
//! | the request needs | as a layer | as an extractor | in a handler |
//! |---|---|---|---|
//! | a session | [`require_session`] | [`CurrentSession`](crate::CurrentSession) | |
//! | a session as the database has it | [`require_session().uncached()`](Require::uncached) | [`FreshSession`](crate::FreshSession) | [`current_fresh`](crate::SessionManager::current_fresh) |
//! | a scope | [`require_scope`] | [`RequireScope`] | [`require_scope`](crate::SessionManager::require_scope) |
//! | a user who has just proved who they are | [`require_fresh`] | [`RequireFresh`] | [`require_fresh`](crate::SessionManager::require_fresh) |
//! | a browser that binds its session to the device, with the feature `dbsc` | `require_bound` | `RequireBound` | `require_bound` |
//!
//! All of them refuse in one way, which [`SessionRejection`](crate::SessionRejection) describes: a program gets the challenge
//! of RFC 6750 or RFC 9470 and `application/problem+json`, and a browser that opens a page is sent to the
//! [page for logging in](crate::SessionLayer::login_page) or for [confirming](crate::SessionLayer::confirm_page), with the
//! place that it asked for.
//!
//! ```
//! use std::time::Duration;
//!
//! use axum::Router;
//! use axum::routing::{get, post};
//! use cloakroom::time::OffsetDateTime;
//! use cloakroom::{Scope, Scopes, SessionTable, Sessions};
//! use cloakroom_axum::{SessionLayer, TokenSource, require_fresh, require_scope, require_session};
//!
//! #[derive(Clone, SessionTable)]
//! struct UserSession {
//!     #[session(index)]
//!     user_id: i64,
//!     #[session(authenticated_at)]
//!     authenticated_at: OffsetDateTime,
//! }
//!
//! #[derive(Clone, Scope)]
//! enum Permission {
//!     Read,
//!     Write,
//! }
//!
//! #[derive(Clone, SessionTable)]
//! #[session(table = "api_keys")]
//! struct ApiKey {
//!     user_id: i64,
//!     #[session(scopes)]
//!     scopes: Scopes<Permission>,
//! }
//!
//! fn app(sessions: Sessions<UserSession>, keys: Sessions<ApiKey>) -> Router {
//!     let account = Router::new()
//!         .route("/account/password", post(async || "changed"))
//!         .route_layer(require_fresh::<UserSession>(Duration::from_mins(5)))
//!         .route("/account", get(async || "hello"))
//!         .route_layer(require_session::<UserSession>());
//!     let api = Router::new()
//!         .route("/api/orders", post(async || "ordered"))
//!         .route_layer(require_scope::<ApiKey>(Permission::Write));
//!     let browsers = SessionLayer::new(sessions).login_page("/login").confirm_page("/confirm");
//!     let programs = SessionLayer::new(keys).sources([TokenSource::Bearer]);
//!     Router::new().merge(account.layer(browsers)).merge(api.layer(programs))
//! }
//! ```
//!
//! Add a guard with [`route_layer`](axum::Router::route_layer), so that a path which does not exist stays 404. A guard stands
//! within the [`SessionLayer`](crate::SessionLayer) of its table. Several guards of one table share one lookup. A layer that
//! answers preflights (CORS) belongs outside of guards, because a preflight presents no credentials.

#[doc(inline)]
pub use cloakroom_web::for_axum::{GuardFuture, RequireService};
#[doc(inline)]
pub use cloakroom_web::guards::{
    Require, RequireFresh, RequireScope, RequiredScope, require_fresh, require_scope, require_session,
};
#[cfg(feature = "dbsc")]
#[doc(inline)]
pub use cloakroom_web::guards::{RequireBound, require_bound};
