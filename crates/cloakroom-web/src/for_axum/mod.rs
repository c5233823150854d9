//! What axum asks for: its traits for the types of the other rooms. Rust has a trait implemented beside the type or beside
//! the trait, so this cannot stand in `cloakroom-axum`.

#[cfg(feature = "dbsc")]
mod dbsc;
mod extract;
mod framework;
mod future;
mod guard;
mod layer;
mod respond;
pub mod testing;

#[cfg(feature = "dbsc")]
pub use dbsc::DbscService;
pub use future::ResponseFuture;
pub use guard::{GuardFuture, RequireService};
pub use layer::SessionService;
pub use respond::Rejected;
