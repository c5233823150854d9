use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use cloakroom::{Clock, ManualClock, Pruner, Sessions, Status};
use cloakroom_testing::{Kind, START, TestDatabase, UserSession, each_mode, user};

use crate::rows::{self, Row};
use crate::statements::Watched;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);
/// Between two runs of a pruner that a test waits for.
const SOON: Duration = Duration::from_millis(5);
/// Long enough for anything that does not wait for the next run.
const PROMPTLY: Duration = Duration::from_secs(30);

async fn promptly<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PROMPTLY, future).await.expect("it comes to an end")
}

/// Sessions of which so many have expired, and three have not: of users `never`, `later` and `soon`.
async fn fill(db: &TestDatabase, sessions: &Sessions<UserSession>, expired: usize) {
    let table = sessions.definition().to_string();
    // In no order of their expiry.
    let row = |number: usize| Row {
        user_id: format!("'{}'", number * 7 % expired),
        inserted_at: START - DAY,
        expires_at: Some(START - SECOND * u32::try_from(number * 7 % expired).unwrap()),
    };
    rows::insert(db, &table, expired, row).await;
    sessions.create(user("never").never_expires()).await.unwrap();
    sessions.create(user("later").expires_at(START + DAY)).await.unwrap();
    sessions.create(user("soon").expires_at(START + Duration::from_micros(1))).await.unwrap();
}

async fn users(sessions: &Sessions<UserSession>) -> Vec<String> {
    let sessions = sessions.query().status(Status::All).oldest_first().fetch_all().await.unwrap();
    sessions.into_iter().map(|session| session.into_row().fields.user_id).collect()
}

async fn a_run_deletes_in_batches_what_has_expired_and_nothing_else(db: TestDatabase) {
    let watched = Watched::<UserSession>::new(&db).await;
    let sessions = &watched.sessions;
    fill(&db, sessions, 25).await;
    for (batch, statements) in [(10, 3), (10, 1)] {
        let run = async {
            let mut pruner = Pruner::builder(DAY).batch(batch).spawn(sessions.clone());
            let progress = promptly(pruner.run_ended()).await;
            assert_eq!((progress.runs, progress.failures), (1, 0));
            assert_eq!(progress.deleted, if statements == 3 { 25 } else { 0 });
            assert_eq!(pruner.progress(), progress);
            promptly(pruner.stop()).await;
        };
        assert_eq!(watched.statements(run).await.len(), statements);
        assert_eq!(users(sessions).await, ["never", "later", "soon"]);
    }
}

/// How many rows one statement deletes.
fn batch(db: &TestDatabase) -> u64 {
    if db.kind() == Kind::Sqlite { 50 } else { 200 }
}

async fn deleting_what_has_expired_goes_in_batches(db: TestDatabase) {
    let watched = Watched::<UserSession>::new(&db).await;
    let sessions = &watched.sessions;
    fill(&db, sessions, 2_500).await;
    let delete = async { assert_eq!(sessions.delete_expired().await.unwrap(), 2_500) };
    // The last has nothing left where all before it were full.
    assert_eq!(watched.statements(delete).await.len() as u64, 2_500 / batch(&db) + 1);
    assert_eq!(users(sessions).await, ["never", "later", "soon"]);
    assert_eq!(sessions.delete_expired().await.unwrap(), 0);
    db.clock().advance(SECOND);
    assert_eq!(sessions.delete_expired().await.unwrap(), 1);
    assert_eq!(users(sessions).await, ["never", "later"]);
}

async fn what_ended_less_than_so_long_ago_is_kept(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let tick = Duration::from_micros(1);
    let almost = (DAY * 30).checked_sub(tick).unwrap();
    for (user_id, expiry) in [("long ago", DAY * 30), ("of late", almost), ("just now", Duration::ZERO)] {
        sessions.create(user(user_id).expires_at(START - expiry)).await.unwrap();
    }
    let mut ended = sessions.create(user("ended").never_expires()).await.unwrap().session;
    sessions.expire(&mut ended).await.unwrap();
    let mut pruner = Pruner::builder(DAY).keep(DAY * 30).spawn(sessions.clone());
    assert_eq!(promptly(pruner.run_ended()).await.deleted, 1);
    promptly(pruner.stop()).await;
    assert_eq!(users(&sessions).await, ["of late", "just now", "ended"]);

    assert_eq!(sessions.delete_expired_for(Duration::MAX, |_| {}).await.unwrap(), 0);
    db.clock().advance(almost);
    let mut reported = 0;
    assert_eq!(sessions.delete_expired_for(DAY * 30, |deleted| reported = deleted).await.unwrap(), 1);
    assert_eq!(reported, 1);
    assert_eq!(users(&sessions).await, ["just now", "ended"], "the last instant of being kept");
    db.clock().advance(tick);
    assert_eq!(sessions.delete_expired_for(DAY * 30, |_| {}).await.unwrap(), 2);
}

/// Has the database refuse to delete the session of this user.
async fn keep(db: &TestDatabase, user_id: &str) {
    let (head, test) =
        ("CREATE TRIGGER keep BEFORE DELETE ON sessions", format!("OLD.user_id = '{user_id}'"));
    db.execute(&match db.kind() {
        Kind::Sqlite => format!("{head} WHEN {test} BEGIN SELECT RAISE(ABORT, 'kept'); END"),
        Kind::Postgres => format!(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION 'kept'; END $$; \
             {head} FOR EACH ROW WHEN ({test}) EXECUTE FUNCTION refuse()"
        ),
        Kind::MariaDb => format!("{head} FOR EACH ROW IF {test} THEN SIGNAL SQLSTATE '45000'; END IF"),
    })
    .await;
}

async fn what_expired_first_is_deleted_first_and_counts_though_a_later_batch_fails(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    fill(&db, &sessions, 40).await;
    // Of users 39 to 0, in the order of their expiry, user 22 is in the fourth batch of five.
    keep(&db, "22").await;
    let mut pruner = Pruner::builder(DAY).batch(5).spawn(sessions.clone());
    let progress = promptly(pruner.run_ended()).await;
    assert_eq!((progress.runs, progress.failures, progress.deleted), (0, 1, 15));
    promptly(pruner.stop()).await;
    let mut left: Vec<u32> = users(&sessions).await.iter().filter_map(|user| user.parse().ok()).collect();
    left.sort_unstable();
    assert_eq!(left, (0..25).collect::<Vec<_>>());
}

async fn whoever_asks_is_told_after_each_batch_though_a_later_one_fails(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    fill(&db, &sessions, 450).await;
    let mut progress = Vec::new();
    let deleted = sessions.delete_expired_with(|deleted| progress.push(deleted)).await.unwrap();
    let so_far = (1..=450 / batch(&db)).map(|full| full * batch(&db)).chain([450]);
    assert_eq!((&progress, deleted), (&so_far.collect(), 450));
    fill(&db, &sessions, 500).await;
    assert_eq!(sessions.delete_expired_batch(7).await.unwrap(), 7);
    // Of users 492 to 0, in the order of their expiry, user 50 is in the batch after 400.
    keep(&db, "50").await;
    progress.clear();
    sessions.delete_expired_with(|deleted| progress.push(deleted)).await.unwrap_err();
    assert_eq!(progress.last(), Some(&400));
    assert_eq!(sessions.query().status(Status::Expired).count().await.unwrap(), 93);
}

async fn two_pruners_do_each_other_no_harm(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    fill(&db, &sessions, 300).await;
    let spawn = || Pruner::builder(SOON).jitter(0.0).batch(7).spawn(sessions.clone());
    let (mut one, mut other) = (spawn(), spawn());
    let deleted = |one: &Pruner, other: &Pruner| one.progress().deleted + other.progress().deleted;
    while deleted(&one, &other) < 300 {
        promptly(async { tokio::join!(one.run_ended(), other.run_ended()) }).await;
    }
    assert_eq!(deleted(&one, &other), 300);
    assert_eq!(one.progress().failures + other.progress().failures, 0);
    promptly(one.stop()).await;
    promptly(other.stop()).await;
    assert_eq!(users(&sessions).await, ["never", "later", "soon"]);
}

async fn a_pruner_goes_on_after_errors(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let mut pruner = Pruner::builder(SOON).spawn(sessions.clone());
    while promptly(pruner.run_ended()).await.runs == 0 {}
    sessions.migrate_down().await.unwrap();
    while promptly(pruner.run_ended()).await.failures < 3 {}
    sessions.migrate().await.unwrap();
    fill(&db, &sessions, 25).await;
    while promptly(pruner.run_ended()).await.deleted < 25 {}
    promptly(pruner.stop()).await;
    assert_eq!(users(&sessions).await, ["never", "later", "soon"]);
}

async fn a_pruner_stops_at_once_though_its_next_run_is_far(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let mut pruner = Pruner::spawn(sessions.clone(), 365 * DAY);
    promptly(pruner.run_ended()).await;
    promptly(pruner.stop()).await;
    // Before its first run, too.
    promptly(Pruner::spawn(sessions, 365 * DAY).stop()).await;
}

async fn a_pruner_stops_when_its_handle_is_dropped(db: TestDatabase) {
    let clock = Arc::new(ManualClock::new(START));
    let config = db.config().clock(Arc::clone(&clock) as Arc<dyn Clock>).build().unwrap();
    let sessions = Sessions::<UserSession>::new(db.database(), config).unwrap();
    sessions.migrate().await.unwrap();
    for every in [SOON, 365 * DAY] {
        let mut pruner = Pruner::spawn(sessions.clone(), every);
        promptly(pruner.run_ended()).await;
        drop(pruner);
    }
    // Whoever runs still holds the clock.
    drop(sessions);
    promptly(async {
        while Arc::strong_count(&clock) > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

each_mode! {
    a_run_deletes_in_batches_what_has_expired_and_nothing_else,
    deleting_what_has_expired_goes_in_batches,
    what_ended_less_than_so_long_ago_is_kept,
    what_expired_first_is_deleted_first_and_counts_though_a_later_batch_fails,
    whoever_asks_is_told_after_each_batch_though_a_later_one_fails,
    two_pruners_do_each_other_no_harm,
    a_pruner_goes_on_after_errors,
    a_pruner_stops_at_once_though_its_next_run_is_far,
    a_pruner_stops_when_its_handle_is_dropped,
}
