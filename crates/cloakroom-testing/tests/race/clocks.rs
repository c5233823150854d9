//! Two machines whose clocks differ, on one table.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use cloakroom::sea_query::Expr;
use cloakroom::{
    Clock, ConfigBuilder, CreatedSession, ErrorKind, FieldDefinition, ManualClock, Session, Sessions, Status,
    TableDefinition,
};
use cloakroom_testing::{START, TestDatabase, UserSession, each_mode, listening, user};
use futures_util::TryStreamExt;
use time::OffsetDateTime;

use crate::at_once;

const DAY: Duration = Duration::from_hours(24);
const LAG: Duration = Duration::from_millis(50);

/// The same table, seen from a machine whose clock shows `LAG` less.
fn lagging(db: &TestDatabase, sessions: &Sessions<UserSession>) -> Sessions<UserSession> {
    let clock = Arc::new(ManualClock::new(sessions.config().now() - LAG));
    let config = db.config().clock(clock).build().unwrap();
    Sessions::new(db.database(), config).unwrap()
}

/// A session of a process that lets them live for `span`. A process with the default extends it at its next read.
async fn short_lived(db: &TestDatabase, span: Duration) -> CreatedSession<UserSession> {
    let config = db.config().ttl(span).extend_after(Duration::ZERO).build().unwrap();
    let sessions = Sessions::<UserSession>::new(db.database(), config).unwrap();
    sessions.create(user("1234")).await.unwrap()
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

    // Its own clock has not come there yet; but it lists it as expired, lets nobody in, and nothing that it does
    // makes the session last.
    assert_eq!(behind.query().count().await.unwrap(), 0);
    assert_eq!(behind.query().token(&created.token).fetch_optional().await.unwrap(), None);
    let expired = behind.query().status(Status::Expired).fetch_one().await.unwrap();
    assert_eq!((expired.id, expired.status(behind.config().now())), (stale.id, Status::Expired));
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

/// How far the clock of one machine is ahead of the other's, and what a session has left by the latter.
const AHEAD: Duration = Duration::from_mins(10);
const LEFT: Duration = Duration::from_mins(5);

/// The same table, seen from a machine whose clock shows `AHEAD` more.
fn ahead(db: &TestDatabase, sessions: &Sessions<UserSession>) -> Sessions<UserSession> {
    let clock = Arc::new(ManualClock::new(sessions.config().now() + AHEAD));
    let config = db.config().clock(clock).build().unwrap();
    Sessions::new(db.database(), config).unwrap()
}

/// Every way in which a session ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Expire,
    ExpireAll,
    ExpireAFew,
    ExpireByToken,
    DeleteAll,
    DeleteAFew,
}

impl End {
    const ALL: [Self; 6] = [
        Self::Expire,
        Self::ExpireAll,
        Self::ExpireAFew,
        Self::ExpireByToken,
        Self::DeleteAll,
        Self::DeleteAFew,
    ];

    /// How many sessions it says that it ended.
    async fn run(self, on: &Sessions<UserSession>, created: &CreatedSession<UserSession>) -> u64 {
        let query = on.query().filter(UserSession::USER_ID.eq("1234"));
        match self {
            Self::Expire => on.expire(&mut created.session.clone()).await.map(u64::from),
            Self::ExpireAll => query.expire_all().await,
            Self::ExpireAFew => query.limit(2).expire_all().await,
            Self::ExpireByToken => on.query().token(&created.token).expire_all().await,
            Self::DeleteAll => query.delete_all().await,
            Self::DeleteAFew => query.oldest_first().limit(2).delete_all().await,
        }
        .unwrap()
    }
}

/// What has expired by the clock of the machine that ends it, and not by another's, ends for the other too. It
/// is not counted, keeps its expiry, and is written only once.
async fn a_machine_ahead_ends_what_another_still_accepts(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let ahead = ahead(&db, &sessions);
    for end in End::ALL {
        let created = sessions.create(user("1234").expires_in(LEFT)).await.unwrap();
        let mut stale = created.session.clone();
        let bystander = sessions.create(user("5678").expires_in(LEFT)).await.unwrap();
        assert_eq!(end.run(&ahead, &created).await, 0, "{end:?}");

        assert_eq!(sessions.authenticate(&created.token).await.unwrap(), None, "{end:?}");
        assert_eq!(sessions.query().token(&created.token).fetch_optional().await.unwrap(), None, "{end:?}");
        assert!(!sessions.extend(&mut stale).await.unwrap(), "{end:?}");
        let row = sessions.query().id(stale.id).status(Status::All).fetch_one().await.unwrap();
        assert_eq!(row.expires_at, created.session.expires_at, "{end:?}");
        assert_eq!(row.updated_at, ahead.config().now(), "{end:?}");

        assert_eq!(end.run(&ahead, &created).await, 0, "{end:?}");
        assert_eq!(
            sessions.query().id(row.id).status(Status::All).fetch_one().await.unwrap(),
            row,
            "{end:?}"
        );
        let found = sessions.authenticate(&bystander.token).await.unwrap();
        assert_eq!(found.map(|found| found.id), Some(bystander.session.id), "{end:?}");
        sessions.query().status(Status::All).delete_all().await.unwrap();
    }
}

/// The other machine reads the session and so extends it, at any moment.
async fn a_machine_ahead_ends_what_another_extends_meanwhile(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let ahead = ahead(&db, &sessions);
    let mut extended = 0;
    for round in 0..24 {
        let end = End::ALL[round % End::ALL.len()];
        let created = short_lived(&db, LEFT).await;
        let found = at_once(4, |task| {
            let (sessions, ahead, created) = (sessions.clone(), ahead.clone(), created.clone());
            async move {
                if task == 0 {
                    end.run(&ahead, &created).await;
                    return None;
                }
                sessions.authenticate_fresh(&created.token).await.unwrap()
            }
        });
        extended += found
            .await
            .iter()
            .flatten()
            .filter(|found| found.expires_at > created.session.expires_at)
            .count();
        assert_eq!(sessions.authenticate_fresh(&created.token).await.unwrap(), None, "{end:?}");
        let valid = sessions.query().filter(UserSession::USER_ID.eq("1234"));
        assert_eq!(valid.count().await.unwrap(), 0, "{end:?}");
    }
    assert!(extended > 0, "nothing was tested: nobody was in time to extend a session");
}

/// "The oldest" is not one that expired long ago.
async fn a_limit_counts_sessions_that_are_valid_by_this_machines_clock(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let ahead = ahead(&db, &sessions);
    let lapsed = sessions.create(user("1234").expires_in(LEFT)).await.unwrap();
    db.clock().advance(Duration::from_secs(1));
    let old = sessions.create(user("1234")).await.unwrap();
    db.clock().advance(Duration::from_secs(1));
    let new = sessions.create(user("1234")).await.unwrap();

    let oldest = || ahead.query().oldest_first().limit(1);
    assert_eq!(oldest().expire_all().await.unwrap(), 1);
    assert_eq!(sessions.authenticate_fresh(&old.token).await.unwrap(), None);
    assert!(sessions.authenticate_fresh(&new.token).await.unwrap().is_some());
    assert!(sessions.query().token(&lapsed.token).exists().await.unwrap());
    assert_eq!(oldest().expire_all().await.unwrap(), 1);
    assert_eq!(sessions.authenticate_fresh(&new.token).await.unwrap(), None);
    assert_eq!(oldest().expire_all().await.unwrap(), 0);
    assert_eq!(sessions.query().status(Status::Valid).count().await.unwrap(), 0);
}

/// The statement of a query names the table once, so that SQL of the application's own need not say whose its columns are.
async fn conditions_in_sql_end_what_is_valid_and_what_has_lapsed(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let ahead = ahead(&db, &sessions);
    let now_there = ahead.config().now();
    let lapsed = sessions.create(user("1234").expires_at(now_there)).await.unwrap();
    let valid = sessions.create(user("1234").expires_at(now_there + LEFT)).await.unwrap();
    let other = sessions.create(user("5678")).await.unwrap();
    let query = || ahead.query().filter(Expr::cust("user_id <> '5678' AND updated_at IS NOT NULL"));
    assert_eq!(query().expire_all().await.unwrap(), 1);
    assert_eq!(sessions.authenticate_fresh(&lapsed.token).await.unwrap(), None);
    assert_eq!(sessions.authenticate_fresh(&valid.token).await.unwrap(), None);
    assert!(sessions.authenticate_fresh(&other.token).await.unwrap().is_some());
    let mut kept = lapsed.session;
    sessions.reload(&mut kept).await.unwrap();
    assert_eq!(kept.expires_at, Some(now_there));
    assert_eq!(query().expire_all().await.unwrap(), 0);
}

/// The statement reads the rows of a table once more, under another name.
async fn a_table_of_any_name_counts_what_was_valid(db: TestDatabase) {
    for name in ["before", "earlier"] {
        let definition = TableDefinition::new(name).field(FieldDefinition::new::<String>("user_id"));
        let sessions = |config: ConfigBuilder| {
            Sessions::<UserSession>::with_definition(
                db.database(),
                definition.clone(),
                config.build().unwrap(),
            )
        };
        let here = sessions(db.config()).unwrap();
        here.migrate().await.unwrap();
        let clock = Arc::new(ManualClock::new(here.config().now() + AHEAD));
        let ahead = sessions(db.config().clock(clock)).unwrap();
        here.create(user("1234").expires_at(ahead.config().now())).await.unwrap();
        for _ in 0..2 {
            here.create(user("1234").expires_at(ahead.config().now() + LEFT)).await.unwrap();
        }
        assert_eq!(ahead.query().expire_all().await.unwrap(), 2, "{name}");
        assert_eq!(here.query().status(Status::Valid).count().await.unwrap(), 0, "{name}");
    }
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
    let create = async || short_lived(&db, Duration::from_mins(30)).await;
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
    let query = || waiting(1, true).0.query().token(&created.token);
    assert_eq!(query().status(Status::All).fetch_one().await.unwrap(), created.session);
    assert_eq!(query().fetch_optional().await.unwrap(), None);
    assert_eq!(query().fetch_all().await.unwrap(), []);
    assert_eq!(query().stream().try_collect::<Vec<_>>().await.unwrap(), []);
}

each_mode! {
    a_machine_ahead_ends_what_another_still_accepts,
    a_machine_ahead_ends_what_another_extends_meanwhile,
    a_limit_counts_sessions_that_are_valid_by_this_machines_clock,
    conditions_in_sql_end_what_is_valid_and_what_has_lapsed,
    a_table_of_any_name_counts_what_was_valid,
    a_session_that_expires_while_its_reader_waits_is_neither_accepted_nor_extended,
    a_session_ended_by_a_clock_ahead_is_refused_and_not_extended_by_one_behind,
    a_session_ended_everywhere_by_a_clock_ahead_is_refused_by_one_behind,
    ending_a_session_from_an_old_reading_loses_no_update,
    a_clock_behind_still_moves_updated_at_forward,
}

// But for the one whose clock the listener would look at too.
listening! {
    a_machine_ahead_ends_what_another_still_accepts,
    a_machine_ahead_ends_what_another_extends_meanwhile,
    a_limit_counts_sessions_that_are_valid_by_this_machines_clock,
    conditions_in_sql_end_what_is_valid_and_what_has_lapsed,
    a_table_of_any_name_counts_what_was_valid,
    a_session_ended_by_a_clock_ahead_is_refused_and_not_extended_by_one_behind,
    a_session_ended_everywhere_by_a_clock_ahead_is_refused_by_one_behind,
    ending_a_session_from_an_old_reading_loses_no_update,
    a_clock_behind_still_moves_updated_at_forward,
}
