//! Transactions that were left open on the application's connections, or ended behind its back: what this library
//! acknowledges is committed all the same, and what it reads is what is.

use std::time::Duration;

use cloakroom::{Database, ErrorKind, Sessions, Status};
use cloakroom_testing::{Kind, TestDatabase, UserSession, each_database, user};
use sqlx::mysql::MySqlPoolOptions;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::SqlitePoolOptions;

use crate::held::Proxy;

/// The application's own pool, with one connection, by way of a proxy where there is a server; and the sessions on it
/// and elsewhere.
struct Application {
    pool: Database,
    proxy: Option<Proxy>,
    sessions: Sessions<UserSession>,
    elsewhere: Sessions<UserSession>,
}

impl Application {
    async fn on(db: &TestDatabase) -> Self {
        let elsewhere = db.sessions::<UserSession>().await;
        let proxy = if db.kind() == Kind::Sqlite { None } else { Some(Proxy::start(db.url()).await) };
        let url = proxy.as_ref().map_or(db.url().to_owned(), |proxy| proxy.url(db.url()));
        let pool: Database = match db.kind() {
            Kind::Sqlite => SqlitePoolOptions::new().max_connections(1).connect(&url).await.unwrap().into(),
            Kind::Postgres => PgPoolOptions::new().max_connections(1).connect(&url).await.unwrap().into(),
            Kind::MariaDb => MySqlPoolOptions::new().max_connections(1).connect(&url).await.unwrap().into(),
        };
        let sessions = Sessions::new(pool.clone(), db.config().build().unwrap()).unwrap();
        Self { pool, proxy, sessions, elsewhere }
    }

    /// Begins a transaction on the pool, and drops the future of it midway.
    async fn drop_begin(&mut self) {
        let proxy = self.proxy.as_mut().unwrap();
        match &self.pool {
            Database::Postgres(pool) => proxy.drop_midway(pool.begin()).await,
            Database::MySql(pool) => proxy.drop_midway(pool.begin()).await,
            other => panic!("no server: {other:?}"),
        }
        assert!(self.is_open().await, "the driver has learnt to end it");
    }

    /// Begins one with SQL that the driver does not understand.
    async fn begin_unseen(&self) {
        self.execute("BEGIN").await;
    }

    async fn execute(&self, sql: &'static str) {
        match &self.pool {
            Database::Sqlite(pool) => sqlx::raw_sql(sql).execute(pool).await.map(drop),
            Database::Postgres(pool) => sqlx::raw_sql(sql).execute(pool).await.map(drop),
            Database::MySql(pool) => sqlx::raw_sql(sql).execute(pool).await.map(drop),
            other => panic!("no such database: {other:?}"),
        }
        .unwrap();
    }

    /// Whether the pool's connection is in a transaction.
    async fn is_open(&self) -> bool {
        match &self.pool {
            Database::Sqlite(pool) => sqlx::raw_sql("BEGIN; ROLLBACK").execute(pool).await.is_err(),
            Database::Postgres(pool) => sqlx::raw_sql("SAVEPOINT a; RELEASE a").execute(pool).await.is_ok(),
            // Without a transaction the savepoint has ended with its statement.
            Database::MySql(pool) => {
                sqlx::raw_sql("SAVEPOINT a; RELEASE SAVEPOINT a").execute(pool).await.is_ok()
            }
            other => panic!("no such database: {other:?}"),
        }
    }
}

/// How a transaction comes to be left open on a connection of the pool.
enum Left {
    Dropped,
    Unseen,
}

impl Left {
    async fn on(&self, application: &mut Application) {
        match self {
            Self::Dropped => application.drop_begin().await,
            Self::Unseen => application.begin_unseen().await,
        }
    }
}

/// Each operation meets a transaction that was left open, and what it acknowledges is seen elsewhere at once.
async fn every_write_is_committed(db: &TestDatabase, left: Left) {
    let mut app = Application::on(db).await;
    let (sessions, elsewhere) = (app.sessions.clone(), app.elsewhere.clone());
    let found = async |token: &cloakroom::Token| elsewhere.authenticate(token).await.unwrap();

    left.on(&mut app).await;
    let mut created = sessions.create(user("1234")).await.unwrap();
    assert!(found(&created.token).await.is_some(), "the create was lost");

    left.on(&mut app).await;
    *created.session.data = serde_json::json!({"theme": "dark"});
    sessions.update(&mut created.session).await.unwrap();
    assert_eq!(found(&created.token).await.unwrap().data["theme"], "dark");

    left.on(&mut app).await;
    let token = sessions.rotate(&mut created.session).await.unwrap();
    assert!(found(&created.token).await.is_none(), "the old token is accepted");
    assert!(found(&token).await.is_some());

    left.on(&mut app).await;
    db.clock().advance(Duration::from_hours(48));
    assert!(sessions.extend(&mut created.session).await.unwrap());
    assert_eq!(found(&token).await.unwrap().expires_at, created.session.expires_at);

    left.on(&mut app).await;
    assert!(sessions.expire(&mut created.session).await.unwrap());
    assert!(found(&token).await.is_none(), "the logout was lost");

    let other = elsewhere.create(user("1234")).await.unwrap();
    left.on(&mut app).await;
    assert_eq!(sessions.query().expire_all().await.unwrap(), 1);
    assert!(found(&other.token).await.is_none());

    left.on(&mut app).await;
    assert!(sessions.delete(other.session).await.unwrap());
    left.on(&mut app).await;
    assert_eq!(sessions.delete_expired().await.unwrap(), 1);
    assert_eq!(elsewhere.query().status(Status::All).count().await.unwrap(), 0);

    elsewhere.create(user("1234")).await.unwrap();
    left.on(&mut app).await;
    assert_eq!(sessions.query().delete_all().await.unwrap(), 1);
    assert_eq!(elsewhere.query().status(Status::All).count().await.unwrap(), 0);
}

async fn every_write_is_committed_though_a_begin_was_dropped_midway(db: TestDatabase) {
    every_write_is_committed(&db, Left::Dropped).await;
}

async fn every_write_is_committed_though_a_transaction_was_left_open(db: TestDatabase) {
    every_write_is_committed(&db, Left::Unseen).await;
}

/// A snapshot that was taken before others wrote is never what is read.
async fn strict_reads_see_what_is_though_a_transaction_was_left_open(db: TestDatabase) {
    let app = Application::on(&db).await;
    let (sessions, elsewhere) = (app.sessions.clone(), app.elsewhere.clone());
    let mut created = elsewhere.create(user("1234")).await.unwrap();
    let begin = match db.kind() {
        Kind::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM sessions",
        _ => "START TRANSACTION WITH CONSISTENT SNAPSHOT",
    };
    app.execute(begin).await;
    assert!(elsewhere.expire(&mut created.session).await.unwrap());
    assert!(sessions.authenticate(&created.token).await.unwrap().is_none(), "a revoked token is accepted");

    app.execute(begin).await;
    let mut later = elsewhere.create(user("1234")).await.unwrap();
    assert!(sessions.authenticate(&later.token).await.unwrap().is_some(), "a new session is unknown");

    app.execute(begin).await;
    elsewhere.rotate(&mut later.session).await.unwrap();
    let updated_at = later.session.updated_at;
    sessions.reload(&mut later.session).await.unwrap();
    assert_eq!(later.session.updated_at, updated_at);

    app.execute(begin).await;
    elsewhere.create(user("1234")).await.unwrap();
    assert_eq!(sessions.query().fetch_all().await.unwrap().len(), 2);
    app.execute(begin).await;
    elsewhere.create(user("1234")).await.unwrap();
    assert_eq!(sessions.query().count().await.unwrap(), 3);

    app.execute(begin).await;
    elsewhere.query().delete_all().await.unwrap();
    assert!(!sessions.query().exists().await.unwrap());
    app.execute(begin).await;
    elsewhere.create(user("5678")).await.unwrap();
    assert!(sessions.query().filter(UserSession::USER_ID.eq("5678")).exists().await.unwrap());
}

/// On PostgreSQL a transaction in which a statement has failed refuses all others.
async fn a_failed_transaction_that_was_left_open_fails_no_operation(db: TestDatabase) {
    let app = Application::on(&db).await;
    let created = app.sessions.create(user("1234")).await.unwrap();
    let leave = async || {
        app.execute("BEGIN").await;
        let Database::Postgres(pool) = &app.pool else { panic!("not PostgreSQL") };
        sqlx::raw_sql("SELECT 1 / 0").execute(pool).await.unwrap_err();
    };
    leave().await;
    assert!(app.sessions.authenticate(&created.token).await.unwrap().is_some());
    leave().await;
    app.sessions.create(user("5678")).await.unwrap();
    assert_eq!(app.elsewhere.query().count().await.unwrap(), 2);
}

/// A transaction that reads only refuses what is written.
async fn a_transaction_that_reads_only_and_was_left_open_refuses_no_write(db: TestDatabase) {
    let app = Application::on(&db).await;
    app.execute("START TRANSACTION READ ONLY").await;
    let created = app.sessions.create(user("1234")).await.unwrap();
    assert!(app.elsewhere.authenticate(&created.token).await.unwrap().is_some());
}

async fn shared_statements_are_committed_though_transactions_were_left_open(db: TestDatabase) {
    let app = Application::on(&db).await;
    app.begin_unseen().await;
    let asked = (0..40).map(|_| app.sessions.create(user("1234")));
    let created = futures_util::future::try_join_all(asked).await.unwrap();
    assert_eq!(app.elsewhere.query().count().await.unwrap(), 40);
    app.elsewhere.query().expire_all().await.unwrap();
    app.begin_unseen().await;
    let asked = created.iter().map(|created| app.sessions.authenticate(&created.token));
    let found = futures_util::future::try_join_all(asked).await.unwrap();
    assert!(found.iter().all(Option::is_none));
}

/// The check whether a transaction was left open goes with the write. Dropped at any of its awaits, it leaves none open
/// itself.
async fn a_write_may_be_dropped_midway(db: TestDatabase) {
    let app = Application::on(&db).await;
    let mut session = app.elsewhere.create(user("1234")).await.unwrap().session;
    for _ in 0..3 {
        poll_once(app.sessions.create(user("1234"))).await;
        poll_once(app.sessions.query().status(Status::Expired).delete_all()).await;
        session.fields.user_id.push('5');
        poll_once(app.sessions.update(&mut session)).await;
        assert!(!app.is_open().await);
        app.elsewhere.reload(&mut session).await.unwrap();
    }
    app.sessions.expire(&mut session).await.unwrap();
    assert!(!app.elsewhere.query().id(session.id).exists().await.unwrap());
}

async fn connections_that_do_not_commit_by_themselves_are_refused(db: TestDatabase) {
    let app = Application::on(&db).await;
    let pool = MySqlPoolOptions::new().max_connections(2).after_connect(|connection, _| {
        Box::pin(async move { sqlx::raw_sql("SET autocommit = 0").execute(connection).await.map(drop) })
    });
    let pool = pool.connect(db.url()).await.unwrap();
    let sessions = Sessions::<UserSession>::new(pool, db.config().build().unwrap()).unwrap();
    let error = sessions.create(user("1234")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("autocommit"), "{error}");
    let existing = app.elsewhere.create(user("1234")).await.unwrap();
    let mut session = existing.session;
    assert_eq!(sessions.authenticate(&existing.token).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(sessions.expire(&mut session).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(app.elsewhere.query().count().await.unwrap(), 1);
}

macro_rules! transaction {
    ($app:expr, |$transaction:ident, $proxy:ident| $body:expr) => {
        match &$app.pool {
            Database::Sqlite(pool) => {
                let mut $transaction = pool.begin().await.unwrap();
                $body
            }
            Database::Postgres(pool) => {
                let mut $transaction = pool.begin().await.unwrap();
                $body
            }
            Database::MySql(pool) => {
                let mut $transaction = pool.begin().await.unwrap();
                $body
            }
            other => panic!("no such database: {other:?}"),
        }
    };
}

/// Polls it once, and drops it.
async fn poll_once(future: impl Future) {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|context| {
        let _ = future.as_mut().poll(context);
        std::task::Poll::Ready(())
    })
    .await;
}

/// An inner transaction whose beginning is dropped midway takes the outer one with it.
async fn nothing_is_done_within_a_transaction_that_an_inner_one_has_ended(db: TestDatabase) {
    let mut app = Application::on(&db).await;
    let mut existing = app.elsewhere.create(user("1234")).await.unwrap();
    let mut proxy = app.proxy.take();
    transaction!(app, |transaction, proxy| {
        let first = app.sessions.within(&mut transaction).create(user("1234")).await.unwrap();
        let proxy = proxy.as_mut().unwrap();
        proxy.drop_midway(sqlx::Connection::begin(&mut *transaction)).await;
        for by_reference in [false, true] {
            let mut within = if by_reference {
                app.sessions.within(&mut *transaction)
            } else {
                app.sessions.within(&mut transaction)
            };
            assert_eq!(within.create(user("1234")).await.unwrap_err().kind(), ErrorKind::NoTransaction);
            let expired = within.expire(&mut existing.session).await;
            assert_eq!(expired.unwrap_err().kind(), ErrorKind::NoTransaction);
            let read = within.authenticate(&first.token).await;
            assert_eq!(read.unwrap_err().kind(), ErrorKind::NoTransaction);
        }
        transaction.rollback().await.unwrap();
    });
    assert!(app.elsewhere.authenticate(&existing.token).await.unwrap().is_some());
    assert_eq!(app.elsewhere.query().count().await.unwrap(), 1);
}

/// On SQLite the driver's thread has begun it by then, or has not: what is within the outer one is rolled back with it,
/// or refused.
async fn nothing_stays_of_a_transaction_whose_inner_one_was_dropped_midway(db: TestDatabase) {
    let app = Application::on(&db).await;
    for _ in 0..50 {
        let mut transaction = db.sqlite_pool().begin().await.unwrap();
        app.elsewhere.within(&mut transaction).create(user("1234")).await.unwrap();
        poll_once(sqlx::Connection::begin(&mut *transaction)).await;
        let later = app.elsewhere.within(&mut transaction).create(user("1234")).await;
        assert!(later.is_ok() || later.is_err_and(|error| error.kind() == ErrorKind::NoTransaction));
        let _ = transaction.rollback().await;
        assert_eq!(app.elsewhere.query().count().await.unwrap(), 0);
    }
}

/// MariaDB commits before any change of a table's definition, and ends a transaction that it chose in a deadlock.
async fn nothing_is_done_within_a_transaction_that_the_server_has_ended(db: TestDatabase) {
    let app = Application::on(&db).await;
    let mut transaction = db.mariadb_pool().begin().await.unwrap();
    sqlx::raw_sql("CREATE TABLE made_meanwhile (id int)").execute(&mut *transaction).await.unwrap();
    let refused = app.sessions.within(&mut transaction).create(user("1234")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NoTransaction);
    transaction.rollback().await.unwrap();
    assert_eq!(app.elsewhere.query().count().await.unwrap(), 0);
}

async fn a_connection_without_a_transaction_is_refused_within_and_taken_as_it_is_by_name(db: TestDatabase) {
    macro_rules! on {
        ($pool:expr) => {{
            let mut connection = $pool.acquire().await.unwrap();
            let sessions = db.sessions::<UserSession>().await;
            let refused = sessions.within(&mut *connection).create(user("1234")).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::NoTransaction);
            sessions.on_connection(&mut *connection).create(user("1234")).await.unwrap();
            sqlx::raw_sql("BEGIN").execute(&mut *connection).await.unwrap();
            sessions.within(&mut *connection).create(user("1234")).await.unwrap();
            sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await.unwrap();
            assert_eq!(sessions.query().count().await.unwrap(), 1);
        }};
    }
    match db.kind() {
        Kind::Sqlite => on!(db.sqlite_pool()),
        Kind::Postgres => on!(db.postgres_pool()),
        Kind::MariaDb => on!(db.mariadb_pool()),
    }
}

/// Dropped at each of its awaits, it leaves nothing open: not even the application's own statements are lost.
async fn a_begin_of_this_library_may_be_dropped_midway(db: TestDatabase) {
    let mut app = Application::on(&db).await;
    match app.proxy.take() {
        Some(mut proxy) => proxy.drop_midway(app.sessions.begin()).await,
        None => poll_once(app.sessions.begin()).await,
    }
    assert!(!app.is_open().await);
    let mut transaction = app.sessions.begin().await.unwrap();
    let created = app.sessions.within(&mut transaction).create(user("1234")).await.unwrap();
    transaction.commit().await.unwrap();
    assert!(app.elsewhere.authenticate(&created.token).await.unwrap().is_some());
    let mut transaction = app.sessions.begin().await.unwrap();
    app.sessions.within(&mut transaction).create(user("1234")).await.unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!(app.elsewhere.query().count().await.unwrap(), 1);
}

/// The driver says that a transaction in which a statement has failed was committed, though PostgreSQL rolls it back.
async fn a_transaction_that_cannot_be_committed_says_so(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let mut transaction = sessions.begin().await.unwrap();
    sessions.within(&mut transaction).create(user("1234")).await.unwrap();
    match db.kind() {
        Kind::Sqlite => drop(sqlx::raw_sql("ROLLBACK").execute(transaction.sqlite()).await.unwrap()),
        Kind::Postgres => {
            drop(sqlx::raw_sql("SELECT 1 / 0").execute(transaction.postgres()).await.unwrap_err());
        }
        Kind::MariaDb => drop(sqlx::raw_sql("ROLLBACK").execute(transaction.mysql()).await.unwrap()),
    }
    transaction.commit().await.unwrap_err();
    assert_eq!(sessions.query().count().await.unwrap(), 0);
}

/// A database with room for what is in it, and hardly more.
async fn fill(pool: &sqlx::SqlitePool) {
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(pool).await.unwrap();
    let limit = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
    sqlx::raw_sql(limit).execute(pool).await.unwrap();
}

async fn make_room(pool: &sqlx::SqlitePool) {
    sqlx::raw_sql("PRAGMA max_page_count = 1000000").execute(pool).await.unwrap();
}

const LARGE: &str = "INSERT INTO filler VALUES (randomblob(1000000))";

/// SQLite ends a transaction by itself when the disk is full, and the driver goes on counting it.
async fn nothing_is_lost_after_sqlite_has_ended_a_transaction_by_itself(db: TestDatabase) {
    let app = Application::on(&db).await;
    let Database::Sqlite(pool) = &app.pool else { panic!("not SQLite") };
    sqlx::raw_sql("CREATE TABLE filler (bytes BLOB)").execute(pool).await.unwrap();
    fill(pool).await;
    let mut transaction = pool.begin().await.unwrap();
    sqlx::raw_sql(LARGE).execute(&mut *transaction).await.unwrap_err();
    let refused = app.sessions.within(&mut transaction).create(user("1234")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NoTransaction);
    transaction.rollback().await.unwrap_err();
    make_room(pool).await;
    // The loss begins with the next transaction that is rolled back, which is a savepoint and leaves one open.
    pool.begin().await.unwrap().rollback().await.unwrap();
    let created = app.sessions.create(user("1234")).await.unwrap();
    assert!(app.elsewhere.authenticate(&created.token).await.unwrap().is_some(), "the create was lost");
    drop(app.elsewhere.create(user("1234")).await.expect("the file is not locked"));
}

/// The same in memory, where the connection is the database.
async fn nothing_is_lost_in_memory_after_sqlite_has_ended_a_transaction_by_itself(db: TestDatabase) {
    let memory = Database::connect("sqlite::memory:").await.unwrap();
    let sessions = Sessions::<UserSession>::new(memory.clone(), db.config().build().unwrap()).unwrap();
    sessions.migrate().await.unwrap();
    let kept = sessions.create(user("kept")).await.unwrap();
    let Database::Sqlite(pool) = &memory else { panic!("not SQLite") };
    sqlx::raw_sql("CREATE TABLE filler (bytes BLOB)").execute(pool).await.unwrap();
    fill(pool).await;
    let mut transaction = pool.begin().await.unwrap();
    sqlx::raw_sql(LARGE).execute(&mut *transaction).await.unwrap_err();
    drop(transaction);
    make_room(pool).await;
    pool.begin().await.unwrap().rollback().await.unwrap();
    let created = sessions.create(user("1234")).await.unwrap();
    // Whatever is rolled back now, it is not what was acknowledged.
    let _ = sqlx::raw_sql("ROLLBACK").execute(pool).await;
    assert!(sessions.authenticate(&created.token).await.unwrap().is_some());
    assert!(sessions.authenticate(&kept.token).await.unwrap().is_some());
    let mut transaction = sessions.begin().await.unwrap();
    sessions.within(&mut transaction).create(user("1234")).await.unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!(sessions.query().count().await.unwrap(), 2);
    memory.close().await;
}

each_database![
    a_begin_of_this_library_may_be_dropped_midway,
    a_transaction_that_cannot_be_committed_says_so,
    a_connection_without_a_transaction_is_refused_within_and_taken_as_it_is_by_name,
    every_write_is_committed_though_a_transaction_was_left_open,
];

mod servers {
    mod postgres {
        cloakroom_testing::each_case!(
            Postgres,
            Coalesced,
            super::super,
            every_write_is_committed_though_a_begin_was_dropped_midway,
            nothing_is_done_within_a_transaction_that_an_inner_one_has_ended,
            strict_reads_see_what_is_though_a_transaction_was_left_open,
            a_transaction_that_reads_only_and_was_left_open_refuses_no_write,
            shared_statements_are_committed_though_transactions_were_left_open,
            a_failed_transaction_that_was_left_open_fails_no_operation
        );
    }

    mod mariadb {
        cloakroom_testing::each_case!(
            MariaDb,
            Coalesced,
            super::super,
            every_write_is_committed_though_a_begin_was_dropped_midway,
            nothing_is_done_within_a_transaction_that_an_inner_one_has_ended,
            strict_reads_see_what_is_though_a_transaction_was_left_open,
            a_transaction_that_reads_only_and_was_left_open_refuses_no_write,
            shared_statements_are_committed_though_transactions_were_left_open,
            connections_that_do_not_commit_by_themselves_are_refused,
            nothing_is_done_within_a_transaction_that_the_server_has_ended
        );
    }
}

mod embedded {
    mod sqlite {
        cloakroom_testing::each_case!(
            Sqlite,
            Coalesced,
            super::super,
            shared_statements_are_committed_though_transactions_were_left_open,
            a_write_may_be_dropped_midway,
            nothing_stays_of_a_transaction_whose_inner_one_was_dropped_midway,
            nothing_is_lost_after_sqlite_has_ended_a_transaction_by_itself,
            nothing_is_lost_in_memory_after_sqlite_has_ended_a_transaction_by_itself
        );
    }
}
