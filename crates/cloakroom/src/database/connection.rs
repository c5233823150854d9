use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::time::Duration;

use super::after_commit::AfterCommit;
use super::again::{Again, Asks};
use super::bare::{Answer, Bare, Wanted};
use super::guard::{Guard, guard_write};
use super::list::{match_database, with_databases};
use super::pool::Pool;
use super::pooled::Pooled;
use super::row::Row;
use super::statement::Statement;
use super::{Backend, Cause, classify};
use crate::error::{Error, ErrorKind, Result};
use crate::observe::{self, Retry};

/// How often a statement that lost a deadlock is run again.
const DEADLOCK_RETRIES: u32 = 10;

/// The longest pause before that. All pauses together take a third of a second at most.
const LONGEST_PAUSE: Duration = Duration::from_millis(64);

/// Returns how long to wait before a statement is run again for the `retry`th time, from 0: any time up to a bound that
/// doubles. Statements that waited for the same time would meet again.
pub(crate) fn pause(retry: u32) -> Duration {
    let bound = Duration::from_millis(1 << retry.min(16)).min(LONGEST_PAUSE);
    // A number that is random enough, from the keys of an empty hash.
    let random = RandomState::new().hash_one(retry);
    bound.mul_f64(f64::from((random >> 32) as u32) / f64::from(u32::MAX))
}

/// The application's own pool of connections to one of the supported databases.
///
/// Convert a sqlx pool with `From`, as [`Sessions::new`](crate::Sessions::new) does, or open one with
/// [`Database::connect`].
#[derive(Clone)]
#[non_exhaustive]
pub enum Database {
    /// A pool of SQLite connections.
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::SqlitePool),
    /// A pool of PostgreSQL connections.
    #[cfg(feature = "postgres")]
    Postgres(sqlx::PgPool),
    /// A pool of MariaDB or MySQL connections.
    #[cfg(feature = "mysql")]
    MySql(sqlx::MySqlPool),
}

impl Database {
    /// Opens a pool from a URL: `sqlite:file.db`, `postgres://…`, `mysql://…`.
    ///
    /// A SQLite file is made if it does not exist: by `sqlite:file.db`, and by `sqlite:file.db?mode=rwc`. With `?mode=rw` or
    /// `?mode=ro` it must exist. It is opened with settings that suit sessions: WAL, so that readers do not wait for writers,
    /// `synchronous = FULL`, and a busy time-out of five seconds. An application that already has a pool passes it to
    /// [`Sessions::new`](crate::Sessions::new) instead.
    ///
    /// # Durability on SQLite
    ///
    /// With `synchronous = FULL` each commit waits for the disk. `NORMAL` is often recommended for WAL. With it a power
    /// cut, a crash of the operating system or a disk error can undo the last commits, although they were acknowledged
    /// ([SQLite's manual](https://www.sqlite.org/pragma.html#pragma_synchronous)): a session that was logged out is
    /// valid again, and so is a token that was rotated away. Many concurrent creates share their commits, so they cost no
    /// more with `FULL`. Writes that come one after another each take longer by the time of an `fsync`. The figures are
    /// in `docs/performance.md`.
    ///
    /// A pool of the application's own has `FULL` unless it sets something else, since that is the default of SQLite
    /// and of sqlx. An application that can afford to lose the last log-outs opens one with `NORMAL`:
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")]
    /// # async fn example() -> Result<(), sqlx::Error> {
    /// # use std::time::Duration;
    /// use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqliteSynchronous};
    ///
    /// let options = SqliteConnectOptions::new()
    ///     .filename("sessions.db")
    ///     .journal_mode(SqliteJournalMode::Wal)
    ///     .synchronous(SqliteSynchronous::Normal)
    ///     .busy_timeout(Duration::from_secs(5));
    /// let pool = SqlitePool::connect_with(options).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for a URL of another kind, or of a database that has its feature
    /// turned off; [`Unavailable`](crate::ErrorKind::Unavailable) if no server answers within ten seconds, or if the
    /// server refuses the connection.
    pub async fn connect(url: &str) -> Result<Self> {
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        match scheme {
            #[cfg(feature = "sqlite")]
            "sqlite" => super::sqlite::connect(url).await.map(Self::Sqlite),
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => super::postgres::connect(url).await.map(Self::Postgres),
            #[cfg(feature = "mysql")]
            "mysql" | "mariadb" => super::mysql::connect(url).await.map(Self::MySql),
            _ => Err(Error::new(
                ErrorKind::Unsupported,
                "the database's URL must begin with sqlite:, postgres: or mysql:, and the crate be built with that feature",
            )),
        }
    }

    /// Returns which kind of database it is.
    pub fn backend(&self) -> Backend {
        match_database!(self, Database(_pool) in driver => driver::BACKEND)
    }

    /// Closes the pool and waits for its connections to end.
    pub async fn close(&self) {
        match_database!(self, Database(pool) => pool.close().await);
    }
}

/// Shows only the kind of database, since a pool's options hold the password.
impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({})", self.backend())
    }
}

/// The connection that a statement runs on: any connection of the pool, or the caller's own, inside its transaction.
///
/// Made with `From` of `&mut` a [`Transaction`](crate::Transaction), of `&mut sqlx::Transaction`, or of `&mut` a
/// connection of sqlx.
pub struct Connection<'c>(pub(crate) Place<'c>);

pub(crate) enum Place<'c> {
    /// Any connection of the pool; each statement commits by itself.
    Pool(Pool),
    /// One connection of the pool; each statement commits by itself.
    Pooled(&'c mut Pooled),
    /// The caller's own.
    Own(Bare<'c>, Rule, AfterCommit),
}

/// What a connection of the caller's must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A transaction of the driver's is open.
    Transaction,
    /// A transaction is open, no matter how it was begun.
    AnyTransaction,
    /// No condition.
    Free,
}

impl fmt::Debug for Connection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_pool() { "Connection(pool)" } else { "Connection(transaction)" })
    }
}

macro_rules! conversions {
    ([$(($feature:literal, $variant:ident, $module:ident, $connection:ident))*]) => {
        $(
            #[cfg(feature = $feature)]
            impl<'c> From<&'c mut sqlx::$connection> for Connection<'c> {
                fn from(connection: &'c mut sqlx::$connection) -> Self {
                    Self(Place::Own(Bare::$variant(connection), Rule::AnyTransaction, AfterCommit::default()))
                }
            }

            #[cfg(feature = $feature)]
            impl<'c> From<&'c mut sqlx::Transaction<'_, sqlx::$variant>> for Connection<'c> {
                fn from(transaction: &'c mut sqlx::Transaction<'_, sqlx::$variant>) -> Self {
                    Self(Place::Own(Bare::$variant(&mut **transaction), Rule::Transaction, AfterCommit::default()))
                }
            }

            #[cfg(feature = $feature)]
            impl From<sqlx::Pool<sqlx::$variant>> for Database {
                fn from(pool: sqlx::Pool<sqlx::$variant>) -> Self {
                    Self::$variant(pool)
                }
            }
        )*
    };
}

with_databases! { [conversions] }

impl<'c> Connection<'c> {
    /// Stands for any connection of the pool.
    pub(crate) fn pool(pool: &Pool) -> Self {
        Self(Place::Pool(pool.clone()))
    }

    /// Stands for any connection of the pool, whose statements see what was committed on any node of a cluster before
    /// they were sent.
    pub(crate) fn of(database: &Database) -> Self {
        Self(Place::Pool(Pool::new(database.clone(), true).without_note_of_a_standby()))
    }

    /// Stands for one connection of the pool.
    pub(crate) fn pooled(pooled: &'c mut Pooled) -> Self {
        Self(Place::Pooled(pooled))
    }

    /// Returns the same connection of the caller's, with or without an open transaction.
    pub(crate) fn free(self) -> Self {
        match self.0 {
            Place::Own(bare, _, after) => Self(Place::Own(bare, Rule::Free, after)),
            place => Self(place),
        }
    }

    /// Returns the same connection. If it is the caller's, a transaction must be open on it.
    pub(crate) fn in_transaction(self) -> Self {
        match self.0 {
            Place::Own(bare, Rule::Free, after) => Self(Place::Own(bare, Rule::AnyTransaction, after)),
            place => Self(place),
        }
    }

    /// Returns `true` if each statement commits by itself.
    pub(crate) fn is_pool(&self) -> bool {
        !matches!(self.0, Place::Own(..))
    }

    /// Fails if it is a connection of the caller's on which no transaction is open.
    pub(crate) async fn require_transaction(&mut self) -> Result<(), sqlx::Error> {
        match &mut self.0 {
            Place::Own(bare, ..) => bare.check(Rule::AnyTransaction).await,
            Place::Pool(_) | Place::Pooled(_) => Ok(()),
        }
    }

    /// Returns what waits for the commit of the caller's transaction, if the connection is the caller's.
    pub(crate) fn after_commit(&self) -> Option<&AfterCommit> {
        match &self.0 {
            Place::Own(_, _, after) => Some(after),
            Place::Pool(_) | Place::Pooled(_) => None,
        }
    }

    /// Returns the same connection of the caller's, with what waits for its commit.
    pub(super) fn with_after_commit(self, after: AfterCommit) -> Self {
        match self.0 {
            Place::Own(bare, rule, _) => Self(Place::Own(bare, rule, after)),
            place => Self(place),
        }
    }

    /// Returns `true` if each statement takes a connection of the pool for itself.
    pub(crate) fn is_any_of_pool(&self) -> bool {
        matches!(self.0, Place::Pool(_))
    }

    pub(crate) fn backend(&self) -> Backend {
        match &self.0 {
            Place::Pool(pool) => pool.backend(),
            Place::Pooled(pooled) => pooled.backend(),
            Place::Own(bare, ..) => bare.backend(),
        }
    }

    /// Returns the same connection, for a shorter lifetime.
    pub(crate) fn reborrow(&mut self) -> Connection<'_> {
        Connection(match &mut self.0 {
            Place::Pool(pool) => Place::Pool(pool.clone()),
            Place::Pooled(pooled) => Place::Pooled(pooled),
            Place::Own(bare, rule, after) => Place::Own(bare.reborrow(), *rule, after.clone()),
        })
    }

    pub(crate) async fn fetch_all(&mut self, statement: &Statement) -> Result<Vec<Row>, sqlx::Error> {
        Ok(self.run(statement, Wanted::Rows, Asks::Read).await?.rows)
    }

    pub(crate) async fn fetch_optional(&mut self, statement: &Statement) -> Result<Option<Row>, sqlx::Error> {
        Ok(self.run(statement, Wanted::FirstRow, Asks::Read).await?.rows.pop())
    }

    /// Runs a statement that writes and returns no rows. Returns the number of rows that it wrote.
    ///
    /// On the pool, a statement that the database rolled back to end a deadlock runs again, a limited number of times and
    /// after pauses that grow.
    /// Inside the caller's transaction it does not run again, since the whole transaction was rolled back.
    pub(crate) async fn execute(&mut self, statement: &Statement) -> Result<u64, sqlx::Error> {
        if !self.is_pool() {
            return Ok(self.run(statement, Wanted::Count, Asks::Write).await?.written);
        }
        let (answer, guard) = self.write(statement, Wanted::Count).await?;
        answer.written(guard)
    }

    /// Runs a statement that writes and returns rows, as [`execute`](Self::execute) does.
    pub(crate) async fn execute_returning(&mut self, statement: &Statement) -> Result<Vec<Row>, sqlx::Error> {
        if !self.is_pool() {
            return Ok(self.run(statement, Wanted::Rows, Asks::Write).await?.rows);
        }
        Ok(self.write(statement, Wanted::Rows).await?.0.rows)
    }

    async fn write(&mut self, statement: &Statement, wanted: Wanted) -> Result<(Answer, Guard), sqlx::Error> {
        let guarded;
        let is_known_clear = matches!(&self.0, Place::Pooled(pooled) if pooled.is_known_clear());
        let statement = if statement.guard == Guard::None && !is_known_clear {
            guarded = guard_write(self.backend(), statement);
            &guarded
        } else {
            statement
        };
        let wanted = match statement.guard {
            Guard::LastColumn | Guard::Count => Wanted::Rows,
            _ => wanted,
        };
        let mut retries = 0;
        loop {
            match self.run(statement, wanted, Asks::Write).await {
                Err(sqlx::Error::Database(error))
                    if retries < DEADLOCK_RETRIES && classify(&*error).cause == Cause::Transient =>
                {
                    observe::statement_retried(self.backend().label(), Retry::Deadlock);
                    tokio::time::sleep(pause(retries)).await;
                    retries += 1;
                }
                Err(error) => return Err(error),
                Ok(answer) => return Ok((answer, statement.guard)),
            }
        }
    }

    /// Returns a boxed future of an erased type. Otherwise the types of the futures around it would become too deep for
    /// the compiler, in applications too.
    fn run<'a>(
        &'a mut self,
        statement: &'a Statement,
        wanted: Wanted,
        asks: Asks,
    ) -> Pin<Box<dyn Future<Output = Result<Answer, sqlx::Error>> + Send + 'a>> {
        Box::pin(async move {
            match &mut self.0 {
                Place::Pool(pool) => pool.acquire().await?.run(statement, wanted, asks).await,
                Place::Pooled(pooled) => pooled.run(statement, wanted, asks).await,
                Place::Own(bare, rule, _) => {
                    bare.check(*rule).await?;
                    let answer = bare.run(statement, wanted).await;
                    if let Err(error) = &answer
                        && Again::after(error, asks) == Again::SameAfterForgetting
                    {
                        // The error says that the caller's transaction has ended. The next transaction must not fail
                        // for the same reason.
                        let _ = bare.forget_statements().await;
                    }
                    answer
                }
            }
        })
    }

    /// Runs one statement of a migration, without preparing it.
    pub(crate) async fn execute_raw(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        match &mut self.0 {
            Place::Pool(pool) => pool.acquire().await?.execute_raw(sql).await,
            Place::Pooled(pooled) => pooled.execute_raw(sql).await,
            Place::Own(bare, ..) => bare.execute_raw(sql).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_differ() {
        let longest = |retry| (0..200).map(|_| pause(retry)).max().unwrap_or_default();
        for (retry, bound) in [(0, 1), (3, 8), (6, 64), (7, 64), (u32::MAX, 64)] {
            let (longest, bound) = (longest(retry), Duration::from_millis(bound));
            assert!(longest <= bound && longest > bound / 2, "{retry}: {longest:?}");
        }
        assert_ne!(pause(6), pause(6));
    }
}
