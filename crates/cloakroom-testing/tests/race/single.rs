//! One row, one kind of operation against itself or another.

use std::time::Duration;

use cloakroom::{CreatedSession, ErrorKind, Session, Sessions, Status};
use cloakroom_testing::{Kind, TestDatabase, UserSession, each_mode, listening, user};
use serde_json::json;

use crate::at_once;

const DAY: Duration = Duration::from_hours(24);
const TASKS: usize = 12;

fn rounds(db: &TestDatabase) -> usize {
    if db.kind() == Kind::Sqlite { 25 } else { 15 }
}

async fn created(sessions: &Sessions<UserSession>) -> CreatedSession<UserSession> {
    sessions.create(user("1234").data(json!({"count": 0}))).await.unwrap()
}

async fn row(sessions: &Sessions<UserSession>, id: uuid::Uuid) -> Option<Session<UserSession>> {
    sessions.query().id(id).status(Status::All).fetch_all().await.unwrap().pop()
}

async fn exactly_one_of_many_expiries_says_that_it_ended_the_session(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    for _ in 0..rounds(&db) {
        let created = created(&sessions).await;
        let ended = at_once(TASKS, |number| {
            let (sessions, mut session) = (sessions.clone(), created.session.clone());
            async move {
                if number % 2 == 0 {
                    let ended = sessions.expire(&mut session).await.unwrap();
                    assert!(!session.is_valid(sessions.config().now()));
                    u64::from(ended)
                } else {
                    sessions.query().id(session.id).limit(number as u64).expire_all().await.unwrap()
                }
            }
        });
        assert_eq!(ended.await.into_iter().sum::<u64>(), 1);
        assert_eq!(sessions.authenticate(&created.token).await.unwrap(), None);
    }
}

async fn exactly_one_of_many_deletes_says_that_it_deleted_the_session(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    for _ in 0..rounds(&db) {
        let created = created(&sessions).await;
        let deleted = at_once(TASKS, |number| {
            let (sessions, session) = (sessions.clone(), created.session.clone());
            async move {
                match number % 3 {
                    0 => u64::from(sessions.delete(session).await.unwrap()),
                    1 => sessions.query().id(session.id).delete_all().await.unwrap(),
                    _ => sessions.query().id(session.id).limit(1).delete_all().await.unwrap(),
                }
            }
        });
        assert_eq!(deleted.await.into_iter().sum::<u64>(), 1);
    }
    assert_eq!(sessions.query().status(Status::All).count().await.unwrap(), 0);
}

async fn no_increment_is_lost(db: TestDatabase) {
    const EACH: u64 = 4;
    let sessions = db.sessions::<UserSession>().await;
    for _ in 0..Ord::max(rounds(&db) / 5, 1) {
        let created = created(&sessions).await;
        at_once(TASKS, |_| {
            let (sessions, mut session) = (sessions.clone(), created.session.clone());
            async move {
                for _ in 0..EACH {
                    let increment = |session: &mut Session<UserSession>| {
                        let count = session.data["count"].as_u64().unwrap();
                        session.data["count"] = json!(count + 1);
                    };
                    sessions.update_with(&mut session, increment).await.unwrap();
                }
            }
        })
        .await;
        let row = row(&sessions, created.session.id).await.unwrap();
        assert_eq!(row.data, json!({"count": TASKS as u64 * EACH}));
        // Each was a version of its own, although the clock stood still.
        let versions = row.updated_at - row.inserted_at;
        assert_eq!(versions.whole_microseconds(), TASKS as i128 * i128::from(EACH));
    }
}

async fn exactly_one_of_many_updates_from_one_reading_wins(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    for _ in 0..rounds(&db) {
        let created = created(&sessions).await;
        let results = at_once(TASKS, |number| {
            let (sessions, mut session) = (sessions.clone(), created.session.clone());
            async move {
                *session.data = json!({"written_by": number});
                sessions.update(&mut session).await.map(|()| session).map_err(|error| error.kind())
            }
        });
        let (won, lost): (Vec<_>, Vec<_>) = results.await.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1);
        assert!(lost.iter().all(|result| *result == Err(ErrorKind::Conflict)), "{lost:?}");
        assert_eq!(row(&sessions, created.session.id).await, won.into_iter().next().unwrap().ok());
    }
}

async fn exactly_one_of_many_rotations_wins_and_only_its_token_works(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    for _ in 0..rounds(&db) {
        let created = created(&sessions).await;
        let results = at_once(TASKS, |_| {
            let (sessions, mut session) = (sessions.clone(), created.session.clone());
            async move { sessions.rotate(&mut session).await.map_err(|error| error.kind()) }
        });
        let (won, lost): (Vec<_>, Vec<_>) = results.await.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1);
        assert!(lost.iter().all(|result| *result == Err(ErrorKind::Conflict)), "{lost:?}");
        let token = won.into_iter().next().unwrap().unwrap();
        let found = sessions.authenticate(&token).await.unwrap().unwrap();
        assert_eq!(found.id, created.session.id);
        assert_eq!(sessions.authenticate(&created.token).await.unwrap(), None);
    }
}

/// A read whose extension loses to a rotation must not answer with the state that the rotation left.
async fn a_token_that_was_rotated_away_is_not_accepted_for_what_came_after(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    for _ in 0..rounds(&db) {
        let created = created(&sessions).await;
        // Reads extend from here on.
        db.clock().advance(2 * DAY);
        let answers = at_once(TASKS, |number| {
            let (sessions, created) = (sessions.clone(), created.clone());
            async move {
                let mut session = created.session;
                if number == TASKS / 2 {
                    let rotated = sessions.rotate(&mut session).await.is_ok();
                    (rotated.then_some(session.updated_at), None)
                } else {
                    (None, sessions.authenticate(&created.token).await.unwrap())
                }
            }
        });
        let answers = answers.await;
        let rotated_at = answers.iter().find_map(|(rotated_at, _)| *rotated_at);
        for read in answers.iter().filter_map(|(_, read)| read.as_ref()) {
            assert_ne!(Some(read.updated_at), rotated_at, "the old token was accepted after the rotation");
        }
        assert_eq!(sessions.authenticate(&created.token).await.unwrap().is_none(), rotated_at.is_some());
    }
}

/// A read whose extension loses to an update must not answer with a session that no longer matches.
async fn a_query_never_answers_with_what_it_did_not_ask_for(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    for _ in 0..rounds(&db) {
        let created = created(&sessions).await;
        db.clock().advance(2 * DAY);
        at_once(TASKS, |number| {
            let (sessions, mut session) = (sessions.clone(), created.session.clone());
            async move {
                if number == TASKS / 2 {
                    let change = |session: &mut Session<UserSession>| session.fields.user_id = "5678".into();
                    sessions.update_with(&mut session, change).await.unwrap();
                } else {
                    let query = sessions.query().id(session.id).filter(UserSession::USER_ID.eq("1234"));
                    if let Some(read) = query.fetch_optional().await.unwrap() {
                        assert_eq!(read.fields.user_id, "1234");
                    }
                }
            }
        })
        .await;
    }
}

async fn an_update_never_brings_an_ended_session_back(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    for _ in 0..rounds(&db) {
        let created = created(&sessions).await;
        db.clock().advance(2 * DAY);
        at_once(TASKS, |number| {
            let (sessions, created) = (sessions.clone(), created.clone());
            async move {
                let mut session = created.session;
                let later = sessions.config().now() + DAY * 20;
                let refused = match number % 6 {
                    0 => {
                        sessions.expire(&mut session).await.unwrap();
                        assert_eq!(sessions.authenticate(&created.token).await.unwrap(), None);
                        None
                    }
                    1 => sessions.extend(&mut session).await.err(),
                    2 => {
                        session.expires_at = Some(later);
                        sessions.update(&mut session).await.err()
                    }
                    3 => sessions.update_with(&mut session, |session| session.expires_at = None).await.err(),
                    4 => sessions.rotate(&mut session).await.err(),
                    _ => {
                        sessions.authenticate(&created.token).await.unwrap();
                        None
                    }
                };
                if let Some(error) = refused {
                    assert!(matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Expired), "{error:?}");
                }
            }
        })
        .await;
        let now = sessions.config().now();
        let row = row(&sessions, created.session.id).await.unwrap();
        assert!(!row.is_valid(now), "{row:?}");
    }
}

async fn an_update_never_inserts_a_deleted_session_again(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    for _ in 0..rounds(&db) {
        let created = created(&sessions).await;
        db.clock().advance(2 * DAY);
        at_once(TASKS, |number| {
            let (sessions, created) = (sessions.clone(), created.clone());
            async move {
                let mut session = created.session;
                let refused = match number % 5 {
                    0 => {
                        sessions.delete(session).await.unwrap();
                        assert_eq!(sessions.authenticate(&created.token).await.unwrap(), None);
                        None
                    }
                    1 => sessions.extend(&mut session).await.err(),
                    2 => sessions.update_with(&mut session, |session| *session.data = json!([])).await.err(),
                    3 => sessions.rotate(&mut session).await.err(),
                    _ => {
                        sessions.authenticate(&created.token).await.unwrap();
                        None
                    }
                };
                if let Some(error) = refused {
                    assert!(matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound), "{error:?}");
                }
            }
        })
        .await;
        assert_eq!(row(&sessions, created.session.id).await, None);
    }
}

/// Reads, explicit extensions and a query at once: one of them writes, and all who answer see what it wrote, but for
/// reads on PostgreSQL that left the row to an explicit extension on its way.
async fn a_due_extension_is_written_once_whoever_asks_for_it(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    for _ in 0..rounds(&db) {
        let created = created(&sessions).await;
        db.clock().advance(2 * DAY);
        let answers = at_once(TASKS, |number| {
            let (sessions, created) = (sessions.clone(), created.clone());
            async move {
                let mut session = created.session;
                match number % 3 {
                    0 => sessions.authenticate(&created.token).await.unwrap().unwrap(),
                    1 => sessions.query().token(&created.token).fetch_one().await.unwrap(),
                    _ => {
                        sessions.extend(&mut session).await.unwrap();
                        session
                    }
                }
            }
        });
        let row = row(&sessions, created.session.id).await.unwrap();
        assert_eq!(row, created.session, "nothing runs before it is awaited");
        let answers = answers.await;
        let now = sessions.config().now();
        let row = self::row(&sessions, created.session.id).await.unwrap();
        assert_eq!(row.expires_at, Some(now + 7 * DAY));
        // A second write would have had to move it past the instant.
        assert_eq!(row.updated_at, now);
        for (number, answer) in answers.iter().enumerate() {
            let left_the_row = db.kind() == Kind::Postgres && number % 3 != 2 && *answer == created.session;
            assert!(*answer == row || left_the_row, "{answer:?}");
        }
    }
}

each_mode! {
    exactly_one_of_many_expiries_says_that_it_ended_the_session,
    exactly_one_of_many_deletes_says_that_it_deleted_the_session,
    no_increment_is_lost,
    exactly_one_of_many_updates_from_one_reading_wins,
    exactly_one_of_many_rotations_wins_and_only_its_token_works,
    a_token_that_was_rotated_away_is_not_accepted_for_what_came_after,
    a_query_never_answers_with_what_it_did_not_ask_for,
    an_update_never_brings_an_ended_session_back,
    an_update_never_inserts_a_deleted_session_again,
    a_due_extension_is_written_once_whoever_asks_for_it,
}

listening! {
    exactly_one_of_many_expiries_says_that_it_ended_the_session,
    exactly_one_of_many_deletes_says_that_it_deleted_the_session,
    no_increment_is_lost,
    exactly_one_of_many_updates_from_one_reading_wins,
    exactly_one_of_many_rotations_wins_and_only_its_token_works,
    a_token_that_was_rotated_away_is_not_accepted_for_what_came_after,
    a_query_never_answers_with_what_it_did_not_ask_for,
    an_update_never_brings_an_ended_session_back,
    an_update_never_inserts_a_deleted_session_again,
    a_due_extension_is_written_once_whoever_asks_for_it,
}
