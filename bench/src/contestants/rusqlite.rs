//! rusqlite, in process: as fast as SQLite's own driver goes. It blocks its thread, which an application on tokio
//! should not do. Here each thread has its own connection, and the threads do nothing else.

use std::cell::RefCell;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::types::Type;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use serde_json::Value;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::by_hand::{INSERT, SELECT};
use super::{Authenticate, Create, Performs, found};
use crate::database::sqlite_file::{BUSY, File, Synchronous};
use crate::database::sqlite_time::{self, time_text};
use crate::dataset::{Payload, Tokens, digest, hex, secret};
use crate::failure::Outcome;

thread_local! {
    static OPEN: RefCell<Option<(usize, Connection)>> = const { RefCell::new(None) };
}

#[derive(Clone)]
pub struct Rusqlite {
    path: Arc<Path>,
    number: usize,
    tokens: Tokens,
    mapped: u32,
}

impl Rusqlite {
    pub fn new(path: &Path, tokens: &Tokens) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { path: path.into(), number, tokens: tokens.clone(), mapped: 0 }
    }

    /// Maps so many bytes of the file into memory.
    pub fn mapping(self, mapped: u32) -> Self {
        Self { mapped, ..self }
    }

    /// Runs on this thread's own connection, which is opened at its first use.
    fn with<T>(&self, ask: impl FnOnce(&Connection) -> Outcome<T>) -> Outcome<T> {
        OPEN.with_borrow_mut(|open| match open {
            Some((number, connection)) if *number == self.number => ask(connection),
            _ => {
                let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let connection = Connection::open_with_flags(&self.path, flags)?;
                connection.pragma_update(None, "mmap_size", self.mapped)?;
                ask(&open.insert((self.number, connection)).1)
            }
        })
    }

    fn find(&self, token: &[u8]) -> Outcome<Option<Found>> {
        let (digest, now) = (digest(token), time_text(OffsetDateTime::now_utc()));
        self.with(|connection| {
            let mut statement = connection.prepare_cached(SELECT)?;
            Ok(statement.query_row([digest, now], Found::read).optional()?)
        })
    }
}

impl Performs<Authenticate> for Rusqlite {
    async fn perform(&self, random: u64) -> Outcome {
        found(self.find(&self.tokens.pick(random))?)
    }
}

/// One connection for all callers, because `SQLite` has one writer: no caller finds it busy.
#[derive(Clone)]
pub struct RusqliteWriter(Arc<Mutex<Connection>>);

impl RusqliteWriter {
    pub fn new(file: &File) -> Outcome<Self> {
        let connection = Connection::open(&file.path)?;
        connection.busy_timeout(BUSY)?;
        let synchronous = if file.synchronous == Synchronous::Full { "FULL" } else { "NORMAL" };
        connection.pragma_update(None, "synchronous", synchronous)?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }
}

impl Performs<Create> for RusqliteWriter {
    async fn perform(&self, random: u64) -> Outcome {
        let payload = Payload::of(random);
        let token = hex(&secret()?);
        let now = OffsetDateTime::now_utc();
        let (now, expires_at) = (time_text(now), time_text(now + Duration::days(7)));
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        connection.prepare_cached(INSERT)?.execute((
            Uuid::now_v7().as_bytes(),
            digest(token.as_bytes()),
            payload.data.to_string(),
            expires_at,
            &now,
            &now,
            payload.user_id,
            payload.role,
        ))?;
        found(Some(token))
    }
}

#[expect(dead_code, reason = "an application would read them")]
struct Found {
    id: Uuid,
    data: Value,
    expires_at: Option<OffsetDateTime>,
    inserted_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    user_id: String,
    role: String,
}

impl Found {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let instant = |index: usize| {
            let text = row.get_ref(index)?.as_str_or_null()?;
            text.map(|text| sqlite_time::instant(text).map_err(|error| unreadable(index, error))).transpose()
        };
        let required = |index| instant(index)?.ok_or(rusqlite::Error::QueryReturnedNoRows);
        Ok(Self {
            id: Uuid::from_slice(row.get_ref(0)?.as_blob()?).map_err(|error| unreadable(0, error))?,
            data: serde_json::from_str(row.get_ref(1)?.as_str()?).map_err(|error| unreadable(1, error))?,
            expires_at: instant(2)?,
            inserted_at: required(3)?,
            updated_at: required(4)?,
            user_id: row.get(5)?,
            role: row.get(6)?,
        })
    }
}

fn unreadable(index: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(index, Type::Text, Box::new(error))
}
