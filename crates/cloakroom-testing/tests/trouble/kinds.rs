//! Trouble of one sort has one kind, whatever the database calls it.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use cloakroom::uuid::Uuid;
use cloakroom::{Config, Database, ErrorKind, NewSession, Outcome, Sessions, Transaction};
use cloakroom_testing::{Kind, TestDatabase, UserSession, each_database, run, user};
use serde_json::json;
use sqlx::mysql::MySqlPoolOptions;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use crate::everything::every_operation;

/// A character that few encodings have.
const RARE: &str = "😀";

/// The test's database through connections whose statements are soon given up.
async fn in_a_hurry(db: &TestDatabase) -> Database {
    match db.database() {
        Database::Sqlite(_) => {
            let pool = SqlitePoolOptions::new().after_connect(|connection, _| {
                Box::pin(async move {
                    connection.lock_handle().await?.set_progress_handler(1, || false);
                    Ok(())
                })
            });
            pool.connect(db.url()).await.unwrap().into()
        }
        Database::Postgres(_) => {
            let options: PgConnectOptions = db.url().parse().unwrap();
            let options = options.options([("statement_timeout", "100")]);
            PgPoolOptions::new().connect_with(options).await.unwrap().into()
        }
        Database::MySql(_) => {
            let pool = MySqlPoolOptions::new().after_connect(|connection, _| {
                // MySQL gives up reads alone, and a write only while it waits.
                let setting = "SET SESSION /*M! max_statement_time = 0.1 */ \
                    /*!80017 max_execution_time = 100, SESSION lock_wait_timeout = 1 */";
                Box::pin(async move { connection.execute(setting).await.map(drop) })
            });
            pool.connect(db.url()).await.unwrap().into()
        }
        other => panic!("no such database: {other:?}"),
    }
}

async fn a_statement_that_the_server_gives_up_says_so(db: TestDatabase) {
    let created = db.sessions::<UserSession>().await.create(user("1234")).await.unwrap();
    let sessions = Sessions::<UserSession>::new(in_a_hurry(&db).await, db.config().build().unwrap()).unwrap();
    macro_rules! check {
        () => {
            for outcome in every_operation(&sessions, &created.session, &created.token).await {
                match &outcome.error {
                    Some(error) if db.is_mysql() && error.kind() == ErrorKind::LockTimeout => {
                        assert_eq!(error.outcome(), Outcome::NotDone, "{outcome:?}");
                        let reads = ["authenticate", "reload", "fetch_all", "count", "exists"];
                        assert!(!reads.contains(&outcome.operation), "{outcome:?}");
                    }
                    Some(error) => {
                        assert_eq!(error.kind(), ErrorKind::StatementTimeout, "{outcome:?}");
                        assert_eq!(error.outcome(), Outcome::NotDone, "{outcome:?}");
                    }
                    None => assert_eq!(outcome.operation, "extend", "nothing is due, so nothing is asked"),
                }
            }
        };
    }
    match db.database() {
        Database::Postgres(pool) => {
            let mut other = pool.acquire().await.unwrap();
            other.execute("BEGIN; LOCK TABLE sessions").await.unwrap();
            check!();
            other.execute("ROLLBACK").await.unwrap();
        }
        Database::MySql(pool) => {
            let mut other = pool.acquire().await.unwrap();
            other.execute("LOCK TABLES sessions WRITE").await.unwrap();
            check!();
            other.execute("UNLOCK TABLES").await.unwrap();
        }
        _ => check!(),
    }
    sessions.database().close().await;
    let found = db.sessions::<UserSession>().await.query().fetch_all().await.unwrap();
    assert_eq!(found, [created.session], "what was given up is undone");
}

fn assert_is_of_the_encoding(error: &cloakroom::Error) {
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::InvalidField, Outcome::NotDone), "{error:?}");
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("encoding of sessions"), "{shown}");
    for value in [RARE, "f0", "F0", "0x"] {
        assert!(!shown.contains(value), "{value}: {shown}");
    }
}

/// The test's database with a table whose encoding lacks most characters; on SQLite there is none that does.
async fn poor_in_characters(db: &TestDatabase) -> (Sessions<UserSession>, Option<String>) {
    let config = || db.config().build().unwrap();
    match db.database() {
        Database::Sqlite(_) => {
            let options: SqliteConnectOptions = format!("{}-utf16", db.url()).parse().unwrap();
            let options = options.create_if_missing(true).pragma("encoding", "'UTF-16'");
            let pool = SqlitePoolOptions::new().connect_with(options).await.unwrap();
            let sessions = Sessions::new(pool, config()).unwrap();
            sessions.migrate().await.unwrap();
            (sessions, None)
        }
        Database::Postgres(pool) => {
            let name = db.unique_name();
            let create = format!(
                "CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"
            );
            pool.execute(AssertSqlSafe(create)).await.unwrap();
            let options: PgConnectOptions = db.url().parse().unwrap();
            let options = options.database(&name).options([("search_path", "public")]);
            let pool = PgPoolOptions::new().connect_with(options).await.unwrap();
            let sessions = Sessions::new(pool, config()).unwrap();
            sessions.migrate().await.unwrap();
            (sessions, Some(format!("DROP DATABASE {name}")))
        }
        _ => {
            let sessions = db.sessions::<UserSession>().await;
            let poor = "ALTER TABLE sessions MODIFY user_id varchar(255) CHARACTER SET latin1 NOT NULL, \
                 MODIFY data longtext CHARACTER SET latin1 NOT NULL DEFAULT ('{}') CHECK (json_valid(data))";
            db.execute(poor).await;
            (sessions, None)
        }
    }
}

async fn a_character_that_the_encoding_lacks_is_a_value_that_cannot_be_stored(db: TestDatabase) {
    let (sessions, clean_up) = poor_in_characters(&db).await;
    let created = sessions.create(user("é").data(json!({"name": "é"}))).await.unwrap();
    let new: fn() -> [NewSession<UserSession>; 2] =
        || [user(RARE), user("1234").data(json!({ "name": RARE }))];
    if db.kind() == Kind::Sqlite {
        for new in new() {
            let created = sessions.create(new).await.unwrap();
            assert_eq!(sessions.authenticate(&created.token).await.unwrap(), Some(created.session));
        }
    } else {
        for new in new() {
            assert_is_of_the_encoding(&sessions.create(new).await.unwrap_err());
        }
        let mut session = created.session.clone();
        RARE.clone_into(&mut session.fields.user_id);
        assert_is_of_the_encoding(&sessions.update(&mut session).await.unwrap_err());
    }
    // No row has it, whether the server can be asked so or not.
    let asked = sessions.query().filter(UserSession::USER_ID.eq(RARE)).count().await;
    match asked {
        Ok(count) => assert_eq!(count, u64::from(db.kind() == Kind::Sqlite)),
        Err(error) => assert_is_of_the_encoding(&error),
    }
    // And not that of a token.
    assert_eq!(sessions.authenticate(RARE).await.unwrap(), None);
    assert_eq!(sessions.authenticate(&created.token).await.unwrap(), Some(created.session));
    if db.kind() == Kind::Postgres {
        let error = sessions.create(user("1234").data(json!("\0"))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error:?}");
        assert!(error.to_string().contains("U+0000"), "{error}");
    }
    if let Some(statement) = clean_up {
        sessions.database().close().await;
        db.execute(&statement).await;
    }
}

/// Locks one row, and no other: of a table as small as this an UPDATE may read every row.
async fn lock_row(db: &TestDatabase, transaction: &mut Transaction, id: Uuid) {
    let lock = |id: String| AssertSqlSafe(format!("SELECT id FROM sessions WHERE id = {id} FOR UPDATE"));
    match db.kind() {
        Kind::Postgres => drop(transaction.postgres().execute(lock(format!("'{id}'"))).await.unwrap()),
        _ => drop(transaction.mysql().execute(lock(format!("x'{}'", id.simple()))).await.unwrap()),
    }
}

/// It lost a deadlock, or it writes after another has written what it has read.
async fn a_transaction_that_met_another_says_that_it_may_run_again(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let mut one = sessions.create(user("1")).await.unwrap().session;
    let mut two = sessions.create(user("2")).await.unwrap().session;
    let (mut first, mut second) = (sessions.begin().await.unwrap(), sessions.begin().await.unwrap());
    let results = if db.kind() == Kind::Sqlite {
        assert!(sessions.within(&mut first).expire(&mut one).await.unwrap());
        second.rollback().await.unwrap();
        let mut reads = db.sqlite_pool().begin().await.unwrap();
        assert_eq!(sessions.within(&mut reads).query().count().await.unwrap(), 2);
        first.commit().await.unwrap();
        [Ok(true), sessions.within(&mut reads).expire(&mut two).await]
    } else {
        lock_row(&db, &mut first, one.id).await;
        lock_row(&db, &mut second, two.id).await;
        let (mut of_first, mut of_second) = (sessions.within(&mut first), sessions.within(&mut second));
        // The one that is left has what it waits for as soon as the other has ended.
        let end = async |expired: cloakroom::Result<bool>, transaction: Transaction| {
            transaction.rollback().await.unwrap();
            expired
        };
        let (one_ended, two_ended) =
            futures_util::future::join(of_first.expire(&mut two), of_second.expire(&mut one)).await;
        drop((of_first, of_second));
        [end(one_ended, first).await, end(two_ended, second).await]
    };
    let (done, failed): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!((done.len(), failed.len()), (1, 1), "{done:?} {failed:?}");
    let error = failed.into_iter().next().unwrap().unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Contention, Outcome::NotDone), "{error:?}");
    assert!(error.to_string().contains("run the whole transaction again"), "{error}");
    // As it says.
    let mut again = sessions.begin().await.unwrap();
    assert!(sessions.within(&mut again).expire(&mut two).await.unwrap());
    again.commit().await.unwrap();
}

each_database! {
    a_transaction_that_met_another_says_that_it_may_run_again,
    a_statement_that_the_server_gives_up_says_so,
    a_character_that_the_encoding_lacks_is_a_value_that_cannot_be_stored,
}

/// SQLite's case is in `outage`.
async fn fills_up(sessions: &Sessions<UserSession>) {
    let before = sessions.query().count().await.unwrap();
    let created = sessions.create(user("1234")).await.unwrap();
    let mut written = 1;
    let error = loop {
        match sessions.create(user("1234").data(json!("x".repeat(1_500)))).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 200, "there is always room");
    };
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::DiskFull, Outcome::NotDone), "{error:?}");
    assert!(error.to_string().contains("no room"), "{error}");
    assert!(sessions.authenticate(&created.token).await.unwrap().is_some(), "reads go on");
    assert_eq!(sessions.query().count().await.unwrap(), before + written);
}

mod full {
    use super::*;

    mod mariadb {
        use super::*;

        #[test]
        #[cfg_attr(not(feature = "servers"), ignore = "MariaDB: run `cargo xtask test`")]
        fn a_full_table_of_mariadb_is_a_lack_of_room_and_reads_go_on() {
            run(Kind::MariaDb, async |db| {
                let sessions = db.sessions::<UserSession>().await;
                // An engine that can be told how much it may hold, 64 KiB, and whose keys are short.
                db.execute("DROP INDEX sessions_user_id_inserted_at_index ON sessions").await;
                db.execute("ALTER TABLE sessions ENGINE = MyISAM, MAX_ROWS = 1, AVG_ROW_LENGTH = 1").await;
                fills_up(&sessions).await;
            });
        }
    }

    mod postgres {
        use super::*;

        /// The server process that serves the connection may write no file beyond a size that is in the middle of a page, so
        /// that it finds its disk full as it extends the table: it writes a part of the page.
        #[test]
        #[cfg_attr(not(feature = "servers"), ignore = "PostgreSQL: run `cargo xtask test`")]
        fn a_full_disk_of_postgresql_is_a_lack_of_room_and_reads_go_on() {
            let server = cloakroom_testing::servers::postgres().unwrap();
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
        let pool = PgPoolOptions::new().max_connections(1).connect(server.url()).await.unwrap();
        let sessions = Sessions::<UserSession>::new(pool.clone(), Config::default()).unwrap();
        sessions.migrate().await.unwrap();
        let mut other = sqlx::PgConnection::connect(server.url()).await.unwrap();
        // The write-ahead log's files have 16 MiB, and must have room.
        let fill = "ALTER TABLE sessions ALTER COLUMN data SET STORAGE PLAIN; \
             INSERT INTO sessions SELECT md5(n::text)::uuid, 'filler ' || n, to_jsonb(repeat('x', 1500)), now() + '1 day', \
             n, now(), now() FROM generate_series(1, 13000) n; ANALYZE sessions";
        other.execute(fill).await.unwrap();
        let size: i64 =
            sqlx::query_scalar("SELECT pg_relation_size('sessions')").fetch_one(&mut other).await.unwrap();
        assert!(size > 17 * 1024 * 1024, "{size}");
        let process: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&pool).await.unwrap();
        let limit = size + 8192 + 4096;
        // By the account that the server runs as: the limit is that account's.
        let account = std::fs::metadata(format!("/proc/{process}")).unwrap();
        let limited = Command::new("prlimit")
            .uid(account.uid())
            .gid(account.gid())
            .args(["--pid", &process.to_string(), &format!("--fsize={limit}")])
            .status()
            .expect("prlimit, of util-linux, is installed");
        assert!(limited.success());
        fills_up(&sessions).await;
        other.close().await.unwrap();
        pool.close().await;
    });
        }
    }
}
