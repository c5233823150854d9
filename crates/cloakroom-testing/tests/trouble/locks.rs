//! What another transaction has locked, for longer than the database waits.

use cloakroom::{Database, ErrorKind, Sessions};
use cloakroom_testing::{TestDatabase, UserSession, each_database, user};
use sqlx::mysql::MySqlPoolOptions;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{Connection as _, Executor as _};
use std::error::Error as _;
use std::time::Duration;

use crate::everything::every_operation;

const CONNECTIONS: u32 = 24;

/// The test's database through connections that do not wait long for a lock.
async fn impatient(db: &TestDatabase) -> Database {
    match db.database() {
        Database::Sqlite(_) => {
            let options: SqliteConnectOptions = db.url().parse().unwrap();
            let options = options.busy_timeout(Duration::from_millis(50));
            SqlitePoolOptions::new().max_connections(CONNECTIONS).connect_with(options).await.unwrap().into()
        }
        Database::Postgres(_) => {
            let options: PgConnectOptions = db.url().parse().unwrap();
            let options = options.options([("lock_timeout", "50")]);
            PgPoolOptions::new().max_connections(CONNECTIONS).connect_with(options).await.unwrap().into()
        }
        Database::MySql(_) => {
            let options =
                MySqlPoolOptions::new().max_connections(CONNECTIONS).after_connect(|connection, _| {
                    let settings = "SET SESSION innodb_lock_wait_timeout = 1, SESSION lock_wait_timeout = 1";
                    Box::pin(async move { connection.execute(settings).await.map(drop) })
                });
            options.connect(db.url()).await.unwrap().into()
        }
        other => panic!("no such database: {other:?}"),
    }
}

/// Runs `$body` while another connection keeps all writers out.
macro_rules! while_locked {
    ($db:expr, $body:expr) => {{
        macro_rules! on {
            ($pool:expr, $lock:expr, $unlock:expr) => {{
                let mut other = $pool.acquire().await.unwrap();
                other.execute($lock).await.unwrap();
                $body;
                other.execute($unlock).await.unwrap();
            }};
        }
        match $db.database() {
            Database::Sqlite(pool) => on!(pool, "BEGIN IMMEDIATE", "ROLLBACK"),
            Database::Postgres(pool) => on!(pool, "BEGIN; LOCK TABLE sessions IN SHARE MODE", "ROLLBACK"),
            Database::MySql(pool) => on!(pool, "LOCK TABLES sessions READ", "UNLOCK TABLES"),
            other => panic!("no such database: {other:?}"),
        }
    }};
}

async fn whatever_waits_too_long_for_a_lock_says_so(db: TestDatabase) {
    let created = db.sessions::<UserSession>().await.create(user("1234")).await.unwrap();
    let sessions = Sessions::new(impatient(&db).await, db.config().build().unwrap()).unwrap();
    db.clock().advance(Duration::from_hours(48));
    let writes = [
        "create",
        "update",
        "update_with",
        "extend",
        "expire",
        "rotate",
        "delete",
        "delete_expired",
        "expire_all",
        "delete_all",
    ];
    while_locked!(db, {
        for outcome in every_operation(&sessions, &created.session, &created.token).await {
            let kind = outcome.error.as_ref().map(cloakroom::Error::kind);
            let expected = writes.contains(&outcome.operation).then_some(ErrorKind::LockTimeout);
            assert_eq!(kind, expected, "{outcome:?}");
            if let Some(error) = &outcome.error {
                assert!(error.to_string().contains("locked for too long"), "{error}");
                assert!(error.source().is_some(), "the cause is kept");
            }
        }
    });
    assert!(sessions.create(user("1234")).await.is_ok());
    assert!(sessions.delete(created.session).await.unwrap());
    sessions.database().close().await;
}

/// Where the application's transaction has the row of a user, to whom sessions refer.
async fn a_row_that_refers_to_one_that_is_locked_says_so_too(db: TestDatabase) {
    let name = if db.kind() == cloakroom_testing::Kind::MariaDb {
        "varchar(255) COLLATE /*M! utf8mb4_nopad_bin */ /*!80017 utf8mb4_0900_bin */"
    } else {
        "varchar(255)"
    };
    db.execute(&format!("CREATE TABLE users (name {name} PRIMARY KEY)")).await;
    db.execute("INSERT INTO users VALUES ('1'), ('2')").await;
    let sessions = Sessions::<UserSession>::new(impatient(&db).await, db.config().build().unwrap()).unwrap();
    sessions.migrate().await.unwrap();
    macro_rules! with_a_locked_user {
        ($pool:expr, $refer:expr, $lock:expr) => {{
            db.execute($refer).await;
            let mut other = $pool.begin().await.unwrap();
            other.execute($lock).await.unwrap();
            let error = sessions.create(user("1")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::LockTimeout, "{error:?}");
            other.rollback().await.unwrap();
            sessions.create(user("1")).await.unwrap();
        }};
    }
    let refer = "ALTER TABLE sessions ADD FOREIGN KEY (user_id) REFERENCES users (name)";
    let lock = "SELECT name FROM users WHERE name = '1' FOR UPDATE";
    match db.database() {
        // It has no locks of rows, and adds no key to a table.
        Database::Sqlite(pool) => with_a_locked_user!(pool, "SELECT 1", "UPDATE users SET name = name"),
        Database::Postgres(pool) => with_a_locked_user!(pool, refer, lock),
        Database::MySql(pool) => with_a_locked_user!(pool, refer, lock),
        other => panic!("no such database: {other:?}"),
    }
    sessions.database().close().await;
}

async fn a_table_that_another_process_migrates_for_too_long_says_so(db: TestDatabase) {
    let impatient = impatient(&db).await;
    let sessions = Sessions::<UserSession>::new(impatient, db.config().build().unwrap()).unwrap();
    macro_rules! beside {
        ($pool:expr, $lock:expr, $unlock:expr) => {{
            let mut other = $pool.acquire().await.unwrap();
            other.execute($lock).await.unwrap();
            let error = sessions.migrate().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::LockTimeout, "{error:?}");
            other.execute($unlock).await.unwrap();
            sessions.migrate().await.unwrap();
        }};
    }
    match db.database() {
        Database::Sqlite(pool) => beside!(pool, "BEGIN IMMEDIATE", "ROLLBACK"),
        Database::Postgres(pool) => beside!(
            pool,
            "SELECT pg_advisory_lock(hashtextextended('cloakroom ' || current_schema() || '.sessions', 0))",
            "SELECT pg_advisory_unlock_all()"
        ),
        Database::MySql(pool) => beside!(
            pool,
            "DO GET_LOCK(CONCAT('cloakroom ', LEFT(SHA2(CONCAT(DATABASE(), '.sessions'), 256), 40)), 0)",
            "DO RELEASE_ALL_LOCKS()"
        ),
        other => panic!("no such database: {other:?}"),
    }
    sessions.database().close().await;
}

each_database! {
    whatever_waits_too_long_for_a_lock_says_so,
    a_row_that_refers_to_one_that_is_locked_says_so_too,
    a_table_that_another_process_migrates_for_too_long_says_so,
}

mod only_sqlite {
    use cloakroom_testing::{Kind, run};

    use super::*;

    async fn to_write_after_others_wrote_is_no_lock(db: TestDatabase) {
        let sessions = db.sessions::<UserSession>().await;
        let created = sessions.create(user("1234")).await.unwrap();
        let mut connection = sqlx::SqliteConnection::connect(db.url()).await.unwrap();
        let mut transaction = connection.begin().await.unwrap();
        let within = sessions.within(&mut transaction).authenticate(&created.token).await;
        assert_eq!(within.unwrap(), Some(created.session.clone()));
        sessions.create(user("1234")).await.unwrap();
        let late = sessions.within(&mut transaction).delete(created.session).await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Contention, "{late:?}");
    }

    #[test]
    fn a_transaction_that_writes_after_others_wrote_did_not_wait_for_a_lock() {
        run(Kind::Sqlite, to_write_after_others_wrote_is_no_lock);
    }
}
