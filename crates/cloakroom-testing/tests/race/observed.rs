//! Everything at once on one row, while observers watch it and the clock moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cloakroom::{CreatedSession, Error, ErrorKind, Session, Sessions, Status};
use cloakroom_testing::{Kind, TestDatabase, UserSession, each_mode, listening, user};
use serde_json::json;

use crate::at_once;

const DAY: Duration = Duration::from_hours(24);
const WRITERS: usize = 8;
const OPERATIONS: usize = 10;

/// What one observer has seen of a session, and what follows from it for all that it sees later.
#[derive(Default)]
struct Observer {
    last: Option<Session<UserSession>>,
    is_gone: bool,
    is_refused: bool,
}

impl Observer {
    async fn look(&mut self, sessions: &Sessions<UserSession>, created: &CreatedSession<UserSession>) {
        let before = sessions.config().now();
        let query = sessions.query().id(created.session.id).status(Status::All);
        match query.fetch_all().await.unwrap().pop() {
            None => self.is_gone = true,
            Some(row) => {
                assert!(!self.is_gone, "a deleted session came back: {row:?}");
                if let Some(last) = &self.last {
                    let was_over = !last.is_valid(before);
                    assert!(!was_over || !row.is_valid(before), "revived: {last:?} became {row:?}");
                    // Nobody here shortens a session but by ending it.
                    let moved_back = row.expires_at.is_some() && row.expires_at < last.expires_at;
                    let after = sessions.config().now();
                    assert!(!moved_back || !row.is_valid(after), "moved back: {last:?} became {row:?}");
                    assert!(row.updated_at >= last.updated_at, "written before: {last:?} became {row:?}");
                    let is_same = row.updated_at == last.updated_at;
                    assert_eq!(is_same, row == *last, "one version twice: {last:?} became {row:?}");
                }
                self.last = Some(row);
            }
        }
        let is_over = self.is_gone || self.last.as_ref().is_some_and(|last| !last.is_valid(before));
        if let Some(found) = sessions.authenticate(&created.token).await.unwrap() {
            assert!(!is_over, "authenticated after its end: {found:?}");
            assert!(!self.is_refused, "a token came back: {found:?}");
        } else {
            self.is_refused = true;
        }
    }
}

#[derive(Default)]
struct Counts {
    ended: AtomicU64,
    deleted: AtomicU64,
    increments: AtomicU64,
    is_done: AtomicBool,
}

async fn write(
    sessions: &Sessions<UserSession>,
    created: CreatedSession<UserSession>,
    counts: &Counts,
    task: usize,
    may_delete: bool,
) {
    let mut session = created.session;
    for step in 0..OPERATIONS {
        let refused = match (task * 3 + step * 5) % 8 {
            0 => sessions.extend(&mut session).await.err(),
            1 | 2 => {
                let increment = |session: &mut Session<UserSession>| {
                    let count = session.data["count"].as_u64().unwrap();
                    session.data["count"] = json!(count + 1);
                };
                let result = sessions.update_with(&mut session, increment).await;
                counts.increments.fetch_add(u64::from(result.is_ok()), Ordering::Relaxed);
                result.err()
            }
            3 => {
                let later = sessions.config().now() + 20 * DAY;
                let lengthen = |session: &mut Session<UserSession>| {
                    session.expires_at = session.expires_at.map(|expires_at| expires_at.max(later));
                };
                sessions.update_with(&mut session, lengthen).await.err()
            }
            4 => sessions.authenticate(&created.token).await.map(drop).err(),
            5 => {
                session.fields.user_id = format!("{task}");
                let refused = sessions.update(&mut session).await.err();
                if refused.is_some() && sessions.reload(&mut session).await.is_err() {
                    session.fields.user_id = "1234".into();
                }
                refused
            }
            6 if step > OPERATIONS / 2 && task.is_multiple_of(3) => {
                let ended = sessions.expire(&mut session).await.unwrap();
                counts.ended.fetch_add(u64::from(ended), Ordering::Relaxed);
                None
            }
            7 if step == OPERATIONS - 1 && may_delete => {
                let deleted = sessions.delete(session.clone()).await.unwrap();
                counts.deleted.fetch_add(u64::from(deleted), Ordering::Relaxed);
                None
            }
            _ if step == OPERATIONS / 2 => sessions.rotate(&mut session).await.map(drop).err(),
            _ => sessions.reload(&mut session).await.err(),
        };
        let allowed = [ErrorKind::Conflict, ErrorKind::NotFound, ErrorKind::Expired];
        assert!(refused.as_ref().is_none_or(|error: &Error| allowed.contains(&error.kind())), "{refused:?}");
    }
}

async fn whatever_runs_at_once_an_end_is_final_and_no_write_is_lost(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let db = Arc::new(db);
    let rounds = if db.kind() == Kind::Sqlite { 20 } else { 14 };
    let (mut ended, mut deleted) = (0, 0);
    for round in 0..rounds {
        let created = sessions.create(user("1234").data(json!({"count": 0}))).await.unwrap();
        let counts = Arc::new(Counts::default());
        let (created, counts) = (&created, &counts);
        let may_delete = round % 2 == 0;
        let clock = tokio::spawn({
            let (db, sessions, counts) = (Arc::clone(&db), sessions.clone(), Arc::clone(counts));
            async move {
                // No session ends by itself: all that ends is ended by somebody.
                for _ in 0..60 {
                    if counts.is_done.load(Ordering::Relaxed) {
                        return;
                    }
                    db.clock().advance(Duration::from_mins(97));
                    sessions.query().exists().await.unwrap();
                }
            }
        });
        let observers: Vec<_> = (0..2)
            .map(|_| {
                let (sessions, created, counts) = (sessions.clone(), created.clone(), Arc::clone(counts));
                tokio::spawn(async move {
                    let mut observer = Observer::default();
                    while !counts.is_done.load(Ordering::Relaxed) {
                        observer.look(&sessions, &created).await;
                    }
                    observer.look(&sessions, &created).await;
                })
            })
            .collect();
        at_once(WRITERS, |task| {
            let (sessions, created, counts) = (sessions.clone(), created.clone(), Arc::clone(counts));
            async move { write(&sessions, created, &counts, task, may_delete).await }
        })
        .await;
        counts.is_done.store(true, Ordering::Relaxed);
        clock.await.unwrap();
        for observer in observers {
            observer.await.unwrap();
        }

        let times = |count: &AtomicU64| count.load(Ordering::Relaxed);
        assert!(times(&counts.ended) <= 1 && times(&counts.deleted) <= 1);
        ended += times(&counts.ended);
        deleted += times(&counts.deleted);
        let query = sessions.query().id(created.session.id).status(Status::All);
        let row = query.fetch_all().await.unwrap().pop();
        assert_eq!(row.is_none(), times(&counts.deleted) == 1);
        if let Some(row) = row {
            assert_eq!(row.data, json!({"count": times(&counts.increments)}));
            assert_eq!(!row.is_valid(sessions.config().now()), times(&counts.ended) == 1);
        }
    }
    assert!(
        ended > 0 && deleted > 0,
        "nothing was ended ({ended}) or deleted ({deleted}): nothing was tested"
    );
}

async fn what_the_clock_ended_stays_ended_whoever_tries(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    for _ in 0..10 {
        let created = sessions.create(user("1234")).await.unwrap();
        db.clock().advance(7 * DAY);
        let results = at_once(WRITERS, |task| {
            let (sessions, created) = (sessions.clone(), created.clone());
            async move {
                let mut session = created.session;
                let later = sessions.config().now() + DAY;
                match task % 5 {
                    0 => {
                        assert!(!sessions.extend(&mut session).await.unwrap());
                        None
                    }
                    1 => {
                        assert_eq!(sessions.authenticate(&created.token).await.unwrap(), None);
                        None
                    }
                    2 => sessions
                        .update_with(&mut session, |session| session.expires_at = Some(later))
                        .await
                        .err(),
                    3 => sessions.rotate(&mut session).await.err(),
                    _ => {
                        assert!(!sessions.expire(&mut session).await.unwrap());
                        let change = |session: &mut Session<UserSession>| *session.data = json!([1]);
                        sessions.update_with(&mut session, change).await.unwrap();
                        None
                    }
                }
            }
        });
        for error in results.await.into_iter().flatten() {
            assert!(matches!(error.kind(), ErrorKind::Expired | ErrorKind::Conflict), "{error:?}");
        }
        let row = sessions.query().id(created.session.id).status(Status::Expired).fetch_one().await.unwrap();
        assert_eq!(row.expires_at, created.session.expires_at);
    }
}

each_mode! {
    whatever_runs_at_once_an_end_is_final_and_no_write_is_lost,
    what_the_clock_ended_stays_ended_whoever_tries,
}

listening! {
    whatever_runs_at_once_an_end_is_final_and_no_write_is_lost,
    what_the_clock_ended_stays_ended_whoever_tries,
}
