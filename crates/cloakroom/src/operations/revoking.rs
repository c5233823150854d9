//! Writes after which what was read of a session no longer holds: what keeps sessions in memory hears of them,
//! in this process and, on PostgreSQL, in all.

use uuid::Uuid;

use crate::cache::{Revoked, announcement};
use crate::database::{Backend, Statement};
use crate::error::Result;
use crate::operations::Operations;
use crate::table::SessionFields;

impl<T: SessionFields> Operations<'_, T> {
    /// Runs such a write; how many rows it concerned.
    pub(crate) async fn execute_revoking(&mut self, statement: Statement, revoked: Revoked) -> Result<u64> {
        let statement = self.announcing(statement, revoked);
        // From here on, whatever happens, nothing is kept that may have been revoked.
        let revoking = self.handle().cache().map(|cache| cache.revoking(revoked));
        let written = self.execute(&statement).await?;
        // A transaction of the caller's is yet to be committed.
        if let Some(revoking) = revoking.filter(|_| self.connection().is_pool()) {
            revoking.committed();
        }
        Ok(written)
    }

    /// Runs a write after which what was read of the session holds for longer; how many rows it concerned.
    pub(crate) async fn execute_extending(&mut self, statement: &Statement, id: Uuid) -> Result<u64> {
        let written = self.execute(statement).await;
        self.forget(id);
        written
    }

    /// Has the session be read anew in this process, since what is kept of it is not wrong but no longer all.
    pub(crate) fn forget(&self, id: Uuid) {
        if let Some(cache) = self.handle().cache() {
            cache.revoking(Revoked::Session(id)).committed();
        }
    }

    fn announcing(&mut self, statement: Statement, revoked: Revoked) -> Statement {
        if !self.config().announces() || self.handle().backend() != Backend::Postgres {
            return statement;
        }
        let on_pool = self.connection().is_pool();
        announcement::with(&statement, self.table().table_name(), revoked, on_pool)
    }
}
