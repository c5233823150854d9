//! Two machines whose clocks differ, on one table.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use cloakroom::{Clock, ErrorKind, ManualClock, Session, Sessions, Status};
use cloakroom_testing::{START, TestDatabase, UserSession, each_mode, listening, user};
use time::OffsetDateTime;

const DAY: Duration = Duration::from_hours(24);
const LAG: Duration = Duration::from_millis(50);

/// The same table, seen from a machine whose clock shows `LAG` less.
fn lagging(db: &TestDatabase, sessions: &Sessions<UserSession>) -> Sessions<UserSession> {
    let clock = Arc::new(ManualClock::new(sessions.config().now() - LAG));
    let config = db.config().clock(clock).build().unwrap();
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

/// Shows `START` so many times, then an hour more: as if whoever asks had to wait for a connection in between.
#[derive(Debug)]
struct Waiting {
    left: AtomicUsize,
    is_over: AtomicBool,
}

impl Clock for Waiting {
    fn now(&self) -> OffsetDateTime {
        let one_less = |left: usize| left.checked_sub(1);
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
            return START;
        }
        self.is_over.store(true, Ordering::Relaxed);
        START + Duration::from_hours(1)
    }
}

/// How often it has looked at the clock before it waits depends on the mode, so every place is tried.
async fn a_session_that_expires_while_its_reader_waits_is_neither_accepted_nor_extended(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let waiting = |left: usize, extends: bool| {
        let clock = Arc::new(Waiting { left: AtomicUsize::new(left), is_over: AtomicBool::new(false) });
        let config = db.config().clock(Arc::clone(&clock) as _).auto_extend(extends).build().unwrap();
        (Sessions::<UserSession>::new(db.database(), config).unwrap(), clock)
    };
    let create = async || {
        let new = user("1234").expires_in(Duration::from_mins(30));
        sessions.create(new).await.unwrap()
    };
    let (mut accepted, mut refused) = (0, 0);
    for left in 0..10 {
        let created = create().await;
        let (reader, clock) = waiting(left, false);
        let found = reader.authenticate(&created.token).await.unwrap();
        if clock.is_over.load(Ordering::Relaxed) {
            assert_eq!(found, None, "it waited after {left} looks at the clock");
            refused += 1;
        } else {
            assert_eq!(found, Some(created.session));
            accepted += 1;
        }

        let created = create().await;
        let (reader, _) = waiting(left, true);
        let found = reader.authenticate(&created.token).await.unwrap();
        let row = sessions.query().id(created.session.id).fetch_all().await.unwrap().pop();
        assert_eq!(row, Some(found.unwrap_or(created.session)), "it waited after {left} looks at the clock");
    }
    assert!(refused > 1 && accepted > 0, "nothing was tested: {refused} refused, {accepted} accepted");

    // Queries look once before they wait, in each mode.
    let created = create().await;
    for status in [Status::All, Status::Valid] {
        let query = waiting(1, true).0.query().id(created.session.id).status(status);
        assert_eq!(query.fetch_one().await.unwrap(), created.session);
    }
}

each_mode! {
    a_session_that_expires_while_its_reader_waits_is_neither_accepted_nor_extended,
    a_session_ended_by_a_clock_ahead_is_refused_and_not_extended_by_one_behind,
    a_session_ended_everywhere_by_a_clock_ahead_is_refused_by_one_behind,
    ending_a_session_from_an_old_reading_loses_no_update,
    a_clock_behind_still_moves_updated_at_forward,
}

// But for the one whose clock the listener would look at too.
listening! {
    a_session_ended_by_a_clock_ahead_is_refused_and_not_extended_by_one_behind,
    a_session_ended_everywhere_by_a_clock_ahead_is_refused_by_one_behind,
    ending_a_session_from_an_old_reading_loses_no_update,
    a_clock_behind_still_moves_updated_at_forward,
}
