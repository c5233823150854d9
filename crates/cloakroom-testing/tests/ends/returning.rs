//! Ending and deleting many sessions, and getting them back.

use std::collections::BTreeSet;
use std::time::Duration;

use cloakroom::{
    EndReason, Error, ImportedSession, Session, SessionTable, Sessions, Status, Token, UnreadableSession,
};
use cloakroom_testing::{TestDatabase, each_database, each_mode};
use futures_util::TryStreamExt;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use crate::reasons::{Device, device};

const DAY: Duration = Duration::from_hours(24);

type Returned = Vec<Result<Session<Device>, UnreadableSession>>;

fn sorted(returned: Returned) -> Vec<Session<Device>> {
    let mut sessions: Vec<_> = returned.into_iter().map(Result::unwrap).collect();
    sessions.sort_by_key(|session| (session.inserted_at, session.id));
    sessions
}

async fn rows(sessions: &Sessions<Device>) -> Vec<Session<Device>> {
    sessions.query().status(Status::All).oldest_first().fetch_all().await.unwrap()
}

/// Makes sessions of two users, by turns, and returns their tokens.
async fn made(db: &TestDatabase, sessions: &Sessions<Device>, count: usize) -> Vec<Token> {
    let mut tokens = Vec::new();
    for number in 0..count {
        let created = sessions.create(device(["1", "2"][number % 2])).await.unwrap();
        tokens.push(created.token);
        db.clock().advance(Duration::from_secs(1));
    }
    tokens
}

async fn what_was_ended_is_returned_as_its_row_is_now(db: TestDatabase) {
    let sessions = db.sessions::<Device>().await;
    let tokens = made(&db, &sessions, 5).await;
    for token in &tokens {
        assert!(sessions.authenticate(token).await.unwrap().is_some());
    }
    let mut transaction = sessions.begin().await.unwrap();
    let query = |user: &'static str| sessions.query().owner(user);
    let undone = sessions.within(&mut transaction).query().owner("1").expire_all_returning().await.unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!((undone.len(), query("1").count().await.unwrap()), (3, 3));

    let reason = EndReason::from_static("stolen");
    let ended = sorted(query("1").because(reason).expire_all_returning().await.unwrap());
    let rows = rows(&sessions).await;
    assert_eq!(ended, [rows[0].clone(), rows[2].clone(), rows[4].clone()]);
    for session in &ended {
        assert_eq!((session.ended_because(), session.is_valid(db.now())), (Some("stolen"), false));
    }
    for (number, token) in tokens.iter().enumerate() {
        assert_eq!(sessions.authenticate(token).await.unwrap().is_none(), number % 2 == 0);
    }
    assert_eq!(query("1").expire_all_returning().await.unwrap().len(), 0);

    let mut transaction = sessions.begin().await.unwrap();
    let ended = sessions.within(&mut transaction).query().expire_all_returning().await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(
        sorted(ended),
        [self::rows(&sessions).await[1].clone(), self::rows(&sessions).await[3].clone()]
    );
    assert!(sessions.authenticate(&tokens[1]).await.unwrap().is_none());
}

async fn what_was_deleted_is_returned_as_its_row_was(db: TestDatabase) {
    let sessions = db.sessions::<Device>().await;
    let tokens = made(&db, &sessions, 4).await;
    let mut ended = sessions.query().owner("1").oldest_first().fetch_all().await.unwrap().remove(0);
    sessions.expire(&mut ended).await.unwrap();
    let before = rows(&sessions).await;
    assert!(sessions.authenticate(&tokens[1]).await.unwrap().is_some());
    let valid = sessions.query().owner("2").delete_all_returning().await.unwrap();
    assert_eq!(sorted(valid), [before[1].clone(), before[3].clone()]);
    assert!(sessions.authenticate(&tokens[1]).await.unwrap().is_none());
    let expired = sessions.query().status(Status::Expired).delete_all_returning().await.unwrap();
    assert_eq!(sorted(expired), [ended]);
    let mut transaction = sessions.begin().await.unwrap();
    let last = sessions.within(&mut transaction).query().status(Status::All).delete_all_returning().await;
    transaction.commit().await.unwrap();
    assert_eq!(sorted(last.unwrap()), [before[2].clone()]);
    assert_eq!(rows(&sessions).await, []);
}

async fn a_limit_chooses_in_the_order_of_the_query(db: TestDatabase) {
    let sessions = db.sessions::<Device>().await;
    made(&db, &sessions, 6).await;
    let before = rows(&sessions).await;
    let ended = sorted(sessions.query().oldest_first().limit(2).expire_all_returning().await.unwrap());
    assert_eq!([ended[0].id, ended[1].id], [before[0].id, before[1].id]);
    let deleted = sorted(sessions.query().limit(3).delete_all_returning().await.unwrap());
    assert_eq!(deleted, before[3..]);
    let none = sessions.query().limit(0).expire_all_returning().await.unwrap();
    assert_eq!((none.len(), sessions.query().limit(9).expire_all_returning().await.unwrap().len()), (0, 1));
}

async fn what_has_only_reached_its_expiry_is_not_returned(db: TestDatabase) {
    let sessions = db.sessions::<Device>().await;
    let lapsed = sessions.create(device("1")).await.unwrap().session;
    for limit in [None, Some(10)] {
        let valid = sessions.create(device("1").never_expires()).await.unwrap().session;
        db.clock().advance(7 * DAY);
        let query = sessions.query().owner("1");
        let query = if let Some(limit) = limit { query.limit(limit) } else { query };
        let ended = sorted(query.expire_all_returning().await.unwrap());
        assert_eq!(ended.iter().map(|session| session.id).collect::<Vec<_>>(), [valid.id]);
        // A machine whose clock is behind accepts it no longer either.
        let mut read = lapsed.clone();
        sessions.reload(&mut read).await.unwrap();
        assert!(!read.is_valid(lapsed.inserted_at) && read.ended_because().is_none());
    }
    assert_eq!(sessions.query().status(Status::Expired).expire_all_returning().await.unwrap().len(), 0);
}

async fn a_session_that_does_not_decode_ends_all_the_same(db: TestDatabase) {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Level {
        level: u8,
    }

    #[derive(Clone, Debug, PartialEq, SessionTable)]
    #[session(table = "devices", data = Level)]
    struct Strict {
        user_id: String,
    }

    let sessions = db.sessions::<Device>().await;
    let readable = sessions.create(device("1").data(json!({"level": 1}))).await.unwrap();
    let other = sessions.create(device("1").data(json!({"level": "high"}))).await.unwrap();
    let strict = Sessions::<Strict>::new(db.database(), db.config().build().unwrap()).unwrap();
    let returned = strict.query().filter(Strict::USER_ID.eq("1")).expire_all_returning().await.unwrap();
    let (read, unreadable): (Vec<_>, Vec<_>) = returned.into_iter().partition(Result::is_ok);
    assert_eq!(read[0].as_ref().unwrap().id, readable.session.id);
    assert_eq!(unreadable[0].as_ref().unwrap_err().id, other.session.id);
    assert_eq!((read.len(), unreadable.len(), sessions.query().count().await.unwrap()), (1, 1, 0));
}

/// Makes many sessions in a few statements.
async fn import(sessions: &Sessions<Device>, count: usize) -> BTreeSet<Uuid> {
    let imported = (0..count).map(|number| {
        let token = Token::import(format!("a token of another system {number}")).unwrap();
        ImportedSession::with_token(device(&(number % 3).to_string()), token)
    });
    sessions.import(imported.collect()).await.unwrap();
    sessions.query().fetch_all().await.unwrap().iter().map(|session| session.id).collect()
}

fn ids(returned: impl IntoIterator<Item = Result<Session<Device>, UnreadableSession>>) -> Vec<Uuid> {
    returned.into_iter().map(|session| session.unwrap().id).collect()
}

async fn many_sessions_end_in_batches(db: TestDatabase) {
    let sessions = db.sessions::<Device>().await;
    let all = import(&sessions, 1_203).await;
    let batches: Vec<_> = sessions.query().expire_in_batches().try_collect().await.unwrap();
    assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [500, 500, 203]);
    assert_eq!(ids(batches.into_iter().flatten()).into_iter().collect::<BTreeSet<_>>(), all);
    assert_eq!(sessions.query().count().await.unwrap(), 0);
    // What a batch has returned is done, although the stream is not read further.
    let mut batches = sessions.query().status(Status::All).limit(900).delete_in_batches();
    let first = batches.try_next().await.unwrap().unwrap();
    drop(batches);
    assert_eq!((first.len(), rows(&sessions).await.len()), (500, 703));
    let rest = sessions.query().status(Status::All).delete_all_returning().await.unwrap();
    assert_eq!((rest.len(), rows(&sessions).await.len()), (703, 0));
    assert_eq!(ids(first).into_iter().chain(ids(rest)).collect::<BTreeSet<_>>(), all);
}

/// While the same users log in and out.
async fn each_session_is_returned_to_one_of_those_who_end_it(db: TestDatabase) {
    let sessions = db.sessions::<Device>().await;
    for _ in 0..3 {
        import(&sessions, 300).await;
        let tasks = join_all((0..12).map(|task| {
            let sessions = sessions.clone();
            tokio::spawn(async move {
                let mut returned = Vec::new();
                match task % 4 {
                    0 => returned = sessions.query().expire_all_returning().await?,
                    1 => {
                        let query = sessions.query().owner((task % 3).to_string());
                        returned = query.limit(40).oldest_first().expire_all_returning().await?;
                    }
                    2 => returned = sessions.query().owner("1").delete_all_returning().await?,
                    _ => {
                        for number in 0..10 {
                            sessions.create(device(&(number % 3).to_string())).await?;
                        }
                    }
                }
                Ok::<_, Error>(returned)
            })
        }));
        let returned: Vec<_> = tasks.await.into_iter().flat_map(|task| ids(task.unwrap().unwrap())).collect();
        let distinct: BTreeSet<_> = returned.iter().copied().collect();
        assert_eq!(returned.len(), distinct.len(), "a session was returned twice");
        for row in rows(&sessions).await {
            assert_eq!(distinct.contains(&row.id), !row.is_valid(db.now()), "{row:?}");
        }
        let (all, valid) = (330, sessions.query().count().await.unwrap());
        assert_eq!(valid + returned.len() as u64, all);
        sessions.query().status(Status::All).delete_all().await.unwrap();
    }
}

each_mode! {
    what_was_ended_is_returned_as_its_row_is_now,
    what_was_deleted_is_returned_as_its_row_was,
}

mod details {
    use super::*;

    each_database! {
        a_limit_chooses_in_the_order_of_the_query,
        what_has_only_reached_its_expiry_is_not_returned,
        a_session_that_does_not_decode_ends_all_the_same,
        many_sessions_end_in_batches,
        each_session_is_returned_to_one_of_those_who_end_it,
    }
}
