use std::path::Path;
use std::time::{Duration, Instant};

use sea_query::Value;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteError, SqliteJournalMode,
    SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::types::Json;
use sqlx::{Arguments, Connection as _, Sqlite, SqlitePool, TypeInfo};

pub(crate) use super::instant::timestamp_text;
use super::url::Asked;
use crate::clock;
use crate::database::bind::bind_value;
use crate::database::causality::Causality;
use crate::database::row::Row;
use crate::database::stored_type::SqliteType;
use crate::database::{Backend, Cause, ColumnType, Fault, FieldValue, Repr, TableName};
use crate::error::{Error, ErrorKind, Result};

pub(crate) const BACKEND: Backend = Backend::Sqlite;

/// How long a connection waits for another that has the file locked.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) async fn connect(url: &str) -> Result<SqlitePool> {
    let options: SqliteConnectOptions = url.parse().map_err(Error::from_opening)?;
    let Asked { in_memory: is_in_memory, has_mode, must_exist } = Asked::of(url);
    // A mode says itself whether the file is made.
    let options = if has_mode { options } else { options.create_if_missing(true) };
    let options = options
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(PATIENCE);
    // If SQLite has ended a transaction by itself, the application's next transaction on that connection must not meet
    // its remains. Checking costs nothing. The pool does not test a connection otherwise: the library is in this
    // process, and answers.
    let pool = SqlitePoolOptions::new().test_before_acquire(false).before_acquire(move |connection, _| {
        Box::pin(async move {
            let is_left_open = connection.is_in_transaction();
            if is_left_open {
                end_stray_transaction(connection).await?;
            }
            Ok(!is_left_open || is_in_memory)
        })
    });
    let pool = if is_in_memory {
        // Each connection is a database of its own, which ends with it. So there is one connection, and it stays.
        pool.max_connections(1).idle_timeout(None).max_lifetime(None)
    } else {
        pool.max_connections(8)
    };
    let begun = Instant::now();
    loop {
        match pool.clone().connect_with(options.clone()).await {
            // A new file goes into WAL mode under a lock for which SQLite does not wait by itself.
            Err(sqlx::Error::Database(error)) if is_busy(&*error) && begun.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            result => {
                return result.map_err(Error::from_opening).map_err(|error| {
                    let file = options.get_filename();
                    let is_missing = must_exist && matches!(file.try_exists(), Ok(false));
                    if is_missing { missing(file, error) } else { error }
                });
            }
        }
    }
}

/// Returns the error for a file that does not exist and must. It names the file without its directories.
fn missing(file: &Path, error: Error) -> Error {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let message = format!(
        "the database file {name:?} does not exist, and is made only by `mode=rwc` or without a mode"
    );
    Error::new(error.kind(), message).with_source(error)
}

fn is_busy(error: &dyn sqlx::error::DatabaseError) -> bool {
    result_code(error) & 0xff == 5
}

/// Returns one of [SQLite's extended result codes](https://www.sqlite.org/rescode.html). Their low byte is the primary
/// code.
fn result_code(error: &dyn sqlx::error::DatabaseError) -> u32 {
    error.code().and_then(|code| code.parse().ok()).unwrap_or(0)
}

/// Begins a transaction that holds the lock of all writers.
pub(crate) async fn begin_exclusive(
    pool: &SqlitePool,
    table: TableName<'_>,
) -> Result<sqlx::Transaction<'static, Sqlite>> {
    begin_with(pool, "BEGIN IMMEDIATE").await.map_err(|error| Error::from_sqlx(error, &table.to_string()))
}

pub(crate) async fn commit_exclusive(
    transaction: sqlx::Transaction<'static, Sqlite>,
) -> Result<(), sqlx::Error> {
    transaction.commit().await
}

pub(crate) async fn begin(
    pool: &SqlitePool,
    _: &Causality,
) -> Result<sqlx::Transaction<'static, Sqlite>, sqlx::Error> {
    begin_with(pool, "BEGIN").await
}

/// Begins a transaction that is going to write. It has the lock of all writers from the start: SQLite refuses a write
/// after a read in a transaction, without waiting, if another connection has written in between.
pub(crate) async fn begin_to_write(
    pool: &SqlitePool,
    _: &Causality,
) -> Result<sqlx::Transaction<'static, Sqlite>, sqlx::Error> {
    begin_with(pool, "BEGIN IMMEDIATE").await
}

/// Begins a transaction that holds the lock of all writers.
pub(crate) async fn begin_read_committed(
    pool: &SqlitePool,
    causality: &Causality,
) -> Result<sqlx::Transaction<'static, Sqlite>, sqlx::Error> {
    begin_to_write(pool, causality).await
}

/// A commit says by itself whether it is done.
#[allow(clippy::unused_async, reason = "a server is asked")]
pub(crate) async fn check_to_commit(_: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    Ok(())
}

/// Begins a transaction, and not a savepoint in a transaction that was left open on a connection of the pool.
async fn begin_with(
    pool: &SqlitePool,
    statement: &'static str,
) -> Result<sqlx::Transaction<'static, Sqlite>, sqlx::Error> {
    loop {
        match pool.begin_with(statement).await {
            // A savepoint is as good if the only connection must not be closed: no transaction is left open around it.
            Err(sqlx::Error::InvalidSavePointStatement) if is_in_memory(pool) => return pool.begin().await,
            // Other callers may return more such connections meanwhile. Each one is closed once.
            Err(sqlx::Error::InvalidSavePointStatement) => close_what_is_left_open(pool).await?,
            result => return result,
        }
    }
}

async fn close_what_is_left_open(pool: &SqlitePool) -> Result<(), sqlx::Error> {
    let mut idle = Vec::new();
    while let Some(mut connection) = pool.try_acquire() {
        if connection.is_in_transaction() {
            end_stray_transaction(&mut connection).await?;
            connection.close_on_drop();
        }
        idle.push(connection);
    }
    Ok(())
}

/// Returns `true` if the database ends with its connections.
pub(crate) fn is_in_memory(pool: &SqlitePool) -> bool {
    has_no_file(&pool.connect_options())
}

/// The driver shows one of these options only through `Debug`. A test below checks the form.
fn has_no_file(options: &SqliteConnectOptions) -> bool {
    let name = options.get_filename().as_os_str();
    name == ":memory:" || name.is_empty() || format!("{options:?}").contains("in_memory: true")
}

/// See [`Bare::end_stray_transaction`](crate::database::bare::Bare::end_stray_transaction).
pub(crate) async fn end_stray_transaction(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        // The driver counts a transaction, and there is one, unless SQLite has ended it by itself, as it does if the
        // disk is full.
        return match sqlx::raw_sql("ROLLBACK").execute(connection).await {
            Ok(_) => Ok(true),
            Err(sqlx::Error::Database(_)) => Ok(false),
            Err(error) => Err(error),
        };
    }
    match connection.begin_with("SELECT 1").await {
        Ok(transaction) => transaction.rollback().await.map(|()| true),
        Err(sqlx::Error::BeginFailed) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns `true` if the caller's transaction is open. SQLite may end it without the driver's knowledge, for instance
/// if the disk is full. The only way to find out is to begin another one, which SQLite refuses if one is open.
pub(crate) async fn is_in_transaction(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    match sqlx::raw_sql("BEGIN").execute(&mut *connection).await {
        Ok(_) => sqlx::raw_sql("ROLLBACK").execute(connection).await.map(|_| false),
        Err(sqlx::Error::Database(_)) => Ok(true),
        Err(error) => Err(error),
    }
}

pub(crate) fn row(row: SqliteRow) -> Row {
    Row::Sqlite(super::row::SqliteRow::Driver(row))
}

pub(crate) fn arguments(values: &[FieldValue]) -> Result<SqliteArguments, sqlx::Error> {
    let mut arguments = SqliteArguments::default();
    for value in values {
        match &value.0 {
            Repr::Plain(value) => bind(&mut arguments, value),
            Repr::Json(raw) => Arguments::add(&mut arguments, Json(&**raw)),
            Repr::Native(value) => value.bind_sqlite(&mut arguments),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

fn bind(to: &mut SqliteArguments, value: &Value) -> Result<(), sqlx::error::BoxDynError> {
    bind_value!(to, value, {
        Value::TinyInt(value) => to.add(value),
        Value::TinyUnsigned(value) => to.add(value),
        Value::SmallUnsigned(value) => to.add(value),
        Value::Unsigned(value) => to.add(value),
        Value::BigUnsigned(value) => to.add(value.map(i64::try_from).transpose()?),
        Value::Json(value) => to.add(value.as_deref()),
        Value::TimeDateTimeWithTimeZone(value) => {
            to.add(value.map(|instant| timestamp_text(clock::to_stored_precision(instant))))
        }
    })
}

pub(crate) fn column_type<V: SqliteType>() -> ColumnType {
    match V::type_info().name() {
        "INTEGER" => ColumnType::Integer,
        "BOOLEAN" => ColumnType::Bool,
        "REAL" => ColumnType::Float,
        "BLOB" => ColumnType::Bytes,
        "DATETIME" => ColumnType::Timestamp,
        // Text, dates, times, and types with the name of an enum of PostgreSQL's.
        _ => ColumnType::Text,
    }
}

/// Returns `true` if a value of an application's own type is null or blank text.
///
/// The driver shows bound values only through `Debug`. A test below checks that form.
#[cfg(any(test, not(any(feature = "postgres", feature = "mysql"))))]
pub(crate) fn is_blank<V: SqliteType>(value: &V) -> bool {
    let mut arguments = SqliteArguments::default();
    if Arguments::add(&mut arguments, value).is_err() {
        return false;
    }
    let shown = format!("{arguments:?}");
    if shown.contains("([Null])") {
        return true;
    }
    let Some((_, text)) = shown.split_once("Text(\"") else {
        return false;
    };
    let Some((text, _)) = text.rsplit_once("\")") else {
        return false;
    };
    text.replace("\\t", " ").replace("\\n", " ").replace("\\r", " ").trim().is_empty()
}

/// Returns the text of a value that is bound as text. None is needed here, where text may have any length.
#[cfg(not(any(feature = "postgres", feature = "mysql")))]
pub(crate) fn text<V: SqliteType>(_: &V) -> Option<String> {
    None
}

/// Returns a value as a person reads it, if it is bound as text or as an integer.
#[cfg(not(any(feature = "postgres", feature = "mysql")))]
pub(crate) fn shown<V: SqliteType>(value: &V) -> Option<String> {
    use sqlx::encode::IsNull;
    use sqlx::sqlite::SqliteArgumentsBuffer;

    let mut buffer = SqliteArgumentsBuffer::default();
    let IsNull::No = value.encode_by_ref(&mut buffer).ok()? else {
        return None;
    };
    // The driver shows its arguments in no other way: `SqliteArgumentsBuffer([Int64(7)])`.
    let debug = format!("{buffer:?}");
    let argument = debug.strip_prefix("SqliteArgumentsBuffer([")?.strip_suffix(")])")?;
    let (kind, value) = argument.split_once('(')?;
    match kind {
        "Int" | "Int64" => Some(value.to_owned()),
        "Text" | "TextSlice" => serde_json::from_str(value).ok(),
        _ => None,
    }
}

/// Returns the encoded form of a value, for comparing values of one type, or `None` for null.
#[cfg(not(any(feature = "postgres", feature = "mysql")))]
pub(crate) fn fingerprint<V: SqliteType>(value: &V) -> Option<Vec<u8>> {
    let mut arguments = SqliteArguments::default();
    Arguments::add(&mut arguments, value).ok()?;
    let shown = format!("{arguments:?}");
    (!shown.contains("([Null])")).then(|| shown.into_bytes())
}

pub(crate) fn classify(error: &SqliteError) -> Fault {
    use sqlx::error::DatabaseError;
    let message = error.message();
    let code = result_code(error);
    let kind = match (code & 0xff, code) {
        (19, _) if message.contains("UNIQUE") && message.contains(".auth_token_digest") => {
            ErrorKind::DuplicateToken
        }
        (19, 1299 | 3091) | (18, _) => ErrorKind::InvalidField,
        (19, _) => ErrorKind::Constraint,
        (3 | 23, _) => ErrorKind::PermissionDenied,
        (8, _) => ErrorKind::ReadOnly,
        // A write by another connection since this transaction began to read is not a lock, and waiting would not help.
        (5, 517) => return Fault::transient(),
        (5 | 6, _) => ErrorKind::LockTimeout,
        (9, _) => ErrorKind::StatementTimeout,
        (10 | 11 | 14 | 26, _) => ErrorKind::Unavailable,
        (13, _) => ErrorKind::DiskFull,
        (1, _) if message.starts_with("no such table") || message.starts_with("unknown database") => {
            ErrorKind::MissingTable
        }
        (1, _) if message.starts_with("no such column") || message.contains("has no column named") => {
            ErrorKind::MissingColumn
        }
        _ => ErrorKind::Database,
    };
    // If the last write of a commit fails, the commit may still be found in the log. Every other failure is undone.
    let is_certain = !matches!(code & 0xff, 7 | 10 | 11 | 14 | 26);
    Fault::of(kind, if is_certain { Cause::Refused } else { Cause::Unclear })
}

/// Returns `true` if a change of the table failed because another process had made it. The lock of a migration leaves no
/// room for that.
pub(crate) fn is_overtaken(_: &SqliteError) -> bool {
    false
}

/// Returns `false`: SQLite stores any text.
pub(crate) fn is_of_the_encoding(_: &SqliteError) -> bool {
    false
}

/// Returns `false`: SQLite's messages name columns, not values.
pub(crate) fn quotes_a_value(_: &SqliteError) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_without_a_file_is_told_from_a_file_of_any_name() {
        let options = |name: &str| SqliteConnectOptions::new().filename(name);
        let parsed = |url: &str| url.parse::<SqliteConnectOptions>().unwrap();
        for in_memory in
            [SqliteConnectOptions::new(), parsed("sqlite::memory:"), options("a").in_memory(true)]
        {
            assert!(has_no_file(&in_memory), "{in_memory:?}");
        }
        for name in ["memory.db", "in-memory/a.db", "a"] {
            assert!(!has_no_file(&options(name)), "{name}");
        }
    }

    #[test]
    fn blank_text_of_an_own_type_is_seen() {
        assert!(is_blank(&String::new()));
        assert!(is_blank(&" \t\n".to_owned()));
        assert!(is_blank(&None::<String>));
        assert!(!is_blank(&" a ".to_owned()));
        assert!(!is_blank(&"\")".to_owned()));
        assert!(!is_blank(&0_i64));
        assert!(!is_blank(&Vec::<u8>::new()));
    }
}
