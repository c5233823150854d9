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
    /// feature is off; [`Unavailable`](crate::ErrorKind::Unavailable) where nothing answers.
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
    /// Keeps the lifetime where no feature is on.
    #[doc(hidden)]
    Never(std::convert::Infallible, std::marker::PhantomData<&'c mut ()>),
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
    ($connection:expr, |$executor:ident, $driver:ident, $row:ident| $body:expr) => {
        match $connection {
            #[cfg(feature = "sqlite")]
            Connection::Pool(Database::Sqlite(pool)) => {
                use super::sqlite as $driver;
                let ($executor, $row) = (&*pool, Row::Sqlite);
                $body
            }
            #[cfg(feature = "sqlite")]
            Connection::Sqlite(connection) => {
                use super::sqlite as $driver;
                let ($executor, $row) = (&mut **connection, Row::Sqlite);
                $body
            }
            #[cfg(feature = "postgres")]
            Connection::Pool(Database::Postgres(pool)) => {
                use super::postgres as $driver;
                let ($executor, $row) = (&*pool, Row::Postgres);
                $body
            }
            #[cfg(feature = "postgres")]
            Connection::Postgres(connection) => {
                use super::postgres as $driver;
                let ($executor, $row) = (&mut **connection, Row::Postgres);
                $body
            }
            #[cfg(feature = "mysql")]
            Connection::Pool(Database::MySql(pool)) => {
                use super::mysql as $driver;
                let ($executor, $row) = (&*pool, Row::MySql);
                $body
            }
            #[cfg(feature = "mysql")]
            Connection::MySql(connection) => {
                use super::mysql as $driver;
                let ($executor, $row) = (&mut **connection, Row::MySql);
                $body
            }
            Connection::Never(never, _) => match *never {},
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
            Self::Never(never, _) => match *never {},
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
            Self::Never(never, _) => match *never {},
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
        let mut retries = if self.is_pool() { DEADLOCK_RETRIES } else { 0 };
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
        run!(self, |executor, _driver, _row| {
            #[allow(unused_imports)]
            use _driver as _;
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(executor).await.map(drop)
        })
    }
}

/// A connection that holds the lock under which a table is migrated. Dropping it undoes what a transaction
/// can undo, and releases the lock.
pub(crate) enum Exclusive {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
    /// Not of the pool any more: the lock belongs to the connection, and ends with it.
    #[cfg(feature = "mysql")]
    MySql(Box<sqlx::MySqlConnection>),
}

impl Exclusive {
    /// Waits until no other process migrates the table that `lock_name` names.
    pub(crate) async fn acquire(database: &Database, lock_name: &str) -> Result<Self, sqlx::Error> {
        let _ = lock_name;
        match database {
            #[cfg(feature = "sqlite")]
            Database::Sqlite(pool) => super::sqlite::begin_exclusive(pool).await.map(Self::Sqlite),
            #[cfg(feature = "postgres")]
            Database::Postgres(pool) => {
                super::postgres::begin_exclusive(pool, lock_name).await.map(Self::Postgres)
            }
            #[cfg(feature = "mysql")]
            Database::MySql(pool) => {
                super::mysql::lock(pool, lock_name).await.map(|locked| Self::MySql(Box::new(locked)))
            }
        }
    }

    pub(crate) fn connection(&mut self) -> Connection<'_> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(transaction) => transaction.into(),
            #[cfg(feature = "postgres")]
            Self::Postgres(transaction) => transaction.into(),
            #[cfg(feature = "mysql")]
            Self::MySql(connection) => (&mut **connection).into(),
        }
    }

    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(transaction) => transaction.commit().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(transaction) => transaction.commit().await,
            #[cfg(feature = "mysql")]
            Self::MySql(connection) => sqlx::Connection::close(*connection).await,
        }
    }
}

/// A column as the database describes it.
#[derive(Debug)]
pub(crate) struct ColumnInfo {
    pub(crate) name: String,
    pub(crate) column_type: crate::ColumnType,
    pub(crate) nullable: bool,
}

impl Connection<'_> {
    /// The columns of a table, in their order; none where there is no such table.
    pub(crate) async fn columns(
        &mut self,
        schema: Option<&str>,
        table: &str,
    ) -> Result<Vec<ColumnInfo>, sqlx::Error> {
        let statement = match self.backend() {
            #[cfg(feature = "sqlite")]
            Backend::Sqlite => super::sqlite::columns_query(schema, table),
            #[cfg(feature = "postgres")]
            Backend::Postgres => super::postgres::columns_query(schema, table),
            #[cfg(feature = "mysql")]
            Backend::MySql => super::mysql::columns_query(schema, table),
            #[allow(unreachable_patterns, reason = "reachable unless every feature is on")]
            _ => return Ok(Vec::new()),
        };
        let backend = self.backend();
        let rows = self.fetch_all(&statement).await?;
        rows.iter()
            .map(|row| {
                let declared = row.text(1)?.unwrap_or_default();
                Ok(ColumnInfo {
                    name: row.text(0)?.unwrap_or_default(),
                    column_type: super::column_type_named(backend, &declared),
                    nullable: row.integer(2)? == Some(1),
                })
            })
            .collect()
    }

    /// The names of a table's indexes.
    pub(crate) async fn indexes(
        &mut self,
        schema: Option<&str>,
        table: &str,
    ) -> Result<Vec<String>, sqlx::Error> {
        let statement = match self.backend() {
            Backend::Sqlite => Statement::new(
                "SELECT name FROM pragma_index_list(?, ?)",
                vec![crate::FieldValue::plain(table), crate::FieldValue::plain(schema.unwrap_or("main"))],
            ),
            Backend::Postgres => Statement::new(
                "SELECT i.relname::text FROM pg_catalog.pg_index x \
                 JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid \
                 JOIN pg_catalog.pg_class c ON c.oid = x.indrelid \
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                 WHERE c.relname = $1 \
                 AND CASE WHEN $2::text IS NULL THEN pg_catalog.pg_table_is_visible(c.oid) ELSE n.nspname = $2 END",
                vec![crate::FieldValue::plain(table), crate::FieldValue::plain(schema.map(str::to_owned))],
            ),
            Backend::MySql => Statement::new(
                "SELECT DISTINCT index_name FROM information_schema.statistics \
                 WHERE table_name = ? AND table_schema = COALESCE(?, DATABASE())",
                vec![crate::FieldValue::plain(table), crate::FieldValue::plain(schema.map(str::to_owned))],
            ),
        };
        let rows = self.fetch_all(&statement).await?;
        rows.iter().map(|row| Ok(row.text(0)?.unwrap_or_default())).collect()
    }

    /// Whether a schema of this name exists.
    pub(crate) async fn has_schema(&mut self, schema: &str) -> Result<bool, sqlx::Error> {
        let statement = match self.backend() {
            Backend::Sqlite => Statement::new(
                "SELECT 1 FROM pragma_database_list WHERE name = ?",
                vec![crate::FieldValue::plain(schema)],
            ),
            Backend::Postgres => Statement::new(
                "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1",
                vec![crate::FieldValue::plain(schema)],
            ),
            Backend::MySql => Statement::new(
                "SELECT 1 FROM information_schema.schemata WHERE schema_name = ?",
                vec![crate::FieldValue::plain(schema)],
            ),
        };
        Ok(self.fetch_optional(&statement).await?.is_some())
    }
}
