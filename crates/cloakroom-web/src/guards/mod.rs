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
//! A guard stands within the [`SessionLayer`](crate::SessionLayer) of its table. Several guards of one table share one
//! lookup. A layer that answers preflights (CORS) belongs outside of guards, because a preflight presents no credentials.

mod check;
mod extract;
mod layer;

#[cfg(feature = "dbsc")]
pub use extract::RequireBound;
pub use extract::{RequireFresh, RequireScope, RequiredScope};
#[cfg(feature = "dbsc")]
pub use layer::require_bound;
pub use layer::{Require, require_fresh, require_scope, require_session};
