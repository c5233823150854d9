//! The connection of a lookup or a write, which is kept for a moment for the next one.

use std::time::{Duration, Instant};

use cloakroom::{Sessions, Token};
use cloakroom_testing::{Kind, TestDatabase, UserSession, coalesced, hold_connections, user};
use tokio::runtime::Builder;

use crate::statements::Watched;
use crate::{PATIENCE, pool, soon};

const LOOKUPS: usize = 50;

async fn the_application_has_all_of_its_connections_moments_after_a_lookup(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let token = sessions.create(user("1")).await.unwrap().token;
    for _ in 0..LOOKUPS {
        assert!(sessions.authenticate(&token).await.unwrap().is_some());
        drop(soon(hold_connections(sessions.database())).await);
    }
}

async fn lookups_give_their_connection_back_however_many_follow(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let token = sessions.create(user("1")).await.unwrap().token;
    let lookups = tokio::spawn({
        let sessions = sessions.clone();
        async move {
            loop {
                assert!(sessions.authenticate(&token).await.unwrap().is_some());
            }
        }
    });
    for _ in 0..5 {
        drop(soon(hold_connections(sessions.database())).await);
    }
    lookups.abort();
    assert!(lookups.await.unwrap_err().is_cancelled());
}

/// On a connection that is kept no other task can have left a transaction open.
async fn lookups_in_a_row_need_not_tell_whether_a_transaction_is_open(db: TestDatabase) {
    let watched = Watched::<UserSession>::on(&db, db.database(), db.config()).await;
    let token = watched.sessions.create(user("1")).await.unwrap().token;
    let looked_up = watched.statements(async {
        for _ in 0..LOOKUPS {
            assert!(watched.sessions.authenticate(&token).await.unwrap().is_some());
        }
    });
    let lookups = looked_up.await;
    assert_eq!(lookups.len(), LOOKUPS, "{lookups:#?}");
    let telling = lookups.iter().filter(|sql| sql.contains("alone")).count();
    assert!((1..LOOKUPS).contains(&telling), "{telling} of {LOOKUPS}");
}

async fn writes_in_a_row_need_not_tell_whether_a_transaction_is_open(db: TestDatabase) {
    let watched = Watched::<UserSession>::on(&db, db.database(), db.config()).await;
    watched.sessions.create(user("1")).await.unwrap();
    let written = watched.statements(async {
        for _ in 0..LOOKUPS {
            watched.sessions.create(user("1")).await.unwrap();
        }
    });
    let written = written.await;
    let telling = written.iter().filter(|sql| match db.kind() {
        Kind::Sqlite => sql.contains("ROLLBACK"),
        Kind::Postgres => sql.contains("pg_cursors"),
        Kind::MariaDb => sql.contains("@@in_transaction"),
    });
    assert!(written.len() >= LOOKUPS, "{written:#?}");
    assert!(telling.count() < LOOKUPS, "{written:#?}");
}

async fn the_application_has_all_of_its_connections_moments_after_a_write(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    for _ in 0..LOOKUPS {
        let created = sessions.create(user("1")).await.unwrap();
        drop(soon(hold_connections(sessions.database())).await);
        assert!(sessions.delete(created.session).await.unwrap());
        drop(soon(hold_connections(sessions.database())).await);
        sessions.query().filter(UserSession::USER_ID.eq("1")).expire_all().await.unwrap();
        drop(soon(hold_connections(sessions.database())).await);
    }
}

async fn what_is_over_is_refused_on_a_kept_connection_too(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let other: Sessions<UserSession> = db.sessions_with(db.config()).await;
    for _ in 0..LOOKUPS {
        let created = sessions.create(user("1")).await.unwrap();
        assert!(sessions.authenticate(&created.token).await.unwrap().is_some());
        assert!(other.delete(created.session).await.unwrap());
        assert_eq!(sessions.authenticate(&created.token).await.unwrap(), None);
    }
}

/// As in a program whose locals are dropped in the reverse order.
async fn a_handle_may_be_dropped_outside_of_every_runtime(db: TestDatabase) {
    let token = db.sessions::<UserSession>().await.create(user("1")).await.unwrap().token;
    let (pool, config) = (pool::of(&db, 4).await, db.config().build().unwrap());
    let in_a_program = {
        let pool = pool.clone();
        move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            let sessions = Sessions::<UserSession>::new(pool, config).unwrap();
            for _ in 0..3 {
                assert!(runtime.block_on(sessions.authenticate(&token)).unwrap().is_some());
            }
            drop(sessions);
            drop(runtime);
        }
    };
    std::thread::spawn(in_a_program).join().expect("nothing panics");
    soon(pool.close()).await;
}

async fn a_runtime_that_nothing_drives_keeps_no_connection_of_others(db: TestDatabase) {
    let token = db.sessions::<UserSession>().await.create(user("1")).await.unwrap().token;
    for _ in 0..50 {
        if every_connection_comes_back(&db, &token).await {
            return;
        }
    }
    panic!("each lookup took longer than a connection is away from its pool");
}

/// Returns `false` if the lookup on the runtime that nothing drives took so long that its connection was given back there,
/// by a task of sqlx's that will never run.
async fn every_connection_comes_back(db: &TestDatabase, token: &Token) -> bool {
    let pool = pool::of(db, 2).await;
    let sessions = Sessions::<UserSession>::new(pool.clone(), db.config().build().unwrap()).unwrap();
    // All connections are opened here, on a runtime that is driven.
    drop(hold_connections(&pool).await);
    assert!(sessions.authenticate(token).await.unwrap().is_some());
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let (asked, has_asked) = tokio::sync::oneshot::channel();
    let thread = std::thread::spawn({
        let (sessions, token) = (sessions.clone(), token.clone());
        move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            let begun = Instant::now();
            let found = runtime.block_on(sessions.authenticate(&token)).unwrap();
            asked.send((found.is_some(), begun.elapsed())).unwrap();
            // Not driven from here on, and not shut down.
            let _ = is_done.recv_timeout(PATIENCE * 2);
        }
    });
    let (is_found, took) = soon(has_asked).await.unwrap();
    assert!(is_found);
    let is_quick = took < Duration::from_millis(40);
    if is_quick {
        let begun = Instant::now();
        // Longer than any connection is away from its pool.
        loop {
            assert!(soon(sessions.authenticate(token)).await.unwrap().is_some());
            if begun.elapsed() > Duration::from_millis(150) {
                break;
            }
        }
        soon(pool.close()).await;
    }
    done.send(()).unwrap();
    thread.join().unwrap();
    is_quick
}

coalesced! {
    the_application_has_all_of_its_connections_moments_after_a_write,
    writes_in_a_row_need_not_tell_whether_a_transaction_is_open,
    a_handle_may_be_dropped_outside_of_every_runtime,
    a_runtime_that_nothing_drives_keeps_no_connection_of_others,
    the_application_has_all_of_its_connections_moments_after_a_lookup,
    lookups_give_their_connection_back_however_many_follow,
    what_is_over_is_refused_on_a_kept_connection_too
}

/// On SQLite a lookup never tells.
mod tells {
    mod postgres {
        cloakroom_testing::each_case!(
            Postgres,
            Coalesced,
            super::super,
            lookups_in_a_row_need_not_tell_whether_a_transaction_is_open
        );
    }

    mod mariadb {
        cloakroom_testing::each_case!(
            MariaDb,
            Coalesced,
            super::super,
            lookups_in_a_row_need_not_tell_whether_a_transaction_is_open
        );
    }
}
