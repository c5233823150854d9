use std::any::Any;
use std::env;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cloakroom::{Cache, Clock, Config, ConfigBuilder, Database, ManualClock, SessionTable, Sessions};
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, MySqlPool, PgPool, SqlitePool};
use time::OffsetDateTime;
use time::macros::datetime;

use crate::memory;
use crate::tables::{UserSession, user};

/// The time that every test's clock shows at first.
pub const START: OffsetDateTime = datetime!(2026-11-23 01:48:09.123456 UTC);

/// A test that takes this long hangs.
const PATIENCE: Duration = Duration::from_mins(3);

/// How long the cache keeps sessions in a test: long enough for clocks that are moved by years.
const LONGER_THAN_ANY_TEST: Duration = Duration::from_hours(24 * 365 * 1000);

/// How many connections a test's pool may open; the servers allow a few hundred to all tests together.
const CONNECTIONS: u32 = 10;

/// The databases that every case runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file for each test.
    Sqlite,
    /// A schema for each test.
    Postgres,
    /// A database for each test.
    MariaDb,
}

/// How the calls of a test go to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Each call in a statement of its own.
    OneByOne,
    /// Calls that come at the same time share statements: the default, but for lookups on SQLite.
    Coalesced,
    /// … on SQLite, and lookups go past the pool: the default there.
    Direct,
    /// A cache answers from the first answer on, for longer than any test takes.
    Cached,
    /// … on PostgreSQL, and the node hears what other nodes revoke, as by default.
    Listening,
}

impl Mode {
    /// Returns how calls go to the database by default.
    fn of(kind: Kind) -> Self {
        if kind == Kind::Sqlite { Self::Direct } else { Self::Coalesced }
    }
}

/// A database that belongs to one test: empty at first, with a clock that stands still at [`START`].
#[derive(Debug)]
pub struct TestDatabase {
    kind: Kind,
    mode: Mode,
    url: String,
    schema: Option<String>,
    database: Database,
    clock: Arc<ManualClock>,
    /// Whether the server speaks MariaDB's protocol and is MySQL.
    is_mysql: bool,
    /// The file, which is removed with the test.
    directory: Option<tempfile::TempDir>,
}

/// Runs one case on a database of its own.
///
/// # Panics
///
/// If the case panics, if the database cannot be had, or if the case takes minutes.
pub fn run<F: Future<Output = ()>>(kind: Kind, case: impl FnOnce(TestDatabase) -> F) {
    run_in(Mode::of(kind), kind, case);
}

/// Runs one case in a mode, on a database of its own.
///
/// # Panics
///
/// As [`run`].
pub fn run_in<F: Future<Output = ()>>(mode: Mode, kind: Kind, case: impl FnOnce(TestDatabase) -> F) {
    assert_named_for(kind);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be built");
    runtime.block_on(async {
        let database = TestDatabase { mode, ..TestDatabase::new(kind).await };
        let pool = database.database();
        tokio::time::timeout(PATIENCE, case(database)).await.expect("the case hangs");
        tokio::time::timeout(PATIENCE, pool.close()).await.expect("a connection was leaked");
    });
}

/// Asserts that the running test is in a module that is named for its server. A run that does not ask for the server
/// skips the test by that name.
fn assert_named_for(kind: Kind) {
    let module = match kind {
        Kind::Sqlite => return,
        Kind::Postgres => "postgres::",
        Kind::MariaDb => "mariadb::",
    };
    let thread = std::thread::current();
    // The harness names the thread after the test, if each test has a thread.
    let test = thread.name().filter(|name| *name != "main").unwrap_or(module);
    assert!(test.contains(module), "{test} needs a server, and belongs into a module that ends in {module}");
}

impl TestDatabase {
    /// Creates an empty database on the server that the environment names.
    ///
    /// # Panics
    ///
    /// If there is no such server: a test never runs on less than its name says.
    pub async fn new(kind: Kind) -> Self {
        match kind {
            Kind::Sqlite => Self::sqlite().await,
            Kind::Postgres => Self::postgres(&server_url("CLOAKROOM_TEST_POSTGRES_URL")).await,
            Kind::MariaDb => Self::mariadb(&server_url("CLOAKROOM_TEST_MARIADB_URL")).await,
        }
    }

    async fn sqlite() -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let file = directory.path().join("test.db");
        let url = format!("sqlite:{}", file.display());
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Off)
            .busy_timeout(Duration::from_mins(1));
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).connect_with(options).await;
        let mut database = Self::with_pool(Kind::Sqlite, url, pool.expect("the file can be opened"));
        database.directory = Some(directory);
        database
    }

    async fn postgres(server: &str) -> Self {
        let schema = unique_name();
        let mut admin = sqlx::PgConnection::connect(server).await.expect("the server answers");
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE SCHEMA {schema}")))
            .execute(&mut admin)
            .await
            .expect("a schema can be made");
        admin.close().await.expect("the connection closes");
        let options: PgConnectOptions = server.parse().expect("the URL is one");
        let options = options.options([("search_path", schema.as_str())]);
        // The driver asks for UTC when it connects, which would hide a mistake about time zones.
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).after_connect(|connection, _| {
            Box::pin(async move { connection.execute("SET TIME ZONE 'Asia/Tokyo'").await.map(drop) })
        });
        let pool = pool.connect_with(options).await;
        let separator = if server.contains('?') { '&' } else { '?' };
        let url = format!("{server}{separator}options=-c%20search_path%3D{schema}");
        let mut database = Self::with_pool(Kind::Postgres, url, pool.expect("the server answers"));
        database.schema = Some(schema);
        database
    }

    async fn mariadb(server: &str) -> Self {
        let schema = unique_name();
        let mut admin = sqlx::MySqlConnection::connect(server).await.expect("the server answers");
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {schema}")))
            .execute(&mut admin)
            .await
            .expect("a database can be made");
        let (version,): (String,) =
            sqlx::query_as("SELECT VERSION()").fetch_one(&mut admin).await.expect("the server has a version");
        admin.close().await.expect("the connection closes");
        let options: MySqlConnectOptions = server.parse().expect("the URL is one");
        let pool = MySqlPoolOptions::new()
            .max_connections(CONNECTIONS)
            .connect_with(options.database(&schema))
            .await;
        let (base, _) = server.rsplit_once('/').expect("the URL names a database");
        let url = format!("{base}/{schema}");
        let mut database = Self::with_pool(Kind::MariaDb, url, pool.expect("the server answers"));
        database.is_mysql = !version.contains("MariaDB");
        database.schema = Some(schema);
        database
    }

    fn with_pool(kind: Kind, url: String, pool: impl Into<Database>) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        Self {
            kind,
            mode: Mode::of(kind),
            url,
            schema: None,
            database: pool.into(),
            clock,
            is_mysql: false,
            directory: None,
        }
    }

    /// Returns how its calls go to the database.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Returns which database it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns `true` if the server is MySQL: the environment may name one in MariaDB's place.
    pub fn is_mysql(&self) -> bool {
        self.is_mysql
    }

    /// Returns the server's table of its connections, on MariaDB and MySQL. MySQL's other one cannot be read while
    /// another connection's statement has bytes for a value.
    pub fn processes(&self) -> &'static str {
        if self.is_mysql { "performance_schema.processlist" } else { "information_schema.processlist" }
    }

    /// Returns the URL by which another process reaches the same database.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the schema that is this test's own; none on SQLite.
    pub fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// Returns a name that nothing else on the server has.
    pub fn unique_name(&self) -> String {
        unique_name()
    }

    /// Returns the pool.
    pub fn database(&self) -> Database {
        self.database.clone()
    }

    /// Returns the pool, on SQLite.
    ///
    /// # Panics
    ///
    /// On any other database.
    pub fn sqlite_pool(&self) -> &SqlitePool {
        match &self.database {
            Database::Sqlite(pool) => pool,
            other => panic!("not SQLite: {other:?}"),
        }
    }

    /// Returns the pool, on PostgreSQL.
    ///
    /// # Panics
    ///
    /// On any other database.
    pub fn postgres_pool(&self) -> &PgPool {
        match &self.database {
            Database::Postgres(pool) => pool,
            other => panic!("not PostgreSQL: {other:?}"),
        }
    }

    /// Returns the pool, on MariaDB.
    ///
    /// # Panics
    ///
    /// On any other database.
    pub fn mariadb_pool(&self) -> &MySqlPool {
        match &self.database {
            Database::MySql(pool) => pool,
            other => panic!("not MariaDB: {other:?}"),
        }
    }

    /// Returns the clock that every configuration of this test takes the time from.
    pub fn clock(&self) -> &ManualClock {
        &self.clock
    }

    /// Returns what the clock shows.
    pub fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// Returns a configuration builder with this test's clock, in this test's mode.
    pub fn config(&self) -> ConfigBuilder {
        let config = Config::builder().clock(Arc::clone(&self.clock) as Arc<dyn Clock>);
        let kept = Cache::new(1000).max_staleness(LONGER_THAN_ANY_TEST);
        match self.mode {
            Mode::OneByOne => config.max_batch(1).direct_reads(false),
            Mode::Coalesced => config.direct_reads(false),
            Mode::Direct => config,
            // With a listener, the cache would keep nothing before the listener is heard, nor after the clock was set
            // back.
            Mode::Cached => config.direct_reads(false).cache(kept.listen(false)),
            Mode::Listening => config.cache(kept.lease(LONGER_THAN_ANY_TEST)),
        }
    }

    /// Returns the sessions of a table, migrated, with the default configuration.
    pub async fn sessions<T: SessionTable>(&self) -> Sessions<T> {
        self.sessions_with(self.config()).await
    }

    /// Returns the sessions of a table, migrated, with a configuration begun by [`config`](Self::config). Sessions of
    /// [`UserSession`] are kept from now on if the mode says so.
    ///
    /// # Panics
    ///
    /// If the configuration is invalid, or if the migration fails.
    pub async fn sessions_with<T: SessionTable>(&self, config: ConfigBuilder) -> Sessions<T> {
        let config = config.build().expect("the configuration is sound");
        let sessions = Sessions::new(self.database(), config).expect("the table is sound");
        sessions.migrate().await.expect("the table can be made");
        if self.mode == Mode::Listening
            && let Some(sessions) = (&sessions as &dyn Any).downcast_ref::<Sessions<UserSession>>()
        {
            memory::until_kept(sessions, user("nobody")).await;
        }
        sessions
    }

    /// Runs SQL as it stands, any number of statements.
    ///
    /// # Panics
    ///
    /// If the database refuses it.
    pub async fn execute(&self, sql: &str) {
        self.try_execute(sql).await.expect("the database takes the statement");
    }

    /// Runs SQL as it stands.
    ///
    /// # Panics
    ///
    /// On a database that is not one of the three.
    pub async fn try_execute(&self, sql: &str) -> Result<(), sqlx::Error> {
        run_raw(&self.database, sql).await
    }

    /// Runs SQL on a new connection, as another process would. The pool's connections may remember the tables as they
    /// were: SQLite checks for a change only after a statement has passed its first checks.
    ///
    /// # Panics
    ///
    /// If the database refuses it.
    pub async fn execute_anew(&self, sql: &str) {
        let anew = Database::connect(&self.url).await.expect("the database can be opened once more");
        run_raw(&anew, sql).await.expect("the database takes the statement");
        anew.close().await;
    }

    /// Returns the first column of every row, as text. Cast it to text in the query.
    ///
    /// # Panics
    ///
    /// If the database refuses the query.
    pub async fn texts(&self, sql: &str) -> Vec<Option<String>> {
        let sql = AssertSqlSafe(sql);
        let rows: Result<Vec<(Option<String>,)>, _> = match &self.database {
            Database::Sqlite(pool) => sqlx::query_as(sql).fetch_all(pool).await,
            Database::Postgres(pool) => sqlx::query_as(sql).fetch_all(pool).await,
            Database::MySql(pool) => sqlx::query_as(sql).fetch_all(pool).await,
            other => panic!("no such database: {other:?}"),
        };
        rows.expect("the database takes the query").into_iter().map(|(text,)| text).collect()
    }

    /// Ends the connections to PostgreSQL that meet a condition on `pg_stat_activity`, waits until they are gone, and
    /// returns how many there were. `pg_terminate_backend` waits by itself only from version 14 on.
    ///
    /// # Panics
    ///
    /// If the database refuses it.
    pub async fn end_connections(&self, condition: &str) -> usize {
        let end =
            "SELECT CASE WHEN pg_terminate_backend(pid) THEN pid::text END FROM pg_stat_activity WHERE ";
        let ended: Vec<_> = self.texts(&format!("{end}{condition}")).await.into_iter().flatten().collect();
        let left = "SELECT pid::text FROM pg_stat_activity WHERE pid = ANY";
        while !self.texts(&format!("{left} ('{{{}}}'::int[])", ended.join(","))).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        ended.len()
    }
}

async fn run_raw(database: &Database, sql: &str) -> Result<(), sqlx::Error> {
    let sql = sqlx::raw_sql(AssertSqlSafe(sql));
    match database {
        Database::Sqlite(pool) => sql.execute(pool).await.map(drop),
        Database::Postgres(pool) => sql.execute(pool).await.map(drop),
        Database::MySql(pool) => sql.execute(pool).await.map(drop),
        other => panic!("no such database: {other:?}"),
    }
}

fn server_url(variable: &str) -> String {
    env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: run `cargo xtask test`, which starts the server"))
}

fn unique_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // A server outlives the processes that test on it, and sees the same process numbers again.
    let now = OffsetDateTime::now_utc().unix_timestamp();
    // Digits alone: a test that looks for bytes of a value in an error must not find them in a name.
    format!("t{now}_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
