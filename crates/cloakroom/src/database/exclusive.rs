use std::fmt;

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
        #[cfg(any(feature = "sqlite", feature = "postgres"))]
        let failed = |error| crate::error::Error::from_sqlx(error, &table.to_string());
        match database {
            #[cfg(feature = "sqlite")]
            Database::Sqlite(pool) => {
                super::sqlite::begin_exclusive(pool).await.map(Self::Sqlite).map_err(failed)
            }
            #[cfg(feature = "postgres")]
            Database::Postgres(pool) => super::postgres::begin_exclusive(pool, table)
                .await
                .map(|begun| Self::Postgres(Box::new(begun)))
                .map_err(failed),
            #[cfg(feature = "mysql")]
            Database::MySql(pool) => {
                super::mysql::lock(pool, table).await.map(|locked| Self::MySql(Box::new(locked)))
            }
        }
    }

    pub(crate) fn connection(&mut self) -> Connection<'_> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(transaction) => Connection::from(transaction).free(),
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => Connection::from(&mut **connection).free(),
            #[cfg(feature = "mysql")]
            Self::MySql(connection) => Connection::from(&mut **connection).free(),
        }
    }

    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(transaction) => transaction.commit().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => super::postgres::commit(*connection).await,
            #[cfg(feature = "mysql")]
            Self::MySql(connection) => sqlx::Connection::close(*connection).await,
        }
    }
}
