use std::fmt;

use super::list::match_database;
use super::{Connection, Database};
use crate::error::Result;

/// The name of a table, with its schema if one was given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableName<'t> {
    pub(crate) schema: Option<&'t str>,
    pub(crate) table: &'t str,
}

impl fmt::Display for TableName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.table),
            None => f.write_str(self.table),
        }
    }
}

/// A connection that holds the lock under which a table is migrated. If it is dropped, the lock is released, and all is
/// undone that a transaction can undo.
pub(crate) enum Exclusive {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    /// No longer a connection of the pool: the transaction ends with the connection.
    #[cfg(feature = "postgres")]
    Postgres(Box<sqlx::PgConnection>),
    /// No longer a connection of the pool: the lock belongs to the connection, and ends with it.
    #[cfg(feature = "mysql")]
    MySql(Box<sqlx::MySqlConnection>),
}

impl Exclusive {
    /// Waits until no other process migrates this table.
    pub(crate) async fn acquire(database: &Database, table: TableName<'_>) -> Result<Self> {
        Ok(match_database!(database, Database(pool) in driver to Exclusive => {
            driver::begin_exclusive(pool, table).await?
        }))
    }

    pub(crate) fn connection(&mut self) -> Connection<'_> {
        match_database!(self, Exclusive(held) => Connection::from(&mut **held).free())
    }

    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        match_database!(self, Exclusive(held) in driver => driver::commit_exclusive(held).await)
    }
}
