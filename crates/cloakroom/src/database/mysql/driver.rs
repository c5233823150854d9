use std::any::TypeId;
use std::borrow::Cow;

use sea_query::Value;
#[cfg(not(feature = "postgres"))]
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::mysql::{
    MySqlArguments, MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlPool, MySqlPoolOptions,
    MySqlRow,
};
use sqlx::types::Json;
use sqlx::{Arguments, AssertSqlSafe, Connection as _, MySql, Row as _, Type, TypeInfo, ValueRef};
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};
use uuid::Uuid;

use super::dialect::CHECK_OF_DATA;
use crate::database::bare::Bare;
use crate::database::bind::bind_value;
use crate::database::causality::{Causality, Waiting};
use crate::database::connection::Rule;
use crate::database::row::{Row, RowError};
use crate::database::stored_type::MySqlType;
use crate::database::{Backend, Cause, ColumnType, Fault, FieldValue, Repr, TableName};
use crate::error::{Error, ErrorKind, Result};

pub(crate) async fn connect(url: &str) -> Result<MySqlPool> {
    let options: MySqlConnectOptions = url.parse().map_err(Error::from_opening)?;
    crate::database::knock(&options).await?;
    Ok(MySqlPoolOptions::new().max_connections(8).test_before_acquire(false).connect_lazy_with(options))
}

pub(crate) const BACKEND: Backend = Backend::MySql;

/// Takes a connection out of the pool and takes the lock of this table on it.
pub(crate) async fn begin_exclusive(pool: &MySqlPool, table: TableName<'_>) -> Result<Box<MySqlConnection>> {
    // The name is hashed, since a lock's name may have no more than 64 characters. The wait is no longer than this
    // connection's statements wait for a table, which is a day by default.
    const LOCK: &str = "SELECT GET_LOCK(CONCAT('cloakroom ', LEFT(SHA2(CONCAT(COALESCE(?, DATABASE(), ''), '.', ?), 256), 40)), \
         LEAST(60, @@lock_wait_timeout))";
    let failed = |error| Error::from_sqlx(error, &table.to_string());
    let connection =
        pool.acquire().await.map_err(crate::database::again::not_connected).map_err(failed)?.detach();
    let mut connection = Box::new(connection);
    let got: Option<i64> = sqlx::query_scalar(LOCK)
        .bind(table.schema)
        .bind(table.table)
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    if got == Some(1) {
        // The lock is that of this server. What another node's holder has done must be seen all the same.
        super::galera::catch_up(&mut connection).await.map_err(failed)?;
        return Ok(connection);
    }
    Err(Error::new(
        ErrorKind::LockTimeout,
        format!("another process has been migrating {table} for too long"),
    ))
}

pub(crate) async fn commit_exclusive(connection: Box<MySqlConnection>) -> Result<(), sqlx::Error> {
    sqlx::Connection::close(*connection).await
}

/// Begins a transaction, which on a node of a cluster sees what was committed on any node before.
pub(crate) async fn begin(
    pool: &MySqlPool,
    causality: &Causality,
) -> Result<sqlx::Transaction<'static, MySql>, sqlx::Error> {
    let waiting = waiting(pool, causality).await?;
    begin_with(pool, super::galera::begin(waiting)).await
}

async fn begin_with(
    pool: &MySqlPool,
    statement: Option<&'static str>,
) -> Result<sqlx::Transaction<'static, MySql>, sqlx::Error> {
    match statement {
        Some(begin) => pool.begin_with(begin).await.map_err(super::galera::not_caught_up),
        None => pool.begin().await,
    }
}

/// Returns how the transactions on this pool wait, and asks its server if that is not known.
async fn waiting(pool: &MySqlPool, causality: &Causality) -> Result<Waiting, sqlx::Error> {
    if let Some(waiting) = causality.known(false) {
        return Ok(waiting);
    }
    let mut connection = pool.acquire().await.map_err(crate::database::again::not_connected)?;
    let waiting = super::galera::ask(&mut connection).await?;
    causality.learn(waiting);
    Ok(waiting)
}

/// Begins a transaction that locks the rows that it reads, and no gaps between them.
pub(crate) async fn begin_read_committed(
    pool: &MySqlPool,
    causality: &Causality,
) -> Result<sqlx::Transaction<'static, MySql>, sqlx::Error> {
    const LEVEL: &str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED";
    let waiting = waiting(pool, causality).await?;
    let start = super::galera::begin_to_write(waiting).unwrap_or("START TRANSACTION");
    let begun = pool.begin_with(AssertSqlSafe(format!("{LEVEL}; {start}"))).await;
    begun.map_err(super::galera::not_caught_up)
}

/// Begins a transaction that is going to write.
pub(crate) async fn begin_to_write(
    pool: &MySqlPool,
    causality: &Causality,
) -> Result<sqlx::Transaction<'static, MySql>, sqlx::Error> {
    let waiting = waiting(pool, causality).await?;
    begin_with(pool, super::galera::begin_to_write(waiting)).await
}

/// Fails if the server has ended the transaction by itself.
pub(crate) async fn check_to_commit(transaction: &mut MySqlConnection) -> Result<(), sqlx::Error> {
    Bare::MySql(transaction).check(Rule::Transaction).await
}

/// See [`Bare::end_stray_transaction`](crate::database::bare::Bare::end_stray_transaction). A connection that does not commit by
/// itself is always in a transaction.
pub(crate) async fn end_stray_transaction(connection: &mut MySqlConnection) -> Result<bool, sqlx::Error> {
    match is_inside(connection).await? {
        Some(false) => return Ok(false),
        Some(true) => {
            let commits: bool =
                sqlx::query_scalar("SELECT @@autocommit = 1").fetch_one(&mut *connection).await?;
            if !commits {
                return sqlx::raw_sql("ROLLBACK").execute(connection).await.map(|_| true);
            }
        }
        None => {}
    }
    // MySQL cannot be asked, but says with each answer whether a transaction is open, and this is the one place where
    // the driver passes that on. On MariaDB this statement ends the transaction that is open.
    match connection.begin_with("DO 0").await {
        Ok(transaction) => transaction.rollback().await.map(|()| true),
        Err(sqlx::Error::BeginFailed) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns `true` if the caller's transaction is open. A deadlock ends it without the driver's knowledge, and so does a
/// change of any table's definition.
pub(crate) async fn is_in_transaction(connection: &mut MySqlConnection) -> Result<bool, sqlx::Error> {
    // MySQL cannot be asked, but a savepoint ends with its statement if no transaction is open.
    const PROBE: &str = "SAVEPOINT cloakroom_probe; RELEASE SAVEPOINT cloakroom_probe";
    if let Some(is_inside) = is_inside(connection).await? {
        return Ok(is_inside);
    }
    match sqlx::raw_sql(PROBE).execute(connection).await {
        Ok(_) => Ok(true),
        Err(sqlx::Error::Database(error)) if is_number(&*error, 1305) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns whether a transaction is open, or whether none ever commits by itself; `None` on MySQL, which does not say.
async fn is_inside(connection: &mut MySqlConnection) -> Result<Option<bool>, sqlx::Error> {
    let inside: Option<i64> =
        sqlx::query_scalar(crate::database::guard::INSIDE_ON_MYSQL).fetch_one(connection).await?;
    Ok(inside.map(|inside| inside != 0))
}

fn is_number(error: &dyn sqlx::error::DatabaseError, number: u16) -> bool {
    error.try_downcast_ref::<MySqlDatabaseError>().is_some_and(|error| error.number() == number)
}

pub(crate) fn row(row: MySqlRow) -> Row {
    Row::MySql(row)
}

/// Makes a value of another table's row.
pub(crate) fn load<R: for<'r> sqlx::FromRow<'r, MySqlRow>>(row: &MySqlRow) -> Result<R, sqlx::Error> {
    R::from_row(row)
}

pub(crate) fn arguments(values: &[FieldValue]) -> Result<MySqlArguments, sqlx::Error> {
    let mut arguments = MySqlArguments::default();
    for value in values {
        match &value.0 {
            Repr::Plain(value) => bind(&mut arguments, value),
            Repr::Json(raw) => arguments.add(raw.get()),
            Repr::Native(value) => value.bind_mysql(&mut arguments),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

fn bind(to: &mut MySqlArguments, value: &Value) -> Result<(), BoxDynError> {
    bind_value!(to, value, {
        Value::TinyInt(value) => to.add(value),
        Value::TinyUnsigned(value) => to.add(value),
        Value::SmallUnsigned(value) => to.add(value),
        Value::Unsigned(value) => to.add(value),
        Value::BigUnsigned(value) => to.add(value),
        Value::Json(value) => to.add(value.as_ref().map(Json)),
        Value::TimeDateTimeWithTimeZone(value) => to.add(value.map(utc)),
    })
}

/// Returns the instant as a DATETIME, which the server's time zone does not change.
fn utc(instant: OffsetDateTime) -> PrimitiveDateTime {
    let instant = crate::clock::to_stored_precision(instant).to_offset(UtcOffset::UTC);
    PrimitiveDateTime::new(instant.date(), instant.time())
}

pub(crate) fn column_type<V: MySqlType + 'static>() -> ColumnType {
    // For the driver a UUID is bytes like any other.
    if TypeId::of::<V>() == TypeId::of::<Uuid>() {
        return ColumnType::Uuid;
    }
    match V::type_info().name() {
        "VARCHAR" | "CHAR" | "TEXT" | "ENUM" => ColumnType::Text,
        "BIGINT" => ColumnType::Integer,
        "BOOLEAN" => ColumnType::Bool,
        "DOUBLE" => ColumnType::Float,
        "BLOB" | "VARBINARY" => ColumnType::Bytes,
        "TIMESTAMP" => ColumnType::Timestamp,
        "DATETIME" => ColumnType::Exact("datetime(6)".into()),
        "TIME" => ColumnType::Exact("time(6)".into()),
        "JSON" => ColumnType::Json,
        // The driver binds both a UUID and JSON as BINARY; only JSON can be read from text.
        "BINARY" if V::compatible(&<str as Type<MySql>>::type_info()) => ColumnType::Json,
        "BINARY" => ColumnType::Uuid,
        other => ColumnType::Exact(other.to_owned().into()),
    }
}

pub(crate) fn read<V: MySqlType>(row: &MySqlRow, index: usize) -> Result<V, RowError> {
    // The driver would read an enum of the application's only from a column of type ENUM; the columns made here hold
    // text.
    if V::type_info().name() == "ENUM" {
        return row.try_get_unchecked(index);
    }
    refuse_zero_date(row, index)?;
    row.try_get(index)
}

pub(crate) fn read_timestamp(row: &MySqlRow, index: usize) -> Result<Option<OffsetDateTime>, RowError> {
    refuse_zero_date(row, index)?;
    crate::database::row::in_range(row.try_get(index)?)
}

/// Fails for a date of zeros only, which a server in an old mode stores in place of an invalid date. The driver would
/// take it for null, and a null expiry never comes.
fn refuse_zero_date(row: &MySqlRow, index: usize) -> Result<(), RowError> {
    let is_null = row.try_get_raw(index)?.is_null();
    // A value that is really null has no bytes.
    if is_null && row.try_get_unchecked::<Vec<u8>, _>(index).is_ok() {
        return Err(sqlx::Error::Decode("a date of noughts alone".into()));
    }
    Ok(())
}

pub(crate) fn read_text(row: &MySqlRow, index: usize) -> Result<Option<Cow<'_, str>>, RowError> {
    Ok(row.try_get_unchecked::<Option<&str>, _>(index)?.map(Cow::Borrowed))
}

pub(crate) fn read_json(row: &MySqlRow, index: usize) -> Result<Option<String>, RowError> {
    row.try_get_unchecked(index)
}

pub(crate) fn read_integer(row: &MySqlRow, index: usize) -> Result<Option<i64>, RowError> {
    // Without this check the driver would take the upper half of an unsigned type for negative numbers.
    if row.try_get_raw(index)?.type_info().name().ends_with("UNSIGNED") {
        let unsigned = row.try_get_unchecked::<Option<u64>, _>(index)?;
        return unsigned.map(i64::try_from).transpose().map_err(|error| sqlx::Error::Decode(error.into()));
    }
    row.try_get_unchecked(index)
}

pub(crate) fn read_float(row: &MySqlRow, index: usize) -> Result<Option<f64>, RowError> {
    match row.try_get_raw(index)?.type_info().name() {
        "FLOAT" => Ok(row.try_get::<Option<f32>, _>(index)?.map(crate::database::row::widened)),
        _ => row.try_get_unchecked(index),
    }
}

/// Returns `true` if a value of an application's own type is null or blank text.
#[cfg(not(feature = "postgres"))]
pub(crate) fn is_blank<V: MySqlType>(value: &V) -> bool {
    let mut buffer = Vec::new();
    match value.encode_by_ref(&mut buffer) {
        Ok(IsNull::Yes) => true,
        Ok(IsNull::No) => {
            let type_info = value.produces().unwrap_or_else(V::type_info);
            let is_text = matches!(type_info.name(), "VARCHAR" | "CHAR" | "TEXT");
            // The length comes before the text. Blank text that is long enough to need more than one byte for its
            // length can only be recognised by its bytes, and no byte of a length in that form is a space.
            let text = buffer.get(1..).unwrap_or_default();
            is_text && std::str::from_utf8(text).is_ok_and(|text| text.trim().is_empty())
        }
        Err(_) => false,
    }
}

/// Returns the encoded form of a value, for comparing values of one type, or `None` for null.
#[cfg(not(feature = "postgres"))]
pub(crate) fn fingerprint<V: MySqlType>(value: &V) -> Option<Vec<u8>> {
    let mut buffer = Vec::new();
    match value.encode_by_ref(&mut buffer) {
        Ok(IsNull::No) => Some(buffer),
        Ok(IsNull::Yes) | Err(_) => None,
    }
}

/// Returns the text of a value that is bound as text.
#[cfg(not(feature = "postgres"))]
pub(crate) fn text<V: MySqlType>(value: &V) -> Option<String> {
    let mut buffer = Vec::new();
    let type_info = value.produces().unwrap_or_else(V::type_info);
    match value.encode_by_ref(&mut buffer) {
        Ok(IsNull::No) if matches!(type_info.name(), "VARCHAR" | "CHAR" | "TEXT") => {
            // The length comes before the text: https://mariadb.com/kb/en/protocol-data-types/#length-encoded-integers.
            let length = match buffer.first()? {
                0xfc => 3,
                0xfd => 4,
                0xfe => 9,
                _ => 1,
            };
            String::from_utf8(buffer.split_off(length)).ok()
        }
        _ => None,
    }
}

/// Returns a value as a person reads it, if it is bound as text, an integer or 16 bytes, which are a UUID.
#[cfg(not(feature = "postgres"))]
pub(crate) fn shown<V: MySqlType>(value: &V) -> Option<String> {
    let mut buffer = Vec::new();
    let IsNull::No = value.encode_by_ref(&mut buffer).ok()? else {
        return None;
    };
    let type_info = value.produces().unwrap_or_else(V::type_info);
    match (type_info.name(), &*buffer) {
        (name, [number]) if name.contains("INT") => Some(i8::from_le_bytes([*number]).to_string()),
        (name, bytes) if name.contains("INT") => match bytes.len() {
            2 => Some(i16::from_le_bytes(bytes.try_into().ok()?).to_string()),
            4 => Some(i32::from_le_bytes(bytes.try_into().ok()?).to_string()),
            _ => Some(i64::from_le_bytes(bytes.try_into().ok()?).to_string()),
        },
        ("BINARY", [16, bytes @ ..]) => Some(Uuid::from_slice(bytes).ok()?.to_string()),
        _ => text(value),
    }
}

/// Classifies an error. The numbers are [MariaDB's](https://mariadb.com/kb/en/mariadb-error-code-reference/), which
/// MySQL shares.
pub(crate) fn classify(error: &MySqlDatabaseError) -> Fault {
    let kind = match error.number() {
        1062 if names_the_digests_index(error.message()) => ErrorKind::DuplicateToken,
        // The data is valid JSON, so the check, which the server itself named, can only have refused nesting that is
        // too deep.
        4025 if error.message().contains(".data`") => ErrorKind::InvalidData,
        3819 if error.message().contains(CHECK_OF_DATA) => ErrorKind::InvalidData,
        3140 | 3141 | 3157 => ErrorKind::InvalidData,
        1022 | 1062 | 1169 | 1216 | 1217 | 1451 | 1452 | 1761 | 1762 | 3819 | 4025 => ErrorKind::Constraint,
        1048 | 1264 | 1265 | 1267 | 1292 | 1364 | 1366 | 1406 | 1977 | 3854 | 3988 => ErrorKind::InvalidField,
        1146 | 1049 => ErrorKind::MissingTable,
        1054 => ErrorKind::MissingColumn,
        1044 | 1142 | 1143 | 1227 | 1370 => ErrorKind::PermissionDenied,
        1290 | 1792 | 1836 => ErrorKind::ReadOnly,
        1205 | 3572 => ErrorKind::LockTimeout,
        1021 | 1114 => ErrorKind::DiskFull,
        1030 if error.message().contains("error 28 ") => ErrorKind::DiskFull,
        1317 | 1969 | 3024 => ErrorKind::StatementTimeout,
        4031 => return Fault::of(ErrorKind::Unavailable, Cause::Idle),
        // The node is not in the part of the cluster that may answer, or has just joined it. Nothing was done.
        1047 => ErrorKind::Unavailable,
        // The node lost the others while it told them of the write. Whether they know of it is not known.
        1180 if error.message().contains("Primary Component") => {
            return Fault::of(ErrorKind::Unavailable, Cause::Unclear);
        }
        1040 | 1053 | 1077 | 1079 | 1152 | 1158..=1161 | 1203 | 1927 => {
            return Fault::of(ErrorKind::Unavailable, Cause::Lost);
        }
        1020 | 1213 | 1412 => return Fault::transient(),
        // Another node's write has undone the whole transaction since the savepoint was set.
        1305 if error.message().starts_with("SAVEPOINT ") => return Fault::transient(),
        1038 => return Fault::of(ErrorKind::Database, Cause::Unsorted),
        // No such prepared statement, or the table changes too often for it.
        1243 | 1615 => return Fault::of(ErrorKind::Database, Cause::Stale),
        1064 | 1461 | 1644 => ErrorKind::Database,
        _ => return Fault::of(ErrorKind::Database, Cause::Unclear),
    };
    Fault::refused(kind)
}

/// Returns `true` if a change of the table failed because another process had made it: the table, the column or the index
/// was there.
pub(crate) fn is_overtaken(error: &MySqlDatabaseError) -> bool {
    matches!(error.number(), 1050 | 1060 | 1061)
}

/// Returns `true` if the message names the digest's index. The index comes last in the message, after the value, which
/// may be any text.
fn names_the_digests_index(message: &str) -> bool {
    message
        .trim_end_matches('\'')
        .rsplit('\'')
        .next()
        .is_some_and(|index| index.contains("auth_token_digest"))
}

/// Returns `true` if a character was refused because the column's encoding lacks it or cannot be compared with it.
pub(crate) fn is_of_the_encoding(error: &MySqlDatabaseError) -> bool {
    matches!(error.number(), 1267 | 1977 | 3854 | 3988)
        || error.number() == 1366 && error.message().contains("string value")
}

/// Returns `true` if the message quotes a value that was to be stored or compared.
pub(crate) fn quotes_a_value(error: &MySqlDatabaseError) -> bool {
    matches!(error.number(), 1062 | 1292 | 1366 | 1367 | 1411 | 1525 | 1690 | 3854)
}
