use std::time::{Duration, Instant};

use sea_query::{ExprTrait, LockBehavior, LockType, Order, Query};

use crate::clock;
use crate::database::{Backend, FieldValue};
use crate::deadline;
use crate::error::{Outcome, Result};
use crate::events::EventKind;
use crate::observe::Operation;
use crate::operations::Operations;
use crate::table::{SessionFields, column};

/// Returns how many expired sessions one statement deletes by default. The number is small, so that the statement is
/// over soon. In an embedded database it runs in this process, beside lookups, and never waits for a disk in between.
fn default_batch(backend: Backend) -> u64 {
    if backend.dialect().is_embedded() { 50 } else { 200 }
}

/// The longest pause of a prune between two statements, after a statement that took long itself.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_millis(100);

impl<T: SessionFields> Operations<'_, T> {
    /// See [`Sessions::delete_expired`](crate::Sessions::delete_expired). It does not pause here, because the
    /// transaction would hold its locks meanwhile.
    pub async fn delete_expired(&mut self) -> Result<u64> {
        self.prune(None, Duration::ZERO, |_| {}).await
    }

    /// See [`Sessions::delete_expired_for`](crate::Sessions::delete_expired_for).
    pub(crate) async fn prune(
        &mut self,
        batch: Option<u64>,
        keep: Duration,
        progress: impl FnMut(u64),
    ) -> Result<u64> {
        let call = self.long_call(Operation::Prune);
        call.of(self.prune_and_tell(batch, keep, progress)).await
    }

    /// See [`Sessions::delete_expired_batch`](crate::Sessions::delete_expired_batch).
    pub(crate) async fn prune_batch(&mut self, limit: u64) -> Result<u64> {
        let call = self.call(Operation::Prune);
        let deleted = call.of(self.delete_expired_batch(limit, Duration::ZERO)).await?;
        self.tell_pruned(deleted);
        Ok(deleted)
    }

    /// Prunes, and tells the observers of it, also if it stops midway.
    async fn prune_and_tell(
        &mut self,
        batch: Option<u64>,
        keep: Duration,
        mut progress: impl FnMut(u64),
    ) -> Result<u64> {
        let mut total = 0;
        let pruned = self
            .prune_rows(batch, keep, |deleted| {
                total = deleted;
                progress(deleted);
            })
            .await;
        self.tell_pruned(total);
        pruned
    }

    fn tell_pruned(&self, sessions: u64) {
        let event = (sessions > 0).then(|| self.event(None, EventKind::Pruned { sessions })).flatten();
        self.tell(event);
    }

    /// Deletes the sessions that expired at least `keep` ago, `batch` at a time (at least one), and calls `progress`
    /// after each batch with the number so far. Returns how many there were.
    async fn prune_rows(
        &mut self,
        batch: Option<u64>,
        keep: Duration,
        mut progress: impl FnMut(u64),
    ) -> Result<u64> {
        let batch = batch.unwrap_or_else(|| default_batch(self.connection().backend()));
        let mut total = 0;
        loop {
            let begun = Instant::now();
            let step = deadline::within(self.limit(), self.delete_expired_batch(batch, keep));
            let deleted = step.await.map_err(|error| {
                // Batches before it stay deleted.
                if total > 0 { error.with_outcome(Outcome::Unknown) } else { error }
            })?;
            total += deleted;
            progress(total);
            if deleted < batch {
                break;
            }
            if self.connection().is_pool() {
                // A long prune works half of the time, and leaves the other half to requests.
                tokio::time::sleep(begun.elapsed().min(LONGEST_PAUSE)).await;
            }
        }
        // The sessions stay deleted.
        let tidied = self.tidy(batch).await;
        tidied.map_err(|error| if total > 0 { error.with_outcome(Outcome::Unknown) } else { error })?;
        Ok(total)
    }

    /// Of the sessions that expired at least `keep` ago, deletes the `limit` that expired first. Returns how many it
    /// deleted.
    async fn delete_expired_batch(&mut self, limit: u64, keep: Duration) -> Result<u64> {
        let (now, backend) = (self.config().now(), self.connection().backend());
        let dialect = backend.dialect();
        if let Some(cache) = self.handle().cache() {
            // Both use the same instant, since the clock may be set back before it is read again.
            cache.pruning(now);
        }
        let mut bindings = self.bindings();
        let last = FieldValue::plain(clock::earlier(now, keep));
        let is_expired = bindings.column(column::EXPIRES_AT).lte(bindings.expr(last));
        let mut delete = Query::delete();
        delete.from_table(self.table_ref());
        if dialect.writes_in_order() {
            delete.and_where(is_expired).and_where_option(dialect.place_of_condition());
            delete.order_by_expr(bindings.column(column::EXPIRES_AT), Order::Asc).limit(limit);
        } else {
            let mut first = Query::select();
            first
                .expr(bindings.column(column::ID))
                .from(self.table_ref())
                .and_where(is_expired)
                .order_by_expr(bindings.column(column::EXPIRES_AT), Order::Asc)
                .limit(limit);
            let id = bindings.column(column::ID);
            if dialect.skips_locked_rows() {
                // Rows that another pruner has locked are left to it.
                first.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
            }
            delete.and_where(dialect.is_in_subquery(id, first.into()));
        }
        let statement = bindings.build(&delete);
        let deleted = self.execute(&statement).await?;
        self.handle().metrics().pruned(deleted);
        Ok(deleted)
    }
}
