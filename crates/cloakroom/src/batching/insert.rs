use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Failure;
use super::batcher::{BatchOutcome, BatchedQuery};
use crate::database::{FieldValue, MAX_PLACEHOLDERS, Statement};
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::observe::Batched;
use crate::store::{Store, Waits, Writing};
use crate::table::BUILT_IN_COLUMNS;

/// Inserts rows. A statement takes a power of two of them, so that there are few different statements, and half of a
/// batch is such a statement too.
pub(super) struct Insert(pub(super) Arc<Store>);

impl BatchedQuery for Insert {
    /// The values of all columns.
    type Question = Vec<FieldValue>;
    type Answer = ();
    type Connection = Writing;

    fn max_in_flight(&self) -> usize {
        // Where there is one writer, one statement is out at a time. Its connection need not read anew, since no other
        // connection has written meanwhile.
        if self.0.backend().dialect().is_embedded() { 1 } else { super::max_in_flight(&self.0) }
    }

    fn batch_size(&self, waiting: usize) -> usize {
        let width = BUILT_IN_COLUMNS.len() + self.0.table.fields.len();
        let most = self.0.config.max_batch().min(MAX_PLACEHOLDERS / width).max(1);
        1 << waiting.clamp(1, most).ilog2()
    }

    /// An embedded database has one lock for all writers.
    fn waits_in_line(&self) -> bool {
        self.0.backend().dialect().is_embedded()
    }

    fn sent(&self, questions: usize) {
        self.0.instruments.metrics.sent(Batched::Insert, questions);
    }

    fn waited(&self, span: Duration) {
        self.0.instruments.metrics.waited(Batched::Insert, span);
    }

    fn patience(&self) -> Duration {
        self.0.writers.patience()
    }

    fn out_of_patience(&self) -> Error {
        super::no_connection()
    }

    async fn answer(&self, row: &Vec<FieldValue>) -> Option<Result<()>> {
        let mut writing = match self.0.acquire_warm_to_write(self.0.until()).await {
            Ok(writing) => writing,
            Err(error) => return Some(Err(error)),
        };
        let answer = self.answer_all(&mut writing, std::slice::from_ref(row)).await.of_one();
        if matches!(answer, Some(Ok(()))) {
            self.0.keep_warm(writing);
        }
        answer
    }

    async fn answer_alone(&self, row: Vec<FieldValue>, until: Instant) -> Result<()> {
        let mut writing = self.0.acquire_to_write(Waits::ForLocks, until).await?;
        {
            let statement = self.0.insert(std::iter::once(&row[..]));
            self.write(&mut writing, statement, 1).await
        }
    }

    async fn connect(&self) -> Result<Writing> {
        self.0.acquire_to_write(Waits::ForNone, self.0.until()).await
    }

    fn discard(writing: Writing) {
        writing.connection.discard();
    }

    async fn answer_all(&self, writing: &mut Writing, rows: &[Vec<FieldValue>]) -> BatchOutcome<()> {
        let sent = Instant::now();
        let result =
            self.write(writing, self.0.insert_at_once(rows.iter().map(Vec::as_slice)), rows.len()).await;
        let is_one = rows.len() == 1;
        match result.map_err(|error| Failure::of(error, sent, self.0.backend())) {
            // To try again costs next to nothing.
            Err(Failure::Locked | Failure::Some(_)) if !is_one => BatchOutcome::Halve,
            // A row that has to wait for a lock waits alone, and delays no other.
            Err(Failure::Locked | Failure::LockedLong(_)) => BatchOutcome::Alone,
            Err(Failure::Some(error) | Failure::All(error)) => {
                BatchOutcome::Each(vec![Err(error); rows.len()])
            }
            Ok(()) => BatchOutcome::Each(vec![Ok(()); rows.len()]),
        }
    }
}

impl Insert {
    async fn write(&self, on: &mut Writing, statement: Statement, rows: usize) -> Result<()> {
        let written = self.0.execute(on.connection.connection(), &statement).await?;
        // The driver takes the end of SQLite's thread for the end of an answer, which then says that nothing was written.
        // The other databases tell in their answers that they have run the statement.
        if self.0.backend().dialect().is_embedded() && usize::try_from(written) != Ok(rows) {
            let error =
                Error::new(ErrorKind::Unavailable, "SQLite did not say that all sessions were written");
            return Err(error.with_outcome(Outcome::Unknown));
        }
        Ok(())
    }
}
