//! The hot path: calls that many callers make at once go to the database in few statements.
//!
//! [`Queue`](queue::Queue) decides which call waits and which is sent. [`Batcher`] runs the statements, and the modules
//! [`find`], [`insert`], [`extend`] and [`revoke`] know what a statement for one call or for many looks like. Rules:
//!
//! 1. A call that finds a free slot is sent at once, alone, in its own future: without concurrency, batching adds
//!    nothing.
//! 2. A call that finds no free slot joins the queue, and is sent with the other calls there when a slot becomes free.
//!    No call joins a statement that has been sent, so no answer is older than its question.
//! 3. A row that cannot be read or written fails only its own caller. A statement that fails, fails every caller that
//!    shares it. Each caller gets its answer as soon as it is known. A call that has to wait for a lock of another
//!    transaction waits alone, in its own future and in no slot.
//! 4. A caller that goes away is forgotten. If its statement has not been sent yet, its question is left out; if it
//!    has, nothing else changes. A statement that no caller waits for any more is given up.
//! 5. A caller delays no other caller if it stays but is not polled, or if its runtime is not driven. The calls in the
//!    queue are sent from a runtime of their own, and a slot that does not move for a while is taken from its holder.
//!    If another statement could only wait for the same lock, as writes on SQLite would, a holder that is polled
//!    reports that its slot is not stuck.
//! 6. A connection goes back to the pool now and then, however many calls wait for its next statement, so that the
//!    other requests of the application get their turn. A lookup keeps its [connection](warm_connection) for the next
//!    one as long as the pool has enough others. Writes leave some [connections](crate::store::Writers) to reads.
//! 7. No call waits for its turn longer than the pool lets its callers wait, counted from when the call was made. Once
//!    its statement has been sent, a call waits for the answer until its [deadline](crate::deadline).

mod batcher;
#[cfg(feature = "sqlite")]
mod direct;
mod extend;
mod find;
mod insert;
mod queue;
mod revoke;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use batcher::Batcher;
pub(crate) use extend::{Extension, RowVersion};
pub(crate) use revoke::Ending;
use uuid::Uuid;

use crate::database::{Backend, FieldValue};
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::sql::LookedUpRow;
use crate::store::Store;
use crate::sync;
use crate::token::PossibleDigests;

/// The batchers of one table, one for each kind of call.
pub(crate) struct Batching {
    #[cfg(feature = "sqlite")]
    direct: direct::Direct,
    find: Batcher<find::Find>,
    insert: Batcher<insert::Insert>,
    extend: Batcher<extend::Extend>,
    expire: Batcher<revoke::Revoke<Ending>>,
    delete: Batcher<revoke::Revoke<Uuid>>,
}

impl Batching {
    pub(crate) fn new(store: &Arc<Store>) -> Self {
        Self {
            #[cfg(feature = "sqlite")]
            direct: direct::Direct::new(store),
            find: Batcher::new(find::Find(Arc::clone(store))),
            insert: Batcher::new(insert::Insert(Arc::clone(store))),
            extend: Batcher::new(extend::Extend(Arc::clone(store))),
            expire: Batcher::new(revoke::Revoke::new(Arc::clone(store))),
            delete: Batcher::new(revoke::Revoke::new(Arc::clone(store))),
        }
    }

    /// Returns the row of the valid session with one of these digests, as [`Statements::find`] selects it.
    ///
    /// [`Statements::find`]: crate::sql::Statements::find
    pub(crate) async fn find(&self, token: &PossibleDigests) -> Result<Option<LookedUpRow>> {
        #[cfg(feature = "sqlite")]
        if let Ok(found) = self.direct.find(token).await {
            return Ok(found);
        }
        self.find_by_pool(token).await
    }

    /// Does the same by the pool.
    pub(crate) async fn find_by_pool(&self, token: &PossibleDigests) -> Result<Option<LookedUpRow>> {
        self.find.ask(token.clone()).await.map_err(|error| error.with_outcome(Outcome::NotDone))
    }

    /// Inserts a row of these values.
    pub(crate) async fn insert(&self, values: Vec<FieldValue>) -> Result<()> {
        self.insert.ask(values).await
    }

    /// Moves an expiry if the row is still as it was read. Returns `true` if it was.
    pub(crate) async fn extend(&self, extension: Extension) -> Result<bool> {
        self.extend.ask(extension).await
    }

    /// Ends a session if its row is still as it was read. Returns `true` if it certainly was.
    pub(crate) async fn expire(&self, end: Ending) -> Result<bool> {
        self.expire.ask(end).await
    }

    /// Deletes a row. Returns `true` if this call certainly did.
    pub(crate) async fn delete(&self, id: Uuid) -> Result<bool> {
        self.delete.ask(id).await
    }
}

/// How many statements of one kind are out at once, unless the kind allows only one. While one of them is on its way,
/// the answers of another are read.
const MAX_IN_FLIGHT: usize = 2;

fn max_in_flight(store: &Store) -> usize {
    store.config.max_in_flight().unwrap_or(MAX_IN_FLIGHT)
}

/// Returns the error of a call that has waited for a connection for as long as the pool lets its callers wait.
fn no_connection() -> Error {
    Error::from_sqlx(sqlx::Error::PoolTimedOut, "")
}

/// Why a statement that was to write several rows failed.
enum Failure {
    /// Perhaps because of one of them.
    Some(Error),
    /// One of them, or a row that it refers to, is locked, and the statement did not wait for it.
    Locked,
    /// A row is locked, and the statement waited for it.
    LockedLong(Error),
    /// For a reason that concerns all of them.
    All(Error),
}

impl Failure {
    fn of(error: Error, sent: Instant, backend: Backend) -> Self {
        // Much longer than a statement takes that waits for no row, and shorter than MySQL waits for one.
        const LONG: Duration = Duration::from_millis(500);
        match error.kind() {
            // The driver lost the answer, and the rows may be written: another attempt would take them for those of
            // others.
            _ if error.outcome() == Outcome::Unknown && !error.is_reported() => Self::All(error),
            // SQLite locks the whole file.
            ErrorKind::LockTimeout if backend.dialect().is_embedded() => Self::All(error),
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
