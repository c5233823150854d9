use std::collections::HashSet;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::Failure;
use super::batcher::{BatchOutcome, BatchedQuery};
use super::extend::{Extension, expiries};
use crate::database::{FieldValue, Revokes, Statement};
use crate::error::{Error, Result};
use crate::session::EndReason;
use crate::store::{Store, Waits, Writing};

/// The most sessions that one statement revokes. That is a power of two, as the sizes of the statements are.
const MAX_REVOCATIONS: usize = 64;

/// How many statements that revoke are out at once. PostgreSQL commits those that announce one after another, so that
/// more would gain nothing.
const MAX_IN_FLIGHT: usize = 2;

/// Revokes single sessions: one statement and one commit for many callers, if the database tells which rows it wrote. The
/// answer is `true` if this caller's revocation certainly wrote the row. A caller that gets `false` finds out by itself
/// why.
///
/// On PostgreSQL the statement skips a row that another transaction is writing, so that no caller waits for another's
/// row, and no two statements for each other's. A trigger or a cascade of the application's own may still wait: then the
/// callers of that statement wait with it, and other statements go on.
pub(super) struct Revoke<R> {
    store: Arc<Store>,
    of: PhantomData<fn() -> R>,
}

/// What is done to one session so that earlier reads of it no longer hold.
pub(super) trait Revocation: Clone + PartialEq + Send + Sync + 'static {
    fn id(&self) -> Uuid;

    /// Returns the statement that does it to all of these sessions.
    fn statement(store: &Store, revocations: &[Self]) -> Statement;
}

/// The end of one session, which is made if its row is still as it was read.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    /// The move of its expiry to now.
    pub(crate) moved: Extension,
    /// Why.
    pub(crate) reason: EndReason,
}

impl Revocation for Ending {
    fn id(&self) -> Uuid {
        self.moved.id
    }

    fn statement(store: &Store, ends: &[Self]) -> Statement {
        let moves: Vec<_> = ends.iter().map(|end| end.moved).collect();
        let reasons = ends.iter().filter_map(|end| Some((end.moved.id, store.reason(&end.reason)?)));
        let values = expiries(&moves, &reasons.collect::<Vec<_>>());
        Statement::new(store.end_sql(ends.len().next_power_of_two()), values)
    }
}

/// Deletes the session.
impl Revocation for Uuid {
    fn id(&self) -> Uuid {
        *self
    }

    fn statement(store: &Store, ids: &[Self]) -> Statement {
        let size = ids.len().next_power_of_two();
        let padded = ids.iter().chain(ids.last().into_iter().cycle()).take(size);
        Statement::new(store.delete_sql(size), padded.map(|id| FieldValue::plain(*id)).collect())
    }
}

impl<R> Revoke<R> {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self { store, of: PhantomData }
    }
}

impl<R: Revocation> BatchedQuery for Revoke<R> {
    type Question = R;
    type Answer = bool;
    type Connection = Writing;

    fn max_in_flight(&self) -> usize {
        // The same as for inserts.
        if self.waits_in_line() { 1 } else { super::max_in_flight(&self.store).min(MAX_IN_FLIGHT) }
    }

    fn batch_size(&self, waiting: usize) -> usize {
        waiting.min(MAX_REVOCATIONS).min(self.store.config.max_batch())
    }

    /// The same as [`Insert`](super::insert::Insert).
    fn waits_in_line(&self) -> bool {
        self.store.backend().dialect().is_embedded()
    }

    fn patience(&self) -> Duration {
        self.store.writers.patience()
    }

    fn out_of_patience(&self) -> Error {
        super::no_connection()
    }

    async fn answer(&self, revocation: &R) -> Option<Result<bool>> {
        let acquired = self.store.acquire_warm_to_revoke(Waits::ForNone, self.store.until()).await;
        let mut writing = match acquired {
            Ok(writing) => writing,
            Err(error) => return Some(Err(error)),
        };
        let answer = self.answer_all(&mut writing, std::slice::from_ref(revocation)).await.of_one();
        if matches!(answer, Some(Ok(true))) {
            self.store.keep_warm(writing);
        }
        answer
    }

    async fn answer_alone(&self, revocation: R, until: Instant) -> Result<bool> {
        let mut writing = self.store.acquire_to_revoke(Waits::ForLocks, until).await?;
        Ok(!self.write(&mut writing, &[revocation]).await?.is_empty())
    }

    async fn connect(&self) -> Result<Writing> {
        self.store.acquire_to_revoke(Waits::ForNone, self.store.until()).await
    }

    fn discard(writing: Writing) {
        writing.connection.discard();
    }

    async fn answer_all(&self, writing: &mut Writing, revocations: &[R]) -> BatchOutcome<bool> {
        // The rows are in one order, so that the statements of two machines do not wait for each other.
        let mut distinct = revocations.to_vec();
        distinct.sort_unstable_by_key(Revocation::id);
        distinct.dedup_by_key(|revocation| revocation.id());
        let sent = Instant::now();
        let result = self.write(writing, &distinct).await;
        let mut written = match result.map_err(|error| Failure::of(error, sent, self.store.backend())) {
            Ok(written) => written,
            Err(Failure::Locked | Failure::Some(_)) if revocations.len() > 1 => return BatchOutcome::Halve,
            Err(Failure::Locked | Failure::LockedLong(_)) => return BatchOutcome::Alone,
            Err(Failure::Some(error) | Failure::All(error)) => {
                return BatchOutcome::Each(vec![Err(error); revocations.len()]);
            }
        };
        let is_in = |one: &R| {
            let found = distinct.binary_search_by_key(&one.id(), Revocation::id);
            found.is_ok_and(|at| distinct[at] == *one)
        };
        // If several callers revoke one session, one of them has done it.
        let mut answer = |one: &R| is_in(one) && written.remove(&one.id());
        BatchOutcome::Each(revocations.iter().map(|one| Ok(answer(one))).collect())
    }
}

impl<R: Revocation> Revoke<R> {
    /// Returns the ids of the rows that were written.
    async fn write(&self, on: &mut Writing, revocations: &[R]) -> Result<HashSet<Uuid>> {
        let statement = R::statement(&self.store, revocations);
        let revoking = self.store.revoking(statement, Revokes::Each, true);
        Ok(on.revoke_each(&self.store, &revoking).await?.into_iter().collect())
    }
}
