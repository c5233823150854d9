//! Rows of SQLite, as the driver hands them over or as they were [read directly](super::direct).

use std::any::Any;
use std::borrow::Cow;
use std::fmt;

use sqlx::{Row as _, TypeInfo, ValueRef};
use time::OffsetDateTime;
use uuid::Uuid;

use super::direct::DirectRow;
use super::instant::instant;
use crate::database::row::{RowError, in_range};
use crate::database::stored_type::SqliteType;

/// A row of SQLite.
pub enum SqliteRow {
    /// The driver's.
    Driver(sqlx::sqlite::SqliteRow),
    /// A row that was read without the driver.
    Direct(DirectRow),
}

/// A value as SQLite holds it. Each value has its own type.
pub(crate) enum Stored {
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

/// The same, in a row that was read directly.
#[derive(Clone, Copy)]
pub(super) enum Held<'r> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'r str),
    Blob(&'r [u8]),
}

impl Held<'_> {
    fn to_stored(self) -> Stored {
        match self {
            Self::Null => Stored::Null,
            Self::Integer(integer) => Stored::Integer(integer),
            Self::Real(float) => Stored::Real(float),
            Self::Text(text) => Stored::Text(text.to_owned()),
            Self::Blob(bytes) => Stored::Blob(bytes.to_owned()),
        }
    }
}

impl SqliteRow {
    /// Returns how many columns the row has.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Driver(row) => row.len(),
            Self::Direct(row) => row.len(),
        }
    }
}

/// Decodes a value of a built-in column of a row that was read directly.
fn unless_null<'r, K>(
    row: &'r DirectRow,
    index: usize,
    decode: fn(Held<'r>) -> Option<K>,
) -> Result<Option<K>, RowError> {
    match row.value(index)? {
        Held::Null => Ok(None),
        held => decode(held).map(Some).ok_or_else(odd),
    }
}

/// The driver decides what such a value means; see [`is_read_directly`].
fn odd() -> RowError {
    RowError::Decode("a value in a form that this library does not write".into())
}

/// Returns `true` if values of this type can be read without the driver.
pub(crate) fn is_read_directly<V: 'static>() -> bool {
    is_known::<V>(&mut None, Held::Null)
}

/// Decodes a value of one of the types that this library knows, from the form in which it is written. Returns `None` for
/// any other type or form.
fn decode<V: 'static>(held: Held<'_>) -> Option<V> {
    let mut decoded = None;
    is_known::<V>(&mut decoded, held);
    decoded
}

/// Returns `true` if `V` is a type that this library knows, and decodes the value if it has the form of one.
fn is_known<V: 'static>(to: &mut Option<V>, held: Held<'_>) -> bool {
    let to: &mut dyn Any = to;
    is_one(to, held, text)
        || is_one(to, held, integer::<i64>)
        || is_one(to, held, integer::<i32>)
        || is_one(to, held, integer::<i16>)
        || is_one(to, held, integer::<i8>)
        || is_one(to, held, integer::<u32>)
        || is_one(to, held, integer::<u16>)
        || is_one(to, held, integer::<u8>)
        || is_one(to, held, flag)
        || is_one(to, held, float)
        || is_one(to, held, bytes)
        || is_one(to, held, uuid)
        || is_one(to, held, timestamp)
        || is_one(to, held, json)
}

/// Returns `true` if the value to be decoded is a `K` or an `Option<K>`, and decodes it.
fn is_one<'r, K: 'static>(to: &mut dyn Any, held: Held<'r>, decode: fn(Held<'r>) -> Option<K>) -> bool {
    if let Some(to) = to.downcast_mut::<Option<K>>() {
        *to = decode(held);
    } else if let Some(to) = to.downcast_mut::<Option<Option<K>>>() {
        *to = match held {
            Held::Null => Some(None),
            held => decode(held).map(Some),
        };
    } else {
        return false;
    }
    true
}

fn text(held: Held<'_>) -> Option<String> {
    borrowed(held).map(str::to_owned)
}

fn borrowed(held: Held<'_>) -> Option<&str> {
    match held {
        Held::Text(text) => Some(text),
        _ => None,
    }
}

fn flag(held: Held<'_>) -> Option<bool> {
    match held {
        Held::Integer(0) => Some(false),
        Held::Integer(1) => Some(true),
        _ => None,
    }
}

fn float(held: Held<'_>) -> Option<f64> {
    match held {
        Held::Real(float) => Some(float),
        _ => None,
    }
}

fn bytes(held: Held<'_>) -> Option<Vec<u8>> {
    match held {
        Held::Blob(bytes) => Some(bytes.to_owned()),
        _ => None,
    }
}

fn json(held: Held<'_>) -> Option<serde_json::Value> {
    serde_json::from_str(borrowed(held)?).ok()
}

fn integer<N: TryFrom<i64>>(held: Held<'_>) -> Option<N> {
    match held {
        Held::Integer(number) => N::try_from(number).ok(),
        _ => None,
    }
}

fn uuid(held: Held<'_>) -> Option<Uuid> {
    match held {
        Held::Blob(bytes) => Uuid::from_slice(bytes).ok(),
        _ => None,
    }
}

fn timestamp(held: Held<'_>) -> Option<OffsetDateTime> {
    instant(borrowed(held)?).ok()
}

pub(crate) fn read<V: SqliteType + 'static>(row: &SqliteRow, index: usize) -> Result<V, RowError> {
    let row = match row {
        SqliteRow::Driver(row) => row,
        SqliteRow::Direct(row) => return decode(row.value(index)?).ok_or_else(odd),
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
        SqliteRow::Direct(row) => return row.value(index).map(Held::to_stored),
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
        SqliteRow::Direct(row) => unless_null(row, index, timestamp),
    }
}

pub(crate) fn read_text(row: &SqliteRow, index: usize) -> Result<Option<Cow<'_, str>>, RowError> {
    let text = match row {
        SqliteRow::Driver(row) => row.try_get_unchecked(index)?,
        SqliteRow::Direct(row) => unless_null(row, index, borrowed)?,
    };
    Ok(text.map(Cow::Borrowed))
}

pub(crate) fn read_json(row: &SqliteRow, index: usize) -> Result<Option<String>, RowError> {
    Ok(read_text(row, index)?.map(Cow::into_owned))
}

pub(crate) fn read_integer(row: &SqliteRow, index: usize) -> Result<Option<i64>, RowError> {
    match row {
        SqliteRow::Driver(row) => row.try_get_unchecked(index),
        SqliteRow::Direct(row) => unless_null(row, index, integer),
    }
}

pub(crate) fn read_float(row: &SqliteRow, index: usize) -> Result<Option<f64>, RowError> {
    match row {
        SqliteRow::Driver(row) => row.try_get_unchecked(index),
        SqliteRow::Direct(row) => unless_null(row, index, float),
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
