//! Statements on many rows at once, against each other and against what is done to single rows.

use std::time::Duration;

use cloakroom::{ErrorKind, Session, Sessions, Status};
use cloakroom_testing::{TestDatabase, UserSession, each_mode, listening, user};
use serde_json::json;

use crate::at_once;

const TASKS: usize = 12;

async fn create_many(sessions: &Sessions<UserSession>, count: usize) -> Vec<Session<UserSession>> {
    let made = at_once(TASKS, |task| {
        let sessions = sessions.clone();
        async move {
            let mut made = Vec::new();
            for number in (task..count).step_by(TASKS) {
                let owner = if number % 2 == 0 { "even" } else { "odd" };
                made.push(sessions.create(user(owner)).await.unwrap().session);
            }
            made
        }
    });
    made.await.into_iter().flatten().collect()
}

async fn count(sessions: &Sessions<UserSession>, status: Status) -> u64 {
    sessions.query().status(status).count().await.unwrap()
}

async fn many_prunings_delete_each_row_once(db: TestDatabase) {
    // More than one batch.
    const ROWS: usize = 1_300;
    let sessions = db.sessions::<UserSession>().await;
    create_many(&sessions, ROWS).await;
    db.clock().advance(Duration::from_hours(8 * 24));
    let live = create_many(&sessions, 24).await;
    let deleted = at_once(6, |_| {
        let sessions = sessions.clone();
        async move { sessions.delete_expired().await.unwrap() }
    });
    assert_eq!(deleted.await.into_iter().sum::<u64>(), ROWS as u64);
    assert_eq!(count(&sessions, Status::All).await, live.len() as u64);
}

/// Two who sign a user out everywhere, while the same user signs in: each session is ended once, and none
/// that existed before is left.
async fn signing_out_everywhere_ends_what_was_there_and_counts_it_once(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    for _ in 0..6 {
        let before = create_many(&sessions, 24).await;
        let ended = at_once(TASKS, |task| {
            let sessions = sessions.clone();
            async move {
                if task % 3 == 0 {
                    return sessions.query().expire_all().await.unwrap();
                }
                for _ in 0..4 {
                    sessions.create(user("even")).await.unwrap();
                }
                0
            }
        });
        let ended: u64 = ended.await.into_iter().sum();
        assert_eq!(ended, count(&sessions, Status::Expired).await);
        for mut session in before {
            sessions.reload(&mut session).await.unwrap();
            assert!(!session.is_valid(sessions.config().now()));
        }
        sessions.query().status(Status::All).delete_all().await.unwrap();
    }
}

async fn limited_statements_end_and_delete_each_session_once(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    for _ in 0..6 {
        create_many(&sessions, 60).await;
        let affected = at_once(TASKS, |task| {
            let sessions = sessions.clone();
            async move {
                let (mut ended, mut deleted) = (0, 0);
                for _ in 0..4 {
                    let query = || {
                        let query = sessions.query().limit(5);
                        if task % 2 == 0 { query.oldest_first() } else { query }
                    };
                    if task % 3 == 0 {
                        deleted += query().status(Status::Expired).delete_all().await.unwrap();
                    } else {
                        ended += query().expire_all().await.unwrap();
                    }
                }
                (ended, deleted)
            }
        });
        let (ended, deleted) =
            affected.await.into_iter().fold((0, 0), |sum, task| (sum.0 + task.0, sum.1 + task.1));
        assert_eq!(count(&sessions, Status::Expired).await + deleted, ended);
        assert_eq!(count(&sessions, Status::All).await + deleted, 60);
        sessions.query().status(Status::All).delete_all().await.unwrap();
    }
}

/// A row that was chosen while it matched, and was changed before its turn came, no longer matches.
async fn a_limited_delete_spares_what_no_longer_matches(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    for _ in 0..6 {
        let made = create_many(&sessions, 24).await;
        let moved = at_once(TASKS, |task| {
            let sessions = sessions.clone();
            let mine: Vec<_> = made.iter().skip(task).step_by(TASKS).cloned().collect();
            async move {
                let mut moved = Vec::new();
                if task % 3 == 0 {
                    for _ in 0..3 {
                        let query = sessions.query().filter(UserSession::USER_ID.ne("kept"));
                        query.limit(6).delete_all().await.unwrap();
                    }
                }
                for mut session in mine {
                    session.fields.user_id = "kept".into();
                    match sessions.update(&mut session).await {
                        Ok(()) => moved.push(session),
                        Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
                    }
                }
                moved
            }
        });
        for mut session in moved.await.into_iter().flatten() {
            sessions.reload(&mut session).await.expect("what was moved in time is kept");
        }
        sessions.query().status(Status::All).delete_all().await.unwrap();
    }
}

/// Statements that lock the same rows in different orders, some by one index and some by another. What the
/// database rolls back to end a deadlock runs again, and no caller hears of it.
async fn no_operation_fails_for_a_deadlock(db: TestDatabase) {
    const ROWS: usize = 48;
    let sessions = db.sessions::<UserSession>().await;
    for _ in 0..5 {
        let made = create_many(&sessions, ROWS).await;
        let counts = at_once(TASKS, |task| {
            let sessions = sessions.clone();
            let mut mine = made.clone();
            if task % 2 == 0 {
                mine.reverse();
            }
            async move {
                let (mut ended, mut deleted, mut created) = (0, 0, 0);
                let of = |owner: &str| sessions.query().filter(UserSession::USER_ID.eq(owner));
                for (number, mut session) in mine.into_iter().enumerate().skip(task).step_by(4) {
                    match (task + number) % 9 {
                        0 => ended += of("even").expire_all().await.unwrap(),
                        1 => ended += of("odd").limit(7).expire_all().await.unwrap(),
                        2 => ended += sessions.query().oldest_first().limit(9).expire_all().await.unwrap(),
                        3 => deleted += of("odd").status(Status::Expired).delete_all().await.unwrap(),
                        4 => deleted += sessions.delete_expired().await.unwrap(),
                        5 => {
                            let query = sessions.query().status(Status::Expired).limit(3);
                            deleted += query.delete_all().await.unwrap();
                        }
                        6 => ended += u64::from(sessions.expire(&mut session).await.unwrap()),
                        7 => {
                            sessions.create(user("odd")).await.unwrap();
                            created += 1;
                        }
                        _ => {
                            let change = |session: &mut Session<UserSession>| {
                                session.fields.user_id = if task % 2 == 0 { "odd" } else { "even" }.into();
                                *session.data = json!({"task": task});
                            };
                            if let Err(error) = sessions.update_with(&mut session, change).await {
                                assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
                            }
                        }
                    }
                }
                [ended, deleted, created]
            }
        });
        let [mut ended, mut deleted, mut created] = [0; 3];
        for counts in counts.await {
            ended += counts[0];
            deleted += counts[1];
            created += counts[2];
        }
        assert_eq!(count(&sessions, Status::All).await + deleted, ROWS as u64 + created);
        assert_eq!(count(&sessions, Status::Expired).await + deleted, ended);
        sessions.query().status(Status::All).delete_all().await.unwrap();
    }
}

each_mode! {
    many_prunings_delete_each_row_once,
    signing_out_everywhere_ends_what_was_there_and_counts_it_once,
    limited_statements_end_and_delete_each_session_once,
    a_limited_delete_spares_what_no_longer_matches,
    no_operation_fails_for_a_deadlock,
}

listening! {
    many_prunings_delete_each_row_once,
    signing_out_everywhere_ends_what_was_there_and_counts_it_once,
    limited_statements_end_and_delete_each_session_once,
    a_limited_delete_spares_what_no_longer_matches,
    no_operation_fails_for_a_deadlock,
}
