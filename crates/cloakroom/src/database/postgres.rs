use std::any::Any;

use sea_query::Value;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{
    PgArgumentBuffer, PgArguments, PgConnectOptions, PgConnection, PgDatabaseError, PgPool, PgPoolOptions,
    PgRow, PgSeverity, PgTypeInfo, PgTypeKind, PgValueFormat,
};
use sqlx::types::Json;
use sqlx::{Arguments, Connection as _, Encode, Executor, Postgres, Row as _, Type, TypeInfo, ValueRef};
use time::OffsetDateTime;

use super::bind::bind_value;
use super::row::RowError;
use super::statement::Statement;
use super::stored_type::PostgresType;
use super::{Cause, Fault};
use crate::error::{Error, ErrorKind, Result};
use crate::field::{ColumnType, FieldValue, Repr};
use crate::table::TableDefinition;

pub(crate) async fn connect(url: &str) -> Result<PgPool> {
    let options: PgConnectOptions = url.parse().map_err(Error::from_opening)?;
    super::knock(&options).await?;
    Ok(PgPoolOptions::new().max_connections(8).test_before_acquire(false).connect_lazy_with(options))
}

/// A connection, taken out of the pool, in a transaction that holds the lock of this table.
///
/// Out of the pool, since the driver forgets a BEGIN whose future is dropped while it is on its way: the
/// pool would get back a connection in a transaction that nobody ends.
pub(crate) async fn begin_exclusive(
    pool: &PgPool,
    table: &TableDefinition,
) -> Result<PgConnection, sqlx::Error> {
    let mut connection = pool.acquire().await.map_err(super::again::not_connected)?.detach();
    connection.execute("BEGIN").await?;
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1 || coalesce($2, current_schema(), '') || '.' || $3, 0))")
        .bind("cloakroom ")
        .bind(table.schema_name())
        .bind(table.table_name())
        .execute(&mut connection)
        .await?;
    Ok(connection)
}

pub(crate) async fn commit(mut connection: PgConnection) -> Result<(), sqlx::Error> {
    connection.execute("COMMIT").await?;
    sqlx::Connection::close(connection).await
}

/// See [`Bare::end_stray_transaction`](super::bare::Bare::end_stray_transaction).
pub(crate) async fn end_stray_transaction(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    const IN_FAILED_TRANSACTION: &str = "25P02";
    // The driver says no more of what the server told it than whether this put the connection into a transaction.
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

/// Fails as every statement does in a transaction in which one has failed. COMMIT would roll that back, and say so in
/// a word that the driver does not look at.
pub(crate) async fn refuse_failed(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT 1").execute(connection).await.map(drop)
}

/// Whether the caller's transaction is open. The server ends none by itself but those that it refuses to commit.
pub(crate) async fn is_in_transaction(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        return Ok(true);
    }
    sqlx::query_scalar(super::guard::INSIDE_ON_POSTGRES).fetch_one(connection).await
}

pub(crate) fn arguments(values: &[FieldValue]) -> Result<PgArguments, sqlx::Error> {
    let mut arguments = PgArguments::default();
    for value in values {
        match &value.0 {
            Repr::Plain(value) => bind(&mut arguments, value),
            Repr::Json(raw) => Arguments::add(&mut arguments, Json(&**raw)),
            Repr::Native(value) => value.bind_postgres(&mut arguments),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

fn bind(to: &mut PgArguments, value: &Value) -> Result<(), BoxDynError> {
    bind_value!(to, value, {
        Value::TinyInt(value) => to.add(value.map(i16::from)),
        Value::TinyUnsigned(value) => to.add(value.map(i16::from)),
        Value::SmallUnsigned(value) => to.add(value.map(i32::from)),
        Value::Unsigned(value) => to.add(value.map(i64::from)),
        Value::BigUnsigned(value) => to.add(value.map(i64::try_from).transpose()?),
        Value::Json(value) => to.add(value.as_deref()),
        Value::TimeDateTimeWithTimeZone(value) => to.add(value.map(Instant)),
    })
}

/// An instant for a column of either `timestamp` or `timestamptz`.
///
/// Both have the same binary form, the microseconds in UTC since 2000. Bound without a type, the parameter
/// takes the column's; bound as `timestamptz`, it would be compared with a `timestamp` column in the
/// server's time zone.
struct Instant(OffsetDateTime);

impl Type<Postgres> for Instant {
    fn type_info() -> PgTypeInfo {
        unspecified()
    }
}

impl Encode<'_, Postgres> for Instant {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Encode::<Postgres>::encode_by_ref(&self.0, buffer)
    }
}

/// Text whose parameter takes the column's type, such as an enum.
struct Untyped<'t>(&'t str);

impl Type<Postgres> for Untyped<'_> {
    fn type_info() -> PgTypeInfo {
        unspecified()
    }
}

impl Encode<'_, Postgres> for Untyped<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Encode::<Postgres>::encode_by_ref(&self.0, buffer)
    }
}

pub(crate) fn bind_untyped(to: &mut PgArguments, text: Option<&str>) -> Result<(), BoxDynError> {
    to.add(text.map(Untyped))
}

fn unspecified() -> PgTypeInfo {
    PgTypeInfo::with_oid(Oid(0))
}

pub(crate) fn column_type<V: PostgresType>() -> ColumnType {
    let type_info = V::type_info();
    match type_info.name() {
        "TEXT" | "VARCHAR" | "text" | "varchar" => ColumnType::Text,
        "INT8" => ColumnType::Integer,
        "BOOL" => ColumnType::Bool,
        "FLOAT8" => ColumnType::Float,
        "BYTEA" => ColumnType::Bytes,
        "UUID" => ColumnType::Uuid,
        "TIMESTAMPTZ" => ColumnType::Timestamp,
        "JSON" | "JSONB" => ColumnType::Json,
        other => ColumnType::Exact(other.to_owned().into()),
    }
}

pub(crate) fn read<V: PostgresType + Any>(row: &PgRow, index: usize) -> Result<V, RowError> {
    // The driver reads an `OffsetDateTime` from `timestamptz` only; tables of ecto_sessions' have `timestamp`.
    let mut instant = None::<V>;
    if let Some(instant) = (&mut instant as &mut dyn Any).downcast_mut::<Option<OffsetDateTime>>() {
        *instant = Some(row.try_get_unchecked(index)?);
    }
    let mut nullable = None::<V>;
    if let Some(nullable) = (&mut nullable as &mut dyn Any).downcast_mut::<Option<Option<OffsetDateTime>>>() {
        *nullable = Some(read_timestamp(row, index)?);
    }
    if let Some(instant) = instant.or(nullable) {
        return Ok(instant);
    }
    // Nor does it read an enum of the application's that is declared as `text` from a column of `varchar`.
    let column = row.try_get_raw(index)?.type_info().into_owned();
    if is_text(&V::type_info()) && <str as Type<Postgres>>::compatible(&column) {
        return row.try_get_unchecked(index);
    }
    row.try_get(index)
}

fn is_text(type_info: &PgTypeInfo) -> bool {
    matches!(type_info.name(), "TEXT" | "VARCHAR" | "text" | "varchar")
}

pub(crate) fn read_timestamp(row: &PgRow, index: usize) -> Result<Option<OffsetDateTime>, RowError> {
    row.try_get_unchecked(index)
}

pub(crate) fn read_text(row: &PgRow, index: usize) -> Result<Option<String>, RowError> {
    let value = row.try_get_raw(index)?;
    // The values of other types are not sent as text: an address would be read as garbage.
    if !is_sent_as_text(&value.type_info()) && !value.is_null() {
        let problem = format!("values of the type {} are not read as text", value.type_info().name());
        return Err(sqlx::Error::Decode(problem.into()));
    }
    row.try_get_unchecked(index)
}

fn is_sent_as_text(type_info: &PgTypeInfo) -> bool {
    match type_info.kind() {
        PgTypeKind::Enum(_) => true,
        PgTypeKind::Domain(base) => is_sent_as_text(base),
        _ => <String as Type<Postgres>>::compatible(type_info),
    }
}

pub(crate) fn read_json(row: &PgRow, index: usize) -> Result<Option<String>, RowError> {
    let value = row.try_get_raw(index)?;
    if value.is_null() {
        return Ok(None);
    }
    let mut bytes = value.as_bytes().map_err(sqlx::Error::Decode)?;
    // In the binary form of jsonb a version number, which is 1, goes before the text.
    if value.format() == PgValueFormat::Binary && value.type_info().name() == "JSONB" {
        bytes = bytes.get(1..).unwrap_or_default();
    }
    let text = std::str::from_utf8(bytes).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(Some(text.to_owned()))
}

pub(crate) fn read_integer(row: &PgRow, index: usize) -> Result<Option<i64>, RowError> {
    match row.try_get_raw(index)?.type_info().name() {
        "INT2" => Ok(row.try_get::<Option<i16>, _>(index)?.map(i64::from)),
        "INT4" => Ok(row.try_get::<Option<i32>, _>(index)?.map(i64::from)),
        _ => row.try_get(index),
    }
}

pub(crate) fn read_float(row: &PgRow, index: usize) -> Result<Option<f64>, RowError> {
    match row.try_get_raw(index)?.type_info().name() {
        "FLOAT4" => Ok(row.try_get::<Option<f32>, _>(index)?.map(f64::from)),
        _ => row.try_get(index),
    }
}

/// Whether an application's own value is null or blank text.
pub(crate) fn is_blank<V: PostgresType>(value: &V) -> bool {
    let mut buffer = PgArgumentBuffer::default();
    match value.encode_by_ref(&mut buffer) {
        Ok(IsNull::Yes) => true,
        Ok(IsNull::No) => {
            let type_info = value.produces().unwrap_or_else(V::type_info);
            is_text(&type_info) && std::str::from_utf8(&buffer).is_ok_and(|text| text.trim().is_empty())
        }
        // Binding will fail in the same way, and say why.
        Err(_) => false,
    }
}

/// What a value encodes to, for comparing values of one type; `None` for null.
pub(crate) fn fingerprint<V: PostgresType>(value: &V) -> Option<Vec<u8>> {
    let mut buffer = PgArgumentBuffer::default();
    match value.encode_by_ref(&mut buffer) {
        Ok(IsNull::No) => Some(buffer.to_vec()),
        Ok(IsNull::Yes) | Err(_) => None,
    }
}

/// The codes are [PostgreSQL's](https://www.postgresql.org/docs/current/errcodes-appendix.html).
pub(crate) fn classify(error: &PgDatabaseError) -> Fault {
    let code = error.code();
    let kind = match code {
        "23505" if error.constraint().is_some_and(|name| name.contains("auth_token_digest")) => {
            ErrorKind::DuplicateToken
        }
        "22P05" if !is_of_the_encoding(error) => ErrorKind::InvalidData,
        "23502" | "22001" | "22003" | "22008" | "22021" | "22P02" | "22P03" | "22P05" => {
            ErrorKind::InvalidField
        }
        "42P01" | "3F000" => ErrorKind::MissingTable,
        "42703" => ErrorKind::MissingColumn,
        "42501" => ErrorKind::PermissionDenied,
        "25006" => ErrorKind::ReadOnly,
        "55P03" => ErrorKind::LockTimeout,
        "53100" => ErrorKind::DiskFull,
        "57014" => ErrorKind::StatementTimeout,
        "40001" | "40P01" => return Fault::transient(),
        _ => match code.get(..2) {
            Some("23") => ErrorKind::Constraint,
            Some("08" | "53" | "57" | "58") => ErrorKind::Unavailable,
            _ => ErrorKind::Database,
        },
    };
    match error.severity() {
        // While it waits for a statement, the server looks at this time-out last before it reads the next.
        _ if code == "57P05" => Fault::of(ErrorKind::Unavailable, Cause::Idle),
        PgSeverity::Fatal | PgSeverity::Panic => Fault::of(ErrorKind::Unavailable, Cause::Lost),
        _ if code.starts_with("08") => Fault::of(kind, Cause::Lost),
        _ if is_stale(error) => Fault::of(kind, Cause::Stale),
        // What ends in an error is undone.
        _ => Fault::refused(kind),
    }
}

/// Whether the statement was prepared for a table that has changed since, or the server has no such statement.
///
/// The code for "cached plan must not change result type" stands for many features that a server lacks; which
/// function complains is the same in every language.
fn is_stale(error: &PgDatabaseError) -> bool {
    match error.code() {
        "0A000" => error.routine() == Some("RevalidateCachedQuery"),
        "26000" => true,
        _ => false,
    }
}

/// Whether a character was refused by the database's encoding, and not an escape by JSON.
pub(crate) fn is_of_the_encoding(error: &PgDatabaseError) -> bool {
    error.routine() == Some("report_untranslatable_char")
}

/// Whether the message holds a value that was to be stored or compared.
pub(crate) fn quotes_a_value(error: &PgDatabaseError) -> bool {
    matches!(error.code(), "22P02" | "22007" | "22008" | "22018")
}

pub(crate) fn columns_query(schema: Option<&str>, table: &str) -> Statement {
    Statement::new(
        "SELECT a.attname::text, pg_catalog.format_type(a.atttypid, NULL), (NOT a.attnotnull)::int \
         FROM pg_catalog.pg_attribute a \
         JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relname = $1 AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'f') \
         AND CASE WHEN $2::text IS NULL THEN pg_catalog.pg_table_is_visible(c.oid) ELSE n.nspname = $2 END \
         ORDER BY a.attnum",
        vec![FieldValue::plain(table), FieldValue::plain(schema.map(str::to_owned))],
    )
}
