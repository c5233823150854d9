//! Writes after which an earlier read of a session no longer holds. The caches that keep sessions in memory are told of
//! them, in this process and, on PostgreSQL, in all processes.

use std::sync::Arc;

use uuid::Uuid;

use crate::cache::Revoked;
use crate::database::{Revokes, Statement};
use crate::error::Result;
use crate::operations::Operations;
use crate::store::{Waits, Writing};
use crate::table::SessionFields;

impl<T: SessionFields> Operations<'_, T> {
    /// Runs such a write and returns how many rows it changed.
    pub(crate) async fn execute_revoking(&mut self, write: Statement, revoked: Revoked) -> Result<u64> {
        let handle = Arc::clone(self.handle());
        let store = handle.store();
        let how_many = match revoked {
            Revoked::Session(_) => Revokes::One,
            Revoked::Any => Revokes::Any,
        };
        let revoking = store.revoking(write, how_many, self.connection().is_pool());
        // From here on the cache answers nothing that may have been revoked, and keeps nothing, even if the write fails.
        let revocation = handle.cache().map(|cache| cache.begin_revocation(revoked));
        let written = if self.connection().is_any_of_pool() {
            let mut writing = store.acquire_to_revoke(Waits::ForLocks, store.until()).await?;
            let Writing { connection, announcing, .. } = &mut writing;
            announcing.during(store.revoke(connection.connection(), &revoking)).await?
        } else {
            store.revoke(self.connection().reborrow(), &revoking).await?
        };
        if written > 0 {
            handle.metrics().revoked(store.announces());
        }
        // A transaction of the caller's is not committed yet.
        if let Some(revocation) = revocation.filter(|_| self.connection().is_pool()) {
            revocation.committed();
        }
        Ok(written)
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
