use std::sync::Arc;

use time::OffsetDateTime;
use uuid::Uuid;

use super::combiner::Work;
use super::{Write, write_all};
use crate::database::{Connection, Pooled, Statement};
use crate::error::Result;
use crate::field::FieldValue;
use crate::store::Store;

/// The most sessions that one statement extends: each adds a branch to it.
const MAX_EXTENSIONS: usize = 64;

/// Moves expiries, as reads do on their way. The answer is whether the row was written for certain; whoever
/// hears "no" reads it again.
///
/// On PostgreSQL a statement that is shared skips a row that somebody is writing, and whoever asked for it reads
/// the row as it was before that write. Another extension of this handle is no such somebody: one statement is
/// out at a time, and the next finds what it wrote. Only where a statement has been out for so long that its
/// slot was taken from it, or its callers went away in the middle of it, the next may skip its rows too.
pub(super) struct Extend(pub(super) Arc<Store>);

/// A move of one session's expiry, if its row is still as it was read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extension {
    pub(crate) id: Uuid,
    pub(crate) read: Written,
    pub(crate) new: Written,
}

/// What tells one write of a row from another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) expires_at: OffsetDateTime,
    pub(crate) updated_at: OffsetDateTime,
}

impl Work for Extend {
    type Question = Extension;
    type Answer = bool;
    type Store = Store;

    fn store(&self) -> &Store {
        &self.0
    }

    fn max_in_flight(&self) -> usize {
        1
    }

    fn fit(&self, waiting: usize) -> usize {
        waiting.min(MAX_EXTENSIONS).min(self.0.config.max_batch())
    }

    async fn answer(&self, extension: Extension) -> Result<bool> {
        // The connection first: whoever waits long for it may have waited too long.
        let mut connection = self.0.acquire().await?;
        Ok(self.is_in_time(&extension) && self.write(connection.connection(), &[extension]).await?)
    }

    async fn answer_all(&self, connection: &mut Pooled, extensions: Vec<Extension>) -> Vec<Result<bool>> {
        // In one order, so that two machines' statements do not wait for each other. Of those who read the
        // same row one extends it.
        let mut distinct: Vec<_> = extensions.iter().copied().filter(|one| self.is_in_time(one)).collect();
        distinct.sort_unstable_by_key(|extension| extension.id);
        distinct.dedup_by_key(|extension| extension.id);
        let outcomes = write_all(self, connection, &distinct).await;
        let outcome = |one: &Extension| match distinct.binary_search_by_key(&one.id, |other| other.id) {
            Ok(at) if distinct[at] == *one => outcomes[at].clone(),
            _ => Ok(false),
        };
        extensions.iter().map(outcome).collect()
    }
}

impl Write for Extend {
    type Row = Extension;
    /// Whether all were written.
    type Written = bool;

    async fn write(&self, on: Connection<'_>, extensions: &[Extension]) -> Result<bool> {
        let written = self.0.execute(on, &self.statement(extensions)).await?;
        Ok(usize::try_from(written) == Ok(extensions.len()))
    }
}

impl Extend {
    /// Whether the session has not run out while it waited for its turn.
    fn is_in_time(&self, extension: &Extension) -> bool {
        extension.read.expires_at > self.0.config.now()
    }

    fn statement(&self, extensions: &[Extension]) -> Statement {
        let size = extensions.len().next_power_of_two();
        // A branch that is there twice is the same branch.
        let all = || extensions.iter().chain(extensions.last().into_iter().cycle()).take(size);
        let id = |extension: &Extension| FieldValue::plain(extension.id);
        let mut values = Vec::with_capacity(size * 8);
        values.extend(all().flat_map(|one| [id(one), FieldValue::plain(one.new.expires_at)]));
        values.extend(all().flat_map(|one| [id(one), FieldValue::plain(one.new.updated_at)]));
        values.extend(all().map(id));
        values.extend(all().flat_map(|one| {
            [id(one), FieldValue::plain(one.read.updated_at), FieldValue::plain(one.read.expires_at)]
        }));
        Statement::new(self.0.extend_sql(size), values)
    }
}
