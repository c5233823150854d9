//! A database of PostgreSQL's with the tables and rows of the original, as its own SQL makes them.

use cloakroom::{ConfigBuilder, SessionTable, Sessions};
use cloakroom_testing::TestDatabase;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Executor as _, raw_sql};
use time::OffsetDateTime;
use time::macros::datetime;

use crate::files::{Golden, ROWS, SCHEMA, StoredRow};

/// When the golden rows were captured: a second after the last of them was written.
pub(crate) const CAPTURED: OffsetDateTime = datetime!(2026-11-23 02:02:00 UTC);

/// The type of the instants' columns: the original's migrations leave the choice to its configuration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Instants {
    Timestamp,
    Timestamptz,
}

/// The original's database. Its connections are those of a server that lives in Tokyo.
pub(crate) struct Original {
    pub(crate) db: TestDatabase,
    pub(crate) pool: PgPool,
    pub(crate) instants: Instants,
}

/// The original's first table.
#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "sessions")]
pub(crate) struct GoldenSession {
    #[session(index)]
    pub(crate) user_id: String,
}

/// The original's second table.
#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(schema = "auth", table = "api_keys")]
pub(crate) struct GoldenKey {
    #[session(index)]
    pub(crate) user_id: String,
    pub(crate) role: String,
    pub(crate) quota: i32,
}

impl Original {
    pub(crate) async fn new(db: TestDatabase, instants: Instants) -> Self {
        db.clock().set(CAPTURED);
        let name = format!("golden_{}", db.schema().unwrap());
        db.execute(&format!("CREATE DATABASE {name} TEMPLATE template0")).await;
        let options = PgConnectOptions::clone(&db.postgres_pool().connect_options());
        let options = options.database(&name).options([("search_path", "public")]);
        let pool = PgPoolOptions::new().max_connections(10).after_connect(|connection, _| {
            Box::pin(async move { connection.execute("SET TIME ZONE 'Asia/Tokyo'").await.map(drop) })
        });
        let pool = pool.connect_with(options).await.unwrap();
        let original = Self { db, pool, instants };
        original.execute(SCHEMA).await;
        original.execute(ROWS).await;
        if instants == Instants::Timestamptz {
            for (table, column) in ["public.sessions", "auth.api_keys"]
                .iter()
                .flat_map(|table| ["expires_at", "inserted_at", "updated_at"].map(|column| (table, column)))
            {
                original
                    .execute(&format!(
                        "ALTER TABLE {table} ALTER {column} TYPE timestamptz USING {column} AT TIME ZONE 'UTC'"
                    ))
                    .await;
            }
        }
        assert_eq!(original.texts("SELECT current_setting('TimeZone')").await, ["Asia/Tokyo"]);
        original
    }

    /// The sessions of a table under this configuration, with the table adopted.
    pub(crate) async fn adopt<T: SessionTable>(&self, config: ConfigBuilder) -> Sessions<T> {
        let sessions = self.sessions(config);
        sessions.migrate().await.unwrap();
        sessions
    }

    pub(crate) fn sessions<T: SessionTable>(&self, config: ConfigBuilder) -> Sessions<T> {
        Sessions::new(self.pool.clone(), config.build().unwrap()).unwrap()
    }

    /// The configuration under which a row was written.
    pub(crate) fn config_of(&self, golden: &Golden) -> ConfigBuilder {
        let mut config = self.db.config();
        for (setting, value) in &golden.config {
            assert!(value.is_null(), "only settings that are off occur");
            config = match setting.as_str() {
                "hashing_algorithm" => config.hashing(cloakroom::Hashing::DangerousPlaintext),
                "session_ttl" => config.ttl(None),
                other => panic!("no counterpart of {other}"),
            };
        }
        config
    }

    pub(crate) async fn execute(&self, sql: &str) {
        raw_sql(AssertSqlSafe(sql)).execute(&self.pool).await.unwrap();
    }

    /// The first column of every row, which is text.
    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&self.pool).await.unwrap()
    }

    /// A row as text, in the form of `rows.json`: instants as UTC wall time, as a `timestamp` column shows
    /// them.
    pub(crate) async fn stored(&self, id: &str) -> StoredRow {
        let instant = |column: &str| match self.instants {
            Instants::Timestamp => format!("{column}::text"),
            Instants::Timestamptz => format!("({column} AT TIME ZONE 'UTC')::text"),
        };
        let sql = format!(
            "SELECT json_build_object('id', id::text, 'auth_token_digest', auth_token_digest, 'data_text', \
             data::text, 'expires_at', {}, 'user_id', user_id, 'inserted_at', {}, 'updated_at', {})::text \
             FROM public.sessions WHERE id = '{id}'",
            instant("expires_at"),
            instant("inserted_at"),
            instant("updated_at"),
        );
        let rows = self.texts(&sql).await;
        assert_eq!(rows.len(), 1, "no row {id}");
        serde_json::from_str(&rows[0]).unwrap()
    }

    /// Columns, constraints and indexes as PostgreSQL describes them, of both of the original's tables.
    pub(crate) async fn catalog(&self) -> Vec<String> {
        let columns = "SELECT concat_ws(' ', table_schema, table_name, ordinal_position, column_name, data_type, \
             character_maximum_length, datetime_precision, is_nullable, column_default) \
             FROM information_schema.columns WHERE (table_schema, table_name) IN (('public', 'sessions'), ('auth', 'api_keys')) \
             ORDER BY table_schema, table_name, ordinal_position";
        let constraints = "SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint \
             WHERE conrelid IN ('public.sessions'::regclass, 'auth.api_keys'::regclass) ORDER BY 1";
        let mut catalog = self.texts(columns).await;
        catalog.extend(self.texts(constraints).await);
        catalog
    }

    /// The definitions of a table's indexes, by name.
    pub(crate) async fn indexes(&self, schema: &str, table: &str) -> Vec<String> {
        let sql = format!(
            "SELECT indexdef FROM pg_indexes WHERE schemaname = '{schema}' AND tablename = '{table}' \
             ORDER BY indexname"
        );
        self.texts(&sql).await
    }

    /// Closes the pool: a connection that was leaked would hang here.
    pub(crate) async fn close(self) {
        self.pool.close().await;
        let name = format!("golden_{}", self.db.schema().unwrap());
        self.db.execute(&format!("DROP DATABASE {name}")).await;
    }
}

/// Makes two tests of each case: with `timestamp` columns, as the original's migrations make them, and with
/// `timestamptz`.
macro_rules! each_kind_of_instant {
    ($($case:ident),* $(,)?) => {
        mod postgres {
            mod timestamp {
                $(
                    #[test]
                    #[cfg_attr(not(feature = "servers"), ignore = "PostgreSQL: run `cargo xtask test`")]
                    fn $case() {
                        $crate::tables::run($crate::tables::Instants::Timestamp, super::super::$case);
                    }
                )*
            }

            mod timestamptz {
                $(
                    #[test]
                    #[cfg_attr(not(feature = "servers"), ignore = "PostgreSQL: run `cargo xtask test`")]
                    fn $case() {
                        $crate::tables::run($crate::tables::Instants::Timestamptz, super::super::$case);
                    }
                )*
            }
        }
    };
}
pub(crate) use each_kind_of_instant;

pub(crate) fn run<F: Future<Output = ()>>(instants: Instants, case: fn(std::sync::Arc<Original>) -> F) {
    cloakroom_testing::run(cloakroom_testing::Kind::Postgres, async move |db| {
        let original = std::sync::Arc::new(Original::new(db, instants).await);
        case(std::sync::Arc::clone(&original)).await;
        let original = std::sync::Arc::into_inner(original).expect("the case has ended");
        original.close().await;
    });
}
