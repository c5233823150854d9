//! SQLite: how its SQL is written, and what its driver needs.

mod dialect;
#[cfg(feature = "sqlite")]
mod direct;
#[cfg(feature = "sqlite")]
mod driver;
mod instant;
#[cfg(feature = "sqlite")]
mod row;
#[cfg(feature = "sqlite")]
mod url;
#[cfg(feature = "sqlite")]
mod write;

pub(super) use dialect::Sqlite;
#[cfg(feature = "sqlite")]
pub(crate) use direct::{AskThePool, DirectReads};
#[cfg(feature = "sqlite")]
pub(crate) use driver::*;
pub(crate) use instant::instant;
#[cfg(feature = "sqlite")]
pub(crate) use row::*;
#[cfg(feature = "sqlite")]
pub(crate) use sea_query::SqliteQueryBuilder as QueryBuilder;
#[cfg(feature = "sqlite")]
pub(crate) use write::write;
