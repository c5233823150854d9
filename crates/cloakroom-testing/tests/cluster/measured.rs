//! The tables of `docs/clusters.md`: what a second server still accepts, and what the first lookup there costs. Prints
//! them; takes minutes.
//!
//! ```console
//! $ cargo test -p cloakroom-testing --all-features --test cluster measured -- --ignored --nocapture
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cloakroom::{CausalReads, Config, Database, Sessions, Token};
use cloakroom_testing::servers::{Galera, Kind, Pair, Purpose, Server, Synchronous};
use cloakroom_testing::{UserSession, user};
use futures_util::future::join_all;

/// How many sessions are made on the first server, looked up on the second, ended, and looked up once more.
const IDLE: usize = 1000;
const UNDER_WRITERS: usize = 500;

const WRITERS: usize = 12;

fn sessions(database: impl Into<cloakroom::Databases>, reads: CausalReads) -> Sessions<UserSession> {
    let config = Config::builder().causal_reads(reads).build().unwrap();
    Sessions::new(database, config).unwrap()
}

async fn open(url: &str) -> Database {
    Database::connect(url).await.unwrap()
}

/// Writes to the first server until it is dropped.
struct Writers {
    is_over: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Writers {
    async fn start(url: &str, count: usize) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        // Each with a statement of its own, as processes beside this one.
        let config = Config::builder().max_batch(1).build().unwrap();
        let pool = sqlx_pool(url).await;
        let handle = Sessions::<UserSession>::new(pool, config).unwrap();
        let tasks = (0..count).map(|number| {
            let (handle, is_over) = (handle.clone(), Arc::clone(&is_over));
            tokio::spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    let mut session = handle.create(user(&number.to_string())).await.unwrap().session;
                    session.fields.user_id.push('.');
                    handle.update(&mut session).await.unwrap();
                }
            })
        });
        Self { is_over: Arc::clone(&is_over), tasks: tasks.collect() }
    }

    async fn stop(self) {
        self.is_over.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

/// Opens a pool that has a connection for each writer.
async fn sqlx_pool(url: &str) -> Database {
    let connections = 2 * u32::try_from(WRITERS).unwrap();
    if url.starts_with("postgres") {
        sqlx::postgres::PgPoolOptions::new().max_connections(connections).connect(url).await.unwrap().into()
    } else {
        sqlx::mysql::MySqlPoolOptions::new().max_connections(connections).connect(url).await.unwrap().into()
    }
}

async fn line(name: &str, first: &Sessions<UserSession>, second: &Sessions<UserSession>, url: &str) {
    for (load, count, writers) in [("idle", IDLE, 0), ("12 writers", UNDER_WRITERS, WRITERS)] {
        let writers = Writers::start(url, writers).await;
        let (mut unknown, mut accepted, mut longest) = (0, 0, Duration::ZERO);
        for _ in 0..count {
            let created = first.create(user("1234")).await.unwrap();
            unknown += usize::from(!is_valid(second, &created.token).await);
            let mut session = created.session;
            assert!(first.expire(&mut session).await.unwrap());
            let ended = Instant::now();
            if is_valid(second, &created.token).await {
                accepted += 1;
                while is_valid(second, &created.token).await {}
                longest = longest.max(ended.elapsed());
            }
        }
        writers.stop().await;
        let longest = if accepted == 0 { "–".to_owned() } else { format!("{} ms", longest.as_millis()) };
        println!("| {name}, {load} | {accepted} of {count} | {longest} | {unknown} of {count} |");
    }
}

async fn is_valid(sessions: &Sessions<UserSession>, token: &Token) -> bool {
    sessions.authenticate(token).await.unwrap().is_some()
}

#[test]
#[ignore = "prints the tables of docs/clusters.md"]
fn what_a_second_server_still_accepts() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    println!("| servers | still accepted | for up to | new token unknown |\n|---|---|---|---|");
    let cluster = Galera::launch().unwrap();
    let urls: Vec<String> = cluster.nodes().iter().map(|node| node.url().to_owned()).collect();
    runtime.block_on(async {
        for (name, reads) in [("`Off`", CausalReads::Off), ("`Auto`, the default", CausalReads::Auto)] {
            let [first, second] = [open(&urls[0]).await, open(&urls[1]).await];
            let (first, second) = (sessions(first, reads), sessions(second, reads));
            first.migrate().await.unwrap();
            line(&format!("Galera, 3 nodes, {name}"), &first, &second, &urls[0]).await;
        }
    });
    drop(cluster);
    for (name, synchronous) in [
        ("asynchronous", Synchronous::No),
        ("`synchronous_commit = on`", Synchronous::Written),
        ("`remote_apply`", Synchronous::Applied),
    ] {
        let pair = Pair::launch(synchronous).unwrap();
        runtime.block_on(async {
            let first = sessions(open(pair.primary.url()).await, CausalReads::Auto);
            first.migrate().await.unwrap();
            let standby = sessions(open(pair.standby.url()).await, CausalReads::Auto);
            crate::waiting::until("the standby has the table", async || {
                standby.query().count().await.is_ok()
            })
            .await;
            line(&format!("standby alone, {name}"), &first, &standby, pair.primary.url()).await;
            let replica = Database::replica(open(pair.primary.url()).await, open(pair.standby.url()).await);
            let replica = sessions(replica, CausalReads::Auto);
            line(&format!("`Database::replica`, {name}"), &first, &replica, pair.primary.url()).await;
        });
    }
}

/// Looks tokens up one after another, and returns the median and the 99th of a hundred, in microseconds.
async fn one_by_one(sessions: &Sessions<UserSession>, tokens: &[Token]) -> [f64; 2] {
    let mut spans = Vec::new();
    for token in tokens.iter().cycle().take(3000) {
        let begun = Instant::now();
        assert!(is_valid(sessions, token).await);
        spans.push(begun.elapsed());
    }
    spans.sort();
    [spans[spans.len() / 2], spans[spans.len() * 99 / 100]].map(|span| span.as_secs_f64() * 1e6)
}

/// Looks tokens up from 64 tasks, and returns how many there were in a second.
async fn shared(sessions: &Sessions<UserSession>, tokens: &[Token]) -> f64 {
    const EACH: u32 = 300;
    let begun = Instant::now();
    let tasks = tokens.iter().take(64).cloned().map(|token| {
        let sessions = sessions.clone();
        tokio::spawn(async move {
            for _ in 0..EACH {
                assert!(is_valid(&sessions, &token).await);
            }
        })
    });
    join_all(tasks).await.into_iter().for_each(|done| done.unwrap());
    f64::from(64 * EACH) / begun.elapsed().as_secs_f64()
}

#[test]
#[ignore = "prints the tables of docs/clusters.md"]
fn what_a_strict_lookup_costs_on_galera() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    println!(
        "| server | load elsewhere | one by one, p50 | p99 | 64 callers, a second |\n|---|---|---|---|---|"
    );
    let single = Server::launch(Kind::MariaDb).unwrap();
    let cluster = Galera::launch_for(Purpose::Tests, [&[], &[], &[]]).unwrap();
    let nodes = cluster.nodes();
    runtime.block_on(async {
        for (load, writers) in [("none", 0), ("12 writers", WRITERS)] {
            for (name, first, url, reads) in [
                ("a single server", single.url(), single.url(), CausalReads::Auto),
                ("Galera, `Off`", nodes[0].url(), nodes[1].url(), CausalReads::Off),
                ("Galera, `Auto`", nodes[0].url(), nodes[1].url(), CausalReads::Auto),
            ] {
                let made = sessions(open(first).await, CausalReads::Auto);
                made.migrate().await.unwrap();
                let created = join_all((0..64).map(|_| made.create(user("1234")))).await;
                let tokens: Vec<Token> = created.into_iter().map(|created| created.unwrap().token).collect();
                let reader = sessions(open(url).await, reads);
                crate::waiting::until("the tokens are there", async || is_valid(&reader, &tokens[63]).await)
                    .await;
                let writers = Writers::start(first, writers).await;
                one_by_one(&reader, &tokens).await;
                let [p50, p99] = one_by_one(&reader, &tokens).await;
                let many = shared(&reader, &tokens).await;
                writers.stop().await;
                println!("| {name} | {load} | {p50:.0} µs | {p99:.0} µs | {many:.0} |");
            }
        }
    });
}
