//! Device Bound Session Credentials over HTTP: which headers are sent and read, and the two routes that browsers ask by
//! themselves.

mod answer;
pub(crate) mod binding;
mod layer;
mod settings;
pub(crate) mod switched;

pub use layer::{DbscLayer, DbscService};
pub use settings::{Dbsc, DbscBuilder, DbscError};
