//! One handle that several runtimes and processes use: which of them writes when sessions were last used.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cloakroom::{Config, Database, ManualClock, Seen, Session, Sessions};
use cloakroom_testing::{TestDatabase, each_database, patience};
use time::OffsetDateTime;
use tokio::runtime::{Builder, Runtime};

use crate::seen::{Device, EVERY, device, recording};

fn other_runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

async fn last_seen(sessions: &Sessions<Device>, session: &Session<Device>) -> Option<OffsetDateTime> {
    let mut row = session.clone();
    sessions.reload(&mut row).await.unwrap();
    row.last_seen()
}

async fn until_written(sessions: &Sessions<Device>, session: &Session<Device>) {
    let begun = Instant::now();
    while last_seen(sessions, session).await.is_none() {
        assert!(begun.elapsed() < patience(), "it is never written");
    }
}

async fn what_was_noted_on_a_runtime_that_has_ended_is_written_from_another(db: TestDatabase) {
    let sessions = db.sessions_with::<Device>(recording(&db)).await;
    let [there, here] =
        [sessions.create(device("1")).await.unwrap(), sessions.create(device("2")).await.unwrap()];
    let other = other_runtime();
    let (clone, session) = (sessions.clone(), there.session.clone());
    other.spawn(async move { clone.seen(&session, Seen::new()) }).await.unwrap();
    let begun = Instant::now();
    tokio::task::spawn_blocking(move || drop(other)).await.unwrap();
    assert!(begun.elapsed() < EVERY / 2, "the task that waits holds no runtime up");
    db.clock().advance(EVERY);
    sessions.authenticate(&here.token).await.unwrap().unwrap();
    until_written(&sessions, &there.session).await;
}

/// As in a program that is not async, and calls `block_on` now and then.
async fn what_was_noted_on_a_runtime_that_nobody_drives_is_written_from_another(db: TestDatabase) {
    let sessions = db.sessions_with::<Device>(recording(&db)).await;
    let [there, here] =
        [sessions.create(device("1")).await.unwrap(), sessions.create(device("2")).await.unwrap()];
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (clone, session) = (sessions.clone(), there.session.clone());
    let runtime = tokio::task::spawn_blocking(move || {
        runtime.block_on(async { clone.seen(&session, Seen::new()) });
        // Not driven from here on, and not shut down.
        runtime
    });
    let runtime = runtime.await.unwrap();
    db.clock().advance(EVERY);
    sessions.authenticate(&here.token).await.unwrap().unwrap();
    until_written(&sessions, &there.session).await;
    runtime.shutdown_background();
}

async fn what_is_noted_outside_of_every_runtime_is_written_by_the_next_call_within_one(db: TestDatabase) {
    let sessions = db.sessions_with::<Device>(recording(&db)).await;
    let created = sessions.create(device("1")).await.unwrap();
    let (clone, session) = (sessions.clone(), created.session.clone());
    std::thread::spawn(move || clone.seen(&session, Seen::new())).join().unwrap();
    db.clock().advance(EVERY);
    assert_eq!(last_seen(&sessions, &created.session).await, None);
    sessions.authenticate(&created.token).await.unwrap().unwrap();
    until_written(&sessions, &created.session).await;
}

/// The task that waits keeps neither the handle's state nor its pool.
async fn a_handle_is_gone_when_it_is_dropped_although_a_task_of_it_waits(db: TestDatabase) {
    let clock = Arc::new(ManualClock::new(db.now()));
    let sessions = db.sessions_with::<Device>(recording(&db).clock(Arc::clone(&clock) as _)).await;
    let created = sessions.create(device("1")).await.unwrap();
    sessions.seen(&created.session, Seen::new());
    let state = Arc::downgrade(&clock);
    drop((sessions, clock));
    let begun = Instant::now();
    while state.strong_count() > 0 {
        assert!(begun.elapsed() < patience().min(EVERY / 2), "it is kept");
        tokio::task::yield_now().await;
    }
    let anew = db.sessions_with::<Device>(recording(&db)).await;
    assert_eq!(last_seen(&anew, &created.session).await, None, "it is lost, as in a crash");
}

const CHILD_URL: &str = "CLOAKROOM_TEST_SEEN_CHILD_URL";

/// How often the process below writes.
const OFTEN: Duration = Duration::from_millis(300);

/// Not a case of its own: the work of the process that the case below kills.
#[tokio::test]
async fn a_child_process_uses_its_session_until_it_is_killed() {
    let Ok(url) = std::env::var(CHILD_URL) else { return };
    let database = Database::connect(&url).await.unwrap();
    let config = Config::builder().record_seen(OFTEN).build().unwrap();
    let sessions = Sessions::<Device>::new(database, config).unwrap();
    let created = sessions.create(device("1")).await.unwrap();
    loop {
        let session = sessions.authenticate(&created.token).await.unwrap().unwrap();
        let used = sessions.last_seen(&session).unwrap();
        println!("used {} {}", session.id, used.unix_timestamp_nanos() / 1_000);
    }
}

async fn a_process_that_is_killed_loses_no_more_than_a_span(db: TestDatabase) {
    let sessions = db.sessions::<Device>().await;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "seen_runtimes::a_child_process_uses_its_session_until_it_is_killed",
            "--nocapture",
        ])
        .env(CHILD_URL, db.url())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut used = lines.map_while(Result::ok).filter_map(|line| {
        let (_, rest) = line.split_once("used ")?;
        let (id, at) = rest.split_once(' ')?;
        let at = OffsetDateTime::from_unix_timestamp_nanos(at.parse::<i128>().ok()? * 1_000).ok()?;
        Some((id.parse::<uuid::Uuid>().ok()?, at))
    });
    let (id, mut last) = used.next().unwrap();
    let stored = async || sessions.query().id(id).fetch_one().await.unwrap().last_seen();
    // Until it has written more than once.
    let (begun, mut written) = (Instant::now(), Vec::new());
    while written.len() < 3 {
        assert!(begun.elapsed() < patience(), "it never writes");
        (_, last) = used.next().expect("it goes on");
        let stored = stored().await;
        if stored.is_some() && written.last() != Some(&stored) {
            written.push(stored);
        }
    }
    child.kill().unwrap();
    // What it had said before that is to be read still.
    let last = used.last().map_or(last, |(_, at)| at);
    child.wait().unwrap();
    let stored = stored().await.unwrap();
    let missing = last - stored;
    // A busy machine writes a little later than it should.
    assert!(stored <= last && missing < OFTEN + Duration::from_secs(5), "{missing} are missing");
    assert!(written.is_sorted(), "{written:?}");
}

each_database! {
    what_was_noted_on_a_runtime_that_has_ended_is_written_from_another,
    what_was_noted_on_a_runtime_that_nobody_drives_is_written_from_another,
    what_is_noted_outside_of_every_runtime_is_written_by_the_next_call_within_one,
    a_handle_is_gone_when_it_is_dropped_although_a_task_of_it_waits,
    a_process_that_is_killed_loses_no_more_than_a_span,
}
