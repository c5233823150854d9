//! Everything that touches a database: which one it is, how values are bound, how rows are read, how a statement runs.
//! The modules `mysql`, `postgres` and `sqlite` hold only what differs between databases.

#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

mod again;
mod bare;
mod bind;
mod catalog;
mod connection;
mod described;
mod exclusive;
mod failure;
mod foreign;
mod guard;
mod key_list;
mod misuse;
mod pooled;
mod redaction;
mod row;
mod statement;
mod stored_type;
mod transaction;
mod value;

use std::fmt;

use sqlx::error::DatabaseError;

pub(crate) use again::{NotConnected, cause};
pub(crate) use catalog::{ColumnInfo, IndexInfo, may_be};
pub use connection::{Connection, Database};
pub(crate) use described::Described;
pub(crate) use exclusive::{Exclusive, TableName};
pub(crate) use foreign::Foreign;
pub(crate) use guard::{Guard, counted, guard_of_rows, guard_rows, place_of_condition};
pub(crate) use key_list::{KeyList, MAX_PLACEHOLDERS};
pub(crate) use pooled::Pooled;
#[cfg(feature = "postgres")]
pub(crate) use postgres::Infinite;
pub use row::Row;
pub(crate) use row::RowError;
#[cfg(feature = "sqlite")]
pub(crate) use sqlite::{
    Stored as StoredOnSqlite, instant as instant_of_sqlite, read_stored as stored_on_sqlite,
    timestamp_text as text_on_sqlite,
};
pub(crate) use statement::{AT_ONCE_ON_MARIADB, STRICTLY_AT_ONCE_ON_MARIADB, STRICTLY_ON_MARIADB, Statement};
pub(crate) use stored_type::Bind;
pub use stored_type::{LoadedRow, StoredType};
pub use transaction::Transaction;
pub use value::{ColumnType, FieldType, FieldValue, ParseColumnTypeError};
pub(crate) use value::{ColumnTypes, Repr};

use crate::error::ErrorKind;

/// The kind of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// SQLite, 3.38 or newer.
    Sqlite,
    /// PostgreSQL, 12 or newer.
    Postgres,
    /// MariaDB, 10.7 or newer, or MySQL, 8.0.17 or newer.
    MySql,
}

impl Backend {
    pub(crate) const ALL: [Self; 3] = [Self::Sqlite, Self::Postgres, Self::MySql];

    /// Returns `true` if two names stand for the same column or index. PostgreSQL distinguishes upper and lower case in
    /// quoted names. MariaDB and MySQL do not, and SQLite does not for the letters A to Z.
    pub(crate) fn is_same_name(self, one: &str, other: &str) -> bool {
        match self {
            Self::Sqlite => one.eq_ignore_ascii_case(other),
            Self::Postgres => one == other,
            Self::MySql => one.to_lowercase() == other.to_lowercase(),
        }
    }

    /// Returns the type of a column in SQL.
    #[expect(clippy::match_same_arms, reason = "a table, in the order of the types")]
    pub(crate) fn sql_type(self, column_type: &ColumnType) -> &str {
        use ColumnType::{Bool, Bytes, Exact, Float, Integer, Json, Text, Timestamp, Uuid};
        match (column_type, self) {
            (Exact(sql), _) => sql,
            (Text, Self::Sqlite) => "TEXT",
            (Text, Self::Postgres) => "varchar(255)",
            // Neither folds case nor ignores trailing spaces. Each server reads the comment meant for it.
            (Text, Self::MySql) => {
                "varchar(255) CHARACTER SET utf8mb4 COLLATE /*M! utf8mb4_nopad_bin */ /*!80017 utf8mb4_0900_bin */"
            }
            (Integer | Bool, Self::Sqlite) => "INTEGER",
            (Integer, _) => "bigint",
            (Bool, _) => "boolean",
            (Float, Self::Sqlite) => "REAL",
            (Float, Self::Postgres) => "double precision",
            (Float, Self::MySql) => "double",
            (Bytes, Self::Sqlite) => "BLOB",
            (Bytes, Self::Postgres) => "bytea",
            (Bytes, Self::MySql) => "blob",
            (Uuid, Self::Sqlite) => "BLOB",
            (Uuid, Self::Postgres) => "uuid",
            (Uuid, Self::MySql) => "binary(16)",
            (Timestamp, Self::Sqlite) => "TEXT",
            (Timestamp, Self::Postgres) => "timestamptz",
            (Timestamp, Self::MySql) => "datetime(6)",
            (Json, Self::Sqlite) => "TEXT",
            (Json, Self::Postgres) => "jsonb",
            (Json, Self::MySql) => "json",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
            Self::MySql => "MariaDB/MySQL",
        })
    }
}

/// An error of a database, classified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: ErrorKind,
    pub(crate) cause: Cause,
}

/// What an error says about its statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It was refused, or undone: nothing is written.
    Refused,
    /// It was undone, and may succeed if it simply runs again.
    Transient,
    /// It was prepared for a table that has changed since, or the server no longer knows it. It did not run.
    Stale,
    /// The connection had been closed for being idle. It did not run.
    #[cfg_attr(
        not(any(feature = "postgres", feature = "mysql")),
        allow(dead_code, reason = "no server closes SQLite's")
    )]
    Idle,
    /// The connection ended, perhaps in the middle of it or after it.
    Lost,
    /// It is not known whether it was done.
    Unclear,
}

impl Fault {
    fn of(kind: ErrorKind, cause: Cause) -> Self {
        Self { kind, cause }
    }

    #[cfg(any(feature = "postgres", feature = "mysql"))]
    fn refused(kind: ErrorKind) -> Self {
        Self::of(kind, Cause::Refused)
    }

    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
    fn transient() -> Self {
        Self::of(ErrorKind::Database, Cause::Transient)
    }
}

pub(crate) fn classify(error: &dyn DatabaseError) -> Fault {
    #[cfg(feature = "sqlite")]
    if let Some(error) = error.try_downcast_ref() {
        return sqlite::classify(error);
    }
    #[cfg(feature = "postgres")]
    if let Some(error) = error.try_downcast_ref() {
        return postgres::classify(error);
    }
    #[cfg(feature = "mysql")]
    if let Some(error) = error.try_downcast_ref() {
        return mysql::classify(error);
    }
    // The error is from another library's driver, of which the codes are not known.
    let _ = error;
    Fault::of(ErrorKind::Database, Cause::Unclear)
}

/// Returns `true` if a character was refused because an encoding lacks it.
pub(crate) fn is_of_the_encoding(error: &dyn DatabaseError) -> bool {
    #[cfg(feature = "postgres")]
    if let Some(error) = error.try_downcast_ref() {
        return postgres::is_of_the_encoding(error);
    }
    #[cfg(feature = "mysql")]
    if let Some(error) = error.try_downcast_ref() {
        return mysql::is_of_the_encoding(error);
    }
    let _ = error;
    false
}

/// Returns `true` if the message of `error` quotes a value that was to be stored or compared.
pub(crate) fn quotes_a_value(error: &dyn DatabaseError) -> bool {
    #[cfg(feature = "postgres")]
    if let Some(error) = error.try_downcast_ref() {
        return postgres::quotes_a_value(error);
    }
    #[cfg(feature = "mysql")]
    if let Some(error) = error.try_downcast_ref() {
        return mysql::quotes_a_value(error);
    }
    let _ = error;
    false
}

/// Opens a connection and closes it again, to find out at once what is wrong with a URL or its server. A pool would
/// retry until its own time-out, and then report only that.
#[cfg(any(feature = "postgres", feature = "mysql"))]
async fn knock<O>(options: &O) -> crate::error::Result<()>
where
    O: sqlx::ConnectOptions,
    O::Connection: Sized,
{
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);
    let knock = async { sqlx::Connection::close(options.connect().await?).await };
    match tokio::time::timeout(PATIENCE, knock).await {
        Ok(answer) => answer.map_err(crate::error::Error::from_opening),
        Err(_) => Err(crate::error::Error::new(
            ErrorKind::Unavailable,
            format!("the database did not answer within {} seconds", PATIENCE.as_secs()),
        )),
    }
}

fn unsupported_value(value: &sea_query::Value) -> sqlx::error::BoxDynError {
    // The value itself stays out of the message.
    let shown = format!("{value:?}");
    let variant = shown.split(['(', ' ']).next().unwrap_or_default();
    format!("a value of sea-query's kind {variant} cannot be bound").into()
}
