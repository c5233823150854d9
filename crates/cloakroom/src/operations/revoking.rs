//! Writes after which an earlier read of a session no longer holds. The caches that keep sessions in memory are told of
//! them, in this process and, on PostgreSQL, in all processes.

use uuid::Uuid;

use crate::cache::{Revoked, announcement};
use crate::database::Statement;
use crate::error::Result;
use crate::operations::Operations;
use crate::table::SessionFields;

impl<T: SessionFields> Operations<'_, T> {
    /// Runs such a write and returns how many rows it changed.
    pub(crate) async fn execute_revoking(&mut self, statement: Statement, revoked: Revoked) -> Result<u64> {
        let statement = self.announcing(statement, revoked);
        // From here on the cache keeps nothing that may have been revoked, even if the write fails.
        let revocation = self.handle().cache().map(|cache| cache.begin_revocation(revoked));
        let written = self.execute(&statement).await?;
        if written > 0 {
            self.handle().metrics().revoked(self.announces());
        }
        // A transaction of the caller's is not committed yet.
        if let Some(revocation) = revocation.filter(|_| self.connection().is_pool()) {
            revocation.committed();
        }
        Ok(written)
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
            cache.begin_revocation(Revoked::Session(id)).committed();
        }
    }

    fn announces(&self) -> bool {
        self.config().announces() && self.handle().backend().dialect().notifies()
    }

    fn announcing(&mut self, statement: Statement, revoked: Revoked) -> Statement {
        if !self.announces() {
            return statement;
        }
        let on_pool = self.connection().is_pool();
        announcement::with(&statement, self.table().table_name(), revoked, on_pool)
    }
}
