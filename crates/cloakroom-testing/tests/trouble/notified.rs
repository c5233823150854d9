//! Notifications on the pool's connections that its users did not ask for: a hook of the application's listens there, or
//! another client of a pooler did.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cloakroom::{CreatedSession, ErrorKind, Outcome, Result, Sessions, Status};
use cloakroom_testing::{TestDatabase, UserSession, user};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Executor};

async fn a_create_is_never_told_that_its_own_row_is_in_the_way(db: TestDatabase) {
    // By another pool: reads by the one that is notified may fail too.
    let direct = db.sessions::<UserSession>().await;
    let noise = db.unique_name();
    let listen = format!("LISTEN {noise}");
    let pool = PgPoolOptions::new().max_connections(4).after_connect(move |connection, _| {
        let listen = listen.clone();
        Box::pin(async move { connection.execute(AssertSqlSafe(listen)).await.map(drop) })
    });
    let pool = pool.connect_with((*db.postgres_pool().connect_options()).clone()).await.unwrap();
    let sessions = Sessions::<UserSession>::new(pool.clone(), db.config().build().unwrap()).unwrap();
    let is_done = Arc::new(AtomicBool::new(false));
    let notifiers = (0..2).map(|_| {
        let (pool, is_done, noise) = (db.postgres_pool().clone(), Arc::clone(&is_done), noise.clone());
        tokio::spawn(async move {
            while !is_done.load(Ordering::Relaxed) {
                pool.execute(AssertSqlSafe(format!("NOTIFY {noise}"))).await.unwrap();
            }
        })
    });
    let notifiers: Vec<_> = notifiers.collect();
    let mut failed = 0;
    for round in 0..20 {
        let created: Vec<Result<CreatedSession<UserSession>>> =
            futures_util::future::join_all((0..30).map(|n| sessions.create(user(&format!("{round} {n}")))))
                .await;
        for (n, created) in created.into_iter().enumerate() {
            let rows = direct.query().status(Status::All);
            let rows = rows.filter(UserSession::USER_ID.eq(format!("{round} {n}"))).count().await.unwrap();
            match created {
                Ok(created) => {
                    assert_eq!(rows, 1);
                    assert!(direct.authenticate(&created.token).await.unwrap().is_some());
                }
                Err(error) => {
                    failed += 1;
                    assert_eq!(error.kind(), ErrorKind::Database, "{error:?}");
                    assert!(rows == 0 || error.outcome() == Outcome::Unknown, "{error:?}");
                }
            }
        }
    }
    is_done.store(true, Ordering::Relaxed);
    for notifier in notifiers {
        notifier.await.unwrap();
    }
    assert!(failed > 0, "no notification was in the way");
    pool.close().await;
}

mod postgres {
    cloakroom_testing::each_case!(
        Postgres,
        Coalesced,
        super,
        a_create_is_never_told_that_its_own_row_is_in_the_way
    );
}
