//! How long callers wait while somebody else holds a lock, or all connections. The figures of `docs/performance.md`
//! under "Locks":
//!
//! ```console
//! $ cargo xtask serve postgres   # and mariadb; their URLs go into CLOAKROOM_TEST_POSTGRES_URL and …_MARIADB_URL
//! $ cargo run --release -p cloakroom-testing --example locked -- sqlite postgres mariadb
//! ```

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cloakroom::{Database, Sessions, Token};
use cloakroom_testing::{Kind, TestDatabase, UserSession, hold_connections, run, user};
use futures_util::future::try_join_all;
use sqlx::mysql::MySqlPoolOptions;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{AssertSqlSafe, Executor};
use tokio::task::JoinHandle;

const CALLERS: usize = 200;
const CONNECTIONS: u32 = 8;
/// How long a statement waits for a row.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
/// For how long SQLite's file is locked.
const HELD: Duration = Duration::from_secs(20);
/// How long the pool waits for a connection.
const POOL_TIMEOUT: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    for name in std::env::args().skip(1) {
        match &*name {
            "sqlite" => run(Kind::Sqlite, measure),
            "postgres" => run(Kind::Postgres, measure),
            "mariadb" => run(Kind::MariaDb, measure),
            _ => {
                eprintln!("databases are sqlite, postgres and mariadb, not {name}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

async fn measure(db: TestDatabase) {
    println!("{:?}", db.kind());
    if db.kind() == Kind::Sqlite {
        a_locked_file(&db).await;
    } else {
        a_locked_user(&db).await;
        a_locked_session(&db).await;
    }
    no_connection(&db).await;
}

/// A pool whose statements wait for [`LOCK_TIMEOUT`].
async fn pool(db: &TestDatabase) -> Database {
    let seconds = LOCK_TIMEOUT.as_secs();
    match db.database() {
        Database::Sqlite(_) => Database::connect(db.url()).await.unwrap(),
        Database::Postgres(_) => {
            let options: PgConnectOptions = db.url().parse().unwrap();
            let options = options.options([("lock_timeout", &*format!("{seconds}s"))]);
            PgPoolOptions::new().max_connections(CONNECTIONS).connect_with(options).await.unwrap().into()
        }
        Database::MySql(_) => {
            let options =
                MySqlPoolOptions::new().max_connections(CONNECTIONS).after_connect(move |connection, _| {
                    let patience = format!("SET SESSION innodb_lock_wait_timeout = {seconds}");
                    Box::pin(async move { connection.execute(AssertSqlSafe(patience)).await.map(drop) })
                });
            options.connect(db.url()).await.unwrap().into()
        }
        other => panic!("no such database: {other:?}"),
    }
}

async fn sessions(db: &TestDatabase, max_batch: usize) -> Sessions<UserSession> {
    let config = db.config().max_batch(max_batch).build().unwrap();
    Sessions::new(pool(db).await, config).unwrap()
}

/// Runs `$body` while another transaction has what `$lock` locks.
macro_rules! while_locked {
    ($db:expr, $lock:expr, $body:expr) => {{
        macro_rules! on {
            ($pool:expr, $begin:literal) => {{
                let mut other = $pool.acquire().await.unwrap();
                other.execute($begin).await.unwrap();
                other.execute($lock).await.unwrap();
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

/// How long each took, that of the one whose row is locked apart.
async fn report(what: &str, max_batch: usize, callers: Vec<JoinHandle<(Duration, bool)>>) {
    let mut took = Vec::new();
    for caller in callers {
        took.push(caller.await.unwrap());
    }
    let (locked, is_done) = took.remove(7);
    took.sort();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100].0;
    assert!(took.iter().all(|(_, is_done)| *is_done), "the others are done");
    println!(
        "  {what}, max_batch {max_batch}: the others p50 {:.0?}, p90 {:.0?}, longest {:.0?}; the one {locked:.1?}, done: {is_done}",
        at(50),
        at(90),
        at(100),
    );
}

/// Creates at once, of which one waits for the user whom it refers to.
async fn a_locked_user(db: &TestDatabase) {
    db.sessions::<UserSession>().await;
    let name = match db.kind() {
        Kind::MariaDb => "varchar(255) COLLATE utf8mb4_nopad_bin",
        _ => "varchar(255)",
    };
    db.execute(&format!("CREATE TABLE users (name {name} PRIMARY KEY)")).await;
    let names: Vec<_> = (0..CALLERS).map(|n| format!("('{n}')")).collect();
    db.execute(&format!("INSERT INTO users VALUES {}", names.join(", "))).await;
    db.execute("ALTER TABLE sessions ADD FOREIGN KEY (user_id) REFERENCES users (name)").await;
    for max_batch in [256, 1] {
        let sessions = sessions(db, max_batch).await;
        while_locked!(db, "SELECT name FROM users WHERE name = '7' FOR UPDATE", {
            let mut callers = Vec::new();
            for n in 0..CALLERS {
                let sessions = sessions.clone();
                callers.push(tokio::spawn(async move {
                    let begun = Instant::now();
                    let is_done = sessions.create(user(&n.to_string())).await.is_ok();
                    (begun.elapsed(), is_done)
                }));
            }
            report("creates, a user locked", max_batch, callers).await;
        });
        sessions.database().close().await;
    }
}

/// Reads at once, all of which extend their sessions, one of which is locked.
async fn a_locked_session(db: &TestDatabase) {
    let sessions = sessions(db, 256).await;
    let created = try_join_all((0..CALLERS).map(|n| sessions.create(user(&n.to_string())))).await.unwrap();
    let tokens: Vec<_> = created.into_iter().map(|created| created.token).collect();
    db.clock().advance(Duration::from_hours(48));
    while_locked!(db, "SELECT id FROM sessions WHERE user_id = '7' FOR UPDATE", {
        let read = |token: &Token| {
            let (sessions, token) = (sessions.clone(), token.clone());
            tokio::spawn(async move {
                let begun = Instant::now();
                let is_done = sessions.authenticate(&token).await.is_ok_and(|session| session.is_some());
                (begun.elapsed(), is_done)
            })
        };
        report("due reads, a session locked", 256, tokens.iter().map(read).collect()).await;
    });
    sessions.database().close().await;
}

/// Reads without a pause, and a create with every twentieth, while another connection has the file locked.
async fn a_locked_file(db: &TestDatabase) {
    db.sessions::<UserSession>().await;
    let sessions = sessions(db, 256).await;
    let created = try_join_all((0..1000).map(|n| sessions.create(user(&n.to_string())))).await.unwrap();
    let tokens: Arc<[Token]> = created.into_iter().map(|created| created.token).collect();
    let (read, failed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let callers: Vec<_> = (0..32_usize)
        .map(|caller| {
            let (sessions, tokens, read) = (sessions.clone(), Arc::clone(&tokens), Arc::clone(&read));
            let failed = Arc::clone(&failed);
            tokio::spawn(async move {
                for at in (caller * 31).. {
                    sessions.authenticate(&tokens[at % tokens.len()]).await.unwrap().unwrap();
                    read.fetch_add(1, Ordering::Relaxed);
                    // As often as somebody logs in; a few hundred a second are enough.
                    if at % 20 == 0 {
                        let (sessions, failed) = (sessions.clone(), Arc::clone(&failed));
                        tokio::spawn(async move {
                            if sessions.create(user("1234")).await.is_err() {
                                failed.fetch_add(1, Ordering::Relaxed);
                            }
                        });
                    }
                }
            })
        })
        .collect();
    let a_second = async || {
        let before = read.load(Ordering::Relaxed);
        let begun = Instant::now();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let read = read.load(Ordering::Relaxed) - before;
        u64::try_from(u128::from(read) * 1000 / begun.elapsed().as_millis()).unwrap()
    };
    a_second().await;
    let free = a_second().await;
    let mut seconds = Vec::new();
    while_locked!(db, "SELECT 1", {
        let begun = Instant::now();
        while begun.elapsed() < HELD {
            seconds.push(a_second().await);
        }
    });
    for caller in callers {
        caller.abort();
    }
    println!("  reads a second: {free} before, while the file is locked {seconds:?}");
    seconds.sort_unstable();
    println!(
        "  the least {}, the median {}; {} creates failed",
        seconds[0],
        seconds[seconds.len() / 2],
        failed.load(Ordering::Relaxed)
    );
    sessions.database().close().await;
}

/// Reads that come one after another while all connections are taken.
async fn no_connection(db: &TestDatabase) {
    macro_rules! impatient {
        ($options:ident) => {
            $options::new()
                .max_connections(2)
                .acquire_timeout(POOL_TIMEOUT)
                .connect(db.url())
                .await
                .unwrap()
                .into()
        };
    }
    let pool: Database = match db.database() {
        Database::Sqlite(_) => impatient!(SqlitePoolOptions),
        Database::Postgres(_) => impatient!(PgPoolOptions),
        Database::MySql(_) => impatient!(MySqlPoolOptions),
        other => panic!("no such database: {other:?}"),
    };
    let sessions = Sessions::<UserSession>::new(pool, db.config().build().unwrap()).unwrap();
    let held = hold_connections(sessions.database()).await;
    let mut callers = Vec::new();
    for _ in 0..100 {
        let sessions = sessions.clone();
        callers.push(tokio::spawn(async move {
            let begun = Instant::now();
            sessions.authenticate("a token that nobody has").await.unwrap_err();
            begun.elapsed()
        }));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut longest = Duration::ZERO;
    for caller in callers {
        longest = longest.max(caller.await.unwrap());
    }
    println!("  no connection, the pool's time-out {POOL_TIMEOUT:?}: the longest wait {longest:.2?}");
    drop(held);
    sessions.database().close().await;
}
