use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::causality::Causality;
use super::{Backend, Database, KnownServer};

/// A pool of the application's, and what is known of its servers. A clone knows the same.
#[derive(Clone)]
pub(crate) struct Pool {
    pub(crate) database: Database,
    pub(crate) causality: Causality,
    /// Whether it leads to MariaDB or to MySQL.
    pub(super) server: Arc<KnownServer>,
    /// Whether the server was asked whether it is a standby.
    is_standby_known: Arc<AtomicBool>,
}

impl Pool {
    /// If `is_causal`, each statement on a cluster waits until its node has what was committed before.
    pub(crate) fn new(database: Database, is_causal: bool) -> Self {
        let causality = if is_causal { Causality::automatic() } else { Causality::off() };
        Self { database, causality, server: Arc::default(), is_standby_known: Arc::default() }
    }

    /// Asks PostgreSQL once whether it is a standby, and says so in the log: its answers lag.
    #[cfg(feature = "postgres")]
    pub(super) async fn note_a_standby(&self, connection: &mut sqlx::PgConnection) {
        if self.is_standby_known.swap(true, Ordering::Relaxed) {
            return;
        }
        // If the question fails, so will the statement after it, unless the server has its reasons.
        let answer = sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(connection).await;
        if answer.unwrap_or(false) {
            tracing::warn!(
                "the database is a standby: its answers lag behind its primary, and a session that was ended there is \
                 accepted until the standby has caught up; see `Database::replica`",
            );
        }
    }

    #[cfg(feature = "postgres")]
    pub(super) fn is_standby_known(&self) -> bool {
        self.is_standby_known.load(Ordering::Relaxed)
    }

    /// Returns the same pool, whose server is not asked whether it is a standby.
    pub(crate) fn without_note_of_a_standby(self) -> Self {
        self.is_standby_known.store(true, Ordering::Relaxed);
        self
    }

    pub(crate) fn backend(&self) -> Backend {
        self.database.backend()
    }
}
