//! What Cloakroom's crates for web frameworks share.
//!
//! Use [`cloakroom-axum`](https://docs.rs/cloakroom-axum) or [`cloakroom-actix`](https://docs.rs/cloakroom-actix), which
//! re-export what is here under their own names, and whose documentation is the manual. This crate reads what a request
//! presents, finds its session, decides on the cookie and on the answer, all by the types of the crate [`http`]. So each
//! rule stands once, and both frameworks have the same.
//!
//! In the examples of this documentation `cloakroom_web` stands for the crate of your framework.
//!
//! # Frameworks
//!
//! No file of this crate knows a framework, but for those in two folders, `for_axum` and `for_actix`. They implement the
//! frameworks' traits for the types of this crate, since Rust has that done beside the type or beside the trait. Each is
//! compiled with the feature of its name alone. Without features there is nothing of a framework here, and no dependency
//! on one.

#![deny(missing_docs)]
#![cfg_attr(docsrs, feature(doc_cfg))]
// What nothing of a framework asks for.
#![cfg_attr(not(any(feature = "actix", feature = "axum")), allow(dead_code))]

mod client;
mod cookie;
mod credentials;
#[cfg(feature = "dbsc")]
mod dbsc;
mod extract;
mod flash;
#[cfg(feature = "actix")]
pub mod for_actix;
#[cfg(feature = "axum")]
pub mod for_axum;
mod framework;
#[cfg(test)]
mod fuzz;
pub mod guards;
mod layer;
mod manager;
mod next;
#[cfg(feature = "utoipa")]
mod openapi;
mod refusal;
mod rejection;
mod requirement;
mod settings;
mod site_data;
mod state;
mod testing;
mod values;
mod visitors;

pub use cookie::{
    CookieConfig, CookieConfigBuilder, CookieConfigError, SameSite, SignedCookie, SignedCookieError,
    cookie_values,
};
pub use credentials::TokenSource;
#[cfg(feature = "dbsc")]
pub use dbsc::{Dbsc, DbscBuilder, DbscError, DbscLayer};
pub use extract::{CurrentSession, FreshSession};
pub use flash::{Flash, Message};
pub use guards::{
    Require, RequireFresh, RequireScope, RequiredScope, require_fresh, require_scope, require_session,
};
#[cfg(feature = "dbsc")]
pub use guards::{RequireBound, require_bound};
pub use layer::SessionLayer;
pub use manager::SessionManager;
pub use next::Next;
pub use rejection::{Lacking, LoggedOut, NotEnded, SessionRejection};
pub use site_data::SiteData;
pub use values::Values;
