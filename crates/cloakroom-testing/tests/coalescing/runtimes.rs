//! One handle, used from several runtimes: none of them depends on another.

use std::panic::AssertUnwindSafe;

use cloakroom::{CreatedSession, ErrorKind, Result, Sessions};
use cloakroom_testing::{TestDatabase, UserSession, coalesced, hold_connections, user};
use futures_util::FutureExt;
use tokio::runtime::{Builder, Runtime};

use crate::gate::Gated;
use crate::{PATIENCE, all, begin, poll_once, pool, soon};

type Created = CreatedSession<UserSession>;

async fn authenticated(sessions: Sessions<UserSession>, created: Created) -> Result<bool> {
    Ok(sessions.authenticate(&created.token).await? == Some(created.session))
}

fn assert_answered_or_unavailable(answer: Result<bool>) {
    match answer {
        Ok(found) => assert!(found),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}"),
    }
}

fn other_runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

async fn a_runtime_that_shuts_down_with_callers_waiting_leaves_no_other_waiting(db: TestDatabase) {
    let mut gated = Gated::new(&db, db.config().max_in_flight(1)).await;
    let created = gated.direct.create(user("1234")).await.unwrap();
    let other = other_runtime();
    gated.shut().await;
    let there = {
        let _entered = other.enter();
        let ask = |_| begin(authenticated(gated.sessions.clone(), created.clone()));
        (0..20).map(ask).collect::<Vec<_>>()
    };
    gated.reached(1).await;
    let here: Vec<_> =
        (0..20).map(|_| begin(authenticated(gated.sessions.clone(), created.clone()))).collect();
    other.shutdown_background();
    gated.open().await;
    for task in there {
        // Stopped, or answered just before.
        let _ = soon(task).await;
    }
    for answer in all(here).await {
        assert_answered_or_unavailable(answer);
    }
    assert!(soon(authenticated(gated.sessions.clone(), created)).await.unwrap());
    gated.close().await;
}

/// As in a program that is not async, and calls `block_on` now and then.
async fn a_runtime_that_nobody_drives_holds_nobody_up(db: TestDatabase) {
    let mut gated = Gated::new(&db, db.config().max_in_flight(1)).await;
    let created = gated.direct.create(user("1234")).await.unwrap();
    gated.shut().await;
    let call = authenticated(gated.sessions.clone(), created.clone());
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let answer = runtime.block_on(call);
        // Not driven from here on, and not shut down.
        let _ = is_done.recv_timeout(PATIENCE * 2);
        answer
    });
    gated.reached(1).await;
    let here: Vec<_> =
        (0..20).map(|_| begin(authenticated(gated.sessions.clone(), created.clone()))).collect();
    gated.open().await;
    for answer in all(here).await {
        assert!(answer.as_ref().is_ok_and(|found| *found), "{answer:?}");
    }
    done.send(()).unwrap();
    assert!(thread.join().unwrap().unwrap());
    gated.close().await;
}

async fn a_caller_that_is_dropped_outside_of_any_runtime_harms_nobody(db: TestDatabase) {
    let created = db.sessions::<UserSession>().await.create(user("1234")).await.unwrap();
    let config = db.config().max_in_flight(1).build().unwrap();
    let sessions = Sessions::<UserSession>::new(pool::of(&db, 1).await, config).unwrap();
    let held = hold_connections(sessions.database()).await;
    let mut alone = Box::pin(authenticated(sessions.clone(), created.clone()));
    poll_once(&mut alone);
    let waiting: Vec<_> = (0..5).map(|_| begin(authenticated(sessions.clone(), created.clone()))).collect();
    std::thread::spawn(move || drop(alone)).join().unwrap();
    drop(held);
    for answer in all(waiting).await {
        assert!(answer.as_ref().is_ok_and(|found| *found), "{answer:?}");
    }
    sessions.database().close().await;
}

/// Each of their statements is refused by the runtime in turn, which must not take a stack of all of them.
async fn a_runtime_may_shut_down_with_any_number_of_callers_waiting(db: TestDatabase) {
    let created = db.sessions::<UserSession>().await.create(user("1234")).await.unwrap();
    let config = db.config().max_in_flight(1).max_batch(2).build().unwrap();
    let sessions = Sessions::<UserSession>::new(pool::of(&db, 1).await, config).unwrap();
    let held = hold_connections(sessions.database()).await;
    let other = other_runtime();
    let mut there = {
        let _entered = other.enter();
        let call = |_| Box::pin(authenticated(sessions.clone(), created.clone()));
        (0..1_000).map(call).collect::<Vec<_>>()
    };
    {
        let _entered = other.enter();
        there.iter_mut().for_each(poll_once);
    }
    let mut there = there.into_iter();
    let first = there.next();
    other.shutdown_background();
    drop(first);
    drop(held);
    for call in there {
        // On a slow machine a later one found the slot stuck, went alone, and waits by the clock of a runtime that
        // is gone, which panics.
        if let Ok(answer) = AssertUnwindSafe(soon(call)).catch_unwind().await {
            assert_answered_or_unavailable(answer);
        }
    }
    assert!(soon(authenticated(sessions.clone(), created)).await.unwrap());
    sessions.database().close().await;
}

coalesced! {
    a_runtime_that_shuts_down_with_callers_waiting_leaves_no_other_waiting,
    a_runtime_that_nobody_drives_holds_nobody_up,
    a_caller_that_is_dropped_outside_of_any_runtime_harms_nobody,
    a_runtime_may_shut_down_with_any_number_of_callers_waiting,
}
