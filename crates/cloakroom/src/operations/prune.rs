use std::time::{Duration, Instant};

use sea_query::{Expr, ExprTrait, LockBehavior, LockType, Order, Query, SubQueryStatement};

use crate::clock;
use crate::database::{Backend, FieldValue, place_of_condition};
use crate::error::{Outcome, Result};
use crate::operations::Operations;
use crate::table::{SessionFields, column};

/// How many expired sessions one statement deletes, unless it is told: few, so that it is over soon. SQLite's
/// works in this process, beside those who look sessions up, and waits for no disk in between.
fn default_batch(backend: Backend) -> u64 {
    if backend == Backend::Sqlite { 50 } else { 200 }
}

/// How long a prune pauses at most, between two statements that waited long themselves.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

impl<T: SessionFields> Operations<'_, T> {
    /// See [`Sessions::delete_expired`](crate::Sessions::delete_expired). Without its pauses, in which the
    /// transaction would hold its locks.
    pub async fn delete_expired(&mut self) -> Result<u64> {
        self.prune(None, Duration::ZERO, |_| {}).await
    }

    /// Deletes what expired at least `keep` ago, `batch` sessions at a time, which are at least one, and calls
    /// `progress` after each with how many there were so far; how many there were.
    pub(crate) async fn prune(
        &mut self,
        batch: Option<u64>,
        keep: Duration,
        mut progress: impl FnMut(u64),
    ) -> Result<u64> {
        let batch = batch.unwrap_or_else(|| default_batch(self.connection().backend()));
        let mut total = 0;
        loop {
            let begun = Instant::now();
            let deleted = self.delete_expired_batch(batch, keep).await.map_err(|error| {
                // Batches before it stay deleted.
                if total > 0 { error.with_outcome(Outcome::Unknown) } else { error }
            })?;
            total += deleted;
            progress(total);
            if deleted < batch {
                return Ok(total);
            }
            if self.connection().is_pool() {
                // A long prune takes half of the time, and leaves the other half to those who are in a hurry.
                tokio::time::sleep(begun.elapsed().min(LONGEST_PAUSE)).await;
            }
        }
    }

    /// Deletes the `limit` sessions that expired first, of those that did at least `keep` ago; how many there were.
    pub(crate) async fn delete_expired_batch(&mut self, limit: u64, keep: Duration) -> Result<u64> {
        let (now, backend) = (self.config().now(), self.connection().backend());
        if let Some(cache) = self.handle().cache() {
            // By the same look at the clock, which may be set back before the next.
            cache.pruning(now);
        }
        let mut bindings = self.bindings();
        let last = FieldValue::plain(clock::earlier(now, keep));
        let is_expired = bindings.column(column::EXPIRES_AT).lte(bindings.expr(last));
        let mut delete = Query::delete();
        delete.from_table(self.table_ref());
        if backend == Backend::MySql {
            delete.and_where(is_expired).and_where_option(place_of_condition(backend));
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
            if backend == Backend::Postgres {
                // Another pruner's rows are its own affair.
                first.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
                // As an array the ids are looked up one by one; of a list the planner may make a join that
                // reads the whole table.
                let first = Expr::from(SubQueryStatement::from(first));
                delete.and_where(Expr::cust_with_exprs("$1 = ANY (ARRAY $2)", [id, first]));
            } else {
                delete.and_where(id.in_subquery(first));
            }
        }
        let statement = bindings.build(&delete);
        self.execute(&statement).await
    }
}
