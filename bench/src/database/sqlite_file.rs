//! A database file of SQLite, opened alike by all contestants.

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::Connection;

use crate::failure::Outcome;

pub const BUSY: Duration = Duration::from_secs(10);

/// What a commit waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synchronous {
    /// For the operating system: the last commits may be lost when the power fails.
    Normal,
    /// For the disk.
    Full,
}

/// A database file in WAL mode, and how all contestants open it.
#[derive(Clone, Debug)]
pub struct File {
    pub path: PathBuf,
    pub synchronous: Synchronous,
}

impl File {
    /// Creates a file, and puts it into WAL mode here: connections that are opened at once would block each other.
    pub fn new(path: PathBuf, synchronous: Synchronous) -> Outcome<Self> {
        Connection::open(&path)?.pragma_update(None, "journal_mode", "WAL")?;
        Ok(Self { path, synchronous })
    }

    pub fn options(&self) -> sqlx::sqlite::SqliteConnectOptions {
        use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
        let options = SqliteConnectOptions::new().filename(&self.path).create_if_missing(true);
        options.journal_mode(SqliteJournalMode::Wal).busy_timeout(BUSY).synchronous(match self.synchronous {
            Synchronous::Normal => SqliteSynchronous::Normal,
            Synchronous::Full => SqliteSynchronous::Full,
        })
    }

    pub fn options_of_peers(&self) -> sqlx_of_peers::sqlite::SqliteConnectOptions {
        use sqlx_of_peers::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
        let options = SqliteConnectOptions::new().filename(&self.path).create_if_missing(true);
        options.journal_mode(SqliteJournalMode::Wal).busy_timeout(BUSY).synchronous(match self.synchronous {
            Synchronous::Normal => SqliteSynchronous::Normal,
            Synchronous::Full => SqliteSynchronous::Full,
        })
    }
}
