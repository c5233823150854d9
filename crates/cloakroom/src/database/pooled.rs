use std::pin::Pin;

use std::time::Duration;

use tokio::time::Instant;

use super::again::{Again, Asks};
use super::bare::{Answer, Bare, Wanted};
use super::guard::Verdict;
use super::statement::Statement;
use super::{Backend, Cause, Connection, Database, again, misuse};

/// How often a statement is run on a connection that turns out to have a transaction open, which is then ended.
const ATTEMPTS: usize = 3;

/// A place for a connection that goes back to its pool.
///
/// Each statement on it commits by itself: what others left open there is [ended](super::guard) before its answer is
/// believed. One that fails for its connection is [asked again](super::again).
pub(crate) struct Pooled {
    database: Database,
    /// None once it was lost, until another takes its place.
    connection: Option<PoolConnection>,
    /// Since when the statement's caller has waited.
    since: Instant,
    /// Since when a connection of the pool's has been taken.
    taken: Instant,
    /// An answer has told since the connection was taken that no transaction is open.
    is_known_alone: bool,
}

enum PoolConnection {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::pool::PoolConnection<sqlx::Sqlite>),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::pool::PoolConnection<sqlx::Postgres>),
    #[cfg(feature = "mysql")]
    MySql(sqlx::pool::PoolConnection<sqlx::MySql>),
}

impl Database {
    /// A connection of the pool, for several statements, each of which commits by itself.
    ///
    /// On the heap, and of a type that is no longer known, as in [`Connection`]: the driver's are deep.
    pub(crate) fn acquire(&self) -> Pin<Box<dyn Future<Output = Result<Pooled, sqlx::Error>> + Send + '_>> {
        Box::pin(async move {
            let since = Instant::now();
            let connection = Some(self.take().await?);
            Ok(Pooled {
                database: self.clone(),
                connection,
                since,
                taken: Instant::now(),
                is_known_alone: false,
            })
        })
    }

    async fn take(&self) -> Result<PoolConnection, sqlx::Error> {
        loop {
            let mut taken = self.take_any().await.map_err(again::not_connected)?;
            // What the driver counts was left open by others. To look costs nothing, and SQLite tells no more.
            if !taken.bare().counts_a_transaction() || taken.is_cleared(self).await? {
                return Ok(taken);
            }
        }
    }

    async fn take_any(&self) -> Result<PoolConnection, sqlx::Error> {
        Ok(match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(pool) => PoolConnection::Sqlite(pool.acquire().await?),
            #[cfg(feature = "postgres")]
            Self::Postgres(pool) => PoolConnection::Postgres(pool.acquire().await?),
            #[cfg(feature = "mysql")]
            Self::MySql(pool) => PoolConnection::MySql(pool.acquire().await?),
        })
    }

    /// Whether at least half of the pool's connections are free, or not opened yet.
    fn is_half_free(&self) -> bool {
        let (most, open, idle) = match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(pool) => (pool.options().get_max_connections(), pool.size(), pool.num_idle()),
            #[cfg(feature = "postgres")]
            Self::Postgres(pool) => (pool.options().get_max_connections(), pool.size(), pool.num_idle()),
            #[cfg(feature = "mysql")]
            Self::MySql(pool) => (pool.options().get_max_connections(), pool.size(), pool.num_idle()),
        };
        let (most, taken) = (most as usize, (open as usize).saturating_sub(idle));
        most > 1 && taken * 2 <= most
    }

    /// How long the pool lets one wait for a connection.
    fn patience(&self) -> Duration {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(pool) => pool.options().get_acquire_timeout(),
            #[cfg(feature = "postgres")]
            Self::Postgres(pool) => pool.options().get_acquire_timeout(),
            #[cfg(feature = "mysql")]
            Self::MySql(pool) => pool.options().get_acquire_timeout(),
        }
    }
}

impl PoolConnection {
    fn bare(&mut self) -> Bare<'_> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(connection) => Bare::Sqlite(connection),
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => Bare::Postgres(connection),
            #[cfg(feature = "mysql")]
            Self::MySql(connection) => Bare::MySql(connection),
        }
    }

    /// Rolls back what the driver counts; whether the connection is of use all the same. Others would begin savepoints
    /// on it, so it is closed, unless its database would end with it.
    #[cfg_attr(not(feature = "sqlite"), allow(clippy::unused_async, reason = "a server's is closed"))]
    async fn is_cleared(&mut self, database: &Database) -> Result<bool, sqlx::Error> {
        match (&mut *self, database) {
            #[cfg(feature = "sqlite")]
            (Self::Sqlite(connection), Database::Sqlite(pool)) => {
                Box::pin(super::sqlite::end_stray_transaction(connection)).await?;
                let is_in_memory = super::sqlite::is_in_memory(pool);
                if !is_in_memory {
                    connection.close_on_drop();
                }
                Ok(is_in_memory)
            }
            #[allow(unreachable_patterns, reason = "reachable if a server's feature is on")]
            _ => {
                self.spoil();
                Ok(false)
            }
        }
    }

    /// Has it closed, instead of given back, when it is dropped. SQLite is in this process, and a database in memory
    /// would end with its connection.
    fn spoil(&mut self) {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => {}
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => connection.close_on_drop(),
            #[cfg(feature = "mysql")]
            Self::MySql(connection) => connection.close_on_drop(),
        }
    }
}

impl Pooled {
    pub(crate) fn connection(&mut self) -> Connection<'_> {
        Connection::pooled(self)
    }

    /// Whether an answer has told, since the connection was taken, that no transaction is open.
    pub(crate) fn is_known_alone(&self) -> bool {
        self.is_known_alone && self.connection.is_some()
    }

    /// Whether the pool can do without the connection, of which it is known that no transaction is open.
    pub(crate) fn is_spare(&self) -> bool {
        let is_known = self.is_known_alone || self.backend() == Backend::Sqlite;
        is_known && self.connection.is_some() && self.database.is_half_free()
    }

    /// For how long the connection has been away from its pool.
    pub(crate) fn held_for(&self) -> Duration {
        self.taken.elapsed()
    }

    /// The connection, for a caller that begins to wait now.
    pub(crate) fn for_another(mut self) -> Self {
        self.since = Instant::now();
        self
    }

    pub(super) fn backend(&self) -> Backend {
        self.database.backend()
    }

    /// The connection, or another one in the place of one that was lost.
    pub(super) async fn bare(&mut self) -> Result<Bare<'_>, sqlx::Error> {
        let connection = if let Some(connection) = self.connection.take() {
            connection
        } else {
            self.is_known_alone = false;
            self.database.take().await?
        };
        Ok(self.connection.insert(connection).bare())
    }

    /// Closes the connection, instead of giving it back: its server may not answer any more.
    pub(crate) fn discard(mut self) {
        self.lose();
    }

    fn lose(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            connection.spoil();
        }
    }

    /// Runs a statement so that it commits by itself, and once more if its connection had been closed, or if it was
    /// prepared before its table changed.
    pub(super) async fn run(
        &mut self,
        statement: &Statement,
        wanted: Wanted,
        asks: Asks,
    ) -> Result<Answer, sqlx::Error> {
        let error = match self.run_alone(statement, wanted).await {
            Err(error) => error,
            done => return done,
        };
        let is_ready = match Again::after(&error, asks) {
            Again::No => return Err(error),
            // Rare, and larger than the rest.
            again => Box::pin(self.make_ready(again)).await,
        };
        if is_ready { self.run_alone(statement, wanted).await } else { Err(error) }
    }

    async fn make_ready(&mut self, again: Again) -> bool {
        match again {
            Again::No => false,
            Again::SameAfterForgetting => match self.bare().await {
                Ok(mut bare) => bare.forget_statements().await.is_ok(),
                Err(_) => false,
            },
            // Nobody waits longer than for a connection that was not to be had at all.
            Again::OnAnother => {
                let until = self.since + self.database.patience();
                let replaced = tokio::time::timeout_at(until, self.replace()).await;
                replaced.is_ok_and(|replaced| replaced.is_ok())
            }
        }
    }

    /// Closes the connection and takes one that answers: a server that restarted has closed all of them, and the
    /// pool may not know of it.
    async fn replace(&mut self) -> Result<(), sqlx::Error> {
        loop {
            // Given up first: it may be the only one that the pool allows.
            self.lose();
            if self.bare().await?.ping().await.is_ok() {
                return Ok(());
            }
        }
    }

    /// If the statement ran inside a transaction that was left open, that is rolled back, and the statement with it, and
    /// it runs again.
    async fn run_alone(&mut self, statement: &Statement, wanted: Wanted) -> Result<Answer, sqlx::Error> {
        for _ in 0..ATTEMPTS {
            let answer = self.bare().await?.run(statement, wanted).await;
            let told = match &answer {
                Ok(answer) => statement.guard.told(&answer.rows, answer.written),
                Err(error) => match again::cause(error) {
                    // It did not run, or there is no connection any more.
                    Cause::Stale | Cause::Idle | Cause::Lost => return answer,
                    // What failed may have failed for where it ran: in a transaction that reads only, or has failed.
                    _ if matches!(error, sqlx::Error::Database(_)) => Verdict::Nothing,
                    _ => return answer,
                },
            };
            match told {
                Verdict::Alone => self.is_known_alone = true,
                Verdict::NotAsked => {}
                Verdict::Nothing if self.is_known_alone => {}
                Verdict::Nothing | Verdict::Inside => {
                    // Rare, and larger than the rest.
                    let mut bare = self.bare().await?;
                    match Box::pin(bare.end_stray_transaction()).await {
                        Ok(true) => continue,
                        Ok(false) => self.is_known_alone = true,
                        Err(error) => {
                            self.lose();
                            return answer.and(Err(error));
                        }
                    }
                }
            }
            return answer;
        }
        self.lose();
        Err(misuse::never_commits())
    }
}
