//! Tables that change while statements are prepared for them.

use cloakroom::{ErrorKind, Outcome, Sessions, Status};
use cloakroom_testing::{Kind, TestDatabase, UserSession, each_database, run, user};
use sqlx::Executor;
use tokio::task::JoinSet;

use crate::everything::every_operation_but;

/// Has every connection of the pool prepare the statement of a lookup and that of a query.
async fn prepare_everywhere(sessions: &Sessions<UserSession>, token: &cloakroom::Token) {
    for _ in 0..3 {
        let mut at_once = JoinSet::new();
        for _ in 0..50 {
            let (sessions, token) = (sessions.clone(), token.clone());
            at_once.spawn(async move {
                assert!(sessions.authenticate(&token).await.unwrap().is_some());
                assert_eq!(sessions.query().fetch_all().await.unwrap().len(), 1);
            });
        }
        while let Some(done) = at_once.join_next().await {
            done.unwrap();
        }
    }
}

/// How many of a hundred calls fail that ask one after another, and then of a hundred that ask at once.
async fn failures(sessions: &Sessions<UserSession>, token: &cloakroom::Token) -> Vec<cloakroom::Error> {
    let mut failures = Vec::new();
    for _ in 0..50 {
        failures.extend(sessions.authenticate(token).await.err());
        failures.extend(sessions.query().status(Status::All).fetch_all().await.err());
    }
    let mut at_once = JoinSet::new();
    for _ in 0..50 {
        let (sessions, token) = (sessions.clone(), token.clone());
        at_once.spawn(async move {
            let found = sessions.authenticate(&token).await.map(|found| assert!(found.is_some()));
            [found.err(), sessions.query().count().await.err()]
        });
    }
    while let Some(done) = at_once.join_next().await {
        failures.extend(done.unwrap().into_iter().flatten());
    }
    failures
}

fn another_type(kind: Kind) -> &'static str {
    match kind {
        // It has no statement that changes a column's type.
        Kind::Sqlite => "ALTER TABLE sessions ADD COLUMN another TEXT",
        Kind::Postgres => "ALTER TABLE sessions ALTER COLUMN user_id TYPE text",
        Kind::MariaDb => "ALTER TABLE sessions MODIFY user_id varchar(300) NOT NULL",
    }
}

async fn a_table_that_is_altered_fails_no_call(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let created = sessions.create(user("1234")).await.unwrap();
    prepare_everywhere(&sessions, &created.token).await;
    db.execute_anew(another_type(db.kind())).await;
    let failed = failures(&sessions, &created.token).await;
    assert_eq!(failed.len(), 0, "{:?}", failed.first());

    prepare_everywhere(&sessions, &created.token).await;
    db.execute_anew("ALTER TABLE sessions ADD COLUMN one_more INTEGER NULL").await;
    // The others would end the session beneath the reads.
    let ending = ["expire", "rotate", "delete", "expire_all", "delete_all"];
    for outcome in every_operation_but(&ending, &sessions, &created.session, &created.token).await {
        let has_changed = outcome.operation == "update"
            && outcome.error.as_ref().is_some_and(|error| error.kind() == ErrorKind::Conflict);
        assert!(outcome.error.is_none() || has_changed, "{outcome:?}");
    }
}

async fn a_table_that_is_altered_all_the_time_fails_no_call(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let created = sessions.create(user("1234")).await.unwrap();
    let alters = async {
        for n in 0..20 {
            for statement in [
                format!("ALTER TABLE sessions ADD COLUMN added_{n} INTEGER NULL"),
                format!("ALTER TABLE sessions DROP COLUMN added_{n}"),
            ] {
                db.execute_anew(&statement).await;
            }
        }
    };
    let (reader, token) = (sessions.clone(), created.token.clone());
    let reads = tokio::spawn(async move {
        loop {
            let failed = failures(&reader, &token).await;
            assert_eq!(failed.len(), 0, "{:?}", failed.first());
        }
    });
    alters.await;
    assert!(!reads.is_finished(), "{:?}", reads.await);
    reads.abort();
}

each_database! {
    a_table_that_is_altered_fails_no_call,
    a_table_that_is_altered_all_the_time_fails_no_call,
}

async fn inside_a_transaction_the_error_says_to_run_it_again_and_that_helps_case(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let created = sessions.create(user("1234")).await.unwrap();
    // One connection, so that the second transaction is on that of the first.
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(1);
    let pool = pool.connect(db.url()).await.unwrap();
    let mut transaction = pool.begin().await.unwrap();
    assert!(sessions.within(&mut transaction).authenticate(&created.token).await.unwrap().is_some());
    transaction.commit().await.unwrap();

    db.execute(another_type(Kind::Postgres)).await;
    let mut transaction = pool.begin().await.unwrap();
    let error = sessions.within(&mut transaction).authenticate(&created.token).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Database, Outcome::NotDone), "{error:?}");
    assert!(error.to_string().contains("roll the transaction back and run it again"), "{error}");
    transaction.rollback().await.unwrap();

    let mut transaction = pool.begin().await.unwrap();
    let found = sessions.within(&mut transaction).authenticate(&created.token).await.unwrap();
    assert_eq!(found, Some(created.session));
    transaction.commit().await.unwrap();
    pool.close().await;
}

async fn statements_that_the_server_has_forgotten_are_prepared_anew_case(db: TestDatabase) {
    for forget in ["DEALLOCATE ALL", "DISCARD ALL"] {
        let sessions = db.sessions::<UserSession>().await;
        let created = sessions.create(user("1234")).await.unwrap();
        // On one connection, since each knows its own.
        let options = (*db.postgres_pool().connect_options()).clone();
        let pool = sqlx::postgres::PgPoolOptions::new().max_connections(1);
        let pool = pool.connect_with(options).await.unwrap();
        let on_one = Sessions::<UserSession>::new(pool.clone(), db.config().build().unwrap()).unwrap();
        let mut session = on_one.authenticate(&created.token).await.unwrap().unwrap();
        on_one.create(user("5678")).await.unwrap();
        on_one.update(&mut session).await.unwrap();
        pool.execute(forget).await.unwrap();
        // Writes too: the statement did not run.
        on_one.create(user("5678")).await.unwrap();
        pool.execute(forget).await.unwrap();
        on_one.update(&mut session).await.unwrap();
        pool.execute(forget).await.unwrap();
        assert!(on_one.authenticate(&created.token).await.unwrap().is_some());
        assert_eq!(on_one.query().count().await.unwrap(), 3);
        pool.close().await;
        sessions.migrate_down().await.unwrap();
    }
}

mod prepared {
    use super::*;

    mod postgres {
        use super::*;

        #[test]
        #[cfg_attr(not(feature = "servers"), ignore = "PostgreSQL: run `cargo xtask test`")]
        fn inside_a_transaction_the_error_says_to_run_it_again_and_that_helps() {
            run(Kind::Postgres, inside_a_transaction_the_error_says_to_run_it_again_and_that_helps_case);
        }

        #[test]
        #[cfg_attr(not(feature = "servers"), ignore = "PostgreSQL: run `cargo xtask test`")]
        fn statements_that_the_server_has_forgotten_are_prepared_anew() {
            run(Kind::Postgres, statements_that_the_server_has_forgotten_are_prepared_anew_case);
        }
    }
}

#[test]
fn a_table_that_another_process_makes_anew_is_found_by_who_knew_the_old_one() {
    run(Kind::Sqlite, async |db| {
        let sessions = db.sessions::<UserSession>().await;
        let created = sessions.create(user("1234")).await.unwrap();
        prepare_everywhere(&sessions, &created.token).await;
        db.execute_anew("DROP TABLE sessions; DROP TABLE sessions_cloakroom_migrations").await;
        assert_eq!(sessions.migrate().await.unwrap().len(), 3, "the table is gone, and is made anew");
        assert_eq!(sessions.authenticate(&created.token).await.unwrap(), None);
        sessions.create(user("1234")).await.unwrap();
    });
}
