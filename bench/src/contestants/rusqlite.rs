//! rusqlite, in process: as fast as SQLite's own driver goes. It blocks its thread, which an application on
//! tokio should not do; here it has one connection a thread, and the threads are all it needs.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::types::Type;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::by_hand::SELECT;
use super::{Authenticate, Offers, found};
use crate::payload::{Tokens, digest};
use crate::{Outcome, time_text};

thread_local! {
    static OPEN: RefCell<Option<(usize, Connection)>> = const { RefCell::new(None) };
}

#[derive(Clone)]
pub struct Rusqlite {
    path: Arc<Path>,
    number: usize,
    tokens: Tokens,
}

impl Rusqlite {
    pub fn new(path: &Path, tokens: &Tokens) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { path: path.into(), number, tokens: tokens.clone() }
    }

    /// On this thread's own connection, which is opened when it is first asked for.
    fn with<T>(&self, ask: impl FnOnce(&Connection) -> Outcome<T>) -> Outcome<T> {
        OPEN.with_borrow_mut(|open| match open {
            Some((number, connection)) if *number == self.number => ask(connection),
            _ => {
                let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let connection = Connection::open_with_flags(&self.path, flags)?;
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

impl Offers<Authenticate> for Rusqlite {
    async fn perform(&self, random: u64) -> Outcome {
        found(self.find(&self.tokens.pick(random))?)
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
            text.map(|text| crate::instant(text).map_err(|error| unreadable(index, error))).transpose()
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
