//! Lookups on SQLite that need neither a statement of the pool's nor a queue.

use std::sync::Arc;

use crate::database::{AskThePool, DirectReads};
use crate::observe::{Batched, note_batch_size};
use crate::sql::{LookedUpRow, Under};
use crate::store::Store;
use crate::token::PossibleDigests;

/// Looks up sessions in the calling thread.
pub(super) struct Direct(Arc<Store>);

impl Direct {
    pub(super) fn new(store: &Arc<Store>) -> Self {
        Self(Arc::clone(store))
    }

    /// Returns the row of the valid session with one of these digests, if there is one.
    pub(super) async fn find(&self, token: &PossibleDigests) -> Result<Option<LookedUpRow>, AskThePool> {
        let reads = self.0.direct_reads.as_ref().ok_or(AskThePool)?;
        if !self.0.knows_sliding() {
            return Err(AskThePool);
        }
        let found = match self.find_under(reads, token, Under::Newest).await? {
            None if token.has_others() => self.find_under(reads, token, Under::All).await?,
            found => found,
        };
        self.0.instruments.metrics.sent(Batched::Lookup, 1);
        note_batch_size(1);
        Ok(found)
    }

    async fn find_under(
        &self,
        reads: &DirectReads,
        token: &PossibleDigests,
        under: Under,
    ) -> Result<Option<LookedUpRow>, AskThePool> {
        let statement = self.0.find_one_directly(token, under);
        let row = reads.fetch_optional(&statement).await?;
        Ok(row.map(LookedUpRow::in_own_row))
    }
}
