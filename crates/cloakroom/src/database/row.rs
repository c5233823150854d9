use std::borrow::Cow;
use std::fmt;

use time::OffsetDateTime;
use uuid::Uuid;

use super::list::match_database;
use super::{Backend, StoredType};

pub(crate) type RowError = sqlx::Error;

/// A row of any of the databases.
pub enum Row {
    #[cfg(feature = "sqlite")]
    /// Of SQLite.
    Sqlite(super::sqlite::SqliteRow),
    #[cfg(feature = "postgres")]
    /// Of PostgreSQL.
    Postgres(sqlx::postgres::PgRow),
    #[cfg(feature = "mysql")]
    /// Of MariaDB or MySQL.
    MySql(sqlx::mysql::MySqlRow),
}

impl Row {
    pub(crate) fn get<V: StoredType>(&self, index: usize) -> Result<V, RowError> {
        V::read(self, index)
    }

    pub(crate) fn uuid(&self, index: usize) -> Result<Uuid, RowError> {
        self.get(index)
    }

    pub(crate) fn timestamp(&self, index: usize) -> Result<Option<OffsetDateTime>, RowError> {
        match_database!(self, Row(row) in driver => driver::read_timestamp(row, index))
    }

    /// Reads when a session expires. PostgreSQL's infinity is never.
    pub(crate) fn expiry(&self, index: usize) -> Result<Option<OffsetDateTime>, RowError> {
        #[cfg(feature = "postgres")]
        #[allow(irrefutable_let_patterns, reason = "there are others if another database's feature is on")]
        if let Self::Postgres(row) = self {
            return Ok(match super::postgres::read_instant(row, index)? {
                Some(super::postgres::Instant::Infinity) | None => None,
                Some(instant) => Some(instant.finite()?),
            });
        }
        self.timestamp(index)
    }

    /// Reads an infinite instant of PostgreSQL's: `Some(true)` if it is before all others, `Some(false)` if it is after
    /// them, `None` if it is not infinite.
    #[cfg(feature = "postgres")]
    pub(crate) fn is_infinite(&self, index: usize) -> Result<Option<bool>, RowError> {
        use super::postgres::{Instant, read_instant};
        match self {
            Self::Postgres(row) => Ok(match read_instant(row, index)? {
                Some(Instant::Infinity) => Some(false),
                Some(Instant::NegativeInfinity) => Some(true),
                _ => None,
            }),
            #[allow(unreachable_patterns, reason = "reachable if another database's feature is on")]
            _ => Ok(None),
        }
    }

    /// Reads text of any collation and any type of text.
    pub(crate) fn text(&self, index: usize) -> Result<Option<String>, RowError> {
        Ok(self.text_in_place(index)?.map(Cow::into_owned))
    }

    /// Reads the same, and copies it only if it must.
    pub(crate) fn text_in_place(&self, index: usize) -> Result<Option<Cow<'_, str>>, RowError> {
        match_database!(self, Row(row) in driver => driver::read_text(row, index))
    }

    /// Reads JSON as the text that the database returns.
    pub(crate) fn json(&self, index: usize) -> Result<Option<String>, RowError> {
        match_database!(self, Row(row) in driver => driver::read_json(row, index))
    }

    /// Reads a float of either width.
    pub(crate) fn float(&self, index: usize) -> Result<Option<f64>, RowError> {
        match_database!(self, Row(row) in driver => driver::read_float(row, index))
    }

    /// Reads true or false, in the database's own form.
    pub(crate) fn flag(&self, index: usize) -> Result<Option<bool>, RowError> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(row) => sqlx::Row::try_get(row, index),
            #[allow(unreachable_patterns, reason = "reachable if another database's feature is on")]
            _ => Ok(self.integer(index)?.map(|flag| flag != 0)),
        }
    }

    /// Returns `true` if the row was read from SQLite without its driver.
    pub(crate) fn was_read_directly(&self) -> bool {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(super::sqlite::SqliteRow::Direct(_)) => true,
            #[allow(unreachable_patterns, reason = "reachable if another database's feature is on")]
            _ => false,
        }
    }

    pub(crate) fn backend(&self) -> Backend {
        match_database!(self, Row(_row) in driver => driver::BACKEND)
    }

    /// Returns how many columns the row has.
    pub(crate) fn width(&self) -> usize {
        #[allow(unused_imports, reason = "SQLite's row has a method of this name")]
        use sqlx::Row as _;
        match_database!(self, Row(row) => row.len())
    }

    /// Reads an integer of any width.
    pub(crate) fn integer(&self, index: usize) -> Result<Option<i64>, RowError> {
        match_database!(self, Row(row) in driver => driver::read_integer(row, index))
    }
}

/// Returns an instant that was read, if it lies in the years that every database can store.
#[cfg(any(feature = "sqlite", feature = "mysql"))]
pub(super) fn in_range(instant: Option<OffsetDateTime>) -> Result<Option<OffsetDateTime>, RowError> {
    let beyond = || sqlx::Error::Decode("an instant beyond the years 1 to 9999".into());
    instant.map(|instant| crate::clock::in_range(instant).ok_or_else(beyond)).transpose()
}

/// Returns a float in twice the width, as the number that people read in it: 0.1 and not 0.10000000149.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(super) fn widened(float: f32) -> f64 {
    float.to_string().parse().unwrap_or_else(|_| f64::from(float))
}

/// A row holds a digest; nothing of it is shown.
impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Row")
    }
}
