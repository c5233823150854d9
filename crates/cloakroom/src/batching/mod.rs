//! The hot path: what many callers ask at once goes to the database in few statements.
//!
//! [`Queue`](queue::Queue) decides who waits and who goes, [`Batcher`] runs statements by its word, and the
//! modules [`find`], [`insert`] and [`extend`] know what a statement for one or for many looks like. Rules:
//!
//! 1. Whoever finds a free slot goes at once, alone, in their own future: without concurrency nothing is added.
//! 2. Whoever does not joins those who wait, and goes with all of them when a slot becomes free. Nobody joins
//!    a statement that has been sent, so no answer is older than the question.
//! 3. A row that cannot be read or written fails its own caller; a statement that fails, fails all of its. Each
//!    hears its answer as soon as it is known. Whoever has to wait for what another transaction has locked does so
//!    alone, in their own future and in no slot.
//! 4. A caller that goes away is forgotten: before the statement its question is left out, during it nothing
//!    else changes, and a statement that nobody waits for any more is given up.
//! 5. A caller that stays and is not polled, or whose runtime is not driven, keeps nobody waiting: those who
//!    gathered go on a runtime of their own, and a slot that does not move for a while is taken from its holder.
//!    Where another statement could only wait for the same, as writes on SQLite do, a holder who is polled says that
//!    the slot is not stuck.
//! 6. A connection goes back to the pool now and then, however many wait for more of its statements, so that
//!    whatever else the application asks has its turn. A lookup keeps its [connection](warm_connection) for the next one while
//!    the pool has enough others. Writes leave some [connections](crate::store::Writers) to reads.
//! 7. Nobody waits for their turn longer than the pool has its callers wait, from when they came. Those whose
//!    statement is out wait for its answer.

mod batcher;
mod extend;
mod find;
mod insert;
mod queue;
#[cfg(test)]
mod tests;
mod warm_connection;

use std::sync::Arc;
use std::time::{Duration, Instant};

use batcher::Batcher;
pub(crate) use extend::{Extension, RowVersion};

use crate::database::{Backend, FieldValue};
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::sql::LookedUpRow;
use crate::store::Store;
use crate::sync;
use crate::token::TokenDigest;

/// What many callers ask of one table at once.
pub(crate) struct Batching {
    find: Batcher<find::Find>,
    insert: Batcher<insert::Insert>,
    extend: Batcher<extend::Extend>,
}

impl Batching {
    pub(crate) fn new(store: &Arc<Store>) -> Self {
        Self {
            find: Batcher::new(find::Find::new(Arc::clone(store))),
            insert: Batcher::new(insert::Insert(Arc::clone(store))),
            extend: Batcher::new(extend::Extend(Arc::clone(store))),
        }
    }

    /// The row of the valid session with this digest, as [`Statements::find`] selects it.
    ///
    /// [`Statements::find`]: crate::sql::Statements::find
    pub(crate) async fn find(&self, digest: &TokenDigest) -> Result<Option<LookedUpRow>> {
        self.find.ask(digest.clone()).await.map_err(|error| error.with_outcome(Outcome::NotDone))
    }

    /// Makes a row of these values.
    pub(crate) async fn insert(&self, values: Vec<FieldValue>) -> Result<()> {
        self.insert.ask(values).await
    }

    /// Moves an expiry, if the row is still as it was read; whether it was.
    pub(crate) async fn extend(&self, extension: Extension) -> Result<bool> {
        self.extend.ask(extension).await
    }
}

/// How many statements of one kind are out at once, unless its kind allows one alone: while one is on its way,
/// the answers of another are read.
const MAX_IN_FLIGHT: usize = 2;

fn max_in_flight(store: &Store) -> usize {
    store.config.max_in_flight().unwrap_or(MAX_IN_FLIGHT)
}

/// What a caller hears who has waited for a connection for as long as the pool has its callers wait.
fn no_connection() -> Error {
    Error::from_sqlx(sqlx::Error::PoolTimedOut, "")
}

/// What a statement failed for that was to write `count` rows.
enum Failure {
    /// Perhaps for one of them.
    Some(Error),
    /// One of them, or what it refers to, is locked, and was not waited for.
    Locked,
    /// Something is locked, and was waited for.
    LockedLong(Error),
    /// For all.
    All(Error),
}

impl Failure {
    fn of(error: Error, sent: Instant, backend: Backend) -> Self {
        // Much longer than a statement takes that waits for no row, and less than MySQL waits for one.
        const LONG: Duration = Duration::from_millis(500);
        match error.kind() {
            // It locks the whole file.
            ErrorKind::LockTimeout if backend == Backend::Sqlite => Self::All(error),
            ErrorKind::LockTimeout if sent.elapsed() < LONG => Self::Locked,
            ErrorKind::LockTimeout => Self::LockedLong(error),
            ErrorKind::MissingTable
            | ErrorKind::MissingColumn
            | ErrorKind::ReadOnly
            | ErrorKind::DiskFull
            | ErrorKind::StatementTimeout
            | ErrorKind::Unavailable => Self::All(error),
            _ => Self::Some(error),
        }
    }
}
