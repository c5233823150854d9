//! A database of SQLite's in memory is gone with its connection.

use cloakroom::{Database, ErrorKind, Sessions};
use cloakroom_testing::{Kind, TestDatabase, UserSession, hold_connections, run, user};
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor};

use crate::{all, begin};

async fn it_outlives_statements_that_fail_for_lack_of_room(db: TestDatabase) {
    let memory = Database::connect("sqlite::memory:").await.unwrap();
    let Database::Sqlite(pool) = memory.clone() else { unreachable!("it is SQLite") };
    let sessions = Sessions::<UserSession>::new(memory, db.config().build().unwrap()).unwrap();
    sessions.migrate().await.unwrap();
    let token = sessions.create(user("1234")).await.unwrap().token;
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(&pool).await.unwrap();
    pool.execute(AssertSqlSafe(format!("PRAGMA max_page_count = {}", pages + 2))).await.unwrap();
    let held = hold_connections(sessions.database()).await;
    let asked = (0..20).map(|n| {
        let (sessions, new) = (sessions.clone(), user(&n.to_string()).data(json!({ "x": "x".repeat(8000) })));
        begin(async move { sessions.create(new).await })
    });
    let asked = asked.collect();
    drop(held);
    let failures = all(asked).await.into_iter().filter_map(Result::err);
    let kinds: Vec<_> = failures.map(|error| error.kind()).collect();
    assert!(kinds.len() > 10 && kinds.iter().all(|kind| *kind == ErrorKind::DiskFull), "{kinds:?}");
    pool.execute("PRAGMA max_page_count = 100000").await.unwrap();
    assert!(sessions.authenticate(&token).await.unwrap().is_some());
    assert!(sessions.create(user("5678")).await.is_ok());
}

mod sqlite {
    use super::*;

    #[test]
    fn a_database_in_memory_outlives_statements_that_fail_for_lack_of_room() {
        run(Kind::Sqlite, it_outlives_statements_that_fail_for_lack_of_room);
    }
}
