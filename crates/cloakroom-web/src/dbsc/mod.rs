//! Device Bound Session Credentials over HTTP: which headers are sent and read, and the two routes that browsers ask by
//! themselves.

mod answer;
pub(crate) mod binding;
mod layer;
mod passing;
mod settings;
pub(crate) mod switched;

pub(crate) use answer::Asked;
pub use layer::DbscLayer;
pub(crate) use passing::Passing;
pub use settings::{Dbsc, DbscBuilder, DbscError};
