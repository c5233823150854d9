use std::fmt;

use sqlx::AssertSqlSafe;

use super::row::Row;
use super::statement::Statement;
use super::{Backend, classify};
use crate::error::{Error, Result};

/// How often a statement that lost a deadlock runs again.
const DEADLOCK_RETRIES: u32 = 10;

/// The application's own pool of connections, to one of the supported databases.
///
/// Make one with `From`, as [`Sessions::new`](crate::Sessions::new) does, or with
/// [`Database::connect`].
#[derive(Clone)]
#[non_exhaustive]
pub enum Database {
    /// A pool of SQLite connections.
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::SqlitePool),
    /// A pool of PostgreSQL connections.
    #[cfg(feature = "postgres")]
    Postgres(sqlx::PgPool),
    /// A pool of MariaDB or MySQL connections.
    #[cfg(feature = "mysql")]
    MySql(sqlx::MySqlPool),
}

impl Database {
    /// Opens a pool from a URL: `sqlite:file.db`, `postgres://…`, `mysql://…`.
    ///
    /// An embedded database is created if it does not exist, and opened with the settings that suit
    /// sessions: WAL, so that readers do not wait for writers, `synchronous = NORMAL`, and a busy time-out
    /// of five seconds. An application that already has a pool passes that to
    /// [`Sessions::new`](crate::Sessions::new) instead.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for a URL of another kind or of a database whose
    /// feature is off; [`Unavailable`](crate::ErrorKind::Unavailable) where nothing answers within ten seconds,
    /// or what answers refuses.
    pub async fn connect(url: &str) -> Result<Self> {
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        match scheme {
            #[cfg(feature = "sqlite")]
            "sqlite" => super::sqlite::connect(url).await.map(Self::Sqlite),
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => super::postgres::connect(url).await.map(Self::Postgres),
            #[cfg(feature = "mysql")]
            "mysql" | "mariadb" => super::mysql::connect(url).await.map(Self::MySql),
            _ => Err(Error::new(
                crate::ErrorKind::Unsupported,
                "the database's URL must begin with sqlite:, postgres: or mysql:, and the crate be built with that feature",
            )),
        }
    }

    /// Which kind of database it is.
    pub fn backend(&self) -> Backend {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => Backend::Sqlite,
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => Backend::Postgres,
            #[cfg(feature = "mysql")]
            Self::MySql(_) => Backend::MySql,
        }
    }

    /// Closes the pool and waits for its connections to end.
    pub async fn close(&self) {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(pool) => pool.close().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(pool) => pool.close().await,
            #[cfg(feature = "mysql")]
            Self::MySql(pool) => pool.close().await,
        }
    }
}

impl Database {
    /// A connection of the pool, for several statements, each of which commits by itself.
    pub(crate) async fn acquire(&self) -> Result<Pooled, sqlx::Error> {
        Ok(match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(pool) => Pooled::Sqlite(pool.acquire().await?),
            #[cfg(feature = "postgres")]
            Self::Postgres(pool) => Pooled::Postgres(pool.acquire().await?),
            #[cfg(feature = "mysql")]
            Self::MySql(pool) => Pooled::MySql(pool.acquire().await?),
        })
    }
}

/// A connection that goes back to its pool.
pub(crate) enum Pooled {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::pool::PoolConnection<sqlx::Sqlite>),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::pool::PoolConnection<sqlx::Postgres>),
    #[cfg(feature = "mysql")]
    MySql(sqlx::pool::PoolConnection<sqlx::MySql>),
}

impl Pooled {
    pub(crate) fn connection(&mut self) -> Connection<'_> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(connection) => Connection::Sqlite(connection),
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => Connection::Postgres(connection),
            #[cfg(feature = "mysql")]
            Self::MySql(connection) => Connection::MySql(connection),
        }
    }

    /// Closes it, instead of giving it back: its server may not answer any more. SQLite is in this process, and a
    /// database in memory would end with its connection.
    pub(crate) fn discard(self) {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(connection) => drop(connection),
            #[cfg(feature = "postgres")]
            Self::Postgres(mut connection) => connection.close_on_drop(),
            #[cfg(feature = "mysql")]
            Self::MySql(mut connection) => connection.close_on_drop(),
        }
    }
}

/// A pool's options hold the password.
impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({})", self.backend())
    }
}

/// Where a statement runs: any connection of the pool, or the caller's own, inside its transaction.
///
/// Made with `From` of `&mut sqlx::Transaction` or of `&mut` a connection of sqlx.
pub enum Connection<'c> {
    /// Any connection of the pool; each statement commits by itself.
    #[doc(hidden)]
    Pool(Database),
    #[cfg(feature = "sqlite")]
    #[doc(hidden)]
    Sqlite(&'c mut sqlx::SqliteConnection),
    #[cfg(feature = "postgres")]
    #[doc(hidden)]
    Postgres(&'c mut sqlx::PgConnection),
    #[cfg(feature = "mysql")]
    #[doc(hidden)]
    MySql(&'c mut sqlx::MySqlConnection),
}

impl fmt::Debug for Connection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_pool() { "Connection(pool)" } else { "Connection(transaction)" })
    }
}

macro_rules! from_connection {
    ($feature:literal, $variant:ident, $connection:ident, $pool:ident) => {
        #[cfg(feature = $feature)]
        impl<'c> From<&'c mut sqlx::$connection> for Connection<'c> {
            fn from(connection: &'c mut sqlx::$connection) -> Self {
                Self::$variant(connection)
            }
        }

        #[cfg(feature = $feature)]
        impl<'c> From<&'c mut sqlx::Transaction<'_, sqlx::$variant>> for Connection<'c> {
            fn from(transaction: &'c mut sqlx::Transaction<'_, sqlx::$variant>) -> Self {
                Self::$variant(&mut **transaction)
            }
        }

        #[cfg(feature = $feature)]
        impl From<sqlx::$pool> for Database {
            fn from(pool: sqlx::$pool) -> Self {
                Self::$variant(pool)
            }
        }
    };
}

from_connection!("sqlite", Sqlite, SqliteConnection, SqlitePool);
from_connection!("postgres", Postgres, PgConnection, PgPool);
from_connection!("mysql", MySql, MySqlConnection, MySqlPool);

/// Runs `$body` with the executor and the module of whatever database `$connection` leads to.
macro_rules! run {
    ($connection:expr, |$executor:ident| $body:expr) => {
        run!($connection, |$executor, _driver, _row| $body)
    };
    ($connection:expr, |$executor:ident, $driver:ident, $row:ident| $body:expr) => {
        match $connection {
            #[cfg(feature = "sqlite")]
            Connection::Pool(Database::Sqlite(pool)) => {
                #[allow(unused_imports, reason = "not every body asks")]
                use super::sqlite as $driver;
                let ($executor, $row) = (&*pool, Row::Sqlite);
                $body
            }
            #[cfg(feature = "sqlite")]
            Connection::Sqlite(connection) => {
                #[allow(unused_imports, reason = "not every body asks")]
                use super::sqlite as $driver;
                let ($executor, $row) = (&mut **connection, Row::Sqlite);
                $body
            }
            #[cfg(feature = "postgres")]
            Connection::Pool(Database::Postgres(pool)) => {
                #[allow(unused_imports, reason = "not every body asks")]
                use super::postgres as $driver;
                let ($executor, $row) = (&*pool, Row::Postgres);
                $body
            }
            #[cfg(feature = "postgres")]
            Connection::Postgres(connection) => {
                #[allow(unused_imports, reason = "not every body asks")]
                use super::postgres as $driver;
                let ($executor, $row) = (&mut **connection, Row::Postgres);
                $body
            }
            #[cfg(feature = "mysql")]
            Connection::Pool(Database::MySql(pool)) => {
                #[allow(unused_imports, reason = "not every body asks")]
                use super::mysql as $driver;
                let ($executor, $row) = (&*pool, Row::MySql);
                $body
            }
            #[cfg(feature = "mysql")]
            Connection::MySql(connection) => {
                #[allow(unused_imports, reason = "not every body asks")]
                use super::mysql as $driver;
                let ($executor, $row) = (&mut **connection, Row::MySql);
                $body
            }
        }
    };
}

impl Connection<'_> {
    pub(crate) fn is_pool(&self) -> bool {
        matches!(self, Self::Pool(_))
    }

    pub(crate) fn backend(&self) -> Backend {
        match self {
            Self::Pool(database) => database.backend(),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => Backend::Sqlite,
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => Backend::Postgres,
            #[cfg(feature = "mysql")]
            Self::MySql(_) => Backend::MySql,
        }
    }

    /// The same connection, for a shorter while.
    pub(crate) fn reborrow(&mut self) -> Connection<'_> {
        match self {
            Self::Pool(database) => Connection::Pool(database.clone()),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(connection) => Connection::Sqlite(connection),
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => Connection::Postgres(connection),
            #[cfg(feature = "mysql")]
            Self::MySql(connection) => Connection::MySql(connection),
        }
    }

    pub(crate) async fn fetch_all(&mut self, statement: &Statement) -> Result<Vec<Row>, sqlx::Error> {
        run!(self, |executor, driver, row| {
            let query =
                sqlx::query_with(AssertSqlSafe(statement.sql.clone()), driver::arguments(&statement.values)?);
            Ok(query.fetch_all(executor).await?.into_iter().map(row).collect())
        })
    }

    pub(crate) async fn fetch_optional(&mut self, statement: &Statement) -> Result<Option<Row>, sqlx::Error> {
        run!(self, |executor, driver, row| {
            let query =
                sqlx::query_with(AssertSqlSafe(statement.sql.clone()), driver::arguments(&statement.values)?);
            Ok(query.fetch_optional(executor).await?.map(row))
        })
    }

    /// Runs a statement that returns no rows; the number of rows that it concerned.
    ///
    /// A statement that the database rolled back to end a deadlock runs again, a bounded number of times.
    /// Inside the caller's transaction it does not: there the whole transaction was rolled back.
    pub(crate) async fn execute(&mut self, statement: &Statement) -> Result<u64, sqlx::Error> {
        if self.is_pool() { self.execute_alone(statement).await } else { self.execute_once(statement).await }
    }

    /// Runs a statement that is a transaction of its own.
    pub(crate) async fn execute_alone(&mut self, statement: &Statement) -> Result<u64, sqlx::Error> {
        let mut retries = DEADLOCK_RETRIES;
        loop {
            match self.execute_once(statement).await {
                Err(sqlx::Error::Database(error)) if retries > 0 && classify(&*error).is_transient => {
                    retries -= 1;
                }
                result => return result,
            }
        }
    }

    async fn execute_once(&mut self, statement: &Statement) -> Result<u64, sqlx::Error> {
        run!(self, |executor, driver, _row| {
            let query =
                sqlx::query_with(AssertSqlSafe(statement.sql.clone()), driver::arguments(&statement.values)?);
            Ok(query.execute(executor).await?.rows_affected())
        })
    }

    /// Runs one statement of a migration, without preparing it.
    pub(crate) async fn execute_raw(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        run!(self, |executor| sqlx::raw_sql(AssertSqlSafe(sql)).execute(executor).await.map(drop))
    }
}
