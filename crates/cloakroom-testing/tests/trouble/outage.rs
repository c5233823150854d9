//! The database goes away in the middle of a call, and comes back.

use std::error::Error as _;
use std::time::{Duration, Instant};

use cloakroom::{Database, ErrorKind, Outcome, Sessions};
use cloakroom_testing::servers::Server;
use cloakroom_testing::{UserSession, user};
use sqlx::Executor;
use sqlx::mysql::MySqlPoolOptions;
use sqlx::postgres::PgPoolOptions;
use tokio::task::JoinSet;

use crate::everything::every_operation;

/// What the pool waits for a connection.
const TIMEOUT: Duration = Duration::from_secs(2);
/// What a busy machine may add.
const MARGIN: Duration = Duration::from_secs(3);

fn sessions_on(database: Database) -> Sessions<UserSession> {
    Sessions::new(database, cloakroom::Config::default()).unwrap()
}

fn assert_is_trouble(error: &cloakroom::Error) {
    assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Database), "{error:?}");
}

/// `lock` keeps every other connection from reading the table, until its connection ends.
async fn goes_and_comes_back(mut server: Server, database: Database, lock: impl AsyncFn(&Database)) {
    let sessions = sessions_on(database);
    sessions.migrate().await.unwrap();
    let created = sessions.create(user("1234")).await.unwrap();

    // In the middle of calls that wait for a lock.
    lock(sessions.database()).await;
    let mut waiting = JoinSet::new();
    for _ in 0..4 {
        let (reader, writer, token) = (sessions.clone(), sessions.clone(), created.token.clone());
        waiting.spawn(async move { reader.authenticate(&token).await });
        waiting.spawn(async move { writer.create(user("5678")).await.map(|created| Some(created.session)) });
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(waiting.try_join_next().is_none(), "the lock keeps nobody waiting");
    let gone = Instant::now();
    server.kill();
    while let Some(result) = waiting.join_next().await {
        assert_is_trouble(&result.unwrap().expect_err("a call outlived its server"));
    }
    assert!(gone.elapsed() < TIMEOUT + MARGIN, "{:?}", gone.elapsed());

    // And while it is away.
    for outcome in every_operation(&sessions, &created.session, &created.token).await {
        if let Some(error) = &outcome.error {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{outcome:?}");
        } else {
            assert_eq!(outcome.operation, "extend", "nothing is due, so nothing is asked");
        }
        assert!(outcome.took < TIMEOUT + MARGIN, "{outcome:?}");
    }

    // Back again, with the same pool and what was written before.
    server.start().unwrap();
    let found = sessions.authenticate(&created.token).await.unwrap();
    assert_eq!(found.as_ref(), Some(&created.session));
    assert_eq!(sessions.query().fetch_all().await.unwrap(), [created.session]);
    for n in 0..20 {
        sessions.create(user(&n.to_string())).await.unwrap();
    }
    sessions.database().close().await;
}

/// With the pool that the library itself opens, which tests no connection before it uses it: each dead connection is
/// found out by a call that meets it, and that asks again.
async fn the_librarys_own_pool_recovers(mut server: Server) {
    let sessions = sessions_on(Database::connect(server.url()).await.unwrap());
    sessions.migrate().await.unwrap();
    let created = sessions.create(user("1234")).await.unwrap();
    let mut at_once = JoinSet::new();
    for _ in 0..64 {
        let (sessions, token) = (sessions.clone(), created.token.clone());
        at_once.spawn(async move { sessions.authenticate(&token).await });
    }
    while let Some(result) = at_once.join_next().await {
        assert!(result.unwrap().unwrap().is_some());
    }
    server.kill();
    server.start().unwrap();
    for _ in 0..32 {
        let found = sessions.authenticate(&created.token).await.unwrap();
        assert_eq!(found.as_ref(), Some(&created.session));
    }
    sessions.database().close().await;
}

fn block_on(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_mins(2), case).await.expect("the case hangs");
    });
}

mod postgres {
    use super::*;

    #[test]
    #[cfg_attr(not(feature = "servers"), ignore = "PostgreSQL: run `cargo xtask test`")]
    fn a_server_that_goes_in_the_middle_of_a_call_is_trouble_until_it_is_back() {
        let server = cloakroom_testing::servers::postgres().unwrap();
        block_on(async {
            let options = PgPoolOptions::new().acquire_timeout(TIMEOUT);
            let pool = options.connect(server.url()).await.unwrap();
            goes_and_comes_back(server, pool.into(), async |database| {
                let Database::Postgres(pool) = database else { unreachable!() };
                let mut connection = pool.acquire().await.unwrap().detach();
                connection.execute("BEGIN; LOCK TABLE sessions").await.unwrap();
                // Ends with the server.
                std::mem::forget(connection);
            })
            .await;
        });
    }

    #[test]
    #[cfg_attr(not(feature = "servers"), ignore = "PostgreSQL: run `cargo xtask test`")]
    fn the_librarys_own_pool_recovers_from_a_restart() {
        let server = cloakroom_testing::servers::postgres().unwrap();
        block_on(the_librarys_own_pool_recovers(server));
    }
}

mod mariadb {
    use super::*;

    #[test]
    #[cfg_attr(not(feature = "servers"), ignore = "MariaDB: run `cargo xtask test`")]
    fn a_server_that_goes_in_the_middle_of_a_call_is_trouble_until_it_is_back() {
        let server = cloakroom_testing::servers::mariadb().unwrap();
        block_on(async {
            let options = MySqlPoolOptions::new().acquire_timeout(TIMEOUT);
            let pool = options.connect(server.url()).await.unwrap();
            goes_and_comes_back(server, pool.into(), async |database| {
                let Database::MySql(pool) = database else { unreachable!() };
                let mut connection = pool.acquire().await.unwrap().detach();
                connection.execute("LOCK TABLES sessions WRITE").await.unwrap();
                std::mem::forget(connection);
            })
            .await;
        });
    }

    #[test]
    #[cfg_attr(not(feature = "servers"), ignore = "MariaDB: run `cargo xtask test`")]
    fn the_librarys_own_pool_recovers_from_a_restart() {
        let server = cloakroom_testing::servers::mariadb().unwrap();
        block_on(the_librarys_own_pool_recovers(server));
    }
}

mod sqlite {
    use cloakroom_testing::{Kind, TestDatabase, run};
    use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
    use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};
    use std::fs;

    use super::*;

    /// A file in the mode in which a writer keeps readers out.
    async fn rollback_journal(db: &TestDatabase) -> Sessions<UserSession> {
        // The mode changes only while nobody else has the file open.
        db.database().close().await;
        let options: SqliteConnectOptions = db.url().parse().unwrap();
        let options = options.journal_mode(SqliteJournalMode::Delete).busy_timeout(Duration::from_millis(50));
        let pool = SqlitePoolOptions::new().acquire_timeout(TIMEOUT).max_connections(4);
        let sessions = sessions_on(pool.connect_with(options).await.unwrap().into());
        sessions.migrate().await.unwrap();
        sessions
    }

    async fn a_file_that_another_process_locks_is_a_lock_time_out_until_it_is_free_case(db: TestDatabase) {
        let sessions = rollback_journal(&db).await;
        let created = sessions.create(user("1234")).await.unwrap();
        let mut other = SqliteConnection::connect(db.url()).await.unwrap();
        other.execute("BEGIN EXCLUSIVE").await.unwrap();
        for outcome in every_operation(&sessions, &created.session, &created.token).await {
            if let Some(error) = &outcome.error {
                assert_eq!(error.kind(), ErrorKind::LockTimeout, "{outcome:?}");
            } else {
                assert_eq!(outcome.operation, "extend", "nothing is due, so nothing is asked");
            }
            assert!(outcome.took < TIMEOUT + MARGIN, "{outcome:?}");
        }
        let error = sessions.authenticate(&created.token).await.unwrap_err();
        assert!(error.source().unwrap().to_string().contains("database is locked"), "{error:?}");
        other.execute("ROLLBACK").await.unwrap();
        assert_eq!(sessions.authenticate(&created.token).await.unwrap(), Some(created.session));
        sessions.database().close().await;
    }

    async fn a_file_that_is_garbage_is_trouble_and_nobody_is_signed_out_case(db: TestDatabase) {
        let token = {
            let sessions = db.sessions::<UserSession>().await;
            for n in 0..200 {
                sessions.create(user(&n.to_string())).await.unwrap();
            }
            // For sessions with the system's clock.
            sessions.create(user("1234").never_expires()).await.unwrap().token
        };
        db.database().close().await;
        let file = db.url().strip_prefix("sqlite:").unwrap().to_owned();
        let sound = fs::read(&file).unwrap();
        let mut torn = sound.clone();
        torn[sound.len() / 4..].fill(0xa5);
        let garbage = vec![0xa5; sound.len()];
        for (content, is_sound) in
            [(&torn[..], false), (&garbage, false), (&sound[..sound.len() / 2], false), (&sound, true)]
        {
            fs::write(&file, content).unwrap();
            let pool = SqlitePoolOptions::new().acquire_timeout(TIMEOUT).connect(db.url()).await;
            let sessions = match pool {
                Ok(pool) => sessions_on(pool.into()),
                Err(_) if !is_sound => continue,
                Err(error) => panic!("{error:?}"),
            };
            let found = sessions.authenticate(&token).await;
            if is_sound {
                assert!(found.unwrap().is_some());
            } else {
                assert_is_trouble(&found.expect_err("garbage is read as rows"));
            }
            sessions.database().close().await;
        }
    }

    async fn a_full_database_is_trouble_and_reads_go_on_case(db: TestDatabase) {
        // For sessions with the system's clock.
        let lasting = user("1234").never_expires();
        let created = db.sessions::<UserSession>().await.create(lasting).await.unwrap();
        let pages = db.texts("SELECT CAST(page_count AS TEXT) FROM pragma_page_count").await;
        let pages = pages[0].clone().unwrap();
        let pool = SqlitePoolOptions::new().after_connect(move |connection, _| {
            let pragma = format!("PRAGMA max_page_count = {pages}");
            Box::pin(async move { connection.execute(AssertSqlSafe(pragma)).await.map(drop) })
        });
        let sessions = sessions_on(pool.connect(db.url()).await.unwrap().into());
        let mut created_before = 1;
        let error = loop {
            match sessions.create(user("1234").data(serde_json::json!("x".repeat(1_000)))).await {
                Ok(_) => created_before += 1,
                Err(error) => break error,
            }
            assert!(created_before < 100, "the database is never full");
        };
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::DiskFull, Outcome::NotDone), "{error:?}");
        assert!(sessions.authenticate(&created.token).await.unwrap().is_some());
        assert_eq!(sessions.query().count().await.unwrap(), created_before);
        sessions.database().close().await;
    }

    #[test]
    fn a_file_that_another_process_locks_is_a_lock_time_out_until_it_is_free() {
        run(Kind::Sqlite, a_file_that_another_process_locks_is_a_lock_time_out_until_it_is_free_case);
    }

    #[test]
    fn a_file_that_is_garbage_is_trouble_and_nobody_is_signed_out() {
        run(Kind::Sqlite, a_file_that_is_garbage_is_trouble_and_nobody_is_signed_out_case);
    }

    #[test]
    fn a_full_database_is_trouble_and_reads_go_on() {
        run(Kind::Sqlite, a_full_database_is_trouble_and_reads_go_on_case);
    }
}
