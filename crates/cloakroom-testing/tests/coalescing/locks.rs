//! What others have locked: whoever needs it waits alone, and reads go on.

use std::time::Duration;

use cloakroom::{CreatedSession, Database, ErrorKind, Result, Sessions};
use cloakroom_testing::{Kind, TestDatabase, UserSession, coalesced, user};
use sqlx::mysql::MySqlPoolOptions;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{AssertSqlSafe, Executor};
use tokio::task::JoinHandle;

use crate::{all, begin, pool, soon};

const CALLERS: usize = 60;

/// A pool whose connections wait for a lock a second at the longest.
pub(crate) async fn impatient(db: &TestDatabase, connections: u32) -> Database {
    match db.database() {
        Database::Sqlite(pool) => {
            let options = (*pool.connect_options()).clone().busy_timeout(Duration::from_secs(1));
            SqlitePoolOptions::new().max_connections(connections).connect_with(options).await.unwrap().into()
        }
        Database::Postgres(pool) => {
            let options = (*pool.connect_options()).clone().options([("lock_timeout", "1s")]);
            PgPoolOptions::new().max_connections(connections).connect_with(options).await.unwrap().into()
        }
        Database::MySql(pool) => {
            let options = (*pool.connect_options()).clone();
            let settings = "SET SESSION innodb_lock_wait_timeout = 1, SESSION lock_wait_timeout = 1";
            let pool =
                MySqlPoolOptions::new().max_connections(connections).after_connect(move |connection, _| {
                    Box::pin(async move { connection.execute(settings).await.map(drop) })
                });
            pool.connect_with(options).await.unwrap().into()
        }
        other => panic!("no such database: {other:?}"),
    }
}

/// Sessions that refer to users, of whom there are so many.
async fn with_users(db: &TestDatabase, users: usize) {
    db.sessions::<UserSession>().await;
    let is_mariadb = db.kind() == Kind::MariaDb;
    let collation =
        if is_mariadb { "COLLATE /*M! utf8mb4_nopad_bin */ /*!80017 utf8mb4_0900_bin */" } else { "" };
    db.execute(&format!("CREATE TABLE users (name varchar(255) {collation} PRIMARY KEY)")).await;
    let names: Vec<_> = (0..users).map(|n| format!("('{n}')")).collect();
    db.execute(&format!("INSERT INTO users VALUES {}", names.join(", "))).await;
    db.execute("ALTER TABLE sessions ADD FOREIGN KEY (user_id) REFERENCES users (name)").await;
}

fn create(sessions: &Sessions<UserSession>, n: usize) -> JoinHandle<Result<CreatedSession<UserSession>>> {
    let sessions = sessions.clone();
    begin(async move { sessions.create(user(&n.to_string())).await })
}

/// Runs `$body` while another transaction has what `$lock` locks.
macro_rules! while_locked {
    ($db:expr, $lock:expr, $body:expr) => {{
        macro_rules! on {
            ($pool:expr, $begin:literal) => {{
                let mut other = $pool.acquire().await.unwrap();
                other.execute($begin).await.unwrap();
                other.execute(AssertSqlSafe($lock)).await.unwrap();
                let result = $body;
                other.execute("ROLLBACK").await.unwrap();
                result
            }};
        }
        match $db.database() {
            Database::Sqlite(pool) => on!(pool, "BEGIN IMMEDIATE"),
            Database::Postgres(pool) => on!(pool, "BEGIN"),
            Database::MySql(pool) => on!(pool, "BEGIN"),
            other => panic!("no such database: {other:?}"),
        }
    }};
}

/// The servers wait for far longer than the test does.
async fn whoever_needs_a_locked_row_waits_alone(db: TestDatabase) {
    if db.is_mysql() {
        // It has no statement that does not wait: all wait once, until the server gives that up, and then each alone.
        return whoever_waits_for_too_long_fails_alone(db).await;
    }
    with_users(&db, CALLERS).await;
    for locked in [&[7][..], &[0], &[3, 4, 40, CALLERS - 1]] {
        let config = db.config().build().unwrap();
        let sessions = Sessions::<UserSession>::new(pool::of(&db, 6).await, config).unwrap();
        let names: Vec<_> = locked.iter().map(|n| format!("'{n}'")).collect();
        let lock = format!("SELECT name FROM users WHERE name IN ({}) FOR UPDATE", names.join(", "));
        let waiting = while_locked!(db, lock, {
            let mut asked: Vec<_> = (0..CALLERS).map(|n| create(&sessions, n)).collect();
            let waiting: Vec<_> = locked.iter().rev().map(|n| asked.remove(*n)).collect();
            let done = all(asked).await;
            assert!(done.iter().all(Result::is_ok), "the others wait for nobody");
            assert!(soon(sessions.create(user("9"))).await.is_ok(), "nor do those who come later");
            assert!(waiting.iter().all(|one| !one.is_finished()), "there is a lock to wait for");
            waiting
        });
        for created in all(waiting).await {
            let created = created.unwrap();
            assert_eq!(sessions.authenticate(&created.token).await.unwrap(), Some(created.session));
        }
        sessions.database().close().await;
    }
}

async fn whoever_waits_for_too_long_fails_alone(db: TestDatabase) {
    with_users(&db, CALLERS).await;
    let config = db.config().build().unwrap();
    let sessions = Sessions::<UserSession>::new(impatient(&db, 4).await, config).unwrap();
    while_locked!(db, "SELECT name FROM users WHERE name = '7' FOR UPDATE", {
        let asked: Vec<_> = (0..CALLERS).map(|n| create(&sessions, n)).collect();
        for (n, answer) in all(asked).await.into_iter().enumerate() {
            let failure = answer.err().map(|error| error.kind());
            assert_eq!(failure, (n == 7).then_some(ErrorKind::LockTimeout), "{n}");
        }
    });
    assert_eq!(sessions.query().count().await.unwrap(), CALLERS as u64 - 1);
    sessions.database().close().await;
}

/// More of each than there are connections, and none of them gets what it waits for.
async fn writes_that_wait_leave_connections_to_reads(db: TestDatabase) {
    let elsewhere = db.sessions::<UserSession>().await;
    let mut created = Vec::new();
    for n in 0..20 {
        created.push(elsewhere.create(user(&n.to_string())).await.unwrap());
        // No two rows are alike.
        db.clock().advance(Duration::from_micros(1));
    }
    db.clock().advance(Duration::from_hours(48));
    let read = elsewhere.create(user("reads")).await.unwrap();
    let config = db.config().build().unwrap();
    let pool = pool::of(&db, 4).await;
    // Of one table on one pool there may be several handles.
    let handles: Vec<Sessions<UserSession>> =
        (0..2).map(|_| Sessions::new(pool.clone(), config.clone()).unwrap()).collect();
    let lock = match db.kind() {
        Kind::Sqlite => "SELECT 1",
        Kind::Postgres => "LOCK TABLE sessions IN SHARE MODE",
        // No row can be written, and none can be added after the last.
        Kind::MariaDb => "SELECT id FROM sessions FOR UPDATE",
    };
    let (writes, extensions) = while_locked!(db, lock, {
        let (mut writes, mut extensions) = (Vec::new(), Vec::new());
        for (n, one) in created.iter().enumerate() {
            let (sessions, one) = (handles[n % 2].clone(), one.clone());
            if n < 10 {
                writes.push(begin(async move { sessions.expire(&mut one.session.clone()).await.map(drop) }));
            } else {
                extensions.push(begin(async move { sessions.authenticate(&one.token).await }));
            }
        }
        for n in 0..10 {
            let sessions = handles[n % 2].clone();
            writes.push(begin(async move { sessions.create(user("new")).await.map(drop) }));
        }
        // Longer than it takes until slots are thought to be stuck.
        let until = tokio::time::Instant::now() + Duration::from_secs(2);
        while tokio::time::Instant::now() < until {
            for sessions in &handles {
                let answer = soon(sessions.authenticate(&read.token)).await.unwrap();
                assert_eq!(answer.as_ref(), Some(&read.session));
                assert_eq!(soon(sessions.query().id(read.session.id).count()).await.unwrap(), 1);
            }
        }
        assert!(writes.iter().all(|write| !write.is_finished()), "there is a lock to wait for");
        (writes, extensions)
    });
    assert!(all(writes).await.iter().all(Result::is_ok));
    for answer in all(extensions).await {
        assert!(answer.unwrap().is_some(), "extended or not");
    }
    pool.close().await;
}

/// And so its transaction, which has all but one, can be followed by another write.
async fn one_connection_is_enough(db: TestDatabase) {
    db.sessions::<UserSession>().await;
    for connections in 1..3 {
        let config = db.config().build().unwrap();
        let sessions = Sessions::<UserSession>::new(pool::of(&db, connections).await, config).unwrap();
        let asked = (0..20).map(|n| {
            let sessions = sessions.clone();
            begin(async move {
                let mut created = sessions.create(user(&n.to_string())).await.unwrap();
                assert!(sessions.expire(&mut created.session).await.unwrap());
                assert!(sessions.delete(created.session).await.unwrap());
            })
        });
        all(asked.collect()).await;
        sessions.database().close().await;
    }
}

coalesced! { writes_that_wait_leave_connections_to_reads, one_connection_is_enough }

mod rows {
    use super::*;

    mod postgres {
        use cloakroom_testing::run;

        use super::*;

        #[test]
        #[cfg_attr(not(feature = "servers"), ignore = "PostgreSQL: run `cargo xtask test`")]
        fn whoever_needs_a_locked_row_waits_alone_and_holds_nobody_up() {
            run(Kind::Postgres, whoever_needs_a_locked_row_waits_alone);
        }

        #[test]
        #[cfg_attr(not(feature = "servers"), ignore = "PostgreSQL: run `cargo xtask test`")]
        fn whoever_waits_for_a_lock_for_too_long_fails_alone() {
            run(Kind::Postgres, whoever_waits_for_too_long_fails_alone);
        }
    }

    mod mariadb {
        use cloakroom_testing::run;

        use super::*;

        #[test]
        #[cfg_attr(not(feature = "servers"), ignore = "MariaDB: run `cargo xtask test`")]
        fn whoever_needs_a_locked_row_waits_alone_and_holds_nobody_up() {
            run(Kind::MariaDb, whoever_needs_a_locked_row_waits_alone);
        }

        #[test]
        #[cfg_attr(not(feature = "servers"), ignore = "MariaDB: run `cargo xtask test`")]
        fn whoever_waits_for_a_lock_for_too_long_fails_alone() {
            run(Kind::MariaDb, whoever_waits_for_too_long_fails_alone);
        }
    }
}
