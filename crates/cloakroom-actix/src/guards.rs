//! Lets requests go on only if their session is as it must be.
//!
//! | the request needs | as a middleware | as an extractor | in a handler |
//! |---|---|---|---|
//! | a session | [`require_session`] | [`CurrentSession`](crate::CurrentSession) | |
//! | a session as the database has it | [`require_session().uncached()`](Require::uncached) | [`FreshSession`](crate::FreshSession) | [`current_fresh`](crate::SessionManager::current_fresh) |
//! | a scope | [`require_scope`] | [`RequireScope`] | [`require_scope`](crate::SessionManager::require_scope) |
//! | a user who has just proved who they are | [`require_fresh`] | [`RequireFresh`] | [`require_fresh`](crate::SessionManager::require_fresh) |
//! | a browser that binds its session to the device, with the feature `dbsc` | `require_bound` | `RequireBound` | `require_bound` |
//!
//! ```
//! use std::time::Duration;
//!
//! use actix_web::web;
//! use cloakroom::time::OffsetDateTime;
//! use cloakroom::{Scope, Scopes, SessionTable, Sessions};
//! use cloakroom_actix::{SessionLayer, TokenSource, require_fresh, require_scope, require_session};
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
//! // `App::new().configure(|app| routes(app, &sessions, &keys))`.
//! fn routes(app: &mut web::ServiceConfig, sessions: &Sessions<UserSession>, keys: &Sessions<ApiKey>) {
//!     let fresh = require_fresh::<UserSession>(Duration::from_mins(5));
//!     let account = web::scope("/account")
//!         .route("", web::get().to(async || "hello"))
//!         .route("/password", web::post().to(async || "changed").wrap(fresh))
//!         .wrap(require_session::<UserSession>())
//!         .wrap(SessionLayer::new(sessions.clone()).login_page("/login").confirm_page("/confirm"));
//!     let api = web::scope("/api")
//!         .route("/orders", web::post().to(async || "ordered"))
//!         .wrap(require_scope::<ApiKey>(Permission::Write))
//!         .wrap(SessionLayer::new(keys.clone()).sources([TokenSource::Bearer]));
//!     app.service(account).service(api);
//! }
//! ```
//!
//! All of them refuse as [`SessionRejection`](crate::SessionRejection) describes. Several guards of one table share one
//! lookup. A middleware that answers preflights (CORS) belongs outside of guards, because a preflight presents no credentials.

#[doc(inline)]
pub use cloakroom_web::for_actix::{GuardFuture, RequireService};
#[doc(inline)]
pub use cloakroom_web::guards::{
    Require, RequireFresh, RequireScope, RequiredScope, require_fresh, require_scope, require_session,
};
#[cfg(feature = "dbsc")]
#[doc(inline)]
pub use cloakroom_web::guards::{RequireBound, require_bound};
