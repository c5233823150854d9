use std::any::Any;

use sea_query::Value;
use sqlx::encode::IsNull;
use sqlx::error::{BoxDynError, UnexpectedNullError};
use sqlx::postgres::types::Oid;
use sqlx::postgres::{
    PgArgumentBuffer, PgArguments, PgConnectOptions, PgConnection, PgDatabaseError, PgPool, PgPoolOptions,
    PgRow, PgSeverity, PgTypeInfo, PgTypeKind, PgValueFormat, PgValueRef,
};
use sqlx::types::Json;
use sqlx::{Arguments, Connection as _, Encode, Executor, Postgres, Row as _, Type, TypeInfo, ValueRef};
use time::OffsetDateTime;
use time::macros::datetime;

use crate::database::bind::bind_value;
use crate::database::row::{Row, RowError};
use crate::database::stored_type::{Bind, PostgresType};
use crate::database::{Backend, Cause, ColumnType, Fault, FieldValue, Repr, TableName};
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

pub(crate) async fn begin(pool: &PgPool) -> Result<sqlx::Transaction<'static, Postgres>, sqlx::Error> {
    pool.begin().await
}

/// Commits the transaction, and fails if a statement has failed in it, as every statement then does. COMMIT would roll
/// it back, and say so only in a word that the driver does not look at.
pub(crate) async fn commit(mut transaction: sqlx::Transaction<'static, Postgres>) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT 1").execute(&mut *transaction).await?;
    transaction.commit().await
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

pub(crate) fn row(row: PgRow) -> Row {
    Row::Postgres(row)
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
        Value::TimeDateTimeWithTimeZone(value) => to.add(value.map(Bound)),
    })
}

/// An instant for a column of either `timestamp` or `timestamptz`.
///
/// Both have the same binary form, the microseconds in UTC since 2000. Bound without a type, the parameter
/// takes the column's; bound as `timestamptz`, it would be compared with a `timestamp` column in the
/// server's time zone.
struct Bound(OffsetDateTime);

impl Type<Postgres> for Bound {
    fn type_info() -> PgTypeInfo {
        unspecified()
    }
}

impl Encode<'_, Postgres> for Bound {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Encode::<Postgres>::encode_by_ref(&self.0, buffer)
    }
}

/// Text with a parameter that takes the column's type, such as an enum.
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

/// An instant before or after all others.
pub(crate) struct Infinite {
    pub(crate) is_negative: bool,
}

impl Type<Postgres> for Infinite {
    fn type_info() -> PgTypeInfo {
        unspecified()
    }
}

impl Encode<'_, Postgres> for Infinite {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let micros = if self.is_negative { i64::MIN } else { i64::MAX };
        Encode::<Postgres>::encode_by_ref(&micros, buffer)
    }
}

impl Bind for Infinite {
    fn is_blank(&self) -> bool {
        false
    }

    fn fingerprint(&self) -> Option<Vec<u8>> {
        Some(vec![u8::from(self.is_negative)])
    }

    fn bind_postgres(&self, to: &mut PgArguments) -> Result<(), BoxDynError> {
        to.add(Self { is_negative: self.is_negative })
    }

    #[cfg(feature = "sqlite")]
    fn bind_sqlite(&self, _: &mut sqlx::sqlite::SqliteArguments) -> Result<(), BoxDynError> {
        Err("SQLite knows no infinite instant".into())
    }

    #[cfg(feature = "mysql")]
    fn bind_mysql(&self, _: &mut sqlx::mysql::MySqlArguments) -> Result<(), BoxDynError> {
        Err("MariaDB knows no infinite instant".into())
    }
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

/// A value in a column of `timestamp` or `timestamptz`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Instant {
    Finite(OffsetDateTime),
    Infinity,
    NegativeInfinity,
    /// An instant that is not infinite, but outside the range that the library holds.
    BeyondRange,
}

impl Instant {
    /// Makes an instant from its binary form: microseconds since the year 2000.
    fn of(micros: i64) -> Self {
        const EPOCH: OffsetDateTime = datetime!(2000-01-01 00:00 UTC);
        match micros {
            i64::MAX => Self::Infinity,
            i64::MIN => Self::NegativeInfinity,
            _ => {
                let instant = EPOCH.checked_add(time::Duration::microseconds(micros));
                instant.and_then(crate::clock::in_range).map_or(Self::BeyondRange, Self::Finite)
            }
        }
    }

    pub(crate) fn finite(self) -> Result<OffsetDateTime, RowError> {
        match self {
            Self::Finite(instant) => Ok(instant),
            Self::Infinity | Self::NegativeInfinity => Err(decode("an infinite instant")),
            Self::BeyondRange => Err(decode("an instant beyond the years 1 to 9999")),
        }
    }
}

fn decode(problem: impl Into<BoxDynError>) -> sqlx::Error {
    sqlx::Error::Decode(problem.into())
}

/// Reads an instant. The driver itself panics if an instant is beyond its range.
pub(crate) fn read_instant(row: &PgRow, index: usize) -> Result<Option<Instant>, RowError> {
    let value = row.try_get_raw(index)?;
    if value.is_null() {
        return Ok(None);
    }
    let (column, bytes) = (value.type_info(), value.as_bytes().map_err(sqlx::Error::Decode)?);
    match (column.name(), value.format(), <[u8; 8]>::try_from(bytes)) {
        ("TIMESTAMP" | "TIMESTAMPTZ", PgValueFormat::Binary, Ok(bytes)) => {
            Ok(Some(Instant::of(i64::from_be_bytes(bytes))))
        }
        (name, ..) => Err(decode(format!("a value of the type {name} is no instant"))),
    }
}

/// Fails for values on which the driver would panic, or which it would read as other values: dates and instants beyond
/// its range, also in arrays, and the end of a day as a time.
fn check_range(value: &PgValueRef<'_>) -> Result<(), RowError> {
    if value.is_null() || value.format() != PgValueFormat::Binary {
        return Ok(());
    }
    let column = value.type_info();
    let element: fn(&[u8]) -> bool = match column.name().trim_end_matches("[]") {
        "TIMESTAMP" | "TIMESTAMPTZ" => |bytes| {
            let micros = <[u8; 8]>::try_from(bytes).map(i64::from_be_bytes);
            micros.is_ok_and(|micros| matches!(Instant::of(micros), Instant::Finite(_)))
        },
        "DATE" => |bytes| {
            const FIRST: i32 = -730_119;
            const LAST: i32 = 2_921_939;
            let days = <[u8; 4]>::try_from(bytes).map(i32::from_be_bytes);
            days.is_ok_and(|days| (FIRST..=LAST).contains(&days))
        },
        "TIME" => |bytes| {
            let micros = <[u8; 8]>::try_from(bytes).map(i64::from_be_bytes);
            micros.is_ok_and(|micros| (0..86_400_000_000).contains(&micros))
        },
        _ => return Ok(()),
    };
    let bytes = value.as_bytes().map_err(sqlx::Error::Decode)?;
    let are_in_range = match column.kind() {
        PgTypeKind::Array(_) => elements(bytes).is_some_and(|mut all| all.all(element)),
        _ => element(bytes),
    };
    if are_in_range { Ok(()) } else { Err(decode("a date or time beyond what the driver holds")) }
}

/// Returns the elements of an array in its binary form, without nulls, or `None` if it is not in that form.
fn elements(bytes: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let dimensions = usize::try_from(i32::from_be_bytes(bytes.first_chunk().copied()?)).ok()?;
    let mut rest = bytes.get(12 + dimensions.checked_mul(8)?..)?;
    Some(std::iter::from_fn(move || {
        loop {
            let (length, after) = rest.split_first_chunk()?;
            let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
                rest = after;
                continue;
            };
            let (element, after) = after.split_at_checked(length)?;
            rest = after;
            return Some(element);
        }
    }))
}

pub(crate) fn read<V: PostgresType + Any>(row: &PgRow, index: usize) -> Result<V, RowError> {
    // The driver reads an `OffsetDateTime` from `timestamptz` only; tables of ecto_sessions' have `timestamp`.
    let mut instant = None::<V>;
    if let Some(instant) = (&mut instant as &mut dyn Any).downcast_mut::<Option<OffsetDateTime>>() {
        *instant = Some(read_timestamp(row, index)?.ok_or_else(|| decode(UnexpectedNullError))?);
    }
    let mut nullable = None::<V>;
    if let Some(nullable) = (&mut nullable as &mut dyn Any).downcast_mut::<Option<Option<OffsetDateTime>>>() {
        *nullable = Some(read_timestamp(row, index)?);
    }
    if let Some(instant) = instant.or(nullable) {
        return Ok(instant);
    }
    // Nor does the driver read a number from a column of a narrower type.
    if let Some(widened) = read_widened(row, index) {
        return widened;
    }
    // Nor does it read an enum of the application's that is declared as `text` from a column of `varchar`.
    let value = row.try_get_raw(index)?;
    check_range(&value)?;
    let column = value.type_info().into_owned();
    if is_text(&V::type_info()) && <str as Type<Postgres>>::compatible(&column) {
        return row.try_get_unchecked(index);
    }
    row.try_get(index)
}

/// Reads a number from a column of a narrower type, if `V` is a type that may be read so, and returns `None` if it is
/// not.
fn read_widened<V: Any>(row: &PgRow, index: usize) -> Option<Result<V, RowError>> {
    let mut widened = None::<Result<V, RowError>>;
    let place: &mut dyn Any = &mut widened;
    let required = || decode(UnexpectedNullError);
    let narrowed = |integer: i64| i32::try_from(integer).map_err(decode);
    if let Some(place) = place.downcast_mut::<Option<Result<i64, RowError>>>() {
        *place = Some(read_integer(row, index).and_then(|it| it.ok_or_else(required)));
    } else if let Some(place) = place.downcast_mut::<Option<Result<Option<i64>, RowError>>>() {
        *place = Some(read_integer(row, index));
    } else if let Some(place) = place.downcast_mut::<Option<Result<i32, RowError>>>() {
        *place = Some(read_integer(row, index).and_then(|it| narrowed(it.ok_or_else(required)?)));
    } else if let Some(place) = place.downcast_mut::<Option<Result<Option<i32>, RowError>>>() {
        *place = Some(read_integer(row, index).and_then(|it| it.map(narrowed).transpose()));
    } else if let Some(place) = place.downcast_mut::<Option<Result<f64, RowError>>>() {
        *place = Some(read_float(row, index).and_then(|it| it.ok_or_else(required)));
    } else if let Some(place) = place.downcast_mut::<Option<Result<Option<f64>, RowError>>>() {
        *place = Some(read_float(row, index));
    }
    widened
}

fn is_text(type_info: &PgTypeInfo) -> bool {
    matches!(type_info.name(), "TEXT" | "VARCHAR" | "text" | "varchar")
}

pub(crate) fn read_timestamp(row: &PgRow, index: usize) -> Result<Option<OffsetDateTime>, RowError> {
    read_instant(row, index)?.map(Instant::finite).transpose()
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
    // In the binary form of jsonb, a version number, which is 1, comes before the text.
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
        "FLOAT4" => Ok(row.try_get::<Option<f32>, _>(index)?.map(crate::database::row::widened)),
        _ => row.try_get(index),
    }
}

/// Returns `true` if a value of an application's own type is null or blank text.
pub(crate) fn is_blank<V: PostgresType>(value: &V) -> bool {
    let mut buffer = PgArgumentBuffer::default();
    match value.encode_by_ref(&mut buffer) {
        Ok(IsNull::Yes) => true,
        Ok(IsNull::No) => {
            let type_info = value.produces().unwrap_or_else(V::type_info);
            is_text(&type_info) && std::str::from_utf8(&buffer).is_ok_and(|text| text.trim().is_empty())
        }
        // Binding will fail in the same way, and report the error.
        Err(_) => false,
    }
}

/// Returns the encoded form of a value, for comparing values of one type, or `None` for null.
pub(crate) fn fingerprint<V: PostgresType>(value: &V) -> Option<Vec<u8>> {
    let mut buffer = PgArgumentBuffer::default();
    match value.encode_by_ref(&mut buffer) {
        Ok(IsNull::No) => Some(buffer.to_vec()),
        Ok(IsNull::Yes) | Err(_) => None,
    }
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
