//! A future may be dropped at any await: nothing leaks, and nothing is half done.
//!
//! Each operation is polled a number of times and then dropped, for every number up to the one with which it
//! comes to its end; once with its statement on the way, and once when the answer is there but not read.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use cloakroom::{Config, Database, Session, Sessions, Status, Token};
use cloakroom_testing::{Kind, START, TestDatabase, UserSession, each_database, user};
use futures_util::TryStreamExt;
use futures_util::future::join_all;
use serde_json::json;
use sqlx::Executor;
use sqlx::mysql::MySqlPoolOptions;
use sqlx::postgres::PgPoolOptions;
use time::OffsetDateTime;

use crate::held::Proxy;

/// No operation needs so many polls, and none is so fast so often.
const ENDLESS: usize = 200;
/// How many connections the test's pool may have.
const CONNECTIONS: usize = 10;

#[derive(Clone, Copy, Debug)]
enum Dropped {
    /// As soon as the last poll has left it pending.
    AtOnce,
    /// When it would be polled again: what it waits for has come.
    Woken,
}

/// Polls `future` up to `polls` times, each when it asks for it, and drops it; its output if it ended.
async fn poll_n<F: Future>(future: F, polls: usize, dropped: Dropped) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut done = 0;
    poll_fn(|context| {
        if done == polls {
            return Poll::Ready(None);
        }
        done += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if done == polls && matches!(dropped, Dropped::AtOnce) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// The test's table with three sessions of one user, made two days ago so that each is due to be extended,
/// and one that has expired.
struct Scene {
    sessions: Sessions<UserSession>,
    mine: Vec<(Session<UserSession>, Token)>,
    /// What the first of them has as its digest.
    digests: Vec<Option<String>>,
}

impl Scene {
    async fn set(db: &TestDatabase) -> Self {
        let sessions = db.sessions::<UserSession>().await;
        sessions.query().status(Status::All).delete_all().await.unwrap();
        db.clock().set(START);
        let mut mine = Vec::new();
        for _ in 0..3 {
            let created = sessions.create(user("1234").data(json!({"n": 1}))).await.unwrap();
            mine.push((created.session, created.token));
        }
        sessions.create(user("expired").expires_at(START)).await.unwrap();
        db.clock().set(now());
        let digests = digests(db).await;
        Self { sessions, mine, digests }
    }

    fn first(&self) -> &Session<UserSession> {
        &self.mine[0].0
    }

    fn token(&self) -> &Token {
        &self.mine[0].1
    }

    async fn row(&self, session: &Session<UserSession>) -> Option<Session<UserSession>> {
        let query = self.sessions.query().status(Status::All).id(session.id);
        query.fetch_all().await.unwrap().pop()
    }

    async fn all(&self) -> Vec<Session<UserSession>> {
        self.sessions.query().status(Status::All).fetch_all().await.unwrap()
    }
}

async fn digests(db: &TestDatabase) -> Vec<Option<String>> {
    db.texts("SELECT auth_token_digest FROM sessions WHERE user_id <> 'expired' ORDER BY auth_token_digest")
        .await
}

fn now() -> OffsetDateTime {
    START + Duration::from_hours(48)
}

fn a_week_on() -> OffsetDateTime {
    now() + Duration::from_hours(7 * 24)
}

/// Waits until the pool has all its connections back.
async fn until_all_are_back(pool: &Database) {
    let are_back = || match pool {
        Database::Sqlite(pool) => pool.num_idle() == pool.size() as usize,
        Database::Postgres(pool) => pool.num_idle() == pool.size() as usize,
        Database::MySql(pool) => pool.num_idle() == pool.size() as usize,
        other => panic!("no such database: {other:?}"),
    };
    let waiting = async {
        while !are_back() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("a connection never came back");
}

/// Every connection of the pool can be had at once.
async fn assert_nothing_leaked(db: &TestDatabase) {
    until_all_are_back(&db.database()).await;
    macro_rules! acquire_all {
        ($pool:expr) => {{
            let acquiring = join_all((0..CONNECTIONS).map(|_| $pool.acquire()));
            let acquired = tokio::time::timeout(Duration::from_secs(10), acquiring).await;
            for connection in acquired.expect("a connection was leaked") {
                sqlx::Connection::ping(&mut *connection.unwrap()).await.unwrap();
            }
        }};
    }
    match db.database() {
        Database::Sqlite(pool) => acquire_all!(pool),
        Database::Postgres(pool) => acquire_all!(pool),
        Database::MySql(pool) => acquire_all!(pool),
        other => panic!("no such database: {other:?}"),
    }
}

/// Drops `operate` at each of its awaits in turn; after each, `check` looks at what became of the scene and
/// says whether the operation was done.
async fn at_every_await<R>(
    db: &TestDatabase,
    operate: impl AsyncFn(&Scene) -> R,
    check: impl AsyncFn(&Scene) -> bool,
) {
    for dropped in [Dropped::AtOnce, Dropped::Woken] {
        let (mut polls, mut rounds) = (0, 0);
        let mut was_dropped_in_the_middle = false;
        loop {
            let scene = Scene::set(db).await;
            let output = poll_n(operate(&scene), polls, dropped).await;
            assert_nothing_leaked(db).await;
            let is_done = check(&scene).await;
            let later = scene.sessions.create(user("later")).await.unwrap();
            assert!(scene.sessions.authenticate(&later.token).await.unwrap().is_some());
            if output.is_some() {
                assert!(is_done, "the operation ended and did nothing");
                // The answer may come so fast that one poll is enough.
                if was_dropped_in_the_middle {
                    break;
                }
            } else if polls == 0 {
                assert!(!is_done, "a future that was never polled did something");
                polls = 1;
            } else {
                was_dropped_in_the_middle = true;
                polls += 1;
            }
            rounds += 1;
            assert!(rounds < ENDLESS, "the operation never ends, or never waits");
        }
    }
}

async fn create(db: TestDatabase) {
    let operate = async |scene: &Scene| {
        scene.sessions.create(user("new").data(json!({"n": 2}))).await.unwrap();
    };
    at_every_await(&db, operate, async |scene| {
        let new = scene.sessions.query().filter(UserSession::USER_ID.eq("new")).fetch_all().await.unwrap();
        for session in &new {
            assert_eq!(session.data, json!({"n": 2}));
            assert_eq!(session.expires_at, Some(a_week_on()));
        }
        assert!(new.len() <= 1);
        assert_eq!(scene.all().await.len(), 4 + new.len());
        new.len() == 1
    })
    .await;
}

/// The first session is as it was, or wholly extended; whether it was extended.
async fn is_extended(scene: &Scene) -> bool {
    let row = scene.row(scene.first()).await.unwrap();
    if row == *scene.first() {
        return false;
    }
    let mut extended = scene.first().clone();
    extended.expires_at = Some(a_week_on());
    extended.updated_at = now();
    assert_eq!(row, extended);
    true
}

async fn authenticate_with_a_due_extension(db: TestDatabase) {
    let operate = async |scene: &Scene| {
        scene.sessions.authenticate(scene.token()).await.unwrap().unwrap();
    };
    at_every_await(&db, operate, is_extended).await;
}

async fn extend(db: TestDatabase) {
    let operate = async |scene: &Scene| {
        assert!(scene.sessions.extend(&mut scene.first().clone()).await.unwrap());
    };
    at_every_await(&db, operate, is_extended).await;
}

async fn update(db: TestDatabase) {
    let operate = async |scene: &Scene| {
        let mut session = scene.first().clone();
        session.fields.user_id = "5678".into();
        *session.data = json!({"n": 3});
        session.expires_at = None;
        scene.sessions.update(&mut session).await.unwrap();
    };
    at_every_await(&db, operate, async |scene| {
        let row = scene.row(scene.first()).await.unwrap();
        if row == *scene.first() {
            return false;
        }
        assert_eq!((&*row.fields.user_id, &*row.data), ("5678", &json!({"n": 3})));
        assert_eq!((row.expires_at, row.updated_at), (None, now()));
        true
    })
    .await;
}

async fn expire(db: TestDatabase) {
    let operate = async |scene: &Scene| {
        assert!(scene.sessions.expire(&mut scene.first().clone()).await.unwrap());
    };
    at_every_await(&db, operate, async |scene| {
        let row = scene.row(scene.first()).await.unwrap();
        if row == *scene.first() {
            return false;
        }
        assert_eq!((row.expires_at, row.updated_at), (Some(now()), now()));
        assert_eq!(scene.sessions.authenticate(scene.token()).await.unwrap(), None);
        true
    })
    .await;
}

async fn rotate(db: TestDatabase) {
    let operate = async |scene: &Scene| {
        scene.sessions.rotate(&mut scene.first().clone()).await.unwrap();
    };
    at_every_await(&db, operate, async |scene| {
        let row = scene.row(scene.first()).await.unwrap();
        let is_known = scene.sessions.query().token(scene.token()).exists().await.unwrap();
        if row == *scene.first() {
            assert!(is_known);
            assert_eq!(digests(&db).await, scene.digests);
            return false;
        }
        assert!(!is_known);
        let mut rotated = scene.first().clone();
        rotated.updated_at = now();
        assert_eq!(row, rotated);
        assert_ne!(digests(&db).await, scene.digests);
        true
    })
    .await;
}

async fn delete(db: TestDatabase) {
    let operate = async |scene: &Scene| {
        assert!(scene.sessions.delete(scene.first().clone()).await.unwrap());
    };
    at_every_await(&db, operate, async |scene| {
        let row = scene.row(scene.first()).await;
        assert_eq!(scene.all().await.len(), 3 + usize::from(row.is_some()));
        row.is_none()
    })
    .await;
}

async fn delete_expired(db: TestDatabase) {
    let operate = async |scene: &Scene| {
        assert_eq!(scene.sessions.delete_expired().await.unwrap(), 1);
    };
    at_every_await(&db, operate, async |scene| {
        let expired = scene.sessions.query().status(Status::Expired).count().await.unwrap();
        assert_eq!(scene.sessions.query().count().await.unwrap(), 3);
        expired == 0
    })
    .await;
}

async fn expire_all(db: TestDatabase) {
    let operate = async |scene: &Scene| {
        assert_eq!(scene.sessions.query().expire_all().await.unwrap(), 3);
    };
    at_every_await(&db, operate, async |scene| {
        let valid = scene.sessions.query().count().await.unwrap();
        assert!(valid == 3 || valid == 0, "{valid} of 3 are left");
        valid == 0
    })
    .await;
}

async fn stream(db: TestDatabase) {
    let read = std::sync::atomic::AtomicBool::new(false);
    let operate = async |scene: &Scene| {
        read.store(false, std::sync::atomic::Ordering::Relaxed);
        let list: Vec<_> = scene.sessions.query().stream().try_collect().await.unwrap();
        read.store(list.len() == 3, std::sync::atomic::Ordering::Relaxed);
    };
    at_every_await(&db, operate, async |scene| {
        let mut rows = scene.all().await;
        for (session, _) in &scene.mine {
            assert!(rows.contains(session));
        }
        rows.clear();
        read.swap(false, std::sync::atomic::Ordering::Relaxed)
    })
    .await;
}

async fn transaction(db: TestDatabase) {
    let operate = async |scene: &Scene| {
        let mut transaction = scene.sessions.begin().await.unwrap();
        let mut within = scene.sessions.within(&mut transaction);
        within.create(user("new")).await.unwrap();
        assert!(within.delete(scene.first().clone()).await.unwrap());
        transaction.commit().await.unwrap();
    };
    at_every_await(&db, operate, async |scene| {
        let new = scene.sessions.query().filter(UserSession::USER_ID.eq("new")).count().await.unwrap();
        let is_deleted = scene.row(scene.first()).await.is_none();
        assert_eq!(new, u64::from(is_deleted));
        is_deleted
    })
    .await;
}

async fn migrate(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    // The steps are many and slow; at every third await the other way of being dropped is enough.
    for (dropped, step) in [(Dropped::AtOnce, 1), (Dropped::Woken, 3)] {
        for polls in (0..).step_by(step) {
            sessions.migrate_down().await.unwrap();
            let output = poll_n(sessions.migrate(), polls, dropped).await;
            assert_nothing_leaked(&db).await;
            let is_applied =
                sessions.migration_status().await.unwrap().iter().all(|(_, is_applied)| *is_applied);
            if output.is_some() {
                assert!(is_applied);
                break;
            }
            // Whoever comes next finds no lock, and ends what was begun.
            let next = tokio::time::timeout(Duration::from_secs(10), sessions.migrate()).await;
            next.expect("a lock was leaked").unwrap();
            let created = sessions.create(user("1234")).await.unwrap();
            assert_eq!(sessions.authenticate(&created.token).await.unwrap(), Some(created.session));
            assert_eq!(sessions.migrate().await.unwrap(), []);
            assert_eq!(indexes(&db).await, 3);
            assert!(polls < ENDLESS, "the operation never ends");
        }
    }
}

async fn indexes(db: &TestDatabase) -> usize {
    let sql = match db.kind() {
        Kind::Sqlite => "SELECT name FROM pragma_index_list('sessions') WHERE origin = 'c'",
        Kind::Postgres => {
            "SELECT indexname::text FROM pg_indexes WHERE tablename = 'sessions' \
             AND schemaname = current_schema() AND indexname LIKE '%_index'"
        }
        Kind::MariaDb => {
            "SELECT DISTINCT index_name FROM information_schema.statistics \
             WHERE table_name = 'sessions' AND table_schema = DATABASE() AND index_name LIKE '%_index'"
        }
    };
    db.texts(sql).await.len()
}

/// A firewall has forgotten the connection, or the server's machine is gone.
async fn a_transaction_that_is_dropped_on_a_silent_connection_costs_the_pool_none(db: TestDatabase) {
    let mut proxy = Proxy::start(db.url()).await;
    let url = proxy.url(db.url());
    let pool = match db.kind() {
        Kind::Postgres => {
            Database::from(PgPoolOptions::new().max_connections(2).connect(&url).await.unwrap())
        }
        Kind::MariaDb => {
            Database::from(MySqlPoolOptions::new().max_connections(2).connect(&url).await.unwrap())
        }
        Kind::Sqlite => unreachable!("there is no server"),
    };
    let mut transaction = pool.begin().await.unwrap();
    match db.kind() {
        Kind::Postgres => proxy.drop_unanswered(transaction.postgres().execute("SAVEPOINT one")).await,
        _ => proxy.drop_unanswered(transaction.mysql().execute("SAVEPOINT one")).await,
    }
    drop(transaction);
    until_all_are_back(&pool).await;
    match &pool {
        Database::Postgres(pool) => drop((pool.acquire().await.unwrap(), pool.acquire().await.unwrap())),
        Database::MySql(pool) => drop((pool.acquire().await.unwrap(), pool.acquire().await.unwrap())),
        other => panic!("no server: {other:?}"),
    }
}

/// The driver of MariaDB and MySQL does not always know where the answer ends to a statement that was given up, and may
/// wait for ever for the end, with a connection that the pool has no more. The other drivers know.
async fn a_connection_is_closed_if_the_driver_cannot_go_on_after_a_statement_is_given_up(db: TestDatabase) {
    // The first poll sends the statement.
    let pool = match db.database() {
        Database::Postgres(pool) => {
            let options = PgPoolOptions::new().max_connections(1).test_before_acquire(false);
            Database::from(options.connect_lazy_with((*pool.connect_options()).clone()))
        }
        Database::MySql(pool) => {
            let options = MySqlPoolOptions::new().max_connections(1).test_before_acquire(false);
            Database::from(options.connect_lazy_with((*pool.connect_options()).clone()))
        }
        other => panic!("no server: {other:?}"),
    };
    let connection = async || {
        let id: i64 = match &pool {
            Database::Postgres(pool) => {
                sqlx::query_scalar("SELECT pg_backend_pid()::bigint").fetch_one(pool).await.unwrap()
            }
            Database::MySql(pool) => {
                sqlx::query_scalar("SELECT CAST(CONNECTION_ID() AS SIGNED)").fetch_one(pool).await.unwrap()
            }
            other => panic!("no server: {other:?}"),
        };
        until_all_are_back(&pool).await;
        id
    };
    db.sessions::<UserSession>().await;
    let sessions = Sessions::<UserSession>::new(pool.clone(), Config::default()).unwrap();
    let created = sessions.create(user("1234")).await.unwrap();
    let mut given_up = 0;
    for _ in 0..ENDLESS {
        let before = connection().await;
        assert!(sessions.authenticate(&created.token).await.unwrap().is_some());
        assert_eq!(connection().await, before, "its statement had its answer");
        // The answer may come so fast that one poll is enough.
        if poll_n(sessions.authenticate(&created.token), 1, Dropped::AtOnce).await.is_none() {
            assert_eq!(connection().await == before, db.kind() == Kind::Postgres);
            given_up += 1;
        }
    }
    assert!(given_up > 0, "nothing was given up");
    pool.close().await;
}

mod servers {
    mod postgres {
        cloakroom_testing::each_case!(
            Postgres,
            Coalesced,
            super::super,
            a_connection_is_closed_if_the_driver_cannot_go_on_after_a_statement_is_given_up,
            a_transaction_that_is_dropped_on_a_silent_connection_costs_the_pool_none
        );
    }

    mod mariadb {
        cloakroom_testing::each_case!(
            MariaDb,
            Coalesced,
            super::super,
            a_connection_is_closed_if_the_driver_cannot_go_on_after_a_statement_is_given_up,
            a_transaction_that_is_dropped_on_a_silent_connection_costs_the_pool_none
        );
    }
}

each_database! {
    create,
    authenticate_with_a_due_extension,
    extend,
    update,
    expire,
    rotate,
    delete,
    delete_expired,
    expire_all,
    stream,
    transaction,
    migrate,
}
