//! The settings of one session table: `settings` holds them, `builder` sets them, and `checks` refuses what is invalid.

mod builder;
mod cache;
mod causal_reads;
mod checks;
mod error;
mod exchange;
mod limits;
mod settings;

pub use builder::ConfigBuilder;
pub use cache::Cache;
pub use causal_reads::CausalReads;
pub use error::ConfigError;
pub(crate) use limits::MAX_BATCH;
pub use settings::Config;
