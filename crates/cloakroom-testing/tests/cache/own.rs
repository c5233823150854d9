//! Revocations whose commit the library does not see: in the caller's transaction, and where the answer was
//! lost.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use cloakroom::{Sessions, Status};
use cloakroom_testing::{Kind, TestDatabase, UserSession, each_database, user};

use crate::scene::{Own, Scene, deaf, until};

const BOUND: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_micros(1);

async fn a_change_in_the_callers_transaction_is_seen_once_it_is_committed(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let sessions = scene.node(scene.db.config().cache(deaf()));
    for kind in 0..5 {
        let created = sessions.create(user("1234")).await.unwrap();
        let read = sessions.authenticate(&created.token).await.unwrap();
        let mut own = Own::begin(&scene.db).await;
        let mut session = created.session.clone();
        let mut within = own.within(&sessions);
        match kind {
            0 => assert!(within.expire(&mut session).await.unwrap()),
            1 => assert!(within.delete(session).await.unwrap()),
            2 => drop(within.rotate(&mut session).await.unwrap()),
            3 => assert_eq!(within.query().id(session.id).expire_all().await.unwrap(), 1),
            _ => assert_eq!(within.query().id(session.id).delete_all().await.unwrap(), 1),
        }
        // Inside, the transaction's own writes are seen; outside, the old state, of which nothing is kept.
        assert_eq!(within.authenticate(&created.token).await.unwrap(), None);
        for age in [Duration::ZERO, BOUND] {
            scene.db.clock().advance(age);
            for _ in 0..2 {
                assert_eq!(sessions.authenticate(&created.token).await.unwrap(), read);
            }
        }
        own.commit().await;
        assert_eq!(sessions.authenticate(&created.token).await.unwrap(), None, "{kind}");
    }
}

async fn a_transaction_that_stays_open_for_longer_is_bounded_like_a_change_by_others(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let sessions = scene.node(scene.db.config().cache(deaf()));
    let created = sessions.create(user("1234")).await.unwrap();
    let mut own = Own::begin(&scene.db).await;
    assert!(own.within(&sessions).delete(created.session).await.unwrap());
    scene.db.clock().advance(BOUND + TICK);
    assert!(sessions.authenticate(&created.token).await.unwrap().is_some());
    own.commit().await;
    scene.db.clock().advance(BOUND + TICK);
    assert_eq!(sessions.authenticate(&created.token).await.unwrap(), None);
}

async fn after_a_rollback_sessions_are_kept_again_when_the_bound_has_passed(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let sessions = scene.node(scene.db.config().cache(deaf()));
    for is_bulk in [false, true] {
        let created = sessions.create(user("1234")).await.unwrap();
        sessions.authenticate(&created.token).await.unwrap().unwrap();
        let mut own = Own::begin(&scene.db).await;
        let mut within = own.within(&sessions);
        if is_bulk {
            within.query().status(Status::All).delete_all().await.unwrap();
        } else {
            within.delete(created.session).await.unwrap();
        }
        own.rollback().await;
        for _ in 0..2 {
            assert!(!scene.is_kept(&sessions, &created.token).await);
        }
        scene.db.clock().advance(BOUND);
        for _ in 0..2 {
            assert!(!scene.is_kept(&sessions, &created.token).await);
        }
        scene.db.clock().advance(TICK);
        assert!(!scene.is_kept(&sessions, &created.token).await);
        assert!(scene.is_kept(&sessions, &created.token).await, "{is_bulk}");
    }
}

async fn after_a_change_that_failed_nothing_is_kept_until_the_bound_has_passed(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let sessions = scene.node(scene.db.config().cache(deaf()));
    let created = sessions.create(user("1234")).await.unwrap();
    sessions.authenticate(&created.token).await.unwrap().unwrap();
    let away = format!("{}_away", scene.table);
    scene.db.execute_anew(&format!("ALTER TABLE {} RENAME TO {away}", scene.table)).await;
    sessions.delete(created.session).await.unwrap_err();
    scene.db.execute_anew(&format!("ALTER TABLE {away} RENAME TO {}", scene.table)).await;
    for _ in 0..3 {
        assert!(!scene.is_kept(&sessions, &created.token).await);
    }
    scene.db.clock().advance(BOUND + TICK);
    assert!(!scene.is_kept(&sessions, &created.token).await);
    assert!(scene.is_kept(&sessions, &created.token).await);
}

/// Polls a future until nothing moves any more, and drops it.
async fn drop_midway(future: impl Future, mut is_stuck: impl AsyncFnMut() -> bool) {
    let mut future = pin!(future);
    until("the statement waits for the lock", async || {
        poll_fn(|context| {
            assert!(future.as_mut().poll(context).is_pending(), "the lock holds nobody up");
            Poll::Ready(())
        })
        .await;
        is_stuck().await
    })
    .await;
}

/// Whether some statement of this test waits for a lock of the row.
async fn somebody_waits(scene: &Scene) -> bool {
    let table = &scene.table;
    let waiting = match scene.db.kind() {
        // It is not asked who waits: a while is enough to have handed the statement over.
        Kind::Sqlite => return true,
        Kind::Postgres => format!(
            "SELECT pid::text FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%{table}%'"
        ),
        Kind::MariaDb => format!(
            "SELECT CAST(id AS char) FROM {} WHERE info LIKE '%{table}%' AND command IN ('Execute', 'Query') AND \
             id <> CONNECTION_ID() AND state LIKE 'Updating%'",
            scene.db.processes()
        ),
    };
    !scene.db.texts(&waiting).await.is_empty()
}

async fn is_valid_row(sessions: &Sessions<UserSession>, id: uuid::Uuid) -> bool {
    sessions.query().id(id).exists().await.unwrap()
}

async fn a_change_whose_caller_went_away_leaves_no_old_answer(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let sessions = scene.node(scene.db.config().cache(deaf()));
    for is_bulk in [false, true] {
        let created = sessions.create(user("1234")).await.unwrap();
        sessions.authenticate(&created.token).await.unwrap().unwrap();
        let mut lock = Own::begin(&scene.db).await;
        lock.execute(&format!("UPDATE {} SET user_id = 'locked'", scene.table)).await;
        if is_bulk {
            // One statement, unlike that which ends only what is valid.
            let query = sessions.query().id(created.session.id).status(Status::All);
            drop_midway(query.delete_all(), async || somebody_waits(&scene).await).await;
        } else {
            let delete = sessions.delete(created.session.clone());
            drop_midway(delete, async || somebody_waits(&scene).await).await;
        }
        // It may be committed at any time from now on, and is when the lock is gone.
        for _ in 0..3 {
            assert!(sessions.authenticate(&created.token).await.unwrap().is_some());
        }
        lock.commit().await;
        let strict = scene.node(scene.db.config());
        // SQLite's driver gives a statement up that nobody waits for, or has sent it before: either is right.
        if scene.db.kind() == Kind::Sqlite {
            let is_there = is_valid_row(&strict, created.session.id).await;
            let answer = sessions.authenticate(&created.token).await.unwrap();
            assert!(is_there || answer.is_none());
        } else {
            until("the server has executed the statement", async || {
                // At every moment until then, and after it.
                let is_gone = !is_valid_row(&strict, created.session.id).await;
                let answer = sessions.authenticate(&created.token).await.unwrap();
                assert!(!is_gone || answer.is_none(), "an old answer came back");
                is_gone
            })
            .await;
        }
    }
}

each_database! {
    a_change_in_the_callers_transaction_is_seen_once_it_is_committed,
    a_transaction_that_stays_open_for_longer_is_bounded_like_a_change_by_others,
    after_a_rollback_sessions_are_kept_again_when_the_bound_has_passed,
    after_a_change_that_failed_nothing_is_kept_until_the_bound_has_passed,
    a_change_whose_caller_went_away_leaves_no_old_answer,
}
