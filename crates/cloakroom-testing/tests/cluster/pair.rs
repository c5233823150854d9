//! A primary and a standby for one case.

use std::sync::Arc;
use std::time::Duration;

use cloakroom::{Clock, Config, ConfigBuilder, Database, Databases, ManualClock, Sessions, Token};
use cloakroom_testing::servers::{Pair, Synchronous};
use cloakroom_testing::{START, UserSession, user};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgPool};

use crate::waiting::{PATIENCE, until};

pub(crate) struct Scene {
    pub(crate) servers: Pair,
    pub(crate) clock: Arc<ManualClock>,
}

/// Runs a case on a pair of its own, which holds a table and the session of [`Scene::create`].
pub(crate) fn run(case: impl AsyncFnOnce(Scene)) {
    let servers = Pair::launch(Synchronous::No).expect("a primary and a standby can be started");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let scene = Scene { servers, clock: Arc::new(ManualClock::new(START)) };
        scene.on(scene.primary()).migrate().await.unwrap();
        scene.catch_up().await;
        tokio::time::timeout(3 * PATIENCE, case(scene)).await.expect("the case hangs");
    });
}

fn pool(url: &str) -> PgPool {
    PgPoolOptions::new().max_connections(4).acquire_timeout(Duration::from_secs(5)).connect_lazy(url).unwrap()
}

impl Scene {
    pub(crate) fn primary(&self) -> Database {
        pool(self.servers.primary.url()).into()
    }

    pub(crate) fn standby(&self) -> Database {
        pool(self.servers.standby.url()).into()
    }

    pub(crate) fn config(&self) -> ConfigBuilder {
        Config::builder().clock(Arc::clone(&self.clock) as Arc<dyn Clock>)
    }

    /// Returns a handle with the defaults, as another process has one.
    pub(crate) fn on(&self, databases: impl Into<Databases>) -> Sessions<UserSession> {
        with(databases, self.config())
    }

    /// Creates a session on the primary, which the standby does not know before it has caught up.
    pub(crate) async fn create(&self) -> Token {
        self.on(self.primary()).create(user("1234")).await.unwrap().token
    }

    pub(crate) async fn end(&self, token: &Token) {
        let sessions = self.on(self.primary());
        let mut session = sessions.authenticate(token).await.unwrap().expect("it is valid");
        assert!(sessions.expire(&mut session).await.unwrap());
    }

    /// Changes the session on the primary.
    pub(crate) async fn change(&self, token: &Token) {
        let sessions = self.on(self.primary());
        let mut session = sessions.authenticate(token).await.unwrap().expect("it is valid");
        session.fields.user_id.push('.');
        sessions.update(&mut session).await.unwrap();
    }

    /// Deletes all rows behind the library's back.
    pub(crate) async fn delete_rows(&self) {
        self.execute(&pool(self.servers.primary.url()), "DELETE FROM sessions").await;
    }

    /// Lets the standby repeat nothing from now on.
    pub(crate) async fn hold_back(&self) {
        let standby = pool(self.servers.standby.url());
        self.execute(&standby, "SELECT pg_wal_replay_pause()").await;
        let version: String =
            sqlx::query_scalar("SHOW server_version_num").fetch_one(&standby).await.unwrap();
        // Before 14, a standby says only that it is asked to. It repeats no record that comes later, in any version.
        let pauses = if version.parse::<u32>().unwrap() < 140_000 {
            "SELECT pg_is_wal_replay_paused()"
        } else {
            "SELECT pg_get_wal_replay_pause_state() = 'paused'"
        };
        until("the standby pauses", async || sqlx::query_scalar(pauses).fetch_one(&standby).await.unwrap())
            .await;
    }

    /// Lets the standby go on, and waits until it has repeated everything.
    pub(crate) async fn catch_up(&self) {
        let (primary, standby) = (pool(self.servers.primary.url()), pool(self.servers.standby.url()));
        self.execute(&standby, "SELECT pg_wal_replay_resume()").await;
        let written: String =
            sqlx::query_scalar("SELECT pg_current_wal_lsn()::text").fetch_one(&primary).await.unwrap();
        until("the standby has caught up", async || {
            sqlx::query_scalar("SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn")
                .bind(&written)
                .fetch_one(&standby)
                .await
                .unwrap()
        })
        .await;
    }

    async fn execute(&self, pool: &PgPool, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(pool).await.unwrap();
    }
}

/// Returns a handle, as another process has one.
pub(crate) fn with(databases: impl Into<Databases>, config: ConfigBuilder) -> Sessions<UserSession> {
    Sessions::new(databases, config.build().unwrap()).unwrap()
}
