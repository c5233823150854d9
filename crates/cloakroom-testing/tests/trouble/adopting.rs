//! A table of many rows that is adopted: its indexes are built beforehand, while others use it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cloakroom::{ErrorKind, SessionTable, Sessions, migrations};
use cloakroom_testing::{Kind, TestDatabase, UserSession, each_database, run, user};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Executor};
use tokio::task::JoinSet;

/// A table as another program made it: without any index but its key's, and without a record.
async fn foreign_table(db: &TestDatabase) -> Sessions<UserSession> {
    let sessions = db.sessions::<UserSession>().await;
    let indexes = [
        "sessions_auth_token_digest_index",
        "sessions_expires_at_index",
        "sessions_user_id_inserted_at_index",
    ];
    for index in indexes {
        let on = if db.kind() == Kind::MariaDb { " ON sessions" } else { "" };
        db.execute(&format!("DROP INDEX {index}{on}")).await;
    }
    db.execute("DROP TABLE sessions_cloakroom_migrations").await;
    sessions
}

fn index_sql(sessions: &Sessions<UserSession>) -> Vec<String> {
    migrations::index_sql(&UserSession::definition(), sessions.backend()).unwrap()
}

/// What tells an index from another that is made in its place.
async fn indexes(db: &TestDatabase) -> Vec<Option<String>> {
    db.texts(match db.kind() {
        Kind::Sqlite => "SELECT name || rootpage FROM sqlite_schema WHERE type = 'index' ORDER BY 1",
        Kind::Postgres => {
            "SELECT c.relname || c.oid FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid \
             WHERE x.indrelid = 'sessions'::regclass ORDER BY 1"
        }
        Kind::MariaDb => {
            "SELECT CONCAT(i.name, i.index_id) \
             /*M! FROM information_schema.innodb_sys_indexes i JOIN information_schema.innodb_sys_tables t */ \
             /*!80017 FROM information_schema.innodb_indexes i JOIN information_schema.innodb_tables t */ \
             USING (table_id) WHERE t.name = CONCAT(DATABASE(), '/sessions') ORDER BY 1"
        }
    })
    .await
}

async fn indexes_that_were_built_beforehand_are_taken(db: TestDatabase) {
    let sessions = foreign_table(&db).await;
    for n in 0..50 {
        sessions.create(user(&n.to_string())).await.unwrap();
    }
    for statement in index_sql(&sessions) {
        db.execute(&statement).await;
    }
    let before = indexes(&db).await;
    assert_eq!(before.len(), 4, "{before:?}");
    assert_eq!(sessions.migrate().await.unwrap().len(), 3);
    assert_eq!(indexes(&db).await, before);
    assert_eq!(sessions.migrate().await.unwrap(), []);
}

/// Which is what keeps them from being a time in which no one can log in.
async fn others_write_the_table_while_its_indexes_are_built(db: TestDatabase) {
    let sessions = foreign_table(&db).await;
    let rows = if db.kind() == Kind::Sqlite { 20_000 } else { 100_000 };
    fill(&db, rows).await;
    let (others, database) = (sessions.clone(), db.database());
    let stop = Arc::<AtomicBool>::default();
    let writer = tokio::spawn({
        let stop = stop.clone();
        async move {
            let mut longest = Duration::ZERO;
            let mut written = 0;
            while !stop.load(Ordering::SeqCst) {
                let begun = Instant::now();
                others.create(user("1234")).await.unwrap();
                longest = longest.max(begun.elapsed());
                written += 1;
            }
            drop(database);
            (written, longest)
        }
    });
    let begun = Instant::now();
    for statement in index_sql(&sessions) {
        db.execute_anew(&statement).await;
    }
    let took = begun.elapsed();
    stop.store(true, Ordering::SeqCst);
    let (written, longest) = writer.await.unwrap();
    println!("{:?}: {written} writes in {took:?}, the longest {longest:?}", db.kind());
    // SQLite has one writer, which an index is, too: the others' turn comes between two of them.
    let least = if db.kind() == Kind::Sqlite { 1 } else { 6 };
    assert!(written >= least, "{written} in {took:?}");
    if db.kind() != Kind::Sqlite {
        assert!(longest < took / 2, "one write waited {longest:?} of {took:?}");
    }
    sessions.migrate().await.unwrap();
    assert!(sessions.query().count().await.unwrap() >= written);
}

/// Rows of another program's, whose digests are none.
async fn fill(db: &TestDatabase, rows: u32) {
    let columns = "id, auth_token_digest, data, user_id, expires_at, inserted_at, updated_at";
    let sql = match db.kind() {
        Kind::Sqlite => format!(
            "INSERT INTO sessions ({columns}) SELECT randomblob(16), 'filler ' || value, '{{}}', value, \
             NULL, '2026-11-23T01:48:09.000000Z', '2026-11-23T01:48:09.000000Z' FROM \
             (WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < {rows}) \
             SELECT value FROM n)"
        ),
        Kind::Postgres => format!(
            "INSERT INTO sessions ({columns}) SELECT md5(n::text)::uuid, 'filler ' || n, '{{}}', n, NULL, now(), now() \
             FROM generate_series(1, {rows}) n"
        ),
        Kind::MariaDb => format!(
            "INSERT INTO sessions ({columns}) SELECT UNHEX(LEFT(SHA2(seq, 256), 32)), CONCAT('filler ', seq), \
             '{{}}', seq, NULL, NOW(6), NOW(6) FROM /*M! seq_1_to_{rows} */ /*!80017 JSON_TABLE(\
             CONCAT('[1', REPEAT(',1', {rows} - 1), ']'), '$[*]' COLUMNS (seq FOR ORDINALITY)) AS numbers */"
        ),
    };
    db.execute(&sql).await;
}

async fn an_index_of_that_name_that_is_not_unique_is_refused(db: TestDatabase) {
    let sessions = foreign_table(&db).await;
    // A connection of SQLite's that has not read anything since the index was dropped would take it for there.
    db.execute_anew("CREATE INDEX sessions_auth_token_digest_index ON sessions (auth_token_digest)").await;
    let error = sessions.migrate().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    assert!(error.to_string().contains("sessions_auth_token_digest_index"), "{error}");
    assert!(error.to_string().contains("not unique"), "{error}");
}

each_database! {
    indexes_that_were_built_beforehand_are_taken,
    others_write_the_table_while_its_indexes_are_built,
    an_index_of_that_name_that_is_not_unique_is_refused,
}

async fn an_index_that_was_left_incomplete_is_refused_until_it_is_built_again_case(db: TestDatabase) {
    let sessions = foreign_table(&db).await;
    fill(&db, 10).await;
    db.execute("UPDATE sessions SET auth_token_digest = 'twice' WHERE user_id IN ('1', '2')").await;
    let statements = index_sql(&sessions);
    db.try_execute(&statements[0]).await.unwrap_err();
    let error = sessions.migrate().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    let said = error.to_string();
    assert!(said.contains("sessions_auth_token_digest_index") && said.contains("not complete"), "{said}");
    // As it says.
    let (_, advice) = said.split_once("drop it with ").unwrap();
    let (statement, _) = advice.split_once(',').unwrap();
    db.execute("DELETE FROM sessions WHERE user_id = '2'").await;
    db.execute(statement).await;
    db.execute(&statements[0]).await;
    assert_eq!(sessions.migrate().await.unwrap().len(), 3);
}

mod incomplete {
    use super::*;

    mod postgres {
        use super::*;

        #[test]
        #[cfg_attr(not(feature = "servers"), ignore = "PostgreSQL: run `cargo xtask test`")]
        fn an_index_that_was_left_incomplete_is_refused_until_it_is_built_again() {
            run(Kind::Postgres, an_index_that_was_left_incomplete_is_refused_until_it_is_built_again_case);
        }
    }
}

/// A role or a connection may have a transaction see what was there when it began.
async fn processes_that_migrate_at_once_see_what_the_first_has_done_case(db: TestDatabase) {
    for isolation in ["read committed", "repeatable read", "serializable"] {
        let mut processes = JoinSet::new();
        for _ in 0..6 {
            let pool = PgPoolOptions::new().max_connections(1).after_connect(move |connection, _| {
                let set = format!("SET default_transaction_isolation = '{isolation}'");
                Box::pin(async move { connection.execute(AssertSqlSafe(set)).await.map(drop) })
            });
            let pool = pool.connect(db.url()).await.unwrap();
            let sessions = Sessions::<UserSession>::new(pool.clone(), db.config().build().unwrap()).unwrap();
            processes.spawn(async move {
                let done = sessions.migrate().await.map(|done| done.len());
                pool.close().await;
                done
            });
        }
        let done: Vec<_> = processes.join_all().await.into_iter().map(Result::unwrap).collect();
        assert_eq!(done.iter().sum::<usize>(), 3, "{isolation}: {done:?}");
        db.sessions::<UserSession>().await.migrate_down().await.unwrap();
    }
}

mod at_once {
    mod postgres {
        use super::super::*;

        #[test]
        #[cfg_attr(not(feature = "servers"), ignore = "PostgreSQL: run `cargo xtask test`")]
        fn processes_that_migrate_at_once_see_what_the_first_has_done() {
            run(Kind::Postgres, processes_that_migrate_at_once_see_what_the_first_has_done_case);
        }
    }
}
