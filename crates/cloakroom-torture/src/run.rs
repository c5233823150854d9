//! One run: pools, workers, faults; then the table, and the check.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use cloakroom::{Config, Database, Sessions};
use sqlx::AssertSqlSafe;
use tokio::task::JoinSet;

use crate::checker::{self, Rule, Violation};
use crate::final_table;
use crate::journal::{Action, Call};
use crate::pools::{self, Coat, Room};
use crate::proxy::Proxy;
use crate::report::Report;
use crate::settings::{Kind, Settings, Until};
use crate::worker::{Shared, Worker};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// How long SQLite's disk is full, and how long it is not in between.
const FULL: Duration = Duration::from_millis(700);
const NOT_FULL: Duration = Duration::from_millis(1500);

/// How long the pools may take to close.
const CLOSING: Duration = Duration::from_secs(30);

/// Runs the workload on the database of `url`, which must be empty, and checks the results.
///
/// # Errors
///
/// If the workload cannot be run. Violations are in the report.
pub async fn run(kind: Kind, url: &str, settings: &Settings) -> Result<Report> {
    let room = Room::enough();
    let proxied = match kind {
        Kind::Sqlite => url.to_owned(),
        _ => Proxy::start(url, settings.latency).await?.url(url)?,
    };
    let (mut databases, mut handles) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let database = pools::open(kind, &proxied, settings.connections, &room).await?;
        // Extensions are due after a moment, so that many reads write.
        let config = Config::builder().ttl(Duration::from_hours(1)).extend_after(Duration::from_millis(500));
        handles.push(Sessions::<Coat>::new(database.clone(), config.build()?)?);
        databases.push(database);
    }
    handles[0].migrate().await?;
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
    let fills_disk = settings.fills_disk && kind == Kind::Sqlite;
    let (calls, fillings) = gather(workers, &shared, time, &room, fills_disk).await?;
    let took = begun.elapsed();

    drop(handles);
    let mut leaked = false;
    for database in databases {
        leaked |= tokio::time::timeout(CLOSING, database.close()).await.is_err();
    }
    let (rows, now) = final_table::read(kind, url).await?;
    let mut violations = checker::check(&calls, &rows, now);
    if leaked {
        violations.push(Violation::of_run(Rule::NotClosed, "a connection was not given back"));
    }
    let sessions = calls.iter().filter(|call| matches!(call.action, Action::Create { .. })).count();
    let report = Report::new(kind, settings.seed, took, &calls, violations).with_rows(sessions, rows.len());
    Ok(if fills_disk { report.with_fault("times that the disk was full", fillings) } else { report })
}

/// Waits for the workers, causes and ends the faults that do not belong to a call, and prints the progress. Returns the
/// journal, in order, and how often the disk was full.
async fn gather(
    mut workers: JoinSet<Vec<Call>>,
    shared: &Shared,
    time: Option<Duration>,
    room: &Room,
    fills_disk: bool,
) -> Result<(Vec<Call>, u64)> {
    let (begun, mut told) = (Instant::now(), Instant::now());
    let (mut is_full, mut turned, mut fillings) = (false, Instant::now(), 0);
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
        if fills_disk && turned.elapsed() >= if is_full { FULL } else { NOT_FULL } {
            is_full = !is_full;
            fillings += u64::from(is_full);
            room.set(is_full);
            turned = Instant::now();
        }
        if shared.settings.is_talkative && told.elapsed() >= Duration::from_secs(5) {
            told = Instant::now();
            let (calls, dropped) =
                (shared.calls.load(Ordering::Relaxed), shared.dropped.load(Ordering::Relaxed));
            eprintln!("{:>5.0?} s: {calls} calls, {dropped} dropped", begun.elapsed().as_secs());
        }
    }
    room.set(false);
    calls.sort_unstable_by_key(|call| call.start);
    Ok((calls, fillings))
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
