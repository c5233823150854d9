//! One run: pools, workers, faults; then the table, and the check.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use cloakroom::{Cache, Config, Database, Sessions};
use sqlx::AssertSqlSafe;
use tokio::task::JoinSet;

use crate::checker::{self, Rule, Violation};
use crate::clock::SteppingClock;
use crate::faults::network::Proxy;
use crate::faults::{Injector, Means};
use crate::final_table;
use crate::journal::{Action, Call, Outcome};
use crate::journal_file::{self, Line, Reader};
use crate::pools::{self, Room};
use crate::processes::{Orders, Processes};
use crate::report::Report;
use crate::settings::{Kind, Settings, Until};
use crate::target::Target;
use crate::worker::{Handle, Shared, Worker};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// How old an answer of a cache may be.
const STALENESS: Duration = Duration::from_secs(2);

/// No clock is set farther from the right time than this.
const FARTHEST_CLOCK: Duration = Duration::from_secs(30);

/// How long the pools may take to close.
const CLOSING: Duration = Duration::from_secs(30);

/// Which of several processes a handle stands for.
pub(crate) struct Role {
    pub(crate) number: usize,
    pub(crate) is_cached: bool,
    pub(crate) clock: SteppingClock,
}

/// Makes a handle, as each process of an application has one.
pub(crate) fn handle(database: &Database, role: Role) -> Result<Handle> {
    let Role { number, is_cached, clock } = role;
    // Extensions are due after a moment, so that many reads write.
    let config = Config::builder().ttl(Duration::from_hours(1)).extend_after(Duration::from_millis(500));
    let mut config = config.clock(Arc::new(clock));
    if is_cached {
        config = config.cache(Cache::new(10_000).max_staleness(STALENESS).lease(STALENESS / 2));
    }
    let config = config.build()?;
    let open = |table| Sessions::with_definition(database.clone(), pools::definition(table), config.clone());
    let [one, other] = pools::TABLES.map(open);
    Ok(Handle { tables: [one?, other?], number, staleness: is_cached.then_some(STALENESS) })
}

/// What is before the database, and how to reach each of its nodes through that.
async fn entrances(target: &Target, settings: &Settings) -> Result<(Vec<Proxy>, Vec<String>)> {
    if target.kind == Kind::Sqlite {
        return Ok((Vec::new(), target.urls.clone()));
    }
    let (mut proxies, mut addresses) = (Vec::new(), Vec::new());
    for url in &target.urls {
        let proxy = Proxy::start(url, settings.latency, settings.seed).await?;
        addresses.push(proxy.url(url)?);
        proxies.push(proxy);
    }
    Ok((proxies, addresses))
}

async fn make_tables(handle: &Handle) -> Result<()> {
    for sessions in &handle.tables {
        sessions.migrate().await?;
    }
    for statement in [
        "CREATE TABLE torture_notes (id integer PRIMARY KEY, body varchar(100))",
        "INSERT INTO torture_notes VALUES (1, 'one'), (2, 'two')",
    ] {
        execute(handle.tables[0].database(), statement).await?;
    }
    Ok(())
}

/// Runs the workload, and checks the results. Servers of our own are killed and frozen, if the settings say so.
///
/// # Errors
///
/// If the workload cannot be run. Violations are in the report.
pub async fn run(target: Target, settings: &Settings) -> Result<Report> {
    let (room, settings) = (Room::enough(), &settings.for_target(&target));
    let (proxies, addresses) = entrances(&target, settings).await?;
    let (mut databases, mut handles, mut clocks) = (Vec::new(), Vec::new(), Vec::new());
    // As four processes would: every other one has a cache.
    for number in 0..4 {
        let url = &addresses[number % addresses.len()];
        let database =
            pools::open(target.kind, url, settings.connections, &room, settings.is_relaxed).await?;
        let clock = SteppingClock::default();
        clocks.push(clock.clone());
        handles.push(handle(&database, Role { number, is_cached: number % 2 == 1, clock })?);
        databases.push(database);
    }
    make_tables(&handles[0]).await?;

    let begun = Instant::now();
    let (operations, time) = match settings.until {
        Until::Operations(operations) => (i64::try_from(operations)?, None),
        Until::Time(time) => (i64::MAX, Some(time)),
    };
    let shared = Arc::new(Shared::new(settings.clone(), operations));
    let mut workers = JoinSet::new();
    for number in 0..settings.workers {
        let handle = handles[number % handles.len()].clone();
        workers.spawn(Worker::new(u64::try_from(number)?, handle, Arc::clone(&shared)).work());
    }
    let means = Means { target, proxies, room, clocks, processes: None };
    let injector = tokio::spawn(Injector::new(means, Arc::clone(&shared)).run());
    let calls = gather(workers, &shared, time).await?;
    let (caused, means) = injector.await?;
    let took = begun.elapsed();

    drop(handles);
    let mut leaked = false;
    for database in databases {
        leaked |= tokio::time::timeout(CLOSING, database.close()).await.is_err();
    }
    let mut report = judge(&means.target, settings, took, &calls).await?.with_caused(caused);
    drop(means);
    if leaked {
        report.add(Violation::of_run(Rule::NotClosed, "a connection was not given back"));
    }
    Ok(report)
}

/// Runs the workload as [`run`] does, with workers in processes of their own, which are killed if the settings say so.
/// `program` must call [`work`](crate::work) with the [`Orders`](crate::Orders) that its arguments have.
///
/// # Errors
///
/// If the workload cannot be run, or its settings name no time. Violations are in the report.
pub async fn run_processes(target: Target, settings: &Settings, program: &Path) -> Result<Report> {
    let Until::Time(time) = settings.until else {
        return Err("processes work for a time".into());
    };
    let (room, settings) = (Room::enough(), &settings.for_target(&target));
    let (proxies, addresses) = entrances(&target, settings).await?;
    let database = pools::open(target.kind, &target.urls[0], 1, &room, settings.is_relaxed).await?;
    let role = Role { number: 0, is_cached: false, clock: SteppingClock::default() };
    make_tables(&handle(&database, role)?).await?;
    database.close().await;

    let begun = Instant::now();
    let directory = tempfile::tempdir()?;
    let count = 4;
    let orders = Orders {
        kind: target.kind,
        url: String::new(),
        directory: directory.path().to_owned(),
        process: 0,
        is_cached: false,
        clock: 0,
        settings: Settings { workers: settings.workers.div_ceil(count), ..settings.clone() },
    };
    let processes = Processes::start(program, orders, addresses, count)?;
    let shared = Arc::new(Shared::of_process(settings.clone(), 0, None));
    let means = Means { target, proxies, room, clocks: Vec::new(), processes: Some(processes) };
    let injector = tokio::spawn(Injector::new(means, Arc::clone(&shared)).run());
    watch(&shared, directory.path(), time).await?;
    let (caused, mut means) = injector.await?;
    let stopping = means.processes.take().map(|processes| tokio::task::spawn_blocking(|| processes.stop()));
    let left = match stopping {
        Some(stopping) => stopping.await?,
        None => 0,
    };
    let took = begun.elapsed();
    let calls = journal_file::calls(directory.path(), shared.tick())?;
    let mut report = judge(&means.target, settings, took, &calls).await?.with_caused(caused);
    drop(means);
    if left > 0 {
        report.add(Violation::of_run(Rule::NotClosed, "a process did not end by itself"));
    }
    Ok(report)
}

/// Reads the table, and compares it and the journal with the library's promises.
async fn judge(target: &Target, settings: &Settings, took: Duration, calls: &[Call]) -> Result<Report> {
    let (rows, now) = final_table::read(target).await?;
    // By a clock that was ahead, what it ended expires in our future; what is valid does so an hour later.
    let mut violations = checker::check(calls, &rows, now + FARTHEST_CLOCK);
    let differences = final_table::differences(target).await?;
    violations.extend(differences.into_iter().map(|(label, text)| Violation::of_nodes(label, text)));
    let sessions = calls.iter().filter(|call| matches!(call.action, Action::Create { .. })).count();
    Ok(Report::new(target.to_string(), settings.seed, took, calls, violations)
        .with_rows(sessions, rows.len()))
}

/// Follows the journals of the processes until the time is over, and prints the progress.
async fn watch(shared: &Shared, directory: &Path, time: Duration) -> Result<()> {
    let (begun, mut told, mut calls) = (Instant::now(), Instant::now(), 0_u64);
    let mut reader = Reader::new(directory, None);
    while begun.elapsed() < time {
        tokio::time::sleep(Duration::from_millis(10)).await;
        reader.each_new(|line| {
            if let Line::Ended(call) = line {
                calls += 1;
                if call.outcome == Outcome::Yes {
                    shared.succeed(call.start);
                }
            }
        })?;
        if shared.settings.is_talkative && told.elapsed() >= Duration::from_secs(5) {
            told = Instant::now();
            eprintln!("{:>5.0?} s: {calls} calls of processes", begun.elapsed().as_secs());
        }
    }
    shared.left.store(0, Ordering::SeqCst);
    Ok(())
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
