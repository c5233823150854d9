//! Sessions that are ended and deleted one by one, by many callers at once: they share statements and commits, if the
//! database tells which rows it wrote.

use std::time::Duration;

use cloakroom::{CreatedSession, Session, Sessions, Status};
use cloakroom_testing::{Kind, TestDatabase, UserSession, hold_connections, user};
use sqlx::postgres::PgListener;
use sqlx::{AssertSqlSafe, Executor};
use tokio::task::JoinHandle;

use crate::statements::Watched;
use crate::{all, begin, pool, soon};

const CALLERS: usize = 100;

type Created = CreatedSession<UserSession>;

async fn created(sessions: &Sessions<UserSession>, count: usize) -> Vec<Created> {
    let mut created = Vec::new();
    for n in 0..count {
        created.push(sessions.create(user(&n.to_string())).await.unwrap());
    }
    created
}

type Ended = (bool, Session<UserSession>);

fn expire(sessions: &Sessions<UserSession>, session: &Session<UserSession>) -> JoinHandle<Ended> {
    let (sessions, mut session) = (sessions.clone(), session.clone());
    begin(async move { (sessions.expire(&mut session).await.unwrap(), session) })
}

fn delete(sessions: &Sessions<UserSession>, session: &Session<UserSession>) -> JoinHandle<bool> {
    let (sessions, session) = (sessions.clone(), session.clone());
    begin(async move { sessions.delete(session).await.unwrap() })
}

async fn row(sessions: &Sessions<UserSession>, one: &Session<UserSession>) -> Option<Session<UserSession>> {
    sessions.query().id(one.id).status(Status::All).fetch_all().await.unwrap().pop()
}

async fn many_sessions_are_revoked_in_few_statements(db: TestDatabase) {
    let watched = Watched::<UserSession>::on(&db, pool::of(&db, 4).await, db.config()).await;
    let sessions = &watched.sessions;
    let (to_end, to_delete) = (created(sessions, CALLERS).await, created(sessions, CALLERS).await);
    let mut heard = if db.kind() == Kind::Postgres {
        let mut listener = PgListener::connect(db.url()).await.unwrap();
        listener.listen("cloakroom").await.unwrap();
        Some(listener)
    } else {
        None
    };
    db.clock().advance(Duration::from_mins(1));
    let (mut ended, mut deleted) = (Vec::new(), Vec::new());
    let statements = watched.statements(async {
        let held = hold_connections(sessions.database()).await;
        let ends: Vec<_> = to_end.iter().map(|one| expire(sessions, &one.session)).collect();
        let deletions: Vec<_> = to_delete.iter().map(|one| delete(sessions, &one.session)).collect();
        drop(held);
        ended = all(ends).await;
        deleted = all(deletions).await;
    });
    let statements = statements.await;
    let (deletions, updates): (Vec<_>, Vec<_>) =
        statements.iter().partition(|sql| sql.contains("DELETE FROM"));
    // The first are alone; then come all that waited meanwhile, up to 64 at a time.
    for statements in [updates, deletions] {
        assert!((2..=8).contains(&statements.len()), "{} statements: {statements:?}", statements.len());
    }
    for (one, (was_valid, session)) in to_end.iter().zip(ended) {
        assert!(was_valid);
        assert_eq!(session.expires_at, Some(db.now()));
        assert!(session.updated_at > one.session.updated_at);
        assert_eq!(row(sessions, &one.session).await.as_ref(), Some(&session));
        assert_eq!(sessions.authenticate(&one.token).await.unwrap(), None);
    }
    for (one, was_there) in to_delete.iter().zip(deleted) {
        assert!(was_there);
        assert_eq!(row(sessions, &one.session).await, None);
    }
    if let Some(listener) = &mut heard {
        // Each is announced, by its own id, and those of a statement together.
        let announced = to_end.iter().chain(&to_delete);
        let mut expected: Vec<_> = announced.map(|one| one.session.id.to_string()).collect();
        let (mut told, mut announcements) = (Vec::new(), 0);
        while told.len() < expected.len() {
            let notification = soon(listener.recv()).await.unwrap();
            if let Some(ids) = notification.payload().strip_prefix(&format!("{} ", watched.table)) {
                told.extend(ids.split(',').map(str::to_owned));
                announcements += 1;
            }
        }
        assert!(announcements <= 16, "{announcements} announcements of {} sessions", told.len());
        expected.sort_unstable();
        told.sort_unstable();
        assert_eq!(told, expected);
    }
}

/// Each in one statement with the others.
async fn each_caller_learns_what_became_of_its_own_session(db: TestDatabase) {
    db.sessions::<UserSession>().await;
    let sessions =
        Sessions::<UserSession>::new(pool::of(&db, 1).await, db.config().build().unwrap()).unwrap();
    let plain = created(&sessions, 8).await;
    let never = sessions.create(user("never").never_expires()).await.unwrap().session;
    let [as_read, changed, ended, gone, twice, deleted, deleted_twice, gone_before] =
        plain.iter().map(|one| one.session.clone()).collect::<Vec<_>>().try_into().unwrap();
    db.clock().advance(Duration::from_mins(1));
    let mut rewritten = changed.clone();
    rewritten.fields.user_id = "newer".into();
    sessions.update(&mut rewritten).await.unwrap();
    assert!(sessions.expire(&mut ended.clone()).await.unwrap());
    let end_before = row(&sessions, &ended).await;
    assert!(sessions.delete(gone.clone()).await.unwrap());
    assert!(sessions.delete(gone_before.clone()).await.unwrap());
    db.clock().advance(Duration::from_mins(1));

    let held = hold_connections(sessions.database()).await;
    let first = expire(&sessions, &as_read);
    let ends = [&as_read, &changed, &ended, &gone, &twice, &twice, &never].map(|one| expire(&sessions, one));
    let deletions =
        [&deleted, &deleted_twice, &deleted_twice, &gone_before].map(|one| delete(&sessions, one));
    drop(held);
    let (first, ends) = (soon(first).await.unwrap(), all(ends.into()).await);
    let [second, of_changed, of_ended, of_gone, one, other, of_never] = ends.try_into().unwrap();
    assert_ne!(first.0, second.0, "exactly one has ended it");
    assert!(of_changed.0);
    // It got the row as it was when it ended, so that a later update does not undo the other write.
    assert_eq!(of_changed.1.fields.user_id, "newer");
    assert_eq!(row(&sessions, &changed).await, Some(of_changed.1));
    assert!(!of_ended.0);
    assert_eq!(row(&sessions, &ended).await, end_before);
    assert_eq!(Some(of_ended.1), end_before);
    assert!(!of_gone.0 && !of_gone.1.is_valid(db.now()));
    assert_ne!(one.0, other.0, "exactly one has ended it");
    assert!(of_never.0);
    for session in [&as_read, &twice, &never] {
        assert!(!row(&sessions, session).await.unwrap().is_valid(db.now()));
    }
    let [of_deleted, one, other, of_gone] = all(deletions.into()).await.try_into().unwrap();
    assert!(of_deleted && !of_gone);
    assert_ne!(one, other, "exactly one has deleted it");
    sessions.database().close().await;
}

async fn an_update_that_moves_back_no_clock_is_ended_later_than_it_was_written(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let created = created(&sessions, 20).await;
    // The clock of the machine that wrote them was ahead.
    let ahead = Duration::from_secs(1);
    db.clock().advance(ahead);
    let mut written = Vec::new();
    for one in &created {
        let mut session = one.session.clone();
        sessions.update(&mut session).await.unwrap();
        written.push(session);
    }
    db.clock().set(db.now() - ahead);
    let asked: Vec<_> = written.iter().map(|one| expire(&sessions, one)).collect();
    for (before, (was_valid, session)) in written.iter().zip(all(asked).await) {
        assert!(was_valid && session.updated_at > before.updated_at);
        assert_eq!(row(&sessions, before).await, Some(session));
    }
}

/// Of the sessions that share a statement, another transaction has one locked.
async fn a_locked_session_keeps_no_other_waiting(db: TestDatabase) {
    db.sessions::<UserSession>().await;
    let sessions =
        Sessions::<UserSession>::new(pool::of(&db, 4).await, db.config().build().unwrap()).unwrap();
    let (to_end, to_delete) = (created(&sessions, 40).await, created(&sessions, 40).await);
    let mut other = db.postgres_pool().acquire().await.unwrap();
    other.execute("BEGIN").await.unwrap();
    let lock = format!(
        "UPDATE sessions SET user_id = 'locked' WHERE id IN ('{}', '{}')",
        to_end[7].session.id, to_delete[7].session.id
    );
    other.execute(AssertSqlSafe(lock)).await.unwrap();
    let held = hold_connections(sessions.database()).await;
    let mut ends: Vec<_> = to_end.iter().map(|one| expire(&sessions, &one.session)).collect();
    let mut deletions: Vec<_> = to_delete.iter().map(|one| delete(&sessions, &one.session)).collect();
    drop(held);
    let (locked_end, locked_deletion) = (ends.remove(7), deletions.remove(7));
    assert!(all(ends).await.into_iter().all(|(was_valid, _)| was_valid));
    assert!(all(deletions).await.into_iter().all(|was_there| was_there));
    // They wait longer than a statement counts that announces: others go on.
    assert!(soon(expire(&sessions, &created(&sessions, 1).await[0].session)).await.unwrap().0);
    assert!(!locked_end.is_finished() && !locked_deletion.is_finished());
    other.execute("COMMIT").await.unwrap();
    let (was_valid, session) = soon(locked_end).await.unwrap();
    assert!(was_valid && session.fields.user_id == "locked");
    assert!(soon(locked_deletion).await.unwrap());
    drop(other);
    sessions.database().close().await;
}

/// PostgreSQL commits statements that announce one after another. More than two at once would only hold connections that
/// others can use.
async fn no_more_than_two_announce_at_once(db: TestDatabase) {
    db.sessions::<UserSession>().await;
    // A disk that is slow.
    let slow = "CREATE FUNCTION write_slowly() RETURNS trigger LANGUAGE plpgsql AS \
                $$ BEGIN PERFORM pg_sleep(0.02); RETURN NEW; END $$; \
                CREATE TRIGGER slow BEFORE UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION write_slowly()";
    db.execute(slow).await;
    for announces in [true, false] {
        let (database, config) = (pool::of(&db, 12).await, db.config().announce(announces));
        let sessions = Sessions::<UserSession>::new(database, config.build().unwrap()).unwrap();
        let created = created(&sessions, 30).await;
        // None of these shares a statement.
        let rotations: Vec<_> = created
            .into_iter()
            .map(|one| {
                let (sessions, mut session) = (sessions.clone(), one.session);
                begin(async move { sessions.rotate(&mut session).await.unwrap() })
            })
            .collect();
        let mut most = 0;
        while !rotations.iter().all(JoinHandle::is_finished) {
            let active = format!(
                "SELECT pid::text FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid() \
                 AND query LIKE '%UPDATE \"sessions\"%' AND wait_event = 'PgSleep' \
                 AND pid IN (SELECT pid FROM pg_locks WHERE relation = '{}.sessions'::regclass)",
                db.schema().unwrap()
            );
            most = most.max(db.texts(&active).await.len());
        }
        all(rotations).await;
        // On a machine that is busy a statement may take so long that another one goes out.
        assert!(if announces { (1..=3).contains(&most) } else { most > 3 }, "{most} at once: {announces}");
        sessions.database().close().await;
    }
}

mod sqlite {
    cloakroom_testing::each_case!(
        Sqlite,
        Coalesced,
        super,
        many_sessions_are_revoked_in_few_statements,
        each_caller_learns_what_became_of_its_own_session,
        an_update_that_moves_back_no_clock_is_ended_later_than_it_was_written
    );
}

mod postgres {
    cloakroom_testing::each_case!(
        Postgres,
        Coalesced,
        super,
        many_sessions_are_revoked_in_few_statements,
        each_caller_learns_what_became_of_its_own_session,
        an_update_that_moves_back_no_clock_is_ended_later_than_it_was_written,
        a_locked_session_keeps_no_other_waiting,
        no_more_than_two_announce_at_once
    );
}

/// Here nothing is shared, and the answers are the same.
mod mariadb {
    cloakroom_testing::each_case!(
        MariaDb,
        Coalesced,
        super,
        each_caller_learns_what_became_of_its_own_session,
        an_update_that_moves_back_no_clock_is_ended_later_than_it_was_written
    );
}
