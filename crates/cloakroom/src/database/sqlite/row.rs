//! Rows of SQLite, as the driver hands them over or as they were [read directly](super::direct).

use std::any::Any;
use std::fmt;

use sqlx::{Row as _, TypeInfo, ValueRef};
use time::OffsetDateTime;
use uuid::Uuid;

use super::instant::instant;
use crate::database::row::{RowError, in_range};
use crate::database::stored_type::SqliteType;

/// A row of SQLite.
pub enum SqliteRow {
    /// The driver's.
    Driver(sqlx::sqlite::SqliteRow),
    /// The values of a row that was read without the driver.
    Direct(Box<[Stored]>),
}

/// A value as SQLite holds it. Each value has its own type.
#[derive(Clone)]
pub enum Stored {
    /// Null.
    Null,
    /// An integer.
    Integer(i64),
    /// A float.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl Stored {
    /// Returns how many bytes a text or a blob has.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Null | Self::Integer(_) | Self::Real(_) => 0,
            Self::Text(text) => text.len(),
            Self::Blob(bytes) => bytes.len(),
        }
    }
}

impl SqliteRow {
    /// Returns how many columns the row has.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Driver(row) => row.len(),
            Self::Direct(values) => values.len(),
        }
    }
}

/// Returns the value of a row that was read directly.
fn value(values: &[Stored], index: usize) -> Result<&Stored, RowError> {
    values.get(index).ok_or(RowError::ColumnIndexOutOfBounds { index, len: values.len() })
}

/// Decodes a value of a built-in column of a row that was read directly.
fn unless_null<K>(
    values: &[Stored],
    index: usize,
    decode: fn(&Stored) -> Option<K>,
) -> Result<Option<K>, RowError> {
    match value(values, index)? {
        Stored::Null => Ok(None),
        stored => decode(stored).map(Some).ok_or_else(odd),
    }
}

/// The driver decides what such a value means; see [`is_read_directly`].
fn odd() -> RowError {
    RowError::Decode("a value in a form that this library does not write".into())
}

/// Returns `true` if values of this type can be read without the driver.
pub(crate) fn is_read_directly<V: 'static>() -> bool {
    is_known::<V>(&mut None, &Stored::Null)
}

/// Decodes a value of one of the types that this library knows, from the form in which it is written. Returns `None` for
/// any other type or form.
fn decode<V: 'static>(stored: &Stored) -> Option<V> {
    let mut decoded = None;
    is_known::<V>(&mut decoded, stored);
    decoded
}

/// Returns `true` if `V` is a type that this library knows, and decodes the value if it has the form of one.
fn is_known<V: 'static>(to: &mut Option<V>, stored: &Stored) -> bool {
    let to: &mut dyn Any = to;
    is_one(to, stored, text)
        || is_one(to, stored, integer::<i64>)
        || is_one(to, stored, integer::<i32>)
        || is_one(to, stored, integer::<i16>)
        || is_one(to, stored, integer::<i8>)
        || is_one(to, stored, integer::<u32>)
        || is_one(to, stored, integer::<u16>)
        || is_one(to, stored, integer::<u8>)
        || is_one(to, stored, flag)
        || is_one(to, stored, float)
        || is_one(to, stored, bytes)
        || is_one(to, stored, uuid)
        || is_one(to, stored, timestamp)
        || is_one(to, stored, json)
}

/// Returns `true` if the value to be decoded is a `K` or an `Option<K>`, and decodes it.
fn is_one<K: 'static>(to: &mut dyn Any, stored: &Stored, decode: fn(&Stored) -> Option<K>) -> bool {
    if let Some(to) = to.downcast_mut::<Option<K>>() {
        *to = decode(stored);
    } else if let Some(to) = to.downcast_mut::<Option<Option<K>>>() {
        *to = match stored {
            Stored::Null => Some(None),
            stored => decode(stored).map(Some),
        };
    } else {
        return false;
    }
    true
}

fn text(stored: &Stored) -> Option<String> {
    match stored {
        Stored::Text(text) => Some(text.clone()),
        _ => None,
    }
}

fn flag(stored: &Stored) -> Option<bool> {
    match stored {
        Stored::Integer(0) => Some(false),
        Stored::Integer(1) => Some(true),
        _ => None,
    }
}

fn float(stored: &Stored) -> Option<f64> {
    match stored {
        Stored::Real(float) => Some(*float),
        _ => None,
    }
}

fn bytes(stored: &Stored) -> Option<Vec<u8>> {
    match stored {
        Stored::Blob(bytes) => Some(bytes.clone()),
        _ => None,
    }
}

fn json(stored: &Stored) -> Option<serde_json::Value> {
    match stored {
        Stored::Text(text) => serde_json::from_str(text).ok(),
        _ => None,
    }
}

fn integer<N: TryFrom<i64>>(stored: &Stored) -> Option<N> {
    match stored {
        Stored::Integer(number) => N::try_from(*number).ok(),
        _ => None,
    }
}

fn uuid(stored: &Stored) -> Option<Uuid> {
    match stored {
        Stored::Blob(bytes) => Uuid::from_slice(bytes).ok(),
        _ => None,
    }
}

fn timestamp(stored: &Stored) -> Option<OffsetDateTime> {
    match stored {
        Stored::Text(text) => instant(text).ok(),
        _ => None,
    }
}

pub(crate) fn read<V: SqliteType + 'static>(row: &SqliteRow, index: usize) -> Result<V, RowError> {
    let row = match row {
        SqliteRow::Driver(row) => row,
        SqliteRow::Direct(values) => return decode(value(values, index)?).ok_or_else(odd),
    };
    // The driver takes an integer for seconds since 1970, and panics beyond the end of the calendar.
    if V::type_info().name() == "DATETIME" && row.try_get_raw(index)?.type_info().name() == "INTEGER" {
        let seconds = row.try_get_unchecked::<i64, _>(index)?;
        in_range(Some(
            OffsetDateTime::from_unix_timestamp(seconds)
                .map_err(|error| sqlx::Error::Decode(error.into()))?,
        ))?;
    }
    row.try_get(index)
}

pub(crate) fn read_stored(row: &SqliteRow, index: usize) -> Result<Stored, RowError> {
    let row = match row {
        SqliteRow::Driver(row) => row,
        SqliteRow::Direct(values) => return value(values, index).cloned(),
    };
    let value = row.try_get_raw(index)?;
    if value.is_null() {
        return Ok(Stored::Null);
    }
    let storage = value.type_info();
    Ok(match storage.name() {
        "INTEGER" => Stored::Integer(row.try_get_unchecked(index)?),
        "REAL" => Stored::Real(row.try_get_unchecked(index)?),
        "TEXT" => Stored::Text(row.try_get_unchecked(index)?),
        _ => Stored::Blob(row.try_get_unchecked(index)?),
    })
}

pub(crate) fn read_timestamp(row: &SqliteRow, index: usize) -> Result<Option<OffsetDateTime>, RowError> {
    match row {
        SqliteRow::Driver(row) => in_range(row.try_get(index)?),
        SqliteRow::Direct(values) => unless_null(values, index, timestamp),
    }
}

pub(crate) fn read_text(row: &SqliteRow, index: usize) -> Result<Option<String>, RowError> {
    match row {
        SqliteRow::Driver(row) => row.try_get_unchecked(index),
        SqliteRow::Direct(values) => unless_null(values, index, text),
    }
}

pub(crate) fn read_json(row: &SqliteRow, index: usize) -> Result<Option<String>, RowError> {
    read_text(row, index)
}

pub(crate) fn read_integer(row: &SqliteRow, index: usize) -> Result<Option<i64>, RowError> {
    match row {
        SqliteRow::Driver(row) => row.try_get_unchecked(index),
        SqliteRow::Direct(values) => unless_null(values, index, integer),
    }
}

pub(crate) fn read_float(row: &SqliteRow, index: usize) -> Result<Option<f64>, RowError> {
    match row {
        SqliteRow::Driver(row) => row.try_get_unchecked(index),
        SqliteRow::Direct(values) => unless_null(values, index, float),
    }
}

/// Makes a value of another table's row, which the driver has always read.
pub(crate) fn load<R>(row: &SqliteRow) -> Result<R, RowError>
where
    R: for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow>,
{
    match row {
        SqliteRow::Driver(row) => R::from_row(row),
        SqliteRow::Direct(_) => Err(odd()),
    }
}

/// A row holds a digest; nothing of it is shown.
impl fmt::Debug for SqliteRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SqliteRow")
    }
}

/// A value may be private to the application; nothing of it is shown.
impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stored")
    }
}
