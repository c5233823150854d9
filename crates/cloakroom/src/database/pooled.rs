use std::pin::Pin;
use std::sync::Arc;

use std::time::Duration;

use tokio::time::Instant;

use super::again::{Again, Asks};
use super::bare::{Answer, Bare, Wanted};
use super::causality::Waiting;
use super::guard::{Guard, Verdict};
use super::list::match_database;
#[cfg(feature = "mysql")]
use super::mysql::galera;
use super::pool::Pool;
use super::statement::Statement;
use super::{Backend, Cause, Connection, Database, NotConnected, Server, TimedOut, again, misuse};
use crate::deadline;
use crate::observe::{self, ConnectionFailure, Retry};

/// How often a statement is tried if its connection turns out to have a transaction open, which is ended each time.
const ATTEMPTS: usize = 3;

/// A connection that has not answered for this long is closed if its statement is given up. The pool would wait for its
/// answer without a limit before it gives the connection to another caller.
pub(super) const SILENT: Duration = Duration::from_secs(1);

/// Holds a connection of the pool, which goes back to it afterwards.
///
/// Each statement on it commits by itself: a transaction that was left open there is [ended](super::guard) before the
/// statement's answer is believed. A statement that fails because of its connection is [run again](super::again).
pub(crate) struct Pooled {
    pool: Pool,
    /// `None` after it was lost, until another takes its place.
    connection: Option<PoolConnection>,
    /// When the statement's caller began to wait.
    since: Instant,
    /// When the connection was taken from the pool.
    taken: Instant,
    /// Whether an answer has said, since the connection was taken, that no transaction is open.
    is_known_clear: bool,
    /// How its statements wait for other nodes of a cluster, once that was asked.
    waiting: Option<Waiting>,
    /// Since when a statement runs, of which the answer is awaited.
    asked: Option<Instant>,
}

enum PoolConnection {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::pool::PoolConnection<sqlx::Sqlite>),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::pool::PoolConnection<sqlx::Postgres>),
    #[cfg(feature = "mysql")]
    MySql(sqlx::pool::PoolConnection<sqlx::MySql>),
}

impl Pool {
    /// Takes a connection of the pool for several statements, each of which commits by itself. Waits for it until the
    /// pool's time-out or the call's [deadline].
    ///
    /// Returns a boxed future of an erased type, as in [`Connection`]: the driver's future types are deep.
    pub(crate) fn acquire(&self) -> Pin<Box<dyn Future<Output = Result<Pooled, sqlx::Error>> + Send + '_>> {
        Box::pin(async move {
            let since = Instant::now();
            let taken = deadline::bound(self.database.take()).await;
            let taken = taken.unwrap_or_else(|| Err(TimedOut::WithoutConnection.error()));
            let connection = Some(taken.inspect_err(|error| self.database.note_failure(error))?);
            Ok(Pooled {
                pool: self.clone(),
                connection,
                since,
                taken: Instant::now(),
                is_known_clear: false,
                waiting: None,
                asked: None,
            })
        })
    }
}

impl Database {
    fn note_failure(&self, error: &sqlx::Error) {
        let failure = match error {
            sqlx::Error::PoolClosed => return,
            sqlx::Error::AnyDriverError(error) if error.is::<NotConnected>() => ConnectionFailure::Refused,
            _ => ConnectionFailure::Exhausted,
        };
        observe::connection_failed(self.backend().label(), failure);
    }

    async fn take(&self) -> Result<PoolConnection, sqlx::Error> {
        loop {
            let mut taken = self.take_any().await.map_err(again::not_connected)?;
            // If the driver counts a transaction, another user of the connection left it open. Checking costs nothing,
            // and SQLite says no more than this.
            if !taken.bare().counts_a_transaction() || taken.is_cleared(self).await? {
                return Ok(taken);
            }
        }
    }

    /// The driver's future is on the heap. It has some kilobytes, for opening a connection, and each future around it, as
    /// that of every statement, would be as large and would be copied from one place to the next.
    async fn take_any(&self) -> Result<PoolConnection, sqlx::Error> {
        Ok(
            match_database!(self, Database(pool) in driver to PoolConnection => Box::pin(pool.acquire()).await?),
        )
    }

    /// Returns `true` if at least half of the pool's connections are free or not opened yet.
    fn is_half_free(&self) -> bool {
        let most = self.max_connections() as usize;
        let taken = match_database!(self, Database(pool) => {
            (pool.size() as usize).saturating_sub(pool.num_idle())
        });
        most > 1 && taken * 2 <= most
    }

    /// Returns how many connections the pool may open.
    pub(crate) fn max_connections(&self) -> u32 {
        match_database!(self, Database(pool) => pool.options().get_max_connections())
    }

    /// Returns a number that stands for the pool for as long as it lives: the address of its options, which stay in
    /// place.
    pub(crate) fn address(&self) -> usize {
        match_database!(self, Database(pool) => std::ptr::from_ref(pool.options()).addr())
    }

    /// Returns how long the pool lets a caller wait for a connection.
    pub(crate) fn patience(&self) -> Duration {
        match_database!(self, Database(pool) => pool.options().get_acquire_timeout())
    }
}

impl PoolConnection {
    fn bare(&mut self) -> Bare<'_> {
        match_database!(self, PoolConnection(connection) in driver to Bare => connection)
    }

    /// Rolls back the transaction that the driver counts, and returns `true` if the connection can still be used. Other
    /// callers would begin savepoints on it, so it is closed, unless its database would end with it.
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

    /// Makes the connection close when it is dropped, instead of going back to the pool. A SQLite connection is not
    /// closed: SQLite is in this process, and a database in memory would end with its connection.
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

    /// Returns `true` if an answer has said, since the connection was taken, that no transaction is open.
    pub(crate) fn is_known_clear(&self) -> bool {
        self.is_known_clear && self.connection.is_some()
    }

    /// Returns `true` if the pool can spare the connection for a while and it is known that no transaction is open on
    /// it.
    pub(crate) fn can_stay_warm(&self) -> bool {
        let is_known = self.is_known_clear || self.backend() == Backend::Sqlite;
        is_known && self.connection.is_some() && self.pool.database.is_half_free()
    }

    /// Returns how long the connection has been away from its pool.
    pub(crate) fn held_for(&self) -> Duration {
        self.taken.elapsed()
    }

    /// Returns the connection for a caller that begins to wait now.
    pub(crate) fn for_another(mut self) -> Self {
        self.since = Instant::now();
        self
    }

    pub(super) fn backend(&self) -> Backend {
        self.pool.backend()
    }

    /// Returns the connection, or another one if it was lost.
    pub(super) async fn bare(&mut self) -> Result<Bare<'_>, sqlx::Error> {
        let connection = if let Some(connection) = self.connection.take() {
            connection
        } else {
            self.is_known_clear = false;
            self.waiting = None;
            self.pool.database.take().await?
        };
        Ok(self.connection.insert(connection).bare())
    }

    /// Closes the connection instead of giving it back. Its server may no longer answer.
    pub(crate) fn discard(mut self) {
        self.lose();
    }

    fn lose(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            connection.spoil();
        }
    }

    /// Runs a statement so that it commits by itself. Runs it once more if its connection had been closed, or if it was
    /// prepared before its table changed. If the call's [deadline] passes first, the connection is closed: its server
    /// may no longer answer, and it must not go to another caller.
    pub(super) async fn run(
        &mut self,
        statement: &Statement,
        wanted: Wanted,
        asks: Asks,
    ) -> Result<Answer, sqlx::Error> {
        self.asked = Some(Instant::now());
        let answer = deadline::bound(self.run_unbounded(statement, wanted, asks)).await;
        self.asked = None;
        if let Some(answer) = answer {
            return answer;
        }
        self.lose();
        observe::connection_failed(self.backend().label(), ConnectionFailure::Silent);
        Err(TimedOut::WithoutAnswer.error())
    }

    /// Runs one statement of a migration, without preparing it.
    pub(super) async fn execute_raw(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        self.asked = Some(Instant::now());
        let done = match self.bare().await {
            Ok(mut bare) => bare.execute_raw(sql).await,
            Err(error) => Err(error),
        };
        self.asked = None;
        done
    }

    async fn run_unbounded(
        &mut self,
        statement: &Statement,
        wanted: Wanted,
        asks: Asks,
    ) -> Result<Answer, sqlx::Error> {
        let error = match self.run_as_own_transaction(statement, wanted, asks).await {
            Ok(answer) => {
                // The caller of a further statement begins to wait with it.
                self.since = Instant::now();
                return Ok(answer);
            }
            Err(error) => error,
        };
        if again::cause(&error) == Cause::Lost {
            observe::connection_failed(self.backend().label(), ConnectionFailure::Lost);
        }
        if again::is_out_of_step(&error) {
            self.lose();
        }
        let is_ready = match Again::after(&error, asks) {
            Again::No => return Err(error),
            // This is rare, and its future is larger than the rest.
            again => Box::pin(self.make_ready(again)).await,
        };
        if is_ready { self.run_as_own_transaction(statement, wanted, asks).await } else { Err(error) }
    }

    async fn make_ready(&mut self, again: Again) -> bool {
        let retry = if again == Again::OnAnother { Retry::Reconnected } else { Retry::Stale };
        observe::statement_retried(self.backend().label(), retry);
        match again {
            Again::No => false,
            Again::SameAfterForgetting => match self.bare().await {
                Ok(mut bare) => bare.forget_statements().await.is_ok(),
                Err(_) => false,
            },
            // The caller waits no longer than it would if there were no connection at all.
            Again::OnAnother => {
                let until = self.since + self.pool.database.patience();
                let replaced = tokio::time::timeout_at(until, self.replace()).await;
                replaced.is_ok_and(|replaced| replaced.is_ok())
            }
        }
    }

    /// Closes the connection and takes one that answers. A server that restarted has closed all of them, and the pool
    /// may not know.
    async fn replace(&mut self) -> Result<(), sqlx::Error> {
        loop {
            // The old connection is given up first: it may be the only one that the pool allows.
            self.lose();
            // Nothing is known of a connection that the pool had, and the statement may be one that does not tell.
            let mut bare = self.bare().await?;
            if Box::pin(bare.end_stray_transaction()).await.is_ok() {
                self.is_known_clear = true;
                return Ok(());
            }
        }
    }

    /// Returns how the answer says so on this server. A condition says nothing on MySQL, which cannot check it.
    async fn guard(&mut self, guard: Guard) -> Result<Guard, sqlx::Error> {
        if guard != Guard::Condition || self.is_known_clear() {
            return Ok(guard);
        }
        let known = Arc::clone(&self.pool.server);
        let server = match known.get() {
            Some(server) => Some(server),
            None => self.bare().await?.server(&known).await?,
        };
        Ok(if server == Some(Server::MySql) { Guard::Silent } else { guard })
    }

    /// Runs a statement. If it ran inside a transaction that was left open, that transaction and the statement with it
    /// are rolled back, and the statement runs again.
    async fn run_as_own_transaction(
        &mut self,
        statement: &Statement,
        wanted: Wanted,
        asks: Asks,
    ) -> Result<Answer, sqlx::Error> {
        let guard = self.guard(statement.guard).await?;
        for _ in 0..ATTEMPTS {
            self.bare().await?;
            let result = self.run_guarded(statement, wanted, asks, guard).await;
            let (answer, told) = match result {
                Ok((answer, told)) => (Ok(answer), told),
                Err(error) => match again::cause(&error) {
                    // The statement did not run, or there is no connection any more.
                    Cause::Stale | Cause::Idle | Cause::Lost => return Err(error),
                    // The statement may have failed because of the transaction that it ran in: one that only reads, or
                    // one that has failed.
                    _ if matches!(error, sqlx::Error::Database(_)) => (Err(error), Verdict::Nothing),
                    _ => return Err(error),
                },
            };
            match told {
                Verdict::OwnTransaction => self.is_known_clear = true,
                Verdict::Undone => {
                    self.is_known_clear = true;
                    continue;
                }
                Verdict::NotAsked => {}
                Verdict::Nothing if self.is_known_clear => {}
                Verdict::Nothing | Verdict::Inside => {
                    // This is rare, and its future is larger than the rest.
                    let mut bare = self.bare().await?;
                    match Box::pin(bare.end_stray_transaction()).await {
                        Ok(true) => continue,
                        Ok(false) => self.is_known_clear = true,
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

    /// Runs a statement once, and returns what its answer says of its transaction.
    async fn run_guarded(
        &mut self,
        statement: &Statement,
        wanted: Wanted,
        asks: Asks,
        guard: Guard,
    ) -> Result<(Answer, Verdict), sqlx::Error> {
        #[cfg(feature = "sqlite")]
        #[allow(irrefutable_let_patterns, reason = "refutable if another database's feature is on")]
        if guard == Guard::Silent
            && !self.is_known_clear
            && let Bare::Sqlite(connection) = self.bare().await?
        {
            return super::sqlite::write(connection, statement, wanted).await;
        }
        let answer = self.run_once(statement, wanted, asks).await?;
        let told = guard.told(&answer.rows, answer.written);
        Ok((answer, told))
    }

    /// Runs a statement once. On a node of a cluster it first waits until the node has applied what was committed on any
    /// node before.
    #[cfg_attr(not(feature = "mysql"), allow(unused_variables, reason = "only Galera's nodes wait"))]
    async fn run_once(
        &mut self,
        statement: &Statement,
        wanted: Wanted,
        asks: Asks,
    ) -> Result<Answer, sqlx::Error> {
        #[cfg(feature = "mysql")]
        if self.backend() == Backend::MySql {
            let waiting = match self.waiting {
                Some(waiting) => waiting,
                None => self.find_out_how_to_wait().await?,
            };
            if waiting != Waiting::No {
                // This is a cluster's, and its future is larger than the rest.
                return Box::pin(self.run_when_caught_up(statement, wanted, asks, waiting)).await;
            }
        }
        #[cfg(feature = "postgres")]
        if self.backend() == Backend::Postgres && !self.pool.is_standby_known() {
            let pool = self.pool.clone();
            #[allow(irrefutable_let_patterns, reason = "refutable if another database's feature is on")]
            if let Bare::Postgres(connection) = self.bare().await? {
                // This happens once, and its future is larger than the rest.
                Box::pin(pool.note_a_standby(connection)).await;
            }
        }
        self.bare().await?.run(statement, wanted).await
    }
}

#[cfg(feature = "mysql")]
impl Pooled {
    async fn find_out_how_to_wait(&mut self) -> Result<Waiting, sqlx::Error> {
        let causality = self.pool.causality.clone();
        #[allow(irrefutable_let_patterns, reason = "refutable if another database's feature is on")]
        let Bare::MySql(connection) = self.bare().await? else {
            return Ok(Waiting::No);
        };
        let waiting = match causality.known(galera::may_be_new(connection)) {
            Some(waiting) => waiting,
            None => match Box::pin(galera::ask(connection)).await {
                Ok(waiting) => {
                    causality.learn(waiting);
                    waiting
                }
                // The statement meets the same connection, and its failure is dealt with.
                Err(error) if again::cause(&error) == Cause::Lost => return Ok(Waiting::No),
                Err(error) => return Err(error),
            },
        };
        if waiting == Waiting::BySession {
            Box::pin(galera::wait_from_now_on(connection)).await?;
        }
        self.waiting = Some(waiting);
        Ok(waiting)
    }

    async fn run_when_caught_up(
        &mut self,
        statement: &Statement,
        wanted: Wanted,
        asks: Asks,
        waiting: Waiting,
    ) -> Result<Answer, sqlx::Error> {
        let mut bare = self.bare().await?;
        let answer = if waiting == Waiting::ByStatement {
            bare.run_as(galera::waiting(&statement.sql), statement, wanted).await
        } else {
            bare.run(statement, wanted).await
        };
        match answer {
            Err(error) if galera::is_no_node(&error) => {
                self.pool.causality.learn(Waiting::No);
                self.waiting = Some(Waiting::No);
                self.bare().await?.run(statement, wanted).await
            }
            Err(error) if asks == Asks::Read => Err(galera::not_caught_up(error)),
            Err(error) => match self.bare().await? {
                Bare::MySql(connection) => Err(galera::not_caught_up_to_write(connection, error).await),
                #[allow(unreachable_patterns, reason = "reachable if another database's feature is on")]
                _ => Err(error),
            },
            answer => answer,
        }
    }
}

/// If the future that waits for an answer is dropped, the connection goes back to the pool, which waits for the answer
/// that is still to come. From a server that has fallen silent none may ever come.
///
/// The MySQL driver of sqlx 0.9 does not know how much of the answer is still to come if the statement was being
/// prepared, or if a packet had come in part. It takes the rest for other answers, and may wait for ever for the end of
/// them, with a connection that the pool never gets back. So such a connection is closed.
impl Drop for Pooled {
    fn drop(&mut self) {
        let Some(asked) = self.asked else { return };
        if self.backend() == Backend::MySql || asked.elapsed() >= SILENT {
            self.lose();
        }
    }
}
