//! Callers that go away: before their statement, in the middle of it, and without being polled any more.

use cloakroom::{CreatedSession, Sessions, Status};
use cloakroom_testing::{TestDatabase, UserSession, coalesced, hold_connections, user};
use futures_util::future::join_all;

use crate::gate::Gated;
use crate::{all, begin, poll_once, pool, soon};

type Created = CreatedSession<UserSession>;

async fn gated(db: &TestDatabase) -> (Gated, Created) {
    let gated = Gated::new(db, db.config().max_in_flight(1)).await;
    let created = gated.direct.create(user("1234")).await.unwrap();
    (gated, created)
}

async fn authenticated(sessions: Sessions<UserSession>, created: Created) -> bool {
    sessions.authenticate(&created.token).await.unwrap() == Some(created.session)
}

async fn a_row_whose_caller_left_before_it_was_sent_is_not_made(db: TestDatabase) {
    let direct = db.sessions::<UserSession>().await;
    let config = db.config().max_in_flight(1).build().unwrap();
    let sessions = Sessions::<UserSession>::new(pool::of(&db, 1).await, config).unwrap();
    let held = hold_connections(sessions.database()).await;
    let mut asked: Vec<_> = (0..30)
        .map(|n| {
            Box::pin({
                let sessions = sessions.clone();
                async move { sessions.create(user(&n.to_string())).await.unwrap() }
            })
        })
        .collect();
    asked.iter_mut().for_each(poll_once);
    // The last of them first, so that none of those who leave is sent before the next has left.
    for at in (0..30).rev().filter(|at| at % 3 != 1) {
        drop(asked.remove(at));
    }
    drop(held);
    let created = soon(join_all(asked)).await;
    assert_eq!(created.len(), 10);
    for one in &created {
        assert_eq!(direct.authenticate(&one.token).await.unwrap().as_ref(), Some(&one.session));
    }
    assert_eq!(direct.query().status(Status::All).count().await.unwrap(), 10);
    sessions.database().close().await;
}

async fn a_caller_that_leaves_gives_its_slot_to_those_who_wait(db: TestDatabase) {
    let (mut gated, created) = gated(&db).await;
    gated.shut().await;
    let alone = begin(authenticated(gated.sessions.clone(), created.clone()));
    gated.reached(1).await;
    let waiting = begin(authenticated(gated.sessions.clone(), created));
    alone.abort();
    gated.reached(2).await;
    gated.open().await;
    assert_eq!(all(vec![waiting]).await, [true]);
    gated.close().await;
}

async fn callers_that_leave_in_the_middle_of_a_statement_do_the_others_no_harm(db: TestDatabase) {
    let (mut gated, created) = gated(&db).await;
    gated.shut().await;
    let alone = begin(authenticated(gated.sessions.clone(), created.clone()));
    gated.reached(1).await;
    let mut together: Vec<_> =
        (0..20).map(|_| begin(authenticated(gated.sessions.clone(), created.clone()))).collect();
    alone.abort();
    gated.reached(2).await;
    let stays = together.remove(13);
    together.iter().for_each(tokio::task::JoinHandle::abort);
    gated.open().await;
    assert_eq!(all(vec![stays]).await, [true]);
    assert!(soon(authenticated(gated.sessions.clone(), created)).await);
    gated.close().await;
}

async fn a_statement_that_nobody_waits_for_is_given_up(db: TestDatabase) {
    let (mut gated, created) = gated(&db).await;
    gated.shut().await;
    let alone = begin(authenticated(gated.sessions.clone(), created.clone()));
    gated.reached(1).await;
    let together: Vec<_> =
        (0..20).map(|_| begin(authenticated(gated.sessions.clone(), created.clone()))).collect();
    alone.abort();
    gated.reached(2).await;
    let late = begin(authenticated(gated.sessions.clone(), created));
    together.iter().for_each(tokio::task::JoinHandle::abort);
    // Its slot is free: the next is sent, while what was given up stands before the gate still.
    gated.reached(3).await;
    gated.open().await;
    assert_eq!(all(vec![late]).await, [true]);
    gated.close().await;
}

/// As where one branch of `select!` waits for another call, or a stream's buffer for its consumer.
async fn callers_that_are_not_polled_hold_nobody_up(db: TestDatabase) {
    let direct = db.sessions::<UserSession>().await;
    let created = direct.create(user("1234")).await.unwrap();
    let config = db.config().max_in_flight(2).build().unwrap();
    let sessions = Sessions::<UserSession>::new(pool::of(&db, 8).await, config).unwrap();
    let held = hold_connections(sessions.database()).await;
    let mut idle: Vec<_> =
        (0..4).map(|_| Box::pin(authenticated(sessions.clone(), created.clone()))).collect();
    idle.iter_mut().for_each(poll_once);
    let mut rows: Vec<_> = (0..4).map(|_| Box::pin(sessions.create(user("idle")))).collect();
    rows.iter_mut().for_each(poll_once);
    drop(held);
    assert!(soon(authenticated(sessions.clone(), created.clone())).await);
    assert!(soon(sessions.create(user("5678"))).await.is_ok());
    assert_eq!(soon(join_all(idle)).await, [true; 4]);
    assert!(soon(join_all(rows)).await.iter().all(Result::is_ok));
    assert_eq!(direct.query().count().await.unwrap(), 6);
    sessions.database().close().await;
}

coalesced! {
    a_row_whose_caller_left_before_it_was_sent_is_not_made,
    a_caller_that_leaves_gives_its_slot_to_those_who_wait,
    callers_that_leave_in_the_middle_of_a_statement_do_the_others_no_harm,
    a_statement_that_nobody_waits_for_is_given_up,
    callers_that_are_not_polled_hold_nobody_up,
}
