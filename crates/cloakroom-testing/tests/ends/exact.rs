//! That a limit is exact, whatever runs at the same time, and whom a create under a limit keeps waiting.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::task::Poll;

use cloakroom::{ErrorKind, PerOwner, Sessions, Status};
use cloakroom_testing::{Kind, TestDatabase, each_database, patience};
use futures_util::future::join_all;

use crate::limits::limited;
use crate::reasons::{Device, device, stored};

const TASKS: usize = 64;

/// How many sessions are left.
const MOST: usize = 5;

/// Returns handles that know nothing of each other, as those of several processes.
async fn processes(db: &TestDatabase, limit: &PerOwner<Device>) -> Vec<Sessions<Device>> {
    let mut handles = Vec::new();
    for _ in 0..4 {
        handles.push(limited(db, limit.clone()).await);
    }
    handles
}

/// Runs `task` for each number at once, each on one of the handles.
async fn at_once<R: Send + 'static, F: Future<Output = R> + Send + 'static>(
    handles: &[Sessions<Device>],
    task: impl Fn(usize, Sessions<Device>) -> F,
) -> Vec<R> {
    let tasks = (0..TASKS).map(|number| tokio::spawn(task(number, handles[number % handles.len()].clone())));
    let tasks: Vec<_> = tasks.collect();
    join_all(tasks).await.into_iter().map(Result::unwrap).collect()
}

async fn of_many_creates_at_once_as_many_sessions_are_left_as_the_limit_allows(db: TestDatabase) {
    let limit = PerOwner::at_most(MOST as u64);
    let one = vec![limited(&db, limit.clone()).await];
    for handles in [one, processes(&db, &limit).await] {
        let made = at_once(&handles, |_, sessions| async move {
            sessions.create(device("1")).await.map(|created| created.session.id)
        });
        let made: BTreeSet<_> = made.await.into_iter().map(Result::unwrap).collect();
        assert_eq!(made.len(), TASKS);
        let valid = handles[0].query().fetch_all().await.unwrap();
        assert_eq!(valid.len(), MOST);
        assert!(valid.iter().all(|session| made.contains(&session.id)));
        let reasons = stored(&db).await.into_iter().flatten().collect::<Vec<_>>();
        assert_eq!(reasons, vec!["evicted"; TASKS - valid.len()]);
        handles[0].query().status(Status::All).delete_all().await.unwrap();
    }
}

async fn of_many_creates_at_once_as_many_succeed_as_there_is_room_for(db: TestDatabase) {
    let limit = PerOwner::at_most(MOST as u64).refuse();
    let one = vec![limited(&db, limit.clone()).await];
    for handles in [one, processes(&db, &limit).await] {
        let made =
            at_once(&handles, |_, sessions| async move { sessions.create(device("1")).await.map(drop) });
        let made = made.await;
        let refused = made.iter().filter_map(|made| made.as_ref().err().map(cloakroom::Error::kind));
        assert_eq!(refused.collect::<Vec<_>>(), vec![ErrorKind::LimitReached; TASKS - MOST]);
        assert_eq!(handles[0].query().status(Status::All).count().await.unwrap(), MOST as u64);
        handles[0].query().status(Status::All).delete_all().await.unwrap();
    }
}

/// Log-ins, log-outs and rotations of the same users, in transactions and on the pool: whatever comes last, the limit
/// holds, and no session that was not to make room has ended as evicted.
async fn the_limit_holds_while_sessions_end_otherwise(db: TestDatabase) {
    let limit = PerOwner::at_most(MOST as u64);
    let handles = processes(&db, &limit).await;
    for _ in 0..3 {
        let done = at_once(&handles, |number, sessions| async move {
            let user = (number % 3).to_string();
            let mut created = sessions.create(device(&user)).await?;
            match number % 5 {
                0 => drop(sessions.expire(&mut created.session).await?),
                1 => drop(sessions.query().owner(user).limit(2).expire_all().await?),
                2 => match sessions.rotate(&mut created.session).await {
                    Err(error) if !matches!(error.kind(), ErrorKind::Expired | ErrorKind::Conflict) => {
                        return Err(error);
                    }
                    _ => {}
                },
                3 => loop {
                    let mut transaction = sessions.begin().await?;
                    match sessions.within(&mut transaction).create(device(&user)).await {
                        Ok(_) => match transaction.commit().await {
                            Err(error) if error.kind() == ErrorKind::Contention => {}
                            committed => break committed?,
                        },
                        Err(error) if error.kind() == ErrorKind::Contention => {}
                        Err(error) => return Err(error),
                    }
                },
                _ => {}
            }
            Ok::<_, cloakroom::Error>(())
        });
        for done in done.await {
            done.unwrap();
        }
        for user in ["0", "1", "2"] {
            let valid = handles[0].query().owner(user).count().await.unwrap();
            assert!(valid <= MOST as u64, "{valid} sessions of {user}");
        }
    }
    let reasons: BTreeSet<_> = stored(&db).await.into_iter().flatten().collect();
    assert_eq!(reasons, ["evicted".to_owned(), "logged_out".to_owned()].into());
}

/// Asserts that the creates of other owners go on while a transaction holds the lock of one owner, and that those of the
/// same owner go on when it ends.
macro_rules! while_held {
    ($db:expr, $begun:expr) => {{
        let sessions = limited(&$db, PerOwner::at_most(2)).await;
        for user in ["1", "3"] {
            sessions.create(device(user)).await.unwrap();
        }
        let mut held = $begun;
        sessions.within(&mut *held).create(device("1")).await.unwrap();
        // More of them than the pool has connections.
        let waiting: Vec<_> = (0..30)
            .map(|_| {
                let sessions = sessions.clone();
                tokio::spawn(async move { sessions.create(device("1")).await.unwrap().session.id })
            })
            .collect();
        for user in ["0", "10", "11", "2", "3", "3"] {
            let created = tokio::time::timeout(patience(), sessions.create(device(user))).await;
            created.expect("another owner waits").unwrap();
        }
        assert!(waiting.iter().all(|created| !created.is_finished()), "the same owner does not wait");
        held.commit().await.unwrap();
        for created in join_all(waiting).await {
            created.unwrap();
        }
        assert_eq!(sessions.query().owner("1").count().await.unwrap(), 2);
        assert_eq!(sessions.query().owner("3").count().await.unwrap(), 2);
    }};
}

async fn other_owners_do_not_wait_for_a_create_that_is_not_committed(db: TestDatabase) {
    match db.kind() {
        Kind::Sqlite => unreachable!("there all writes wait for each other"),
        Kind::Postgres => while_held!(db, db.postgres_pool().begin().await.unwrap()),
        Kind::MariaDb => {
            const BEGIN: &str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; START TRANSACTION";
            while_held!(db, db.mariadb_pool().begin_with(BEGIN).await.unwrap());
        }
    }
}

async fn a_create_that_is_dropped_keeps_no_other_from_its_turn(db: TestDatabase) {
    let sessions = limited(&db, PerOwner::at_most(2)).await;
    for polls in 0..40 {
        let mut create = Box::pin(sessions.create(device("1")));
        for _ in 0..polls {
            let polled = poll_fn(|context| Poll::Ready(create.as_mut().poll(context).is_ready()));
            if polled.await {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(create);
    }
    let created = tokio::time::timeout(patience(), sessions.create(device("1"))).await;
    created.expect("it waits for one that was dropped").unwrap();
    assert!(sessions.query().count().await.unwrap() <= 2);
}

each_database! {
    of_many_creates_at_once_as_many_sessions_are_left_as_the_limit_allows,
    of_many_creates_at_once_as_many_succeed_as_there_is_room_for,
    the_limit_holds_while_sessions_end_otherwise,
    a_create_that_is_dropped_keeps_no_other_from_its_turn,
}

mod held {
    mod postgres {
        cloakroom_testing::each_case!(
            Postgres,
            Coalesced,
            super::super,
            other_owners_do_not_wait_for_a_create_that_is_not_committed
        );
    }

    mod mariadb {
        cloakroom_testing::each_case!(
            MariaDb,
            Coalesced,
            super::super,
            other_owners_do_not_wait_for_a_create_that_is_not_committed
        );
    }
}
