//! The statements that the driver ran, in the order in which they ended, as it reports them to `tracing`.

use std::fmt::Debug;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use cloakroom::{Config, ConfigBuilder, Database, SessionTable, Sessions, TableDefinition};
use cloakroom_testing::TestDatabase;
use futures_util::future::try_join_all;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Sessions whose statements are watched: in a table of a name that no other test has, on a pool of their own.
pub(crate) struct Watched<T> {
    pub(crate) sessions: Sessions<T>,
    /// The table's name.
    pub(crate) table: String,
    pool: Database,
}

/// The settings, with which every statement is the driver's.
fn by_the_driver(config: ConfigBuilder) -> Config {
    config.direct_reads(false).build().unwrap()
}

impl<T: SessionTable> Watched<T> {
    /// Makes the table.
    pub(crate) async fn on(db: &TestDatabase, pool: Database, config: ConfigBuilder) -> Self {
        static ONCE: Once = Once::new();
        // One for the whole process: SQLite's statements run on threads of the driver's own.
        ONCE.call_once(|| tracing::subscriber::set_global_default(Watcher).expect("nobody else watches"));
        let table = format!("watched_{}", db.unique_name());
        let fields = T::definition().fields().to_vec();
        let (own, named) = (T::definition(), TableDefinition::new(table.clone()));
        let mut definition = fields.into_iter().fold(named, TableDefinition::field);
        definition = if own.exchanges_tokens() { definition.exchange() } else { definition };
        definition = if own.has_rotation_grace() { definition.rotation_grace() } else { definition };
        definition = if own.keeps_audit_log() { definition.audit_log() } else { definition };
        let config = by_the_driver(config);
        let sessions = Sessions::with_definition(pool.clone(), definition, config).unwrap();
        sessions.migrate().await.unwrap();
        Self { sessions, table, pool }
    }

    /// The same table with other settings.
    #[allow(dead_code, reason = "another suite that compiles this file has one setting")]
    pub(crate) fn with(&self, config: ConfigBuilder) -> Self {
        let (table, config) = (self.sessions.definition().clone(), by_the_driver(config));
        let sessions = Sessions::with_definition(self.pool.clone(), table, config).unwrap();
        Self { sessions, table: self.table.clone(), pool: self.pool.clone() }
    }

    /// The statements on the table that an operation runs.
    pub(crate) async fn statements(&self, operation: impl Future) -> Vec<String> {
        let before = self.settled().await.len();
        operation.await;
        self.settled().await.split_off(before)
    }

    async fn settled(&self) -> Vec<String> {
        // A statement is reported when the connection is done with it, so at the latest with the next one.
        macro_rules! next_on_each {
            ($pool:expr) => {{
                let all = (0..$pool.options().get_max_connections()).map(|_| $pool.acquire());
                for mut connection in try_join_all(all).await.unwrap() {
                    sqlx::raw_sql("SELECT 1").execute(&mut *connection).await.unwrap();
                }
            }};
        }
        match &self.pool {
            Database::Sqlite(pool) => next_on_each!(pool),
            Database::Postgres(pool) => next_on_each!(pool),
            Database::MySql(pool) => next_on_each!(pool),
            other => panic!("no such database: {other:?}"),
        }
        seen().iter().filter(|sql| sql.contains(&self.table)).cloned().collect()
    }
}

fn seen() -> MutexGuard<'static, Vec<String>> {
    SEEN.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Watcher;

impl Subscriber for Watcher {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut statement = Statement::default();
        event.record(&mut statement);
        // A statement of few words is all summary.
        let sql = if statement.sql.is_empty() { statement.summary } else { statement.sql };
        // None of the library's is as long as those that fill a table.
        if sql.len() < 100_000 {
            seen().push(sql.trim().to_owned());
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Statement {
    summary: String,
    sql: String,
}

impl Visit for Statement {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => value.clone_into(&mut self.summary),
            "db.statement" => value.clone_into(&mut self.sql),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}
