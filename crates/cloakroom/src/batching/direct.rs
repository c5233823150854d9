//! Lookups on SQLite that need neither a statement of the pool's nor a queue.

use std::sync::Arc;

use crate::config::Config;
use crate::database::{AskThePool, Database, DirectReads};
use crate::observe::{Batched, note_batch_size};
use crate::sql::{LookedUpRow, Under};
use crate::store::Store;
use crate::table::TableDefinition;
use crate::token::PossibleDigests;

/// Looks up sessions in the calling thread.
pub(super) struct Direct {
    store: Arc<Store>,
    reads: DirectReads,
}

impl Direct {
    /// Returns `None` if the configuration, the database or the table allows no such lookups.
    pub(super) fn of(store: &Arc<Store>) -> Option<Self> {
        #[allow(irrefutable_let_patterns, reason = "there are others if another database's feature is on")]
        let Database::Sqlite(pool) = &store.pool.database else {
            return None;
        };
        if !is_possible(&store.table, &store.config) {
            return None;
        }
        Some(Self { store: Arc::clone(store), reads: DirectReads::new(pool.clone())? })
    }

    /// Returns the row of the valid session with one of these digests, if there is one.
    pub(super) async fn find(&self, token: &PossibleDigests) -> Result<Option<LookedUpRow>, AskThePool> {
        if !self.store.knows_sliding() {
            return Err(AskThePool);
        }
        let found = match self.find_under(token, Under::Newest).await? {
            None if token.has_others() => self.find_under(token, Under::All).await?,
            found => found,
        };
        self.store.instruments.metrics.sent(Batched::Lookup, 1);
        note_batch_size(1);
        Ok(found)
    }

    async fn find_under(
        &self,
        token: &PossibleDigests,
        under: Under,
    ) -> Result<Option<LookedUpRow>, AskThePool> {
        let statement = self.store.find_one(token, under, true);
        let row = self.reads.fetch_optional(&statement).await?;
        Ok(row.map(LookedUpRow::in_own_row))
    }
}

fn is_possible(table: &TableDefinition, config: &Config) -> bool {
    config.direct_reads() && table.schema.is_none() && table.is_read_directly()
}
