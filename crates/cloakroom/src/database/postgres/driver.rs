//! Pools, connections, transactions, and what an error means.

use sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError, PgPool, PgPoolOptions, PgSeverity};
use sqlx::{Connection as _, Executor, Postgres};

use crate::database::causality::Causality;
use crate::database::{Backend, Cause, Fault, TableName};
use crate::error::{Error, ErrorKind, Result};

pub(crate) async fn connect(url: &str) -> Result<PgPool> {
    let options: PgConnectOptions = url.parse().map_err(Error::from_opening)?;
    crate::database::knock(&options).await?;
    Ok(PgPoolOptions::new().max_connections(8).test_before_acquire(false).connect_lazy_with(options))
}

pub(crate) const BACKEND: Backend = Backend::Postgres;

const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1 || coalesce($2, current_schema(), '') || '.' || $3, 0))";

/// Takes a connection out of the pool, and begins a transaction on it that holds the lock of this table.
///
/// It is out of the pool because the driver forgets a BEGIN if the future is dropped while the statement is on its way:
/// the pool would get back a connection in a transaction that is never ended.
pub(crate) async fn begin_exclusive(pool: &PgPool, table: TableName<'_>) -> Result<Box<PgConnection>> {
    let locked = async {
        let connection = pool.acquire().await.map_err(crate::database::again::not_connected)?.detach();
        let mut connection = Box::new(connection);
        // Each statement after the lock sees what the process before has done, independent of the connection's default.
        connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
        sqlx::query(LOCK)
            .bind("cloakroom ")
            .bind(table.schema)
            .bind(table.table)
            .execute(&mut *connection)
            .await?;
        Ok(connection)
    };
    locked.await.map_err(|error| Error::from_sqlx(error, &table.to_string()))
}

pub(crate) async fn commit_exclusive(mut connection: Box<PgConnection>) -> Result<(), sqlx::Error> {
    connection.execute("COMMIT").await?;
    sqlx::Connection::close(*connection).await
}

pub(crate) async fn begin(
    pool: &PgPool,
    _: &Causality,
) -> Result<sqlx::Transaction<'static, Postgres>, sqlx::Error> {
    pool.begin().await
}

/// Begins a transaction that is going to write much, and reads by indexes before it does. The server keeps the plan of a
/// statement: one that was made when the table was empty would read the whole table each time, while it grows.
pub(crate) async fn begin_to_write(
    pool: &PgPool,
    causality: &Causality,
) -> Result<sqlx::Transaction<'static, Postgres>, sqlx::Error> {
    let mut transaction = begin(pool, causality).await?;
    transaction.execute("SET LOCAL enable_seqscan = off").await?;
    Ok(transaction)
}

/// Begins a transaction in which each statement sees what was committed before it was sent.
pub(crate) async fn begin_read_committed(
    pool: &PgPool,
    _: &Causality,
) -> Result<sqlx::Transaction<'static, Postgres>, sqlx::Error> {
    pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await
}

/// Fails if a statement has failed in the transaction, as every statement then does. COMMIT would roll it back, and say
/// so only in a word that the driver does not look at.
pub(crate) async fn check_to_commit(transaction: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT 1").execute(transaction).await.map(drop)
}

/// See [`Bare::end_stray_transaction`](crate::database::bare::Bare::end_stray_transaction).
pub(crate) async fn end_stray_transaction(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    const IN_FAILED_TRANSACTION: &str = "25P02";
    // The driver passes on only whether this statement put the connection into a transaction.
    let error = match connection.begin_with("SELECT 1").await {
        Ok(transaction) => return transaction.rollback().await.map(|()| true),
        Err(error) => error,
    };
    match error {
        sqlx::Error::BeginFailed => Ok(false),
        sqlx::Error::Database(error) if error.code().as_deref() == Some(IN_FAILED_TRANSACTION) => {
            sqlx::raw_sql("ROLLBACK").execute(connection).await.map(|_| true)
        }
        error => Err(error),
    }
}

/// Returns `true` if the caller's transaction is open. The server ends no transaction by itself except one that it
/// refuses to commit.
pub(crate) async fn is_in_transaction(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        return Ok(true);
    }
    sqlx::query_scalar(crate::database::guard::INSIDE_ON_POSTGRES).fetch_one(connection).await
}

/// Classifies an error. The codes are [PostgreSQL's](https://www.postgresql.org/docs/current/errcodes-appendix.html).
pub(crate) fn classify(error: &PgDatabaseError) -> Fault {
    let code = error.code();
    let kind = match code {
        "23505" if error.constraint().is_some_and(|name| name.contains("auth_token_digest")) => {
            ErrorKind::DuplicateToken
        }
        "22P05" if !is_of_the_encoding(error) => ErrorKind::InvalidData,
        "23502" => ErrorKind::InvalidField,
        "42P01" | "3F000" => ErrorKind::MissingTable,
        "42703" => ErrorKind::MissingColumn,
        // There is no such operator: values of the column's type are not compared, or not in this way.
        "42883" => ErrorKind::Unsupported,
        "42501" => ErrorKind::PermissionDenied,
        "25006" => ErrorKind::ReadOnly,
        "55P03" => ErrorKind::LockTimeout,
        "53100" => ErrorKind::DiskFull,
        // The table cannot grow for another reason: a quota, or a limit on the size of files. (From version 16 on the
        // latter comes here; before, it was a disk that is full.)
        "XX000" if matches!(error.routine(), Some("mdextend" | "mdzeroextend")) => ErrorKind::DiskFull,
        "57014" => ErrorKind::StatementTimeout,
        "40001" | "40P01" => return Fault::transient(),
        _ => match code.get(..2) {
            // A value that is not of its type, is too long, or is out of range.
            Some("22") => ErrorKind::InvalidField,
            Some("23") => ErrorKind::Constraint,
            Some("08" | "53" | "57" | "58") => ErrorKind::Unavailable,
            _ => ErrorKind::Database,
        },
    };
    match error.severity() {
        // While it waits for a statement, the server checks this time-out last before it reads the next statement.
        _ if code == "57P05" => Fault::of(ErrorKind::Unavailable, Cause::Idle),
        PgSeverity::Fatal | PgSeverity::Panic => Fault::of(ErrorKind::Unavailable, Cause::Lost),
        _ if code.starts_with("08") => Fault::of(kind, Cause::Lost),
        _ if is_stale(error) => Fault::of(kind, Cause::Stale),
        // A statement that ends in an error is undone.
        _ => Fault::refused(kind),
    }
}

/// Returns `true` if the statement was prepared for a table that has changed since, or if the server has no such
/// statement.
///
/// The code for "cached plan must not change result type" stands for many features that a server lacks. The name of the
/// function that reports the error is the same in every language.
fn is_stale(error: &PgDatabaseError) -> bool {
    match error.code() {
        "0A000" => error.routine() == Some("RevalidateCachedQuery"),
        "26000" => true,
        _ => false,
    }
}

/// Returns `true` if a change of the table failed because another process had made it. The lock of a migration leaves no
/// room for that.
pub(crate) fn is_overtaken(_: &PgDatabaseError) -> bool {
    false
}

/// Returns `true` if a character was refused by the database's encoding, and not an escape by JSON.
pub(crate) fn is_of_the_encoding(error: &PgDatabaseError) -> bool {
    error.routine() == Some("report_untranslatable_char")
}

/// Returns `true` if the message quotes a value that was to be stored or compared.
pub(crate) fn quotes_a_value(error: &PgDatabaseError) -> bool {
    match error.code() {
        "22P02" | "22007" | "22008" | "22018" => true,
        // This code quotes a value if the number is written as text, and not otherwise.
        "22003" => error.message().chars().any(|c| matches!(c, '"' | '»' | '«' | '„' | '“' | '”' | '\'')),
        _ => false,
    }
}
