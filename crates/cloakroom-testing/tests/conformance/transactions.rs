use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use cloakroom::{Database, ErrorKind, Operations, Session, SessionFields, Sessions, Status};
use cloakroom_testing::{TestDatabase, UserSession, each_mode, user};
use futures_util::TryStreamExt;
use serde_json::json;
use sqlx::{MySql, MySqlPool, PgPool, Postgres, Sqlite, SqlitePool, Transaction};

const DAY: Duration = Duration::from_hours(24);

/// The application's own transaction.
enum Own {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
    MariaDb(Transaction<'static, MySql>),
}

impl Own {
    async fn begin(db: &TestDatabase) -> Self {
        match db.database() {
            Database::Sqlite(pool) => Self::Sqlite(pool.begin().await.unwrap()),
            Database::Postgres(pool) => Self::Postgres(pool.begin().await.unwrap()),
            Database::MySql(pool) => Self::MariaDb(pool.begin().await.unwrap()),
            other => panic!("no such database: {other:?}"),
        }
    }

    fn within<T: SessionFields>(&mut self, sessions: &Sessions<T>) -> Operations<'_, T> {
        match self {
            Self::Sqlite(transaction) => sessions.within(transaction),
            Self::Postgres(transaction) => sessions.within(transaction),
            Self::MariaDb(transaction) => sessions.within(transaction),
        }
    }

    async fn commit(self) {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await,
            Self::Postgres(transaction) => transaction.commit().await,
            Self::MariaDb(transaction) => transaction.commit().await,
        }
        .unwrap();
    }

    async fn rollback(self) {
        match self {
            Self::Sqlite(transaction) => transaction.rollback().await,
            Self::Postgres(transaction) => transaction.rollback().await,
            Self::MariaDb(transaction) => transaction.rollback().await,
        }
        .unwrap();
    }
}

async fn all(sessions: &Sessions<UserSession>) -> Vec<Session<UserSession>> {
    sessions.query().status(Status::All).oldest_first().fetch_all().await.unwrap()
}

/// Does whatever can be done, and leaves one session of user `left`, whose token it returns.
async fn every_operation(
    db: &TestDatabase,
    operations: &mut Operations<'_, UserSession>,
) -> cloakroom::Token {
    let created = operations.create(user("1")).await.unwrap();
    let mut session = operations.authenticate(&created.token).await.unwrap().unwrap();
    assert_eq!(session, created.session);
    *session.data = json!({"changed": 1});
    operations.update(&mut session).await.unwrap();
    operations.update_with(&mut session, |session| session.fields.user_id = "left".into()).await.unwrap();
    db.clock().advance(2 * DAY);
    let looked = operations.authenticate_without_extending(&created.token).await.unwrap();
    assert_eq!(looked.as_ref(), Some(&session), "neither extended nor missed");
    assert!(operations.extend(&mut session).await.unwrap());
    let token = operations.rotate(&mut session).await.unwrap();
    assert_eq!(operations.authenticate(&created.token).await.unwrap(), None);
    let mut reloaded = created.session;
    operations.reload(&mut reloaded).await.unwrap();
    assert_eq!(reloaded, session);
    db.clock().advance(2 * DAY);
    // Extended by the read.
    let read = operations.authenticate(&token).await.unwrap().unwrap();
    assert!(read.updated_at > session.updated_at);

    for number in 0..5 {
        operations.create(user(&format!("{number}"))).await.unwrap();
    }
    let left = || UserSession::USER_ID.eq("left");
    assert_eq!(operations.query().filter(left()).fetch_one().await.unwrap(), read);
    assert_eq!(operations.query().filter(left()).fetch_optional().await.unwrap(), Some(read));
    assert_eq!(operations.query().filter(left().not()).fetch_all().await.unwrap().len(), 5);
    assert_eq!(
        operations.query().filter(left().not()).stream().try_collect::<Vec<_>>().await.unwrap().len(),
        5
    );
    assert_eq!(operations.query().filter(left().not()).limit(3).count().await.unwrap(), 3);
    assert!(operations.query().filter(UserSession::USER_ID.eq("0")).exists().await.unwrap());
    let by_user = operations.query().has_many(UserSession::USER_ID, ["0".to_owned(), "9".to_owned()]);
    assert_eq!(by_user.await.unwrap().len(), 1);

    let mut other = operations.query().filter(UserSession::USER_ID.eq("0")).fetch_one().await.unwrap();
    assert!(operations.expire(&mut other).await.unwrap());
    assert!(operations.delete(other).await.unwrap());
    assert_eq!(operations.query().filter(left().not()).limit(1).expire_all().await.unwrap(), 1);
    assert_eq!(operations.query().filter(left().not()).limit(1).delete_all().await.unwrap(), 1);
    assert_eq!(operations.query().filter(left().not()).expire_all().await.unwrap(), 2);
    assert_eq!(operations.delete_expired().await.unwrap(), 4);
    token
}

/// Two sessions from before: one valid, one expired, which every operation deletes.
async fn prepared(db: &TestDatabase) -> Sessions<UserSession> {
    let sessions = db.sessions::<UserSession>().await;
    sessions.create(user("left").never_expires()).await.unwrap();
    let mut expired = sessions.create(user("expired")).await.unwrap().session;
    sessions.expire(&mut expired).await.unwrap();
    sessions.query().filter(UserSession::USER_ID.eq("left")).delete_all().await.unwrap();
    sessions
}

async fn every_operation_is_undone_when_the_transaction_is_rolled_back(db: TestDatabase) {
    let sessions = prepared(&db).await;
    let before = all(&sessions).await;
    let mut own = Own::begin(&db).await;
    let token = every_operation(&db, &mut own.within(&sessions)).await;
    // Nobody else sees any of it.
    assert_eq!(all(&sessions).await, before);
    assert_eq!(sessions.authenticate(&token).await.unwrap(), None);
    own.rollback().await;
    assert_eq!(all(&sessions).await, before);
    assert_eq!(sessions.authenticate(&token).await.unwrap(), None);
}

async fn every_operation_stands_when_the_transaction_is_committed(db: TestDatabase) {
    let sessions = prepared(&db).await;
    let mut own = Own::begin(&db).await;
    let token = every_operation(&db, &mut own.within(&sessions)).await;
    own.commit().await;
    let left = sessions.authenticate(&token).await.unwrap().unwrap();
    assert_eq!(left.fields.user_id, "left");
    assert_eq!(all(&sessions).await, [left]);
}

async fn a_transaction_that_is_dropped_is_rolled_back(db: TestDatabase) {
    let sessions = prepared(&db).await;
    let before = all(&sessions).await;
    let mut own = Own::begin(&db).await;
    own.within(&sessions).create(user("1")).await.unwrap();
    drop(own);
    assert_eq!(all(&sessions).await, before);
}

async fn every_operation_runs_on_a_plain_connection(db: TestDatabase) {
    let sessions = prepared(&db).await;
    let token = match db.database() {
        Database::Sqlite(pool) => {
            let mut connection = pool.acquire().await.unwrap();
            every_operation(&db, &mut sessions.on_connection(&mut *connection)).await
        }
        Database::Postgres(pool) => {
            let mut connection = pool.acquire().await.unwrap();
            every_operation(&db, &mut sessions.on_connection(&mut *connection)).await
        }
        Database::MySql(pool) => {
            let mut connection = pool.acquire().await.unwrap();
            every_operation(&db, &mut sessions.on_connection(&mut *connection)).await
        }
        other => panic!("no such database: {other:?}"),
    };
    let left = sessions.authenticate(&token).await.unwrap().unwrap();
    assert_eq!(all(&sessions).await, [left]);
}

async fn sessions_are_written_together_with_what_the_application_writes(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    db.execute("CREATE TABLE users (name varchar(20))").await;
    for is_committed in [false, true] {
        let mut own = Own::begin(&db).await;
        let insert = sqlx::raw_sql("INSERT INTO users VALUES ('a user')");
        match &mut own {
            Own::Sqlite(transaction) => drop(insert.execute(&mut **transaction).await.unwrap()),
            Own::Postgres(transaction) => drop(insert.execute(&mut **transaction).await.unwrap()),
            Own::MariaDb(transaction) => drop(insert.execute(&mut **transaction).await.unwrap()),
        }
        own.within(&sessions).create(user("a user")).await.unwrap();
        if is_committed {
            own.commit().await;
        } else {
            own.rollback().await;
        }
        let expected = u64::from(is_committed);
        assert_eq!(sessions.query().count().await.unwrap(), expected);
        assert_eq!(db.texts("SELECT name FROM users").await.len() as u64, expected);
    }
}

async fn an_error_that_reaches_no_database_leaves_the_transaction_whole(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let mut own = Own::begin(&db).await;
    let mut operations = own.within(&sessions);
    let created = operations.create(user("1")).await.unwrap();
    assert_eq!(operations.create(user(" ")).await.unwrap_err().kind(), ErrorKind::InvalidField);
    assert_eq!(operations.authenticate("").await.unwrap(), None);
    let mut stale = created.session.clone();
    let mut session = created.session;
    operations.update(&mut session).await.unwrap();
    assert_eq!(operations.update(&mut stale).await.unwrap_err().kind(), ErrorKind::Conflict);
    own.commit().await;
    assert_eq!(all(&sessions).await, [session]);
}

async fn a_connection_of_another_kind_of_database_is_refused(db: TestDatabase) {
    let config = db.config().build().unwrap();
    // Opens no connection before it is asked for one.
    let elsewhere: Database = match db.database() {
        Database::Sqlite(_) => PgPool::connect_lazy("postgres://localhost/nothing").unwrap().into(),
        Database::Postgres(_) => MySqlPool::connect_lazy("mysql://localhost/nothing").unwrap().into(),
        _ => SqlitePool::connect_lazy("sqlite::memory:").unwrap().into(),
    };
    let sessions = Sessions::<UserSession>::new(elsewhere, config).unwrap();
    let mut own = Own::begin(&db).await;
    let refused = catch_unwind(AssertUnwindSafe(|| drop(own.within(&sessions)))).unwrap_err();
    let message = refused.downcast_ref::<String>().unwrap();
    assert!(message.contains("another kind of database"), "{message}");
    own.rollback().await;
}

each_mode! {
    every_operation_is_undone_when_the_transaction_is_rolled_back,
    every_operation_stands_when_the_transaction_is_committed,
    a_transaction_that_is_dropped_is_rolled_back,
    every_operation_runs_on_a_plain_connection,
    sessions_are_written_together_with_what_the_application_writes,
    an_error_that_reaches_no_database_leaves_the_transaction_whole,
    a_connection_of_another_kind_of_database_is_refused,
}
