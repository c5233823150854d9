//! MariaDB and MySQL: how their SQL is written, and what their driver needs.

mod dialect;
#[cfg(feature = "mysql")]
mod driver;
#[cfg(feature = "mysql")]
pub(super) mod galera;

pub(super) use dialect::MySql;
#[cfg(feature = "mysql")]
pub(crate) use driver::*;
#[cfg(feature = "mysql")]
pub(crate) use sea_query::MysqlQueryBuilder as QueryBuilder;
