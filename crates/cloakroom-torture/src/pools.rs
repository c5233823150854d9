//! The application's own pools, and the transactions that it begins on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cloakroom::{Backend, Database, Operations, SessionTable, Sessions, TableDefinition};
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, MySql, Postgres, Sqlite, Transaction};

use crate::settings::Kind;

/// The tables of the workload, which are of one form. Each has announcements and caches of its own, and a transaction may
/// write both.
pub(crate) const TABLES: [&str; 2] = ["torture_sessions", "torture_others"];

/// The form of the tables.
#[derive(Clone, Debug, SessionTable)]
#[session(table = "torture_sessions")]
pub(crate) struct Coat {
    #[session(index)]
    pub(crate) user_id: String,
    pub(crate) label: i64,
    /// The number of the last update.
    pub(crate) mark: i64,
}

/// Returns the definition of one of the [tables](TABLES).
pub(crate) fn definition(table: &'static str) -> TableDefinition {
    let fields = Coat::definition().fields().to_vec();
    fields.into_iter().fold(TableDefinition::new(table), TableDefinition::field)
}

/// A wait for a connection or a lock that takes longer than this is an error.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection that does not answer for this long when it comes back to the pool is closed.
const ANSWERING: Duration = Duration::from_secs(2);

/// The room on SQLite's disk: a limit on its pages, which is set on every connection.
#[derive(Clone, Debug)]
pub(crate) struct Room(Arc<AtomicU32>);

impl Room {
    const ENOUGH: u32 = 1_000_000;

    pub(crate) fn enough() -> Self {
        Self(Arc::new(AtomicU32::new(Self::ENOUGH)))
    }

    pub(crate) fn set(&self, is_full: bool) {
        // SQLite raises a limit below the file's size to that size.
        self.0.store(if is_full { 1 } else { Self::ENOUGH }, Ordering::SeqCst);
    }

    async fn tell(&self, connection: &mut sqlx::SqliteConnection) -> Result<(), sqlx::Error> {
        let pages = self.0.load(Ordering::SeqCst);
        connection.execute(AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"))).await.map(drop)
    }
}

/// Opens a pool, with the settings of an application that must not wait for ever.
pub(crate) async fn open(
    kind: Kind,
    url: &str,
    connections: u32,
    room: &Room,
    is_relaxed: bool,
) -> Result<Database, sqlx::Error> {
    Ok(match kind {
        Kind::Sqlite => {
            let options: SqliteConnectOptions = url.parse()?;
            let synchronous = if is_relaxed { SqliteSynchronous::Normal } else { SqliteSynchronous::Full };
            let options =
                options.create_if_missing(true).journal_mode(SqliteJournalMode::Wal).busy_timeout(PATIENCE);
            let options = options.synchronous(synchronous);
            let (opened, taken) = (room.clone(), room.clone());
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(2 * PATIENCE)
                .after_connect(move |connection, _| {
                    let room = opened.clone();
                    Box::pin(async move { room.tell(connection).await })
                })
                .before_acquire(move |connection, _| {
                    let room = taken.clone();
                    Box::pin(async move { room.tell(connection).await.map(|()| true) })
                })
                .connect_with(options)
                .await?
                .into()
        }
        Kind::Postgres => {
            let options: PgConnectOptions = url.parse()?;
            let pool = PgPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(2 * PATIENCE)
                // The pool itself waits without an end for what a silent server owes to a transaction that was dropped.
                .after_release(|connection, _| Box::pin(async { Ok(answers(connection.ping()).await) }));
            // pgbouncer knows no option of a connection's start.
            let relaxed = if is_relaxed { "; SET synchronous_commit = off" } else { "" };
            let pool = pool.after_connect(move |connection, _| {
                let statement = format!("SET lock_timeout = '{}s'{relaxed}", PATIENCE.as_secs());
                Box::pin(async move { connection.execute(AssertSqlSafe(statement)).await.map(drop) })
            });
            pool.connect_with(options).await?.into()
        }
        Kind::MariaDb => {
            let options: MySqlConnectOptions = url.parse()?;
            let pool = MySqlPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(2 * PATIENCE)
                // If a transaction ends while one of its calls is dropped midway, and that call was the first of its
                // SQL on that connection, the driver (sqlx 0.9) waits in vain for the rest of the answers. Without this
                // hook the pool would never get the connection back.
                .after_release(|connection, _| Box::pin(async { Ok(answers(connection.ping()).await) }));
            let relaxed = if is_relaxed { ", GLOBAL innodb_flush_log_at_trx_commit = 0" } else { "" };
            let pool = pool.after_connect(move |connection, _| {
                let statement = format!("SET innodb_lock_wait_timeout = {}{relaxed}", PATIENCE.as_secs());
                Box::pin(async move { connection.execute(AssertSqlSafe(statement)).await.map(drop) })
            });
            pool.connect_with(options).await?.into()
        }
    })
}

async fn answers(ping: impl Future<Output = Result<(), sqlx::Error>>) -> bool {
    tokio::time::timeout(ANSWERING, ping).await.is_ok_and(|pong| pong.is_ok())
}

/// A transaction of sqlx's.
pub(crate) enum Open<'c> {
    Sqlite(Transaction<'c, Sqlite>),
    Postgres(Transaction<'c, Postgres>),
    MariaDb(Transaction<'c, MySql>),
}

/// Runs `$body` with the transaction of any of the databases.
macro_rules! each {
    ($open:expr, |$transaction:ident| $body:expr) => {
        match $open {
            Open::Sqlite($transaction) => $body,
            Open::Postgres($transaction) => $body,
            Open::MariaDb($transaction) => $body,
        }
    };
}

impl Open<'static> {
    /// Begins by `pool.begin()`, or on SQLite at times by a statement that takes the lock for writers at once.
    pub(crate) async fn own(database: &Database, takes_lock: bool) -> Result<Self, sqlx::Error> {
        Ok(match database {
            Database::Sqlite(pool) if takes_lock => Self::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?),
            Database::Sqlite(pool) => Self::Sqlite(pool.begin().await?),
            Database::Postgres(pool) => Self::Postgres(pool.begin().await?),
            Database::MySql(pool) => Self::MariaDb(pool.begin().await?),
            other => unreachable!("no such database: {other:?}"),
        })
    }
}

/// A transaction that the library began. It hands over sqlx's own.
impl From<cloakroom::Transaction> for Open<'static> {
    fn from(transaction: cloakroom::Transaction) -> Self {
        match transaction.backend() {
            Backend::Sqlite => Self::Sqlite(transaction.into_sqlite()),
            Backend::Postgres => Self::Postgres(transaction.into_postgres()),
            Backend::MySql => Self::MariaDb(transaction.into_mysql()),
            other => unreachable!("no such database: {other}"),
        }
    }
}

impl Open<'_> {
    /// Begins by `tx.begin()`.
    pub(crate) async fn begin(&mut self) -> Result<Open<'_>, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(transaction) => Open::Sqlite(transaction.begin().await?),
            Self::Postgres(transaction) => Open::Postgres(transaction.begin().await?),
            Self::MariaDb(transaction) => Open::MariaDb(transaction.begin().await?),
        })
    }

    pub(crate) fn within(&mut self, sessions: &Sessions<Coat>) -> Operations<'_, Coat> {
        each!(self, |transaction| sessions.within(transaction))
    }

    pub(crate) async fn execute(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        each!(self, |transaction| transaction.execute(sql).await.map(drop))
    }

    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        each!(self, |transaction| transaction.commit().await)
    }

    pub(crate) async fn rollback(self) -> Result<(), sqlx::Error> {
        each!(self, |transaction| transaction.rollback().await)
    }
}
