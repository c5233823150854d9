//! MariaDB and MySQL: how their SQL is written, what their driver needs, and which of the two a server is.

mod dialect;
#[cfg(feature = "mysql")]
mod driver;
#[cfg(feature = "mysql")]
pub(super) mod galera;
mod server;

pub(super) use dialect::MySql;
#[cfg(feature = "mysql")]
pub(crate) use driver::*;
#[cfg(feature = "mysql")]
pub(crate) use sea_query::MysqlQueryBuilder as QueryBuilder;
pub(crate) use server::KnownServer;

/// The servers that speak this protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "mysql"), allow(dead_code, reason = "no server is asked without its driver"))]
pub(crate) enum Server {
    MariaDb,
    MySql,
}
