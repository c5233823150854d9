//! One run: pools, workers, faults; then the table, and the check.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use cloakroom::{Cache, Config, Database, Sessions};
use cloakroom_testing::servers::Server;
use sqlx::AssertSqlSafe;
use tokio::task::JoinSet;

use crate::checker::{self, Rule, Violation};
use crate::clock::SteppingClock;
use crate::faults::network::Proxy;
use crate::faults::{Injector, Means};
use crate::final_table;
use crate::journal::{Action, Call};
use crate::pools::{self, Coat, Room};
use crate::report::Report;
use crate::settings::{Kind, Settings, Until};
use crate::worker::{Handle, Shared, Worker};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// How old an answer of a cache may be.
const STALENESS: Duration = Duration::from_secs(2);

/// No clock is set farther from the right time than this.
const FARTHEST_CLOCK: Duration = Duration::from_secs(30);

/// How long the pools may take to close.
const CLOSING: Duration = Duration::from_secs(30);

/// Runs the workload on the database of `url`, which must be empty, and checks the results. A `server` of our own is
/// killed and frozen, if the settings say so.
///
/// # Errors
///
/// If the workload cannot be run. Violations are in the report.
pub async fn run(kind: Kind, url: &str, server: Option<Server>, settings: &Settings) -> Result<Report> {
    let room = Room::enough();
    let (proxy, proxied) = if kind == Kind::Sqlite {
        (None, url.to_owned())
    } else {
        let proxy = Proxy::start(url, settings.latency, settings.seed).await?;
        let proxied = proxy.url(url)?;
        (Some(proxy), proxied)
    };
    let (mut databases, mut handles, mut clocks) = (Vec::new(), Vec::new(), Vec::new());
    // As four processes would: two ask the database each time, two have a cache.
    for number in 0..4 {
        let staleness = (number >= 2).then_some(STALENESS);
        let database = pools::open(kind, &proxied, settings.connections, &room).await?;
        let clock = SteppingClock::default();
        // Extensions are due after a moment, so that many reads write.
        let config = Config::builder().ttl(Duration::from_hours(1)).extend_after(Duration::from_millis(500));
        let mut config = config.clock(Arc::new(clock.clone())).announce(kind == Kind::Postgres);
        if let Some(age) = staleness {
            config = config.cache(Cache::new(10_000).max_staleness(age).lease(age / 2));
        }
        let sessions = Sessions::<Coat>::new(database.clone(), config.build()?)?;
        handles.push(Handle { sessions, number, staleness });
        databases.push(database);
        clocks.push(clock);
    }
    handles[0].sessions.migrate().await?;
    for statement in [
        "CREATE TABLE torture_notes (id integer PRIMARY KEY, body varchar(100))",
        "INSERT INTO torture_notes VALUES (1, 'one'), (2, 'two')",
    ] {
        execute(&databases[0], statement).await?;
    }

    let begun = Instant::now();
    let (operations, time) = match settings.until {
        Until::Operations(operations) => (i64::try_from(operations)?, None),
        Until::Time(time) => (i64::MAX, Some(time)),
    };
    let shared = Shared::new(settings.clone(), operations);
    let mut workers = JoinSet::new();
    for number in 0..settings.workers {
        let handle = handles[number % handles.len()].clone();
        workers.spawn(Worker::new(u64::try_from(number)?, handle, Arc::clone(&shared)).work());
    }
    let means = Means { kind, url: url.to_owned(), proxy, server, room, clocks };
    let injector = tokio::spawn(Injector::new(means, Arc::clone(&shared)).run());
    let calls = gather(workers, &shared, time).await?;
    let (caused, means) = injector.await?;
    let took = begun.elapsed();

    drop(handles);
    let mut leaked = false;
    for database in databases {
        leaked |= tokio::time::timeout(CLOSING, database.close()).await.is_err();
    }
    let (rows, now) = final_table::read(kind, url).await?;
    drop(means);
    // By a clock that was ahead, what it ended expires in our future; what is valid does so an hour later.
    let mut violations = checker::check(&calls, &rows, now + FARTHEST_CLOCK);
    if leaked {
        violations.push(Violation::of_run(Rule::NotClosed, "a connection was not given back"));
    }
    let sessions = calls.iter().filter(|call| matches!(call.action, Action::Create { .. })).count();
    let report = Report::new(kind, settings.seed, took, &calls, violations).with_rows(sessions, rows.len());
    Ok(report.with_caused(caused))
}

/// Waits for the workers, and prints the progress. Returns the journal, in order.
async fn gather(
    mut workers: JoinSet<Vec<Call>>,
    shared: &Shared,
    time: Option<Duration>,
) -> Result<Vec<Call>> {
    let (begun, mut told) = (Instant::now(), Instant::now());
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    let mut calls = Vec::new();
    loop {
        tokio::select! {
            worked = workers.join_next() => match worked {
                Some(worked) => calls.extend(worked?),
                None => break,
            },
            _ = tick.tick() => {}
        }
        if time.is_some_and(|time| begun.elapsed() >= time) {
            shared.left.store(0, Ordering::SeqCst);
        }
        if shared.settings.is_talkative && told.elapsed() >= Duration::from_secs(5) {
            told = Instant::now();
            let (calls, dropped) =
                (shared.calls.load(Ordering::Relaxed), shared.dropped.load(Ordering::Relaxed));
            eprintln!("{:>5.0?} s: {calls} calls, {dropped} dropped", begun.elapsed().as_secs());
        }
    }
    calls.sort_unstable_by_key(|call| call.start);
    Ok(calls)
}

async fn execute(database: &Database, sql: &'static str) -> Result<()> {
    let sql = sqlx::raw_sql(AssertSqlSafe(sql));
    match database {
        Database::Sqlite(pool) => sql.execute(pool).await.map(drop)?,
        Database::Postgres(pool) => sql.execute(pool).await.map(drop)?,
        Database::MySql(pool) => sql.execute(pool).await.map(drop)?,
        other => unreachable!("no such database: {other:?}"),
    }
    Ok(())
}
