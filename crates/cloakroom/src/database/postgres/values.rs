//! How values are bound, and how rows are read.

use std::any::Any;
use std::borrow::Cow;

use sea_query::Value;
use sqlx::encode::IsNull;
use sqlx::error::{BoxDynError, UnexpectedNullError};
use sqlx::postgres::types::Oid;
use sqlx::postgres::{
    PgArgumentBuffer, PgArguments, PgRow, PgTypeInfo, PgTypeKind, PgValueFormat, PgValueRef,
};
use sqlx::types::Json;
use sqlx::{Arguments, Encode, Postgres, Row as _, Type, TypeInfo, ValueRef};
use time::OffsetDateTime;
use time::macros::datetime;

use crate::database::bind::bind_value;
use crate::database::row::{Row, RowError};
use crate::database::stored_type::{Bind, PostgresType};
use crate::database::{ColumnType, FieldValue, Repr};

pub(crate) fn row(row: PgRow) -> Row {
    Row::Postgres(row)
}

/// Makes a value of another table's row.
pub(crate) fn load<R: for<'r> sqlx::FromRow<'r, PgRow>>(row: &PgRow) -> Result<R, sqlx::Error> {
    R::from_row(row)
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
        Err("MariaDB and MySQL know no infinite instant".into())
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
        const EPOCH: i64 = datetime!(2000-01-01 00:00 UTC).unix_timestamp();
        const MICROS: i64 = 1_000_000;
        match micros {
            i64::MAX => Self::Infinity,
            i64::MIN => Self::NegativeInfinity,
            _ => {
                // Each list of sessions reads many of these, and adding a span to an instant takes three times as long.
                let seconds = OffsetDateTime::from_unix_timestamp(EPOCH + micros.div_euclid(MICROS));
                let nanos = u32::try_from(1_000 * micros.rem_euclid(MICROS)).unwrap_or_default();
                let instant = seconds.and_then(|instant| instant.replace_nanosecond(nanos)).ok();
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
    let name = column.name();
    let element: fn(&[u8]) -> bool = match name.strip_suffix("[]").unwrap_or(name) {
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
    if is_text(&V::type_info()) && is_of_text(&value.type_info()) {
        return row.try_get_unchecked(index);
    }
    check_range(&value)?;
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

pub(crate) fn read_text(row: &PgRow, index: usize) -> Result<Option<Cow<'_, str>>, RowError> {
    let value = row.try_get_raw(index)?;
    if value.is_null() {
        return Ok(None);
    }
    // The values of other types are not sent as text: an address would be read as garbage.
    if !is_sent_as_text(&value.type_info()) {
        return Err(decode(format!("values of the type {} are not read as text", value.type_info().name())));
    }
    Ok(Some(Cow::Borrowed(value.as_str().map_err(sqlx::Error::Decode)?)))
}

/// Returns `true` for the types of text. Most text is `text` or `varchar`, which is known without comparing the type with each of
/// them by its name.
fn is_of_text(type_info: &PgTypeInfo) -> bool {
    const TEXT: Oid = Oid(25);
    const VARCHAR: Oid = Oid(1043);
    matches!(type_info.oid(), Some(TEXT | VARCHAR)) || <str as Type<Postgres>>::compatible(type_info)
}

fn is_sent_as_text(type_info: &PgTypeInfo) -> bool {
    match type_info.kind() {
        PgTypeKind::Enum(_) => true,
        PgTypeKind::Domain(base) => is_sent_as_text(base),
        _ => is_of_text(type_info),
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

/// Returns the text of a value that is bound as text.
pub(crate) fn text<V: PostgresType>(value: &V) -> Option<String> {
    let mut buffer = PgArgumentBuffer::default();
    match value.encode_by_ref(&mut buffer) {
        Ok(IsNull::No) if is_text(&value.produces().unwrap_or_else(V::type_info)) => {
            String::from_utf8(buffer.to_vec()).ok()
        }
        _ => None,
    }
}

/// Returns a value as a person reads it, if it is bound as text, an integer or a UUID.
pub(crate) fn shown<V: PostgresType>(value: &V) -> Option<String> {
    let mut buffer = PgArgumentBuffer::default();
    let IsNull::No = value.encode_by_ref(&mut buffer).ok()? else {
        return None;
    };
    let type_info = value.produces().unwrap_or_else(V::type_info);
    match type_info.name() {
        "INT2" => Some(i16::from_be_bytes((**buffer).try_into().ok()?).to_string()),
        "INT4" => Some(i32::from_be_bytes((**buffer).try_into().ok()?).to_string()),
        "INT8" => Some(i64::from_be_bytes((**buffer).try_into().ok()?).to_string()),
        "UUID" => Some(uuid::Uuid::from_slice(&buffer).ok()?.to_string()),
        _ => text(value),
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
