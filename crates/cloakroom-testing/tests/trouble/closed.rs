//! Connections that the server closes while they are idle.

use std::time::Duration;

use cloakroom::{Config, Database, ErrorKind, Outcome, Sessions, Token};
use cloakroom_testing::servers::Server;
use cloakroom_testing::{Kind, TestDatabase, UserSession, user};
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use tokio::task::JoinSet;

const CONNECTIONS: u32 = 6;

/// A pool that tests no connection before it uses it, as those do that [`Database::connect`] makes.
async fn pool(url: &str, kind: Kind, name: &str, connections: u32) -> Database {
    const PATIENCE: Duration = Duration::from_secs(10);
    match kind {
        Kind::Postgres => {
            let options: PgConnectOptions = url.parse().unwrap();
            let pool = PgPoolOptions::new().max_connections(connections).acquire_timeout(PATIENCE);
            let pool = pool.test_before_acquire(false);
            pool.connect_with(options.application_name(name)).await.unwrap().into()
        }
        Kind::MariaDb => {
            let options: MySqlConnectOptions = url.parse().unwrap();
            let pool = MySqlPoolOptions::new().max_connections(connections).acquire_timeout(PATIENCE);
            let pool = pool.test_before_acquire(false);
            pool.connect_with(options).await.unwrap().into()
        }
        Kind::Sqlite => unreachable!("SQLite has no server"),
    }
}

/// Opens all connections of the pool, and leaves them idle.
async fn open_all(sessions: &Sessions<UserSession>, token: &Token) {
    drop(cloakroom_testing::hold_connections(sessions.database()).await);
    // They are given back by tasks.
    while idle(sessions.database()) < CONNECTIONS as usize {
        tokio::task::yield_now().await;
    }
    assert!(sessions.authenticate(token).await.unwrap().is_some());
}

fn idle(database: &Database) -> usize {
    match database {
        Database::Postgres(pool) => pool.num_idle(),
        Database::MySql(pool) => pool.num_idle(),
        other => panic!("no server: {other:?}"),
    }
}

/// Ends every other connection to the database of this test, and waits until they have.
async fn end_connections(db: &TestDatabase, name: &str) {
    match db.kind() {
        Kind::Postgres => {
            let ended = db.end_connections(&format!("application_name = '{name}'")).await;
            assert_eq!(ended, CONNECTIONS as usize);
        }
        Kind::MariaDb => {
            let mut admin = sqlx::MySqlConnection::connect(db.url()).await.unwrap();
            let list =
                format!("SELECT id FROM {} WHERE db = DATABASE() AND id <> CONNECTION_ID()", db.processes());
            let list = || sqlx::query(AssertSqlSafe(list.clone()));
            let ended = list().fetch_all(&mut admin).await.unwrap();
            assert!(ended.len() >= CONNECTIONS as usize);
            for row in ended {
                let id: i64 = row.try_get_unchecked(0).unwrap();
                sqlx::raw_sql(AssertSqlSafe(format!("KILL {id}"))).execute(&mut admin).await.unwrap();
            }
            while !list().fetch_all(&mut admin).await.unwrap().is_empty() {}
            admin.close().await.unwrap();
        }
        Kind::Sqlite => unreachable!("SQLite has no server"),
    }
}

/// The errors of calls that read: one after another, or many at once.
async fn failures(sessions: &Sessions<UserSession>, token: &Token, at_once: bool) -> Vec<cloakroom::Error> {
    let mut calls = JoinSet::new();
    let mut failures = Vec::new();
    for n in 0..64 {
        let (sessions, token) = (sessions.clone(), token.clone());
        calls.spawn(async move {
            if n % 4 == 3 {
                sessions.query().fetch_all().await.map(|found| assert_eq!(found.len(), 1))
            } else {
                sessions.authenticate(&token).await.map(|found| assert!(found.is_some()))
            }
        });
        while let Some(called) = if at_once { None } else { calls.join_next().await } {
            failures.extend(called.unwrap().err());
        }
    }
    while let Some(called) = calls.join_next().await {
        failures.extend(called.unwrap().err());
    }
    failures
}

async fn connections_that_the_server_ended_while_they_were_idle_cost_no_read_anything(db: TestDatabase) {
    let created = db.sessions::<UserSession>().await.create(user("1234")).await.unwrap();
    let name = db.unique_name();
    for at_once in [false, true] {
        let pool = pool(db.url(), db.kind(), &name, CONNECTIONS).await;
        let sessions = Sessions::<UserSession>::new(pool, db.config().build().unwrap()).unwrap();
        open_all(&sessions, &created.token).await;
        end_connections(&db, &name).await;
        let failed = failures(&sessions, &created.token, at_once).await;
        assert_eq!(failed.len(), 0, "{at_once}: {:?}", failed.first());
        sessions.database().close().await;
    }
}

async fn the_only_connection_of_a_pool_is_replaced(db: TestDatabase) {
    let created = db.sessions::<UserSession>().await.create(user("1234")).await.unwrap();
    let pool = pool(db.url(), db.kind(), "", 1).await;
    let sessions = Sessions::<UserSession>::new(pool, db.config().build().unwrap()).unwrap();
    for _ in 0..3 {
        let mut own = own_connection(&sessions).await;
        end_one(&db, &mut own).await;
        assert!(sessions.authenticate(&created.token).await.unwrap().is_some());
    }
    sessions.database().close().await;
}

/// The number of the pool's connection, once the pool has it back and has found it sound.
async fn own_connection(sessions: &Sessions<UserSession>) -> i64 {
    let id = match sessions.database() {
        Database::Postgres(pool) => {
            sqlx::query_scalar("SELECT pg_backend_pid()::bigint").fetch_one(pool).await.unwrap()
        }
        Database::MySql(pool) => {
            sqlx::query_scalar("SELECT CAST(CONNECTION_ID() AS SIGNED)").fetch_one(pool).await.unwrap()
        }
        other => panic!("no server: {other:?}"),
    };
    while idle(sessions.database()) == 0 {
        tokio::task::yield_now().await;
    }
    id
}

async fn end_one(db: &TestDatabase, id: &mut i64) {
    match db.database() {
        Database::Postgres(_) => {
            assert_eq!(db.end_connections(&format!("pid = {id}")).await, 1);
        }
        Database::MySql(pool) => {
            sqlx::raw_sql(AssertSqlSafe(format!("KILL {id}"))).execute(&pool).await.unwrap();
            let list = format!("SELECT id FROM {} WHERE id = ?", db.processes());
            while sqlx::query(AssertSqlSafe(list.clone()))
                .bind(*id)
                .fetch_optional(&pool)
                .await
                .unwrap()
                .is_some()
            {}
        }
        other => panic!("no server: {other:?}"),
    }
}

/// Has the server close what is idle for a second, and waits until it has.
async fn a_connection_that_was_idle_for_too_long_costs_a_read_nothing(db: TestDatabase) {
    let created = db.sessions::<UserSession>().await.create(user("1234")).await.unwrap();
    let version = "SELECT current_setting('server_version_num')";
    if db.kind() == Kind::Postgres && db.texts(version).await[0].as_ref().unwrap().as_str() < "140000" {
        // Such a server ends no session for being idle.
        let setting = "SELECT name FROM pg_settings WHERE name = 'idle_session_timeout'";
        assert!(db.texts(setting).await.is_empty());
        return;
    }
    let pool: Database = if db.kind() == Kind::Postgres {
        let options: PgConnectOptions = db.url().parse().unwrap();
        let pool = PgPoolOptions::new().max_connections(2).test_before_acquire(false);
        let pool = pool.connect_with(options.options([("idle_session_timeout", "300ms")])).await;
        pool.unwrap().into()
    } else {
        let pool = MySqlPoolOptions::new().max_connections(2).test_before_acquire(false);
        let pool = pool.after_connect(|connection, _| {
            Box::pin(async move {
                sqlx::Executor::execute(connection, "SET SESSION wait_timeout = 1").await.map(drop)
            })
        });
        pool.connect(db.url()).await.unwrap().into()
    };
    let sessions = Sessions::<UserSession>::new(pool, db.config().build().unwrap()).unwrap();
    for write in [false, true] {
        let id = own_connection(&sessions).await;
        until_ended(&db, id).await;
        if write && db.kind() == Kind::Postgres {
            // The server says that it ended the connection for being idle, and so did not look at the statement.
            sessions.create(user("5678")).await.unwrap();
        } else {
            assert!(sessions.authenticate(&created.token).await.unwrap().is_some());
        }
    }
    sessions.database().close().await;
}

async fn until_ended(db: &TestDatabase, id: i64) {
    let list = match db.kind() {
        Kind::Postgres => "SELECT pid::text FROM pg_stat_activity WHERE pid = ",
        _ => &format!("SELECT CAST(id AS CHAR) FROM {} WHERE id = ", db.processes()),
    };
    while !db.texts(&format!("{list}{id}")).await.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn what_a_write_met_on_a_dead_connection_is_told_and_said_to_be_unknown(db: TestDatabase) {
    db.sessions::<UserSession>().await;
    let pool = pool(db.url(), db.kind(), "", 1).await;
    let sessions = Sessions::<UserSession>::new(pool, db.config().build().unwrap()).unwrap();
    let mut written = 0;
    let error = loop {
        let mut own = own_connection(&sessions).await;
        end_one(&db, &mut own).await;
        match sessions.create(user("1234")).await {
            Err(error) => break error,
            // The driver noticed in time.
            Ok(_) => written += 1,
        }
        assert!(written < 20, "no write met a dead connection: nothing was tested");
    };
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::Unknown), "{error:?}");
    sessions.create(user("1234")).await.unwrap();
    assert_eq!(sessions.query().count().await.unwrap(), written + 1);
    sessions.database().close().await;
}

mod postgres {
    cloakroom_testing::each_case!(
        Postgres,
        Coalesced,
        super,
        connections_that_the_server_ended_while_they_were_idle_cost_no_read_anything,
        the_only_connection_of_a_pool_is_replaced,
        a_connection_that_was_idle_for_too_long_costs_a_read_nothing,
        what_a_write_met_on_a_dead_connection_is_told_and_said_to_be_unknown
    );

    #[test]
    #[cfg_attr(not(feature = "servers"), ignore = "PostgreSQL: run `cargo xtask test`")]
    fn a_restart_of_the_server_costs_no_read_anything() {
        super::restart(cloakroom_testing::servers::postgres().unwrap(), super::Kind::Postgres);
    }
}

mod mariadb {
    cloakroom_testing::each_case!(
        MariaDb,
        Coalesced,
        super,
        connections_that_the_server_ended_while_they_were_idle_cost_no_read_anything,
        the_only_connection_of_a_pool_is_replaced,
        a_connection_that_was_idle_for_too_long_costs_a_read_nothing,
        what_a_write_met_on_a_dead_connection_is_told_and_said_to_be_unknown
    );

    #[test]
    #[cfg_attr(not(feature = "servers"), ignore = "MariaDB: run `cargo xtask test`")]
    fn a_restart_of_the_server_costs_no_read_anything() {
        super::restart(cloakroom_testing::servers::mariadb().unwrap(), super::Kind::MariaDb);
    }
}

fn restart(mut server: Server, kind: Kind) {
    let case = async move {
        for (is_killed, at_once) in [(false, false), (true, false), (false, true), (true, true)] {
            let pool = pool(server.url(), kind, "", CONNECTIONS).await;
            let sessions = Sessions::<UserSession>::new(pool, Config::default()).unwrap();
            sessions.migrate_down().await.unwrap();
            sessions.migrate().await.unwrap();
            let created = sessions.create(user("1234")).await.unwrap();
            open_all(&sessions, &created.token).await;
            if is_killed {
                server.kill();
            } else {
                server.stop();
            }
            server.start().unwrap();
            let failed = failures(&sessions, &created.token, at_once).await;
            assert_eq!(failed.len(), 0, "{is_killed} {at_once}: {:?}", failed.first());
            sessions.database().close().await;
        }
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_mins(2), case).await.expect("the case hangs");
    });
}
