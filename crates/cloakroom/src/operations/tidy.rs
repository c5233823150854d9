//! What a prune does in the tables beside the session table.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::Operations;
use super::prune::LONGEST_PAUSE;
use crate::clock;
use crate::database::Statement;
use crate::deadline;
use crate::error::Result;
use crate::sql::{audit, retired, unreadable};
use crate::table::{SessionFields, retired_column};

/// How many sessions with old tokens are looked at in one query.
const SESSIONS: u64 = 500;

/// How long after its end a grace is left alone at least, since the clocks of other machines may be behind.
const SKEW: Duration = Duration::from_mins(1);

/// The same if calls have no time-out, so that it is not known when those that began within the grace are over.
const UNBOUNDED_CALL: Duration = Duration::from_hours(1);

impl<T: SessionFields> Operations<'_, T> {
    /// Does what there is to do in the tables beside the session table, `batch` rows at a time.
    pub(super) async fn tidy(&mut self, batch: u64) -> Result<()> {
        self.tidy_retired(batch).await?;
        self.tidy_audit_log(batch).await
    }

    /// Deletes the entries of the audit log that are older than the configuration keeps them.
    async fn tidy_audit_log(&mut self, batch: u64) -> Result<()> {
        let Some(keep) = self.config().audit_retention().filter(|_| self.table().keeps_audit_log()) else {
            return Ok(());
        };
        let until = clock::earlier(self.config().now(), keep);
        loop {
            let begun = Instant::now();
            let statement = audit::delete_before(&mut self.bindings(), until, batch);
            if self.step(&statement).await? < batch {
                return Ok(());
            }
            self.pause_since(begun).await;
        }
    }

    /// Wipes sealed tokens whose grace is over, deletes tokens that are no longer good, and deletes those whose session is
    /// gone: `batch` at a time, with pauses in between.
    async fn tidy_retired(&mut self, batch: u64) -> Result<()> {
        if !self.table().keeps_retired_tokens() {
            return Ok(());
        }
        let patience = self.config().timeout().unwrap_or(UNBOUNDED_CALL).max(SKEW);
        let until = clock::earlier(self.config().now(), patience);
        for kind in [retired::Kind::Sealed, retired::Kind::Rotated] {
            loop {
                let begun = Instant::now();
                let statement = retired::end_graces(&mut self.bindings(), kind, until, batch);
                if self.step(&statement).await? < batch {
                    break;
                }
                self.pause_since(begun).await;
            }
        }
        let mut after = None;
        loop {
            let begun = Instant::now();
            let ids = self.sessions_with_retired(after).await?;
            let gone: Vec<Uuid> = ids.iter().filter(|(_, is_there)| !is_there).map(|(id, _)| *id).collect();
            for some in gone.chunks(usize::try_from(batch).unwrap_or(usize::MAX)) {
                let statement = retired::delete_of(&mut self.bindings(), some);
                self.step(&statement).await?;
            }
            if (ids.len() as u64) < SESSIONS {
                return Ok(());
            }
            after = ids.last().map(|(id, _)| *id);
            self.pause_since(begun).await;
        }
    }

    async fn step(&mut self, statement: &Statement) -> Result<u64> {
        deadline::within(self.limit(), self.execute(statement)).await
    }

    /// A long prune works half of the time, and leaves the other half to requests.
    async fn pause_since(&mut self, begun: Instant) {
        if self.connection().is_pool() {
            tokio::time::sleep(begun.elapsed().min(LONGEST_PAUSE)).await;
        }
    }

    /// Returns the next sessions that have old tokens, by their ids, and whether they are there themselves.
    async fn sessions_with_retired(&mut self, after: Option<Uuid>) -> Result<Vec<(Uuid, bool)>> {
        let mut bindings = self.bindings();
        let mut select = retired::sessions_after(&mut bindings, after, SESSIONS);
        let guard = self.guard(&mut select);
        let statement = bindings.build(&select).guarded(guard);
        let rows = deadline::within(self.limit(), self.fetch_all(&statement)).await?;
        let ids = rows.iter().map(|row| Ok((row.uuid(0)?, row.get::<Option<Uuid>>(1)?.is_some())));
        let ids: Result<_, sqlx::Error> = ids.collect();
        ids.map_err(|error| unreadable(self.table(), retired_column::SESSION_ID, error))
    }

    /// Deletes the old tokens of a session that was deleted. If that fails, a prune deletes them.
    pub(super) async fn forget_retired(&mut self, session: Uuid) -> Result<()> {
        if !self.table().keeps_retired_tokens() {
            return Ok(());
        }
        let statement = retired::delete_of(&mut self.bindings(), &[session]);
        match self.execute(&statement).await {
            Err(error) if self.connection().is_pool() => {
                tracing::debug!(
                    table = %self.table(),
                    session = %session,
                    error = &error as &dyn std::error::Error,
                    "the retired tokens of a session that was deleted are left to the pruner",
                );
                Ok(())
            }
            done => done.map(drop),
        }
    }
}
