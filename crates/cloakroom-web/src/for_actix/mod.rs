//! What actix-web asks for: its traits for the types of the other rooms. Rust has a trait implemented beside the type or
//! beside the trait, so this cannot stand in `cloakroom-actix`.

mod border;
#[cfg(feature = "dbsc")]
mod dbsc;
mod extract;
mod guard;
mod middleware;
mod optional;
mod respond;
pub mod testing;

pub use border::parts_of;
#[cfg(feature = "dbsc")]
pub use dbsc::{DbscFuture, DbscService};
pub use extract::{ExtractFuture, Extracted};
pub use guard::{GuardFuture, RequireService};
pub use middleware::{ResponseFuture, SessionService};
pub use optional::OptionalSession;
