//! Writes after which an earlier read of a session no longer holds. The caches that keep sessions in memory are told of
//! them, in this process and, on PostgreSQL, in all processes.

use std::sync::Arc;

use uuid::Uuid;

use crate::cache::Revoked;
use crate::database::{Connection, Revokes, Row, Statement, is_refused_announcement};
use crate::error::Result;
use crate::operations::Operations;
use crate::store::{Revoking, Store, Waits, Writing};
use crate::table::SessionFields;

/// What a write returns.
#[derive(Clone, Copy)]
enum Wants {
    Count,
    Rows,
    /// Two counts, of which the second is that of all rows.
    Counts,
}

async fn revoke(
    store: &Store,
    on: Connection<'_>,
    revoking: &Revoking,
    wants: Wants,
) -> Result<(u64, Vec<Row>)> {
    Ok(match wants {
        Wants::Count => (store.revoke(on, revoking).await?, Vec::new()),
        Wants::Rows => {
            let rows = store.revoke_rows(on, revoking).await?;
            (rows.len() as u64, rows)
        }
        Wants::Counts => {
            let rows = store.revoke_rows(on, revoking).await?;
            (count(&rows, 1), rows)
        }
    })
}

fn count(rows: &[Row], place: usize) -> u64 {
    let count = rows.first().and_then(|row| row.integer(place).ok().flatten());
    count.unwrap_or(0).unsigned_abs()
}

impl<T: SessionFields> Operations<'_, T> {
    /// Runs such a write and returns how many rows it changed.
    pub(crate) async fn execute_revoking(&mut self, write: Statement, revoked: Revoked) -> Result<u64> {
        let how_many = match revoked {
            Revoked::Session(_) => Revokes::One,
            Revoked::Any => Revokes::Any,
        };
        let revoking = self.handle.store().revoking(write, how_many, self.connection.is_pool());
        Ok(self.run_revoking(&revoking, revoked, Wants::Count).await?.0)
    }

    /// Runs such a write of any number of sessions on the pool, which returns of each its id and whether it was valid.
    /// Returns how many were, and how many were not.
    pub(crate) async fn execute_revoking_valid(&mut self, write: Statement) -> Result<(u64, u64)> {
        let revoking = self.handle.store().revoking(write, Revokes::Valid, true);
        let (all, rows) = self.run_revoking(&revoking, Revoked::Any, Wants::Counts).await?;
        let valid = count(&rows, 0);
        Ok((valid, all.saturating_sub(valid)))
    }

    /// Runs such a write of any number of sessions, which returns their rows, if the database's writes return any.
    pub(crate) async fn execute_revoking_rows(&mut self, write: Statement) -> Result<Vec<Row>> {
        let revoking = self.handle.store().revoking(write, Revokes::Rows, self.connection.is_pool());
        Ok(self.run_revoking(&revoking, Revoked::Any, Wants::Rows).await?.1)
    }

    /// Returns how many rows were written, and the rows if they are wanted.
    async fn run_revoking(
        &mut self,
        revoking: &Revoking,
        revoked: Revoked,
        wants: Wants,
    ) -> Result<(u64, Vec<Row>)> {
        let handle = Arc::clone(self.handle());
        let store = handle.store();
        // From here on the cache answers nothing that may have been revoked, and keeps nothing, even if the write fails.
        let revocation = handle.cache().map(|cache| cache.begin_revocation(revoked));
        let written = if self.connection().is_any_of_pool() {
            let mut writing = store.acquire_to_revoke(Waits::ForLocks, store.until()).await?;
            let Writing { connection, announcing, .. } = &mut writing;
            announcing.during(revoke(store, connection.connection(), revoking, wants)).await?
        } else if self.own.is_some() {
            self.revoke_in_own(revoking, wants).await?
        } else {
            revoke(store, self.connection().reborrow(), revoking, wants).await?
        };
        if written.0 > 0 {
            handle.metrics().revoked(store.announces());
        }
        // A transaction of the caller's is not committed yet, and one of this library's own tells when it is.
        match (revocation, &mut self.own) {
            (Some(revocation), _) if self.connection.is_pool() => revocation.committed(),
            (Some(revocation), Some(own)) => own.revocations.push(revocation),
            _ => {}
        }
        Ok(written)
    }

    /// Runs such a write in a transaction of this library's own, which notes if its announcement is refused.
    async fn revoke_in_own(&mut self, revoking: &Revoking, wants: Wants) -> Result<(u64, Vec<Row>)> {
        let announces = self.own.as_ref().is_none_or(|own| own.announces);
        let statement = revoking.statement(announces);
        let written = match wants {
            Wants::Count => self.connection.execute(statement).await.map(|count| (count, Vec::new())),
            Wants::Rows | Wants::Counts => {
                let rows = self.connection.fetch_all(statement).await;
                rows.map(|rows| (rows.len() as u64, rows))
            }
        };
        written.map_err(|error| {
            let is_refused = announces && is_refused_announcement(&error);
            let error = self.failed(error);
            if let Some(own) = self.own.as_mut().filter(|_| is_refused) {
                own.refused = Some(error.clone());
            }
            error
        })
    }

    /// Returns what `revoke` returns, which revokes one session on the pool, in a statement that calls share.
    pub(crate) async fn share_revoking(
        &self,
        id: Uuid,
        revoke: impl Future<Output = Result<bool>>,
    ) -> Result<bool> {
        let revocation = self.handle().cache().map(|cache| cache.begin_revocation(Revoked::Session(id)));
        let is_written = revoke.await?;
        if is_written {
            self.handle().metrics().revoked(self.handle().store().announces());
        }
        if let Some(revocation) = revocation {
            revocation.committed();
        }
        Ok(is_written)
    }

    /// Returns `true` if revocations of single sessions share statements here.
    pub(crate) fn shares_revocations(&mut self) -> bool {
        self.connection().is_any_of_pool() && self.handle().store().shares_revocations()
    }

    /// Runs a write after which the session holds for longer than was read, and returns how many rows it changed.
    pub(crate) async fn execute_extending(&mut self, statement: &Statement, id: Uuid) -> Result<u64> {
        let written = self.execute(statement).await;
        self.forget(id);
        written
    }

    /// Drops the session's cache entry in this process: it is still correct, but incomplete.
    pub(crate) fn forget(&self, id: Uuid) {
        if let Some(cache) = self.handle().cache() {
            cache.forget(id);
        }
    }
}
