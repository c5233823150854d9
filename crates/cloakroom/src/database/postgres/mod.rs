//! PostgreSQL: how its SQL is written, and what its driver needs.

mod dialect;
#[cfg(feature = "postgres")]
mod driver;
mod trigger;
#[cfg(feature = "postgres")]
mod values;

pub(super) use dialect::Postgres;
#[cfg(feature = "postgres")]
pub(crate) use driver::*;
#[cfg(feature = "postgres")]
pub(crate) use sea_query::PostgresQueryBuilder as QueryBuilder;
pub(crate) use trigger::AnnounceTrigger;
#[cfg(feature = "postgres")]
pub(crate) use values::*;
