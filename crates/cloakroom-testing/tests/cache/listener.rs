//! On PostgreSQL: the connection that listens, from its beginning to its end.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloakroom::{Cache, Sessions};
use cloakroom_testing::{TestDatabase, UserSession};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::proxy::Proxy;
use crate::scene::{Scene, deaf, listening, until};

/// A node whose connections can be told from all others.
struct Node {
    pool: PgPool,
    name: String,
}

impl Node {
    async fn start(scene: &Scene, url: &str) -> Self {
        let name = scene.db.unique_name();
        let url = format!("{url}&application_name={name}");
        let pool = PgPoolOptions::new().max_connections(1).connect(&url).await.unwrap();
        Self { pool, name }
    }

    fn sessions(&self, scene: &Scene, cache: Cache) -> Sessions<UserSession> {
        scene.node_on(self.pool.clone(), scene.db.config().cache(cache))
    }

    /// How many connections it has; that of the pool is one.
    async fn connections(&self, scene: &Scene) -> usize {
        let name = &self.name;
        let sql = format!("SELECT pid::text FROM pg_stat_activity WHERE application_name = '{name}'");
        scene.db.texts(&sql).await.len()
    }

    async fn until_connections(&self, scene: &Scene, count: usize) {
        until(&format!("the node has {count} connections"), async || self.connections(scene).await == count)
            .await;
    }
}

async fn it_begins_with_the_first_lookup_and_ends_with_the_last_handle(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let token = scene.create().await;
    let node = Node::start(&scene, scene.db.url()).await;
    // The length of the lease is no reason to stay.
    for lease in [Duration::from_secs(1), Duration::from_hours(1), Duration::MAX] {
        let sessions = node.sessions(&scene, listening().lease(lease));
        assert_eq!(node.connections(&scene).await, 1);
        scene.until_kept(&sessions, &token).await;
        assert_eq!(node.connections(&scene).await, 3);
        let clone = sessions.clone();
        drop(sessions);
        assert!(scene.is_kept(&clone, &token).await);
        assert_eq!(node.connections(&scene).await, 3);
        drop(clone);
        node.until_connections(&scene, 1).await;
    }
}

async fn it_ends_with_the_pool_and_does_not_come_back(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let token = scene.create().await;
    let proxy = Proxy::start(scene.db.url()).await;
    let node = Node::start(&scene, &proxy.url(scene.db.url())).await;
    let sessions = node.sessions(&scene, Cache::new(8).max_staleness(Duration::from_secs(1)));
    scene.until_kept(&sessions, &token).await;
    node.pool.close().await;
    node.until_connections(&scene, 0).await;
    assert_eq!(proxy.listeners(), 1);
    scene.db.clock().advance(Duration::from_secs(2));
    for _ in 0..20 {
        sessions.authenticate_fresh(&token).await.unwrap_err();
        sessions.authenticate(&token).await.unwrap_err();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(proxy.listeners(), 1, "the server of a closed pool is called again");
}

async fn it_takes_none_of_the_pools_connections(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let token = scene.create().await;
    let node = Node::start(&scene, scene.db.url()).await;
    let sessions = node.sessions(&scene, listening());
    scene.until_kept(&sessions, &token).await;
    assert_eq!((node.pool.size(), node.pool.num_idle()), (1, 1));
    // It hears although the pool's only connection is taken.
    let busy = node.pool.acquire().await.unwrap();
    let here = scene.node(scene.db.config());
    assert_eq!(here.query().token(&token).expire_all().await.unwrap(), 1);
    until("the node has heard", async || {
        let asked = tokio::time::timeout(Duration::from_millis(5), sessions.authenticate(&token));
        // Asking the database, it waits for the connection.
        asked.await.is_err()
    })
    .await;
    drop(busy);
    assert_eq!(sessions.authenticate(&token).await.unwrap(), None);
}

async fn without_listening_there_is_no_connection(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let token = scene.create().await;
    let node = Node::start(&scene, scene.db.url()).await;
    for cache in [Some(deaf()), None] {
        let config = scene.db.config().cache(cache);
        let sessions = scene.node_on(node.pool.clone(), config);
        for _ in 0..20 {
            sessions.authenticate_fresh(&token).await.unwrap().unwrap();
            assert_eq!(node.connections(&scene).await, 1);
        }
        assert_eq!(scene.is_kept(&sessions, &token).await, cache.is_some());
    }
}

async fn many_lookups_at_once_begin_one(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let token = scene.create().await;
    let node = Node::start(&scene, scene.db.url()).await;
    let sessions = node.sessions(&scene, listening());
    let lookups = (0..50).map(|_| sessions.authenticate(&token));
    futures_util::future::try_join_all(lookups).await.unwrap();
    scene.until_kept(&sessions, &token).await;
    assert_eq!(node.connections(&scene).await, 3);
}

/// What panicked on the threads whose names begin with this.
const SHORT_LIVED: &str = "short-lived";
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn note_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if std::thread::current().name().is_some_and(|name| name.starts_with(SHORT_LIVED)) {
                PANICS.lock().unwrap().push(panic.to_string());
            }
            usual(panic);
        }));
    });
}

async fn it_ends_with_its_runtime_and_another_takes_over(db: TestDatabase) {
    note_panics();
    let scene = Arc::new(Scene::set(db).await);
    let token = scene.create().await;
    for is_current in [false, true, false] {
        // The first runtime's pool is of no use to the second: the test looks at the listener alone.
        let node = Node::start(&scene, scene.db.url()).await;
        let sessions = node.sessions(&scene, listening());
        let (inner, scene_there, there) = (sessions.clone(), Arc::clone(&scene), token.clone());
        let thread = std::thread::Builder::new().name(SHORT_LIVED.into()).spawn(move || {
            let mut builder = if is_current {
                tokio::runtime::Builder::new_current_thread()
            } else {
                tokio::runtime::Builder::new_multi_thread()
            };
            let runtime = builder.worker_threads(1).thread_name(SHORT_LIVED).enable_all().build().unwrap();
            runtime.block_on(scene_there.until_kept(&inner, &there));
        });
        thread.unwrap().join().expect("nothing panics");
        node.until_connections(&scene, 1).await;
        // Here nothing of before is answered, and soon everything is as it was.
        scene.until_kept(&sessions, &token).await;
        assert_eq!(node.connections(&scene).await, 3);
        assert_eq!(*PANICS.lock().unwrap(), [""; 0]);
    }
}

on_postgres! {
    it_begins_with_the_first_lookup_and_ends_with_the_last_handle,
    it_ends_with_the_pool_and_does_not_come_back,
    it_takes_none_of_the_pools_connections,
    without_listening_there_is_no_connection,
    many_lookups_at_once_begin_one,
    it_ends_with_its_runtime_and_another_takes_over,
}
