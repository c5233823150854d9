//! SQLite: how its SQL is written, and what its driver needs.

mod dialect;
#[cfg(feature = "sqlite")]
mod driver;
#[cfg(feature = "sqlite")]
mod url;

pub(super) use dialect::Sqlite;
#[cfg(feature = "sqlite")]
pub(crate) use driver::*;
#[cfg(feature = "sqlite")]
pub(crate) use sea_query::SqliteQueryBuilder as QueryBuilder;
