use std::sync::Arc;
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use uuid::Uuid;

use super::Failure;
use super::batcher::{BatchOutcome, BatchedQuery};
use crate::database::{FieldValue, Statement};
use crate::error::{Error, ErrorKind, Result};
use crate::observe::Batched;
use crate::store::{Store, Waits, Writing};

/// The most sessions that one statement extends: each adds a branch to it. That is a power of two, as the sizes of the
/// statements are. It has nothing to do with the tables that SQLite joins for lookups.
const MAX_EXTENSIONS: usize = 64;

/// How long a read waits for the turn of its extension. The next read can make the extension as well.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// Moves the expiries of sessions that were read. The answer is `true` if the row was certainly written. A caller that
/// gets `false` reads the row again.
///
/// On PostgreSQL a shared statement skips a row that another transaction is writing. The caller that asked for that row
/// then reads it as it was before that write. Another extension of the same handle is not such a writer: one statement
/// is out at a time, and the next one finds what it wrote. There is one exception: if a statement has been out for so
/// long that its slot was taken from it, or if its callers went away in the middle of it, the next statement may skip
/// its rows too.
pub(super) struct Extend(pub(super) Arc<Store>);

/// The move of one session's expiry, which is done if its row is still as it was read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extension {
    pub(crate) id: Uuid,
    pub(crate) read: RowVersion,
    pub(crate) new: RowVersion,
}

/// The instants that tell one write of a row from another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowVersion {
    pub(crate) expires_at: OffsetDateTime,
    pub(crate) updated_at: OffsetDateTime,
}

impl BatchedQuery for Extend {
    type Question = Extension;
    type Answer = bool;
    type Connection = Writing;

    fn max_in_flight(&self) -> usize {
        1
    }

    fn batch_size(&self, waiting: usize) -> usize {
        waiting.min(MAX_EXTENSIONS).min(self.0.config.max_batch())
    }

    /// The same as [`Insert`](super::insert::Insert).
    fn waits_in_line(&self) -> bool {
        self.0.backend().dialect().is_embedded()
    }

    fn sent(&self, questions: usize) {
        self.0.instruments.metrics.sent(Batched::Extension, questions);
    }

    fn waited(&self, span: Duration) {
        self.0.instruments.metrics.waited(Batched::Extension, span);
    }

    fn patience(&self) -> Duration {
        MAX_WAIT.min(self.0.writers.patience())
    }

    fn out_of_patience(&self) -> Error {
        Error::new(ErrorKind::Unavailable, "other writes have kept the extension waiting for too long")
    }

    async fn answer(&self, extension: &Extension) -> Option<Result<bool>> {
        // The connection comes first: if the caller waits long for it, the session may expire meanwhile.
        // Most often it is that of the lookup which found that the extension is due.
        let mut writing = match self.0.acquire_warm_to_write(self.until()).await {
            Ok(writing) => writing,
            Err(error) => return Some(Err(error)),
        };
        let answer = self.answer_all(&mut writing, std::slice::from_ref(extension)).await.of_one();
        if matches!(answer, Some(Ok(true))) {
            self.0.keep_warm(writing);
        }
        answer
    }

    async fn answer_alone(&self, extension: Extension, until: Instant) -> Result<bool> {
        let mut writing = self.0.acquire_to_write(Waits::ForLocks, until).await?;
        Ok(self.is_in_time(&extension) && self.write(&mut writing, &[extension]).await?)
    }

    async fn connect(&self) -> Result<Writing> {
        self.0.acquire_to_write(Waits::ForNone, self.until()).await
    }

    fn discard(writing: Writing) {
        writing.connection.discard();
    }

    async fn answer_all(&self, writing: &mut Writing, extensions: &[Extension]) -> BatchOutcome<bool> {
        // The rows are in one order, so that the statements of two machines do not wait for each other. If several
        // callers read the same row, one of them extends it.
        let mut distinct: Vec<_> = extensions.iter().copied().filter(|one| self.is_in_time(one)).collect();
        distinct.sort_unstable_by_key(|extension| extension.id);
        distinct.dedup_by_key(|extension| extension.id);
        if distinct.is_empty() {
            return BatchOutcome::Each(vec![Ok(false); extensions.len()]);
        }
        let sent = Instant::now();
        let result = self.write(writing, &distinct).await;
        let answer = match result.map_err(|error| Failure::of(error, sent, self.0.backend())) {
            Err(Failure::Locked | Failure::Some(_)) if distinct.len() > 1 => return BatchOutcome::Halve,
            // A row that another transaction is writing is left to it.
            Err(Failure::Locked) => Ok(false),
            Err(Failure::LockedLong(error) | Failure::Some(error) | Failure::All(error)) => Err(error),
            Ok(are_written) => Ok(are_written),
        };
        let is_in = |one: &Extension| match distinct.binary_search_by_key(&one.id, |other| other.id) {
            Ok(at) => distinct[at] == *one,
            Err(_) => false,
        };
        let answer = |one| if is_in(one) { answer.clone() } else { Ok(false) };
        BatchOutcome::Each(extensions.iter().map(answer).collect())
    }
}

impl Extend {
    /// Returns until when a connection is waited for: no longer than the calls wait that need it.
    fn until(&self) -> Instant {
        (tokio::time::Instant::now() + self.patience()).into_std()
    }

    /// Returns `true` if all rows were written.
    async fn write(&self, on: &mut Writing, extensions: &[Extension]) -> Result<bool> {
        let written = self.0.execute(on.connection.connection(), &move_expiries(&self.0, extensions)).await?;
        Ok(usize::try_from(written) == Ok(extensions.len()))
    }

    /// Returns `true` if the session has not expired while it waited for its turn.
    fn is_in_time(&self, extension: &Extension) -> bool {
        extension.read.expires_at > self.0.config.now()
    }
}

/// Returns the statement that moves the expiries of sessions whose rows are as they were read.
fn move_expiries(store: &Store, extensions: &[Extension]) -> Statement {
    Statement::new(store.extend_sql(extensions.len().next_power_of_two()), expiries(extensions, &[]))
}

/// Returns the values of such a statement, for the next power of two of sessions. `reasons` are the ids and reasons of
/// those that it ends, if it writes reasons.
pub(super) fn expiries(extensions: &[Extension], reasons: &[(Uuid, FieldValue)]) -> Vec<FieldValue> {
    if let [one] = extensions {
        let new = [FieldValue::plain(one.new.expires_at), FieldValue::plain(one.new.updated_at)];
        let reason = reasons.iter().map(|(_, reason)| reason.clone());
        let read = [FieldValue::plain(one.read.updated_at), FieldValue::plain(one.read.expires_at)];
        return new.into_iter().chain(reason).chain([FieldValue::plain(one.id)]).chain(read).collect();
    }
    let size = extensions.len().next_power_of_two();
    // Repeating a branch changes nothing.
    let all = || extensions.iter().chain(extensions.last().into_iter().cycle()).take(size);
    let id = |extension: &Extension| FieldValue::plain(extension.id);
    let mut values = Vec::with_capacity(size * 8);
    values.extend(all().flat_map(|one| [id(one), FieldValue::plain(one.new.expires_at)]));
    values.extend(all().flat_map(|one| [id(one), FieldValue::plain(one.new.updated_at)]));
    let reasons = reasons.iter().chain(reasons.last().into_iter().cycle()).take(size);
    values.extend(reasons.flat_map(|(id, reason)| [FieldValue::plain(*id), reason.clone()]));
    values.extend(all().map(id));
    values.extend(all().flat_map(|one| {
        [id(one), FieldValue::plain(one.read.updated_at), FieldValue::plain(one.read.expires_at)]
    }));
    values
}
