//! Many callers that exchange or rotate the same token at once.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use cloakroom::{ErrorKind, Exchange, NewSession, SessionTable, Sessions, Token};
use cloakroom_testing::{Kind, TestDatabase, each_mode};
use serde_json::json;
use sqlx::Connection as _;
use sqlx::mysql::MySqlPoolOptions;

use crate::at_once;

const CALLERS: usize = 16;

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "phones", exchange, rotation_grace)]
struct Phone {
    #[session(index)]
    user_id: String,
}

fn phone() -> NewSession<Phone> {
    NewSession::new(Phone { user_id: "1234".into() })
}

fn rounds(db: &TestDatabase) -> usize {
    if db.kind() == Kind::Sqlite { 20 } else { 10 }
}

/// As two processes have them.
async fn handles(db: &TestDatabase) -> [Sessions<Phone>; 2] {
    [db.sessions().await, db.sessions().await]
}

/// The same, on a pool that closes connections on which a call was dropped at a bad moment: while MariaDB prepares a
/// statement for the first time. `docs/reliability.md` has this hook.
async fn handles_of_callers_that_go(db: &TestDatabase) -> [Sessions<Phone>; 2] {
    if db.kind() != Kind::MariaDb {
        return handles(db).await;
    }
    let pool = MySqlPoolOptions::new().max_connections(10).after_release(|connection, _| {
        Box::pin(async move {
            let ping = tokio::time::timeout(Duration::from_secs(2), connection.ping());
            Ok(ping.await.is_ok_and(|pong| pong.is_ok()))
        })
    });
    let pool = pool.connect(db.url()).await.unwrap();
    let sessions = Sessions::new(pool, db.config().build().unwrap()).unwrap();
    sessions.migrate().await.unwrap();
    [sessions.clone(), sessions]
}

async fn retired(db: &TestDatabase) -> usize {
    db.texts("SELECT token_digest FROM phones_retired_tokens").await.len()
}

fn successor(answer: Option<Exchange<Phone>>) -> Token {
    match answer {
        Some(Exchange::Successor(created)) => created.token,
        other => panic!("{other:?}"),
    }
}

async fn all_callers_of_one_token_get_one_successor(db: TestDatabase) {
    let handles = handles(&db).await;
    for _ in 0..3 {
        let mut token = handles[0].create(phone()).await.unwrap().token;
        let before = retired(&db).await;
        for round in 1..=rounds(&db) {
            let answers = at_once(CALLERS, |number| {
                let (sessions, token) = (handles[number % 2].clone(), token.clone());
                async move { sessions.exchange(&token).await.unwrap() }
            });
            let mut successors: Vec<_> = answers.await.into_iter().map(successor).collect();
            let next = successors.pop().unwrap();
            assert!(successors.iter().all(|other| *other == next));
            assert_eq!(retired(&db).await, before + round);
            for sessions in &handles {
                assert!(sessions.authenticate(&next).await.unwrap().is_some());
                // Each has a cache of its own in a mode with caches, and does not hear of the other.
                assert!(sessions.authenticate_fresh(&token).await.unwrap().is_none());
            }
            token = next;
        }
    }
}

/// Polls `future` so many times, and drops it.
async fn polled<F: Future>(future: F, times: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut done = 0;
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if done == times => Poll::Ready(None),
        Poll::Pending => {
            done += 1;
            Poll::Pending
        }
    })
    .await
}

async fn callers_that_give_up_anywhere_lose_nothing(db: TestDatabase) {
    let handles = handles_of_callers_that_go(&db).await;
    let mut token = handles[0].create(phone()).await.unwrap().token;
    for round in 0..3 * rounds(&db) {
        let answers = at_once(CALLERS / 2, |number| {
            let (sessions, token) = (handles[number % 2].clone(), token.clone());
            async move { polled(sessions.exchange(&token), (number + round) % 24).await }
        });
        let answered: Vec<_> =
            answers.await.into_iter().flatten().map(|answer| successor(answer.unwrap())).collect();
        let next = successor(handles[0].exchange(&token).await.unwrap());
        assert!(answered.iter().all(|other| *other == next));
        assert!(handles[1].authenticate(&next).await.unwrap().is_some());
        token = next;
    }
}

async fn an_exchange_brings_back_no_session_that_is_ended_meanwhile(db: TestDatabase) {
    let handles = handles(&db).await;
    for round in 0..rounds(&db) {
        let created = handles[0].create(phone()).await.unwrap();
        let answers = at_once(CALLERS / 2, |number| {
            let (sessions, created) = (handles[number % 2].clone(), created.clone());
            async move {
                let mut session = created.session;
                match number {
                    3 if round % 2 == 0 => drop(sessions.expire(&mut session).await.unwrap()),
                    3 => drop(sessions.query().id(session.id).expire_all().await.unwrap()),
                    _ => return sessions.exchange(&created.token).await.unwrap(),
                }
                None
            }
        });
        for answer in answers.await.into_iter().flatten() {
            let next = successor(Some(answer));
            assert!(handles[0].authenticate_fresh(&next).await.unwrap().is_none());
            assert!(handles[1].exchange(&next).await.unwrap().is_none());
        }
        assert!(handles[0].exchange(&created.token).await.unwrap().is_none());
    }
}

async fn an_exchange_and_an_update_lose_nothing_of_each_other(db: TestDatabase) {
    let handles = handles(&db).await;
    for _ in 0..rounds(&db) {
        let created = handles[0].create(phone()).await.unwrap();
        let answers = at_once(CALLERS / 2, |number| {
            let (sessions, created) = (handles[number % 2].clone(), created.clone());
            async move {
                if number >= 4 {
                    return Some(successor(sessions.exchange(&created.token).await.unwrap()));
                }
                let mut session = created.session;
                let count = |session: &mut cloakroom::Session<Phone>| {
                    let count = session.data["count"].as_u64().unwrap_or(0);
                    session.data["count"] = json!(count + 1);
                };
                sessions.update_with(&mut session, count).await.unwrap();
                None
            }
        });
        let tokens: Vec<_> = answers.await.into_iter().flatten().collect();
        assert!(tokens.iter().all(|token| *token == tokens[0]));
        let session = handles[0].authenticate(&tokens[0]).await.unwrap().unwrap();
        assert_eq!(session.data, json!({"count": 4}));
    }
}

async fn an_old_token_ends_the_session_whatever_is_exchanged_meanwhile(db: TestDatabase) {
    let handles = handles(&db).await;
    for _ in 0..rounds(&db) {
        let first = handles[0].create(phone()).await.unwrap().token;
        let second = successor(handles[0].exchange(&first).await.unwrap());
        let third = successor(handles[0].exchange(&second).await.unwrap());
        let answers = at_once(CALLERS / 2, |number| {
            let sessions = handles[number % 2].clone();
            let token = if number < 3 { first.clone() } else { third.clone() };
            async move { sessions.exchange(&token).await.unwrap() }
        });
        let answers = answers.await;
        let (old, present) = answers.split_at(3);
        // One of them ends it, and the others find it ended.
        assert_eq!(old.iter().flatten().filter(|answer| answer.is_reused()).count(), 1);
        assert!(old.iter().flatten().all(Exchange::is_reused));
        for answer in present.iter().flatten() {
            let next = successor(Some(answer.clone()));
            assert!(handles[0].authenticate_fresh(&next).await.unwrap().is_none());
            assert!(handles[1].exchange(&next).await.unwrap().is_none());
        }
    }
}

async fn a_prune_ends_nothing_that_is_exchanged_meanwhile(db: TestDatabase) {
    let handles = handles(&db).await;
    let mut token = handles[0].create(phone().never_expires()).await.unwrap().token;
    for _ in 0..rounds(&db) {
        let answers = at_once(CALLERS / 2, |number| {
            let (sessions, token) = (handles[number % 2].clone(), token.clone());
            async move {
                if number < 2 {
                    sessions.delete_expired().await.unwrap();
                    return None;
                }
                Some(successor(sessions.exchange(&token).await.unwrap()))
            }
        });
        let tokens: Vec<_> = answers.await.into_iter().flatten().collect();
        assert!(tokens.iter().all(|token| *token == tokens[0]));
        token = tokens[0].clone();
        db.clock().advance(Duration::from_mins(3));
    }
}

async fn exactly_one_of_many_rotations_with_a_grace_wins_and_both_keys_work(db: TestDatabase) {
    const GRACE: Duration = Duration::from_hours(1);
    let handles = handles(&db).await;
    for _ in 0..rounds(&db) {
        let created = handles[0].create(phone()).await.unwrap();
        let results = at_once(CALLERS, |number| {
            let (sessions, mut session) = (handles[number % 2].clone(), created.session.clone());
            async move { sessions.rotate_with_grace(&mut session, GRACE).await.map_err(|error| error.kind()) }
        });
        let (won, lost): (Vec<_>, Vec<_>) = results.await.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1);
        assert!(lost.iter().all(|result| *result == Err(ErrorKind::Conflict)), "{lost:?}");
        let new = won.into_iter().next().unwrap().unwrap();
        for (sessions, token) in handles.iter().flat_map(|it| [(it, &new), (it, &created.token)]) {
            assert_eq!(sessions.authenticate(token).await.unwrap().unwrap().id, created.session.id);
        }
    }
}

each_mode! {
    all_callers_of_one_token_get_one_successor,
    callers_that_give_up_anywhere_lose_nothing,
    an_exchange_brings_back_no_session_that_is_ended_meanwhile,
    an_exchange_and_an_update_lose_nothing_of_each_other,
    an_old_token_ends_the_session_whatever_is_exchanged_meanwhile,
    a_prune_ends_nothing_that_is_exchanged_meanwhile,
    exactly_one_of_many_rotations_with_a_grace_wins_and_both_keys_work,
}
