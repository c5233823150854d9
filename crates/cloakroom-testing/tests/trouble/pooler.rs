//! A pooler between the pool and PostgreSQL.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cloakroom::{
    Cache, Clock, Config, Database, ManualClock, SessionTable, Sessions, TableDefinition, Token,
};
use cloakroom_testing::servers::{self, PoolMode, Pooler, Server};
use cloakroom_testing::{START, UserSession, user};
use futures_util::future::join_all;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::task::JoinError;

use crate::capture;

const PATIENCE: Duration = Duration::from_secs(30);
const BOUND: Duration = Duration::from_mins(10);

/// A server, and two ways to it: one by a pooler.
struct Scene {
    clock: Arc<ManualClock>,
    direct: Sessions<UserSession>,
    pooler: Pooler,
    server: Server,
}

impl Scene {
    async fn set(mode: PoolMode, size: usize) -> Self {
        let server = servers::postgres().unwrap();
        let pooler = Pooler::start(&server, mode, size).unwrap();
        let clock = Arc::new(ManualClock::new(START));
        let config = Config::builder().clock(Arc::clone(&clock) as Arc<dyn Clock>).build().unwrap();
        let direct = Sessions::new(Database::connect(server.url()).await.unwrap(), config).unwrap();
        direct.migrate().await.unwrap();
        Self { clock, direct, pooler, server }
    }

    /// A node that reaches the server by the pooler.
    async fn node(&self, connections: u32, cache: Option<Cache>) -> (Sessions<UserSession>, PgPool) {
        let pool = PgPoolOptions::new().max_connections(connections).test_before_acquire(false);
        let pool = pool.connect(self.pooler.url()).await.unwrap();
        let config = Config::builder().clock(Arc::clone(&self.clock) as Arc<dyn Clock>).cache(cache);
        (Sessions::new(pool.clone(), config.build().unwrap()).unwrap(), pool)
    }

    /// Waits until the node answers out of memory: what it answers is not what the row holds.
    async fn until_kept(&self, node: &Sessions<UserSession>, token: &Token) {
        let begun = Instant::now();
        for number in 0.. {
            let sql = format!("UPDATE sessions SET user_id = 'behind {number}'");
            self.execute(&sql).await;
            let answer = node.authenticate(token).await.unwrap().unwrap();
            if answer.fields.user_id != format!("behind {number}") {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "nothing is ever kept");
        }
    }

    async fn execute(&self, sql: &str) {
        let Database::Postgres(pool) = self.direct.database() else { unreachable!() };
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(pool).await.unwrap();
    }

    /// The connections of the server on which `LISTEN` was the last thing said.
    async fn listeners(&self) -> i64 {
        let Database::Postgres(pool) = self.direct.database() else { unreachable!() };
        let count = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN %'";
        sqlx::query_scalar(count).fetch_one(pool).await.unwrap()
    }
}

/// The lease does not run out while the clock stands still, so that only what is heard makes an answer void.
fn cache() -> Cache {
    Cache::new(1000).max_staleness(BOUND)
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "it never comes true that {what}");
        tokio::task::yield_now().await;
    }
}

async fn everyday(sessions: &Sessions<UserSession>) -> cloakroom::Result<()> {
    let created = sessions.create(user("1234")).await?;
    let mut session = sessions.authenticate(&created.token).await?.expect("it was just created");
    assert_eq!(session.id, created.session.id);
    session.fields.user_id = "5678".into();
    sessions.update(&mut session).await?;
    let token = sessions.rotate(&mut session).await?;
    assert_eq!(sessions.authenticate(&created.token).await?, None);
    let found = sessions.authenticate(&token).await?.expect("it was just rotated");
    assert_eq!(found.fields.user_id, "5678");
    assert!(sessions.expire(&mut session).await?);
    assert_eq!(sessions.authenticate(&token).await?, None);
    assert!(sessions.delete(session).await?);
    Ok(())
}

async fn many(scene: &Scene, count: usize) -> Vec<cloakroom::Error> {
    let results = all_of(scene, count).await.into_iter();
    results.filter_map(|caller| caller.expect("what is answered is right").err()).collect()
}

/// What became of each caller.
async fn all_of(scene: &Scene, count: usize) -> Vec<Result<cloakroom::Result<()>, JoinError>> {
    let (sessions, pool) = scene.node(12, None).await;
    let callers = (0..count).map(|_| {
        let sessions = sessions.clone();
        tokio::spawn(async move { everyday(&sessions).await })
    });
    let results = join_all(callers.collect::<Vec<_>>()).await;
    pool.close().await;
    results
}

mod postgres {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    #[cfg_attr(not(feature = "servers"), ignore = "a server's: run `cargo xtask test`")]
    async fn in_session_mode_everything_works_and_a_cache_hears_of_revocations() {
        let scene = Scene::set(PoolMode::Session, 40).await;
        assert_eq!(many(&scene, 40).await.len(), 0);
        let (there, pool) = scene.node(2, Some(cache())).await;
        let created = scene.direct.create(user("1234")).await.unwrap();
        scene.until_kept(&there, &created.token).await;
        assert_eq!(scene.listeners().await, 1);
        assert_eq!(scene.direct.query().token(&created.token).expire_all().await.unwrap(), 1);
        until("the node refuses", async || there.authenticate(&created.token).await.unwrap().is_none()).await;
        pool.close().await;
    }

    /// Before 1.21 pgbouncer does not know prepared statements in this mode.
    #[tokio::test(flavor = "multi_thread")]
    #[cfg_attr(not(feature = "servers"), ignore = "a server's: run `cargo xtask test`")]
    async fn in_transaction_mode_everything_works_if_the_pooler_knows_prepared_statements() {
        let scene = Scene::set(PoolMode::Transaction, 4).await;
        if scene.pooler.knows_prepared_statements() {
            assert_eq!(many(&scene, 200).await.len(), 0);
            return;
        }
        // Two clients have statements of one name, and the pooler knows of neither. One meets the other's on a connection
        // that it did not prepare it on: the call fails, or runs that statement. So nothing can be promised but that it shows.
        let results = all_of(&scene, 200).await;
        assert!(results.iter().any(|caller| matches!(caller, Ok(Err(_)))), "{results:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    #[cfg_attr(not(feature = "servers"), ignore = "a server's: run `cargo xtask test`")]
    async fn in_transaction_mode_a_cache_does_not_listen_and_its_age_bounds_its_answers() {
        // With one connection to the server, pgbouncer need not know prepared statements.
        let scene = Scene::set(PoolMode::Transaction, 1).await;
        let (there, pool) = scene.node(1, Some(cache())).await;
        let created = scene.direct.create(user("1234")).await.unwrap();
        scene.until_kept(&there, &created.token).await;
        assert_eq!(scene.direct.query().token(&created.token).expire_all().await.unwrap(), 1);
        // All pass the same connection, which does not listen.
        let channels: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_listening_channels()")
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_eq!((channels, scene.listeners().await), (0, 0));
        scene.clock.advance(BOUND);
        assert!(there.authenticate(&created.token).await.unwrap().is_some());
        scene.clock.advance(Duration::from_micros(1));
        assert_eq!(there.authenticate(&created.token).await.unwrap(), None);
        // Nor does it try again.
        let other = scene.direct.create(user("5678")).await.unwrap();
        scene.until_kept(&there, &other.token).await;
        assert_eq!(scene.listeners().await, 0);
        pool.close().await;
        drop(scene.server);
    }

    /// The pooler's connections change hands between any two statements.
    #[tokio::test(flavor = "multi_thread")]
    #[cfg_attr(not(feature = "servers"), ignore = "a server's: run `cargo xtask test`")]
    async fn a_pooler_is_recognised_while_it_has_much_to_do() {
        let scene = Scene::set(PoolMode::Transaction, 6).await;
        let pool = PgPoolOptions::new().max_connections(12).connect(scene.pooler.url()).await.unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let busy: Vec<_> = (0..12)
            .map(|_| {
                let (pool, asked) = (pool.clone(), Arc::clone(&asked));
                tokio::spawn(async move {
                    loop {
                        sqlx::raw_sql("SELECT pg_sleep(0.0005)").execute(&pool).await.unwrap();
                        asked.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        until("it is busy", async || asked.load(Ordering::Relaxed) > 100).await;
        capture::start("cloakroom");
        for number in 0..20 {
            let table = format!("recognised_{number}");
            let fields = UserSession::definition().fields().to_vec();
            let table = fields.into_iter().fold(TableDefinition::new(table), TableDefinition::field);
            let (_, pool) = scene.node(1, None).await;
            let config = Config::builder().cache(cache()).build().unwrap();
            let there = Sessions::<UserSession>::with_definition(pool.clone(), table, config).unwrap();
            // There is no such table. The lookup begins to listen all the same.
            there.authenticate("a".repeat(43)).await.unwrap_err();
            let is_said = format!("table=recognised_{number} ");
            until("it is recognised", async || {
                let said = capture::text();
                said.lines().any(|line| line.contains(&is_said) && line.contains("transaction pooler"))
            })
            .await;
            pool.close().await;
        }
        assert_eq!(scene.listeners().await, 0);
        for task in busy {
            task.abort();
        }
    }
}
