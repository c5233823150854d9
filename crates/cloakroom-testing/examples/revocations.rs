//! How many sessions are ended in a second, and what requests get that are looked up beside that. The figures of
//! `docs/performance.md` under "Revocations":
//!
//! ```console
//! $ cargo run --release -p cloakroom-testing --example revocations -- postgres sqlite mariadb
//! ```
//!
//! The servers are its own, and wait for the disk.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cloakroom::{Config, CreatedSession, Database, Sessions};
use cloakroom_testing::servers::{Kind, Purpose, Server};
use cloakroom_testing::{UserSession, user};
use futures_util::future::try_join_all;
use sqlx::AssertSqlSafe;
use sqlx::mysql::MySqlPoolOptions;
use sqlx::postgres::PgPoolOptions;

const CONNECTIONS: u32 = 8;
const READERS: usize = 16;
const SPAN: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime can be built");
    for name in std::env::args().skip(1) {
        match &*name {
            "sqlite" => runtime.block_on(sqlite()),
            "postgres" => runtime.block_on(postgres()),
            "mariadb" => runtime.block_on(mariadb()),
            _ => {
                eprintln!("databases are sqlite, postgres and mariadb, not {name}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

async fn sqlite() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let url = format!("sqlite:{}", directory.path().join("sessions.db").display());
    ends("SQLite", &Database::connect(&url).await.expect("the file can be opened"), true).await;
}

async fn mariadb() {
    let server = Server::launch_for(Kind::MariaDb, Purpose::Measurements).expect("the server starts");
    let pool = MySqlPoolOptions::new().max_connections(CONNECTIONS).test_before_acquire(false);
    ends("MariaDB", &pool.connect(server.url()).await.expect("the server answers").into(), true).await;
}

async fn postgres() {
    let server = Server::launch_for(Kind::Postgres, Purpose::Measurements).expect("the server starts");
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).test_before_acquire(false);
    let pool = pool.connect(server.url()).await.expect("the server answers");
    for disk in ["fast", "slow"] {
        if disk == "slow" {
            for setting in ["commit_delay = 2000", "commit_siblings = 0"] {
                let sql = AssertSqlSafe(format!("ALTER SYSTEM SET {setting}"));
                sqlx::raw_sql(sql).execute(&pool).await.expect("the setting is one");
            }
            sqlx::raw_sql("SELECT pg_reload_conf()").execute(&pool).await.expect("the server reads it");
        }
        for announces in [true, false] {
            let how = if announces { "announced" } else { "not announced" };
            ends(&format!("PostgreSQL, {disk} disk, {how}"), &pool.clone().into(), announces).await;
        }
    }
    for rate in [0, 300, 1000] {
        lookups_beside(&pool.clone().into(), rate).await;
    }
}

async fn sessions(database: &Database, announces: bool) -> Sessions<UserSession> {
    let config = Config::builder().announce(announces).build().expect("the configuration is sound");
    let sessions = Sessions::<UserSession>::new(database.clone(), config).expect("the table is sound");
    sessions.migrate().await.expect("the table can be made");
    sessions
}

async fn create(sessions: &Sessions<UserSession>, count: usize) -> Vec<CreatedSession<UserSession>> {
    let mut created = Vec::with_capacity(count);
    while created.len() < count {
        let some = (0..500.min(count - created.len())).map(|_| sessions.create(user("1234")));
        created.extend(try_join_all(some).await.expect("sessions can be made"));
    }
    created
}

async fn ends(what: &str, database: &Database, announces: bool) {
    let sessions = sessions(database, announces).await;
    for callers in [1, 16, 128] {
        let count = if callers == 1 { 300 } else { callers * 60 };
        let created = Arc::new(create(&sessions, count).await);
        let (next, begun) = (Arc::new(AtomicUsize::new(0)), Instant::now());
        let tasks: Vec<_> = (0..callers)
            .map(|_| {
                let (sessions, created, next) = (sessions.clone(), Arc::clone(&created), Arc::clone(&next));
                tokio::spawn(async move {
                    let mut times = Vec::new();
                    while let Some(one) = created.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let begun = Instant::now();
                        let was_valid = sessions.expire(&mut one.session.clone()).await;
                        assert!(was_valid.expect("the database ends it"));
                        times.push(begun.elapsed());
                    }
                    times
                })
            })
            .collect();
        let mut times = Vec::new();
        for task in tasks {
            times.extend(task.await.expect("no task panics"));
        }
        report(&format!("{what}, {callers} callers"), "ends", &mut times, begun.elapsed());
    }
}

/// Lookups through the pool through which sessions are ended at this rate.
async fn lookups_beside(database: &Database, rate: usize) {
    let sessions = sessions(database, true).await;
    let count = rate * usize::try_from(SPAN.as_secs()).unwrap_or(0);
    let (to_end, looked_up) = (create(&sessions, count).await, create(&sessions, READERS).await);
    let is_done = Arc::new(AtomicBool::new(false));
    let begun = Instant::now();
    let readers: Vec<_> = looked_up
        .into_iter()
        .map(|one| {
            let (sessions, is_done) = (sessions.clone(), Arc::clone(&is_done));
            tokio::spawn(async move {
                let mut times = Vec::new();
                while !is_done.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    let found = sessions.authenticate(&one.token).await.expect("the database answers");
                    assert!(found.is_some());
                    times.push(begun.elapsed());
                }
                times
            })
        })
        .collect();
    let mut ends = Vec::new();
    for (number, one) in (0_u32..).zip(to_end) {
        let due = begun + SPAN / u32::try_from(count).unwrap_or(1) * number;
        tokio::time::sleep_until(due.into()).await;
        let sessions = sessions.clone();
        ends.push(tokio::spawn(async move {
            sessions.expire(&mut { one.session }).await.expect("the database ends it");
            due.elapsed()
        }));
    }
    tokio::time::sleep_until((begun + SPAN).into()).await;
    is_done.store(true, Ordering::Relaxed);
    let mut times = Vec::new();
    for reader in readers {
        times.extend(reader.await.expect("no task panics"));
    }
    report(&format!("{READERS} readers beside {rate} ends a second"), "lookups", &mut times, begun.elapsed());
    let mut times = Vec::new();
    for end in ends {
        times.push(end.await.expect("no task panics"));
    }
    if rate > 0 {
        report("…", "ends", &mut times, begun.elapsed());
    }
}

fn report(what: &str, unit: &str, times: &mut [Duration], span: Duration) {
    times.sort_unstable();
    let percentile = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    let number = u32::try_from(times.len()).unwrap_or(u32::MAX);
    let rate = f64::from(number) / span.as_secs_f64();
    println!("{what}: {rate:.0} {unit}/s, p50 {:.2} ms, p99 {:.2} ms", percentile(50), percentile(99));
}
