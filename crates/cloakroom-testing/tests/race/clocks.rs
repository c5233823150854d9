//! Two machines whose clocks differ, on one table.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cloakroom::{Clock, Config, ErrorKind, ManualClock, Session, Sessions, Status};
use cloakroom_testing::{START, TestDatabase, UserSession, each_mode, user};
use time::OffsetDateTime;

const DAY: Duration = Duration::from_hours(24);
const LAG: Duration = Duration::from_millis(50);

/// The same table, seen from a machine whose clock shows `LAG` less.
fn lagging(db: &TestDatabase, sessions: &Sessions<UserSession>) -> Sessions<UserSession> {
    let clock = Arc::new(ManualClock::new(sessions.config().now() - LAG));
    let config = Config::builder().clock(clock).build().unwrap();
    Sessions::new(db.database(), config).unwrap()
}

async fn a_session_ended_by_a_clock_ahead_is_refused_and_not_extended_by_one_behind(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let mut created = sessions.create(user("1234")).await.unwrap();
    db.clock().advance(2 * DAY);
    let behind = lagging(&db, &sessions);
    let mut stale = created.session.clone();
    assert!(sessions.expire(&mut created.session).await.unwrap());
    let ended_at = created.session.expires_at;
    assert_eq!(ended_at, Some(sessions.config().now()));

    // Until its own clock comes there it finds the session valid in a listing; but it lets nobody in, and
    // nothing that it does makes the session last.
    assert_eq!(behind.query().count().await.unwrap(), 1);
    assert_eq!(behind.authenticate(&created.token).await.unwrap(), None);
    assert!(!behind.extend(&mut stale).await.unwrap());
    assert_eq!(stale.expires_at, ended_at);
    let forever = |session: &mut Session<UserSession>| session.expires_at = None;
    let error = behind.update_with(&mut stale, forever).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Expired);
    assert_eq!(behind.rotate(&mut stale).await.unwrap_err().kind(), ErrorKind::Expired);
    assert_eq!(sessions.authenticate(&created.token).await.unwrap(), None);
}

async fn a_session_ended_everywhere_by_a_clock_ahead_is_refused_by_one_behind(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let created = sessions.create(user("1234")).await.unwrap();
    db.clock().advance(2 * DAY);
    let behind = lagging(&db, &sessions);
    assert_eq!(sessions.query().expire_all().await.unwrap(), 1);
    assert_eq!(behind.authenticate(&created.token).await.unwrap(), None);
    assert_eq!(sessions.authenticate(&created.token).await.unwrap(), None);
}

/// Whoever ends a session, an update prepared before that is refused.
async fn ending_a_session_from_an_old_reading_loses_no_update(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let mut ours = sessions.create(user("1234")).await.unwrap().session;
    let mut theirs = ours.clone();
    theirs.fields.user_id = "5678".into();
    sessions.update(&mut theirs).await.unwrap();
    assert!(sessions.expire(&mut ours).await.unwrap());
    assert_eq!(ours.fields.user_id, "5678");
    assert!(ours.updated_at > theirs.updated_at);
    sessions.update(&mut ours).await.unwrap();
    sessions.reload(&mut theirs).await.unwrap();
    assert_eq!(theirs.fields.user_id, "5678");
}

/// Each write makes a version that was never there before, so that no guard mistakes one for another.
async fn a_clock_behind_still_moves_updated_at_forward(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    // The last microsecond of a minute, an hour, a year.
    let end = time::macros::datetime!(2027-12-31 23:59:59.999_999 UTC);
    for instant in [START, end] {
        db.clock().set(instant);
        let one = sessions.create(user("1234")).await.unwrap().session;
        let mut other = sessions.create(user("1234")).await.unwrap().session;
        let mut stale = other.clone();
        sessions.update(&mut other).await.unwrap();
        db.clock().advance(-time::Duration::SECOND);
        assert!(sessions.expire(&mut stale).await.unwrap());
        assert_eq!(sessions.query().expire_all().await.unwrap(), 1);
        let tick = Duration::from_micros(1);
        assert_eq!(stale.updated_at, instant + 2 * tick);
        let mut ended = one.clone();
        sessions.reload(&mut ended).await.unwrap();
        assert_eq!(ended.updated_at, instant + tick);
        assert_eq!(ended.expires_at, Some(instant - Duration::from_secs(1)));
    }
}

/// Shows `START` once, then an hour later: as if the first who asked had to wait for a connection.
#[derive(Debug, Default)]
struct Waiting(AtomicBool);

impl Clock for Waiting {
    fn now(&self) -> OffsetDateTime {
        if self.0.swap(true, Ordering::Relaxed) { START + Duration::from_hours(1) } else { START }
    }
}

async fn a_session_that_expires_while_its_reader_waits_is_neither_accepted_nor_extended(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let created = sessions.create(user("1234").expires_in(Duration::from_mins(30))).await.unwrap();
    let waiting = || {
        let config = Config::builder().clock(Arc::new(Waiting::default())).build().unwrap();
        Sessions::<UserSession>::new(db.database(), config).unwrap()
    };
    assert_eq!(waiting().authenticate(&created.token).await.unwrap(), None);
    let query = waiting().query().id(created.session.id).status(Status::All);
    assert_eq!(query.fetch_one().await.unwrap(), created.session);
    let query = waiting().query().id(created.session.id);
    assert_eq!(query.fetch_one().await.unwrap(), created.session);
}

each_mode! {
    a_session_that_expires_while_its_reader_waits_is_neither_accepted_nor_extended,
    a_session_ended_by_a_clock_ahead_is_refused_and_not_extended_by_one_behind,
    a_session_ended_everywhere_by_a_clock_ahead_is_refused_by_one_behind,
    ending_a_session_from_an_old_reading_loses_no_update,
    a_clock_behind_still_moves_updated_at_forward,
}
