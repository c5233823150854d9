//! One connection past the pool, and what it reads.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use rusqlite::types::{Null, ToSql};
use rusqlite::{CachedStatement, Connection, ErrorCode, OpenFlags, Rows};
use sea_query::Value;

use super::row::DirectRow;
use crate::clock;
use crate::database::row::Row;
use crate::database::sqlite::instant::timestamp_text;
use crate::database::sqlite::row::SqliteRow;
use crate::database::{FieldValue, Repr, Statement};

/// How often a connection looks whether its file is still the one at its path.
const LOOK: Duration = Duration::from_millis(10);

/// After how many steps of SQLite's machine a list is given up. It does so many in about a millisecond, and some hundred
/// for the sessions of one user.
pub(super) const STEPS: u32 = 20 * STEPS_AT_ONCE;

/// After how many steps SQLite asks whether it is to go on.
const STEPS_AT_ONCE: u32 = 1000;

/// After how many bytes a list is given up, and after what time. Steps say nothing about large values, nor about pages
/// that are not at hand.
pub(super) const MOST_BYTES: usize = 1 << 20;
const MOST_TIME: Duration = Duration::from_millis(5);

/// The database file, and which of all files that have had its path it is.
#[derive(PartialEq, Eq)]
pub(super) struct File {
    path: PathBuf,
    identity: (u64, u64),
    /// How many bytes of it are mapped into memory at most.
    mapped: i64,
}

pub(super) struct Reader {
    connection: Connection,
    pub(super) file: Arc<File>,
    /// Which thread used it last.
    pub(super) thread: ThreadId,
    looked: Instant,
    /// How often SQLite may still ask whether it is to go on.
    remaining: Arc<AtomicU32>,
}

/// Why a read was not done.
pub(super) enum Refusal {
    /// Another connection has the file locked for the moment, or it takes too long.
    NotNow,
    /// The connections are of no use, or of none for this list.
    Odd,
}

impl File {
    pub(super) fn at(path: PathBuf, mapped: i64) -> Option<Self> {
        let identity = identity(&path)?;
        Some(Self { path, identity, mapped })
    }
}

#[cfg(unix)]
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(_: &Path) -> Option<(u64, u64)> {
    None
}

impl Reader {
    pub(super) fn open(file: Arc<File>) -> rusqlite::Result<Self> {
        // A connection that could not write could not remove the log either, if it is the last to close.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&file.path, flags)?;
        connection.busy_timeout(Duration::ZERO)?;
        connection.pragma_update(None, "query_only", true)?;
        match connection.pragma_update_and_check(None, "mmap_size", file.mapped, |_| Ok(())) {
            // A build that cannot map files may say nothing.
            Ok(()) | Err(rusqlite::Error::QueryReturnedNoRows) => {}
            Err(error) => return Err(error),
        }
        let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
        if mode != "wal" {
            return Err(rusqlite::Error::InvalidQuery);
        }
        let remaining = Arc::new(AtomicU32::new(u32::MAX));
        let counted = Arc::clone(&remaining);
        let is_to_end = move || counted.fetch_sub(1, Ordering::Relaxed) == 0;
        // Older versions return nothing here.
        #[allow(clippy::let_unit_value, reason = "it is a result in newer versions")]
        let _ = connection.progress_handler(STEPS_AT_ONCE.cast_signed(), Some(is_to_end));
        Ok(Self { connection, file, thread: thread::current().id(), looked: Instant::now(), remaining })
    }

    /// Returns `false` if another file is at the path by now, or none.
    pub(super) fn is_of_the_same_file(&mut self, now: Instant) -> bool {
        if now.duration_since(self.looked) < LOOK {
            return true;
        }
        self.looked = now;
        identity(&self.file.path) == Some(self.file.identity)
    }

    pub(super) fn fetch_optional(&mut self, statement: &Statement) -> Result<Option<Row>, Refusal> {
        self.remaining.store(u32::MAX, Ordering::Relaxed);
        let mut prepared = self.prepare(statement)?;
        let width = prepared.column_count();
        Ok(next(&mut prepared.raw_query(), width)?.map(row))
    }

    pub(super) fn fetch_all(&mut self, statement: &Statement) -> Result<Vec<Row>, Refusal> {
        self.remaining.store(STEPS / STEPS_AT_ONCE, Ordering::Relaxed);
        let mut prepared = self.prepare(statement)?;
        let width = prepared.column_count();
        let mut found = prepared.raw_query();
        let (begun, mut bytes, mut rows) = (Instant::now(), 0, Vec::new());
        while let Some(next) = next(&mut found, width)? {
            bytes += next.size();
            rows.push(row(next));
            if bytes > MOST_BYTES {
                return Err(Refusal::Odd);
            }
            if begun.elapsed() > MOST_TIME {
                return Err(Refusal::NotNow);
            }
        }
        Ok(rows)
    }

    fn prepare(&self, statement: &Statement) -> Result<CachedStatement<'_>, Refusal> {
        let mut prepared = self.connection.prepare_cached(&statement.sql)?;
        for (place, value) in statement.values.iter().enumerate() {
            bind(&mut prepared, place + 1, value)?;
        }
        Ok(prepared)
    }
}

fn next(rows: &mut Rows<'_>, width: usize) -> Result<Option<DirectRow>, Refusal> {
    let row = rows.next()?.map(|row| DirectRow::read(row, width));
    Ok(row.transpose()?)
}

fn row(row: DirectRow) -> Row {
    Row::Sqlite(SqliteRow::Direct(row))
}

/// Binds a value as the driver does, if it is of a type that built-in columns and most fields have.
fn bind(to: &mut CachedStatement<'_>, place: usize, value: &FieldValue) -> Result<(), Refusal> {
    let Repr::Plain(value) = &value.0 else {
        return Err(Refusal::Odd);
    };
    let mut bind = |value: &dyn ToSql| to.raw_bind_parameter(place, value);
    match value {
        Value::String(Some(text)) => bind(text),
        Value::TimeDateTimeWithTimeZone(Some(instant)) => {
            bind(&timestamp_text(clock::to_stored_precision(*instant)))
        }
        Value::Uuid(Some(id)) => bind(&id.as_bytes().as_slice()),
        Value::BigInt(Some(number)) => bind(number),
        Value::BigUnsigned(Some(number)) => bind(&i64::try_from(*number).map_err(|_| Refusal::Odd)?),
        Value::String(None) | Value::TimeDateTimeWithTimeZone(None) => bind(&Null),
        _ => return Err(Refusal::Odd),
    }?;
    Ok(())
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::NotNow,
            _ => Self::Odd,
        }
    }
}

#[cfg(test)]
mod tests {
    use sqlx::SqlitePool;
    use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};

    use super::super::survey::{Survey, survey};
    use super::*;

    /// Returns how many bytes a connection of a pool with such options maps, and one past it.
    async fn mapped(set: impl FnOnce(SqliteConnectOptions) -> SqliteConnectOptions) -> [i64; 2] {
        const MAPPED: &str = "PRAGMA mmap_size";
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("sessions.db");
        let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
        let pool = SqlitePool::connect_with(set(options.journal_mode(SqliteJournalMode::Wal))).await.unwrap();
        let Survey::Possible { path, mapped } = survey(&pool).await else {
            panic!("the file can be read past the pool");
        };
        let reader = Reader::open(Arc::new(File::at(path, mapped).unwrap())).unwrap();
        let past = reader.connection.query_row(MAPPED, [], |row| row.get(0)).unwrap();
        let by = sqlx::query_scalar(MAPPED).fetch_one(&pool).await.unwrap();
        drop(reader);
        pool.close().await;
        [by, past]
    }

    #[tokio::test]
    async fn as_much_is_mapped_as_by_the_pool() {
        let [by, past] = mapped(|options| options).await;
        assert_eq!(by, past);
        for size in [0, 1_048_576] {
            assert_eq!(mapped(|options| options.pragma("mmap_size", size.to_string())).await, [size; 2]);
        }
    }
}
