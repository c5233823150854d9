//! Everything that touches a database: which one it is, how values are bound, how rows are read, how a statement runs.
//! The modules `mysql`, `postgres` and `sqlite` hold only what differs between databases.

mod mysql;
mod postgres;
mod sqlite;

mod after_commit;
mod again;
mod announcing;
mod bare;
mod bind;
mod catalog;
mod causality;
mod connection;
mod described;
#[cfg(feature = "dbsc")]
mod device;
mod dialect;
mod exclusive;
mod failure;
mod foreign;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod giving_back;
mod guard;
mod key_list;
mod list;
mod misuse;
mod pool;
mod pooled;
mod redaction;
mod replica;
mod row;
mod scopes;
mod statement;
mod stored_type;
mod transaction;
mod value;

use std::fmt;

use sqlx::error::DatabaseError;

pub(crate) use after_commit::AfterCommit;
pub(crate) use again::{NotConnected, TimedOut, cause};
#[cfg(feature = "postgres")]
pub(crate) use announcing::CHANNEL;
pub(crate) use announcing::{
    EMPTY_QUEUE, Revokes, announcing, counting_valid, is_refused as is_refused_announcement, silence, silent,
};
pub(crate) use catalog::{ColumnInfo, IndexInfo};
pub(crate) use causality::NotCaughtUp;
pub(crate) use connection::pause;
pub use connection::{Connection, Database};
pub(crate) use described::Described;
pub(crate) use dialect::{Bound, OwnerLock, null_or_not};
pub(crate) use exclusive::{Exclusive, TableName};
pub(crate) use foreign::Foreign;
pub(crate) use guard::{Guard, counted, guard_of_rows, guard_rows};
pub(crate) use key_list::{KeyList, MAX_PLACEHOLDERS};
pub(crate) use mysql::{KnownServer, Server};
pub(crate) use pool::Pool;
pub(crate) use pooled::Pooled;
pub(crate) use postgres::AnnounceTrigger;
#[cfg(feature = "postgres")]
pub(crate) use postgres::Infinite;
pub use replica::{Databases, Replica};
pub use row::Row;
pub(crate) use row::RowError;
pub(crate) use sqlite::instant as instant_of_sqlite;
#[cfg(feature = "sqlite")]
pub(crate) use sqlite::{
    AskThePool, DirectReads, Stored as StoredOnSqlite, read_stored as stored_on_sqlite,
    timestamp_text as text_on_sqlite,
};
pub(crate) use statement::Statement;
pub(crate) use stored_type::{Bind, is_read_directly};
pub use stored_type::{LoadedRow, StoredType};
pub(crate) use transaction::Begin;
pub use transaction::Transaction;
pub use value::{ColumnType, FieldType, FieldValue, ParseColumnTypeError};
pub(crate) use value::{ColumnTypes, Repr};

use crate::error::ErrorKind;
use list::with_databases;

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

    /// Returns the name of the database in metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgresql",
            Self::MySql => "mysql",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.dialect().name())
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
    /// Its rows are too large for the server to sort. It did nothing.
    #[cfg_attr(not(feature = "mysql"), allow(dead_code, reason = "only MySQL sorts whole rows in memory"))]
    Unsorted,
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
        Self::of(ErrorKind::Contention, Cause::Transient)
    }
}

/// Returns `$answer` with the error of whichever driver `$error` is of, or `$otherwise` if another library's driver made
/// it, of which the codes are not known.
macro_rules! by_driver {
    ($error:ident => $ask:ident, $otherwise:expr) => {
        with_databases! { [ask_drivers] $error $ask $otherwise }
    };
}

macro_rules! ask_drivers {
    (
        [$(($feature:literal, $variant:ident, $module:ident, $connection:ident))*]
        $error:ident $ask:ident $otherwise:expr
    ) => {{
        $(
            #[cfg(feature = $feature)]
            if let Some(error) = $error.try_downcast_ref() {
                return $module::$ask(error);
            }
        )*
        $otherwise
    }};
}

pub(crate) fn classify(error: &dyn DatabaseError) -> Fault {
    by_driver!(error => classify, Fault::of(ErrorKind::Database, Cause::Unclear))
}

/// Returns `true` if a statement of a migration failed because another process had done the same.
pub(crate) fn is_overtaken(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => changes_at_once(&**error),
        _ => false,
    }
}

fn changes_at_once(error: &dyn DatabaseError) -> bool {
    by_driver!(error => is_overtaken, false)
}

/// Returns `true` if a character was refused because an encoding lacks it.
pub(crate) fn is_of_the_encoding(error: &dyn DatabaseError) -> bool {
    by_driver!(error => is_of_the_encoding, false)
}

/// Returns `true` if the message of `error` quotes a value that was to be stored or compared.
pub(crate) fn quotes_a_value(error: &dyn DatabaseError) -> bool {
    by_driver!(error => quotes_a_value, false)
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
