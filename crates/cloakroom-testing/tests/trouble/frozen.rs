//! A database that keeps its connections and says nothing: no call waits longer than its time-out.

use std::time::{Duration, Instant};

use cloakroom::{Cache, Config, Database, ErrorKind, ImportedSession, Outcome, Sessions, Token, Transaction};
use cloakroom_testing::servers::Server;
use cloakroom_testing::{Kind, TestDatabase, UserSession, run, user};
use futures_util::future::join_all;
use sqlx::mysql::MySqlPoolOptions;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, Executor};

use crate::everything::{every_operation, every_operation_but};

/// The time-out of a call. The pool's is much longer.
const LIMIT: Duration = Duration::from_millis(500);
/// What a busy machine may add.
const MARGIN: Duration = Duration::from_secs(3);
const CONNECTIONS: u32 = 8;
/// The operations that only read.
const READS: &[&str] = &[
    "authenticate",
    "reload",
    "fetch_one",
    "fetch_optional",
    "fetch_all",
    "stream",
    "count",
    "exists",
    "has_many",
];

fn sessions_on(database: &Database, limit: Option<Duration>) -> Sessions<UserSession> {
    let cache = Cache::new(100).listen(false).max_staleness(Duration::from_mins(5));
    let config = Config::builder().timeout(limit).cache(cache).build().unwrap();
    Sessions::new(database.clone(), config).unwrap()
}

/// Fills the pool, so that a call finds a connection that was good a moment ago.
async fn connect_all(database: &Database) {
    macro_rules! acquire_all {
        ($pool:expr) => {
            drop(join_all((0..CONNECTIONS).map(|_| $pool.acquire())).await)
        };
    }
    match database {
        Database::Postgres(pool) => acquire_all!(pool),
        Database::MySql(pool) => acquire_all!(pool),
        other => panic!("no server: {other:?}"),
    }
}

/// Waits until the pool has all connections back: it asks each one that comes back if it still answers.
async fn until_all_are_back(database: &Database) {
    let idle = || match database {
        Database::Postgres(pool) => pool.num_idle(),
        Database::MySql(pool) => pool.num_idle(),
        other => panic!("no server: {other:?}"),
    };
    while idle() < CONNECTIONS as usize {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Every connection of the pool can be had at once.
async fn assert_nothing_leaked(database: &Database) {
    let all = tokio::time::timeout(Duration::from_secs(20), connect_all(database));
    all.await.expect("a connection never came back");
}

async fn no_call_waits_longer_than_its_time_out(server: Server, database: Database) {
    let sessions = sessions_on(&database, Some(LIMIT));
    sessions.migrate().await.unwrap();
    let created = sessions.create(user("1234")).await.unwrap();
    assert!(sessions.authenticate(&created.token).await.unwrap().is_some());
    connect_all(&database).await;
    until_all_are_back(&database).await;

    server.freeze();
    // One by one, each on a connection that was good: the statement is out, and its outcome is not known.
    for write in [Write::Create, Write::Expire] {
        let attempt = async || {
            let begun = Instant::now();
            let error = match write {
                Write::Create => sessions.create(user("5678")).await.unwrap_err(),
                Write::Expire => sessions.expire(&mut created.session.clone()).await.unwrap_err(),
            };
            (begun, error)
        };
        let (mut begun, mut error) = attempt().await;
        // On a busy machine the time may be over before the statement is sent.
        for _ in 0..3 {
            if error.outcome() == Outcome::Unknown {
                break;
            }
            (begun, error) = attempt().await;
        }
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::Unknown), "{error:?}");
        assert!(error.to_string().contains("did not answer within the time-out of the call"), "{error}");
        assert!((LIMIT..LIMIT + MARGIN).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    }
    // The session that may have ended is not answered from memory.
    let error = sessions.authenticate(&created.token).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::NotDone));
    // All at once, more of them than there are connections.
    for outcome in every_operation(&sessions, &created.session, &created.token).await {
        let Some(error) = &outcome.error else {
            assert_eq!(outcome.operation, "extend", "nothing is due, so nothing is asked");
            continue;
        };
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{outcome:?}");
        if READS.contains(&outcome.operation) {
            assert_eq!(error.outcome(), Outcome::NotDone, "{outcome:?}");
        }
        assert!(outcome.took < LIMIT + MARGIN, "{outcome:?}");
    }
    // Many callers of the batchers.
    let begun = Instant::now();
    let callers = (0..64).map(async |n| {
        if n % 2 == 0 {
            sessions.create(user("many")).await.map(drop)
        } else {
            sessions.authenticate_fresh(&created.token).await.map(drop)
        }
    });
    for result in join_all(callers).await {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert!(begun.elapsed() < LIMIT + MARGIN, "{:?}", begun.elapsed());
    // Without a bound, or in a transaction of the caller's, a call waits for as long as it takes.
    let endless = sessions_on(&database, None);
    let waits = tokio::time::timeout(LIMIT * 4, endless.query().count()).await;
    assert!(waits.is_err(), "{waits:?}");

    server.thaw();
    assert!(sessions.query().count().await.is_ok());
    assert_nothing_leaked(&database).await;
    for outcome in every_operation_but(&["authenticate"], &endless, &created.session, &created.token).await {
        let is_fine = outcome.error.as_ref().is_none_or(|error| error.kind() != ErrorKind::Unavailable);
        assert!(is_fine, "{outcome:?}");
    }
    database.close().await;
}

#[derive(Clone, Copy)]
enum Write {
    Create,
    Expire,
}

/// The library bounds the beginning. What follows is on the caller's connection, and the caller bounds it.
async fn a_transaction_is_bounded_by_its_caller(server: Server, database: Database) {
    let sessions = sessions_on(&database, Some(LIMIT));
    sessions.migrate().await.unwrap();
    let created = sessions.create(user("1234")).await.unwrap();
    connect_all(&database).await;
    let mut transaction: Transaction = sessions.begin().await.unwrap();
    // The driver has the statement from here on, and prepares it no more.
    let other = sessions.create(user("5678")).await.unwrap();
    sessions.within(&mut transaction).expire(&mut other.session.clone()).await.unwrap();
    server.freeze();
    let begun = Instant::now();
    let waits = tokio::time::timeout(LIMIT * 3, async {
        sessions.within(&mut transaction).expire(&mut created.session.clone()).await.map(drop)
    });
    assert!(waits.await.is_err(), "the library gave up a statement of its caller's transaction");
    drop(transaction);
    let error = sessions.begin().await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::NotDone), "{error:?}");
    let import = sessions.import(Vec::new()).await.unwrap_err();
    assert_eq!((import.kind(), import.outcome()), (ErrorKind::Unavailable, Outcome::NotDone), "{import:?}");
    let moved = ImportedSession::with_token(user("9"), Token::import("a-token-of-long-ago").unwrap());
    let import = sessions.importer().run_iter([moved]).await.unwrap_err();
    assert_eq!((import.row(), import.error().kind()), (None, ErrorKind::Unavailable), "{import:?}");
    assert!(begun.elapsed() < LIMIT * 6 + MARGIN, "{:?}", begun.elapsed());

    server.thaw();
    assert_nothing_leaked(&database).await;
    // It was rolled back.
    for token in [&created.token, &other.token] {
        assert!(sessions.authenticate_fresh(token).await.unwrap().is_some());
    }
    database.close().await;
}

/// The table is locked, the pool has one connection, and the statement on it is given up: by its caller, who goes away,
/// or by the call's time-out.
async fn a_statement_that_is_given_up_keeps_no_connection(db: TestDatabase) {
    macro_rules! pool {
        ($options:ident) => {
            Database::from($options::new().max_connections(1).connect(db.url()).await.unwrap())
        };
    }
    macro_rules! lock {
        ($connection:ident, $lock:literal) => {{
            let mut holder = sqlx::$connection::connect(db.url()).await.unwrap();
            holder.execute($lock).await.unwrap();
            Box::new(holder) as Box<dyn std::any::Any>
        }};
    }
    let is_postgres = db.kind() == Kind::Postgres;
    db.sessions::<UserSession>().await;
    let database = if is_postgres { pool!(PgPoolOptions) } else { pool!(MySqlPoolOptions) };
    let _held = if is_postgres {
        lock!(PgConnection, "BEGIN; LOCK TABLE sessions")
    } else {
        lock!(MySqlConnection, "LOCK TABLES sessions WRITE")
    };
    for limit in [None, Some(LIMIT * 3)] {
        let sessions = sessions_on(&database, limit);
        let given_up = tokio::time::timeout(LIMIT * 3, sessions.query().count());
        let is_over = given_up.await.is_ok_and(|count| count.is_ok());
        assert!(!is_over, "the lock keeps nobody waiting");
        // The connection that still waits for the lock is not waited for.
        let begun = tokio::time::timeout(Duration::from_secs(10), database.begin());
        begun.await.expect("the pool waits for the lock").unwrap().rollback().await.unwrap();
    }
}

fn block_on(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_mins(2), case).await.expect("the case hangs");
    });
}

macro_rules! on_a_server {
    ($module:ident, $kind:ident, $name:literal, $options:ident) => {
        mod $module {
            use super::*;

            async fn pool(server: &Server) -> Database {
                // The pool asks no connection before it lends it: a call finds out by itself.
                let options = $options::new().max_connections(CONNECTIONS).test_before_acquire(false);
                options.connect(server.url()).await.unwrap().into()
            }

            #[test]
            #[cfg_attr(not(feature = "servers"), ignore = $name)]
            fn no_call_waits_longer_than_its_time_out() {
                let server = cloakroom_testing::servers::$module().unwrap();
                block_on(async {
                    let database = pool(&server).await;
                    super::no_call_waits_longer_than_its_time_out(server, database).await;
                });
            }

            #[test]
            #[cfg_attr(not(feature = "servers"), ignore = $name)]
            fn a_transaction_is_bounded_by_its_caller() {
                let server = cloakroom_testing::servers::$module().unwrap();
                block_on(async {
                    let database = pool(&server).await;
                    super::a_transaction_is_bounded_by_its_caller(server, database).await;
                });
            }

            #[test]
            #[cfg_attr(not(feature = "servers"), ignore = $name)]
            fn a_statement_that_is_given_up_keeps_no_connection() {
                run(Kind::$kind, super::a_statement_that_is_given_up_keeps_no_connection);
            }
        }
    };
}

on_a_server! { postgres, Postgres, "PostgreSQL: run `cargo xtask test`", PgPoolOptions }
on_a_server! { mariadb, MariaDb, "MariaDB: run `cargo xtask test`", MySqlPoolOptions }

mod sqlite {
    use sqlx::SqliteConnection;
    use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};

    use super::*;

    async fn a_write_that_waits_for_the_file_ends_with_its_call_case(db: TestDatabase) {
        db.database().close().await;
        let options: SqliteConnectOptions = db.url().parse().unwrap();
        let options = options.journal_mode(SqliteJournalMode::Wal).busy_timeout(Duration::from_mins(1));
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await.unwrap();
        let database = Database::from(pool.clone());
        let sessions = sessions_on(&database, Some(LIMIT));
        sessions.migrate().await.unwrap();
        let created = sessions.create(user("1234")).await.unwrap();
        let mut other = SqliteConnection::connect(db.url()).await.unwrap();
        other.execute("BEGIN IMMEDIATE").await.unwrap();
        let begun = Instant::now();
        let (create, expire, read) = tokio::join!(
            sessions.create(user("5678")),
            async { sessions.expire(&mut created.session.clone()).await },
            sessions.query().count(),
        );
        for error in [create.map(drop).unwrap_err(), expire.map(drop).unwrap_err()] {
            let seen = (error.kind(), error.outcome());
            assert_eq!(seen, (ErrorKind::Unavailable, Outcome::Unknown), "{error:?}");
        }
        assert_eq!(read.unwrap(), 1, "a reader waits for no writer");
        assert!((LIMIT..LIMIT + MARGIN).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        other.execute("ROLLBACK").await.unwrap();
        // The writes that were given up are done now, which is why their outcome was unknown.
        let all = tokio::time::timeout(Duration::from_secs(20), async {
            drop(join_all((0..4).map(|_| pool.acquire())).await);
        });
        all.await.expect("a connection never came back");
        assert_eq!(sessions.authenticate(&created.token).await.unwrap(), None);
        assert_eq!(sessions.query().count().await.unwrap(), 1);
        database.close().await;
    }

    #[test]
    fn a_write_that_waits_for_the_file_ends_with_its_call() {
        run(Kind::Sqlite, a_write_that_waits_for_the_file_ends_with_its_call_case);
    }
}
