//! A gate in the middle of a statement: shut, it holds a lookup that has read its row and not answered yet.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use cloakroom::{ConfigBuilder, Database, SessionTable, Sessions, TableDefinition};
use cloakroom_testing::{TestDatabase, UserSession, hold_connections};
use sqlx::mysql::MySqlPoolOptions;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{AssertSqlSafe, Connection, Executor};

use crate::PATIENCE;

/// By then a statement of SQLite's has begun to read, and has not answered.
const OPERATIONS: i32 = 12;
/// The name of MariaDB's lock that is the gate.
const KEY: &str = "SHA2(DATABASE(), 256)";

/// One table by two ways: one goes through the gate, one does not.
pub(crate) struct Gated {
    pub(crate) sessions: Sessions<UserSession>,
    pub(crate) direct: Sessions<UserSession>,
    gate: Gate,
}

enum Gate {
    Sqlite(Arc<Latch>),
    Postgres(sqlx::PgConnection),
    MariaDb(sqlx::MySqlConnection, Database),
}

#[derive(Default)]
struct Latch {
    state: Mutex<State>,
    opened: Condvar,
}

#[derive(Default)]
struct State {
    is_shut: bool,
    waiting: usize,
}

impl Latch {
    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.waiting += 1;
        while state.is_shut {
            state = self.opened.wait(state).unwrap();
        }
        state.waiting -= 1;
    }
}

impl Gated {
    /// A gate that stands open, and as many connections as are needed.
    pub(crate) async fn new(db: &TestDatabase, config: ConfigBuilder) -> Self {
        let direct = db.sessions_with::<UserSession>(config.clone()).await;
        let (pool, gate) = match db.database() {
            Database::Sqlite(pool) => {
                let latch = Arc::new(Latch::default());
                let options = SqlitePoolOptions::new().max_connections(12).after_connect({
                    let latch = Arc::clone(&latch);
                    move |connection, _| {
                        let latch = Arc::clone(&latch);
                        Box::pin(async move {
                            connection.lock_handle().await?.set_progress_handler(OPERATIONS, move || {
                                latch.pass();
                                true
                            });
                            Ok(())
                        })
                    }
                });
                let pool = options.connect_with((*pool.connect_options()).clone()).await.unwrap();
                (Database::from(pool), Gate::Sqlite(latch))
            }
            Database::Postgres(pool) => {
                let mut holder = pool.acquire().await.unwrap().detach();
                holder
                    .execute(
                        "CREATE FUNCTION passes() RETURNS boolean VOLATILE LANGUAGE plpgsql AS $$ BEGIN
                             PERFORM pg_advisory_xact_lock_shared(hashtext(current_schema()));
                             RETURN true;
                         END $$;
                         CREATE VIEW gated AS SELECT * FROM sessions WHERE passes()",
                    )
                    .await
                    .unwrap();
                let options = PgPoolOptions::new().max_connections(12);
                let pool = options.connect_with((*pool.connect_options()).clone()).await.unwrap();
                (pool.into(), Gate::Postgres(holder))
            }
            Database::MySql(pool) => {
                let holder = pool.acquire().await.unwrap().detach();
                let function = format!(
                    "CREATE FUNCTION passes() RETURNS INT NOT DETERMINISTIC READS SQL DATA
                     RETURN IF(GET_LOCK({KEY}, 60) = 1, RELEASE_LOCK({KEY}), 0)"
                );
                db.execute(&function).await;
                db.execute("CREATE VIEW gated AS SELECT * FROM sessions WHERE passes() = 1").await;
                let options = MySqlPoolOptions::new().max_connections(12);
                let gated = options.connect_with((*pool.connect_options()).clone()).await.unwrap();
                (gated.into(), Gate::MariaDb(holder, db.database()))
            }
            other => panic!("no such database: {other:?}"),
        };
        let name = if matches!(gate, Gate::Sqlite(_)) { "sessions" } else { "gated" };
        let fields = UserSession::definition().fields().to_vec();
        let definition = fields.into_iter().fold(TableDefinition::new(name), TableDefinition::field);
        let config = config.build().unwrap();
        let sessions = Sessions::with_definition(pool, definition, config).unwrap();
        // A connection is driven by the runtime that has opened it, and a case may have one that nothing drives.
        drop(hold_connections(sessions.database()).await);
        // The first lookup of a handle also asks what columns the table has.
        assert_eq!(sessions.authenticate([b'x'; 64]).await.unwrap(), None);
        Self { sessions, direct, gate }
    }

    /// Shuts the gate.
    pub(crate) async fn shut(&mut self) {
        match &mut self.gate {
            Gate::Sqlite(latch) => latch.state.lock().unwrap().is_shut = true,
            Gate::Postgres(holder) => {
                let lock = "SELECT pg_advisory_lock(hashtext(current_schema()))";
                holder.execute(lock).await.unwrap();
            }
            Gate::MariaDb(holder, _) => {
                let lock = AssertSqlSafe(format!("SELECT GET_LOCK({KEY}, 60)"));
                holder.execute(lock).await.unwrap();
            }
        }
    }

    /// Opens the gate.
    pub(crate) async fn open(&mut self) {
        match &mut self.gate {
            Gate::Sqlite(latch) => {
                latch.state.lock().unwrap().is_shut = false;
                latch.opened.notify_all();
            }
            Gate::Postgres(holder) => {
                holder.execute("SELECT pg_advisory_unlock_all()").await.unwrap();
            }
            Gate::MariaDb(holder, _) => {
                holder.execute(AssertSqlSafe(format!("SELECT RELEASE_LOCK({KEY})"))).await.unwrap();
            }
        }
    }

    /// How many statements stand before the gate.
    async fn waiting(&mut self) -> i64 {
        match &mut self.gate {
            Gate::Sqlite(latch) => i64::try_from(latch.state.lock().unwrap().waiting).unwrap(),
            Gate::Postgres(holder) => sqlx::query_scalar(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                 AND objid = (hashtext(current_schema())::bigint & 4294967295)::oid",
            )
            .fetch_one(holder)
            .await
            .unwrap(),
            Gate::MariaDb(_, Database::MySql(pool)) => sqlx::query_scalar(
                "SELECT count(*) /*M! FROM information_schema.processlist */
                 /*!80017 FROM performance_schema.processlist */ WHERE db = DATABASE() AND state = 'User lock'",
            )
            .fetch_one(&*pool)
            .await
            .unwrap(),
            Gate::MariaDb(..) => unreachable!(),
        }
    }

    /// Waits until so many statements stand before the gate.
    pub(crate) async fn reached(&mut self, count: i64) {
        let begun = std::time::Instant::now();
        loop {
            let waiting = self.waiting().await;
            assert!(waiting <= count, "{waiting} statements are out");
            if waiting == count {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{waiting} statements are out, not {count}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends all connections.
    pub(crate) async fn close(self) {
        match self.gate {
            Gate::Sqlite(_) => {}
            Gate::Postgres(holder) => holder.close().await.unwrap(),
            Gate::MariaDb(holder, _) => holder.close().await.unwrap(),
        }
        self.sessions.database().close().await;
    }
}
