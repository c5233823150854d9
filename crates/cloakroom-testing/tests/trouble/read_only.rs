use std::time::Instant;

use cloakroom::{Database, ErrorKind, Key, NewSession, Scheme, SessionTable, Sessions, TableDefinition};
use cloakroom_testing::{START, TestDatabase, UserSession, each_database, patience, user};
use sqlx::mysql::MySqlPoolOptions;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use time::{Duration, OffsetDateTime};

use crate::capture;
use crate::everything::every_operation;

/// The test's database through a pool that may not write.
async fn read_only(db: &TestDatabase) -> Database {
    match db.database() {
        Database::Sqlite(_) => {
            let options: SqliteConnectOptions = db.url().parse().unwrap();
            SqlitePoolOptions::new().connect_with(options.read_only(true)).await.unwrap().into()
        }
        Database::Postgres(_) => {
            let options: PgConnectOptions = db.url().parse().unwrap();
            let options = options.options([("default_transaction_read_only", "on")]);
            PgPoolOptions::new().connect_with(options).await.unwrap().into()
        }
        Database::MySql(_) => {
            let options = MySqlPoolOptions::new().after_connect(|connection, _| {
                Box::pin(async move {
                    let statement = "SET SESSION TRANSACTION READ ONLY";
                    sqlx::Executor::execute(connection, statement).await.map(drop)
                })
            });
            options.connect(db.url()).await.unwrap().into()
        }
        other => panic!("no such database: {other:?}"),
    }
}

/// The definition of a table of this name: all cases report to one place.
fn named<T: SessionTable>(table: &str) -> TableDefinition {
    let fields = T::definition().fields().to_vec();
    fields.into_iter().fold(TableDefinition::new(table.to_owned()), TableDefinition::field)
}

async fn read_only_sessions(db: &TestDatabase) -> Sessions<UserSession> {
    Sessions::new(read_only(db).await, db.config().build().unwrap()).unwrap()
}

async fn where_nothing_can_be_written_due_extensions_are_one_warning_and_the_session_is_valid(
    db: TestDatabase,
) {
    capture::start("cloakroom");
    let created = db.sessions::<UserSession>().await.create(user("1234")).await.unwrap();
    let sessions = read_only_sessions(&db).await;
    db.clock().set(START + Duration::days(3));

    let read = [
        sessions.authenticate(&created.token).await.unwrap().unwrap(),
        sessions.query().token(&created.token).fetch_one().await.unwrap(),
        sessions.query().fetch_optional().await.unwrap().unwrap(),
    ];
    for session in read {
        assert_eq!(session, created.session);
        assert!(session.is_valid(db.clock_now()));
    }
    let reported = capture::text();
    let id = created.session.id.to_string();
    let warnings: Vec<&str> = reported.lines().filter(|line| line.contains(&id)).collect();
    let [warning] = warnings[..] else { panic!("{reported}") };
    assert!(warning.starts_with("WARN cloakroom"), "{warning}");
    assert!(warning.contains("the database takes no writes"), "{warning}");
    sessions.database().close().await;
}

/// There the failure has ended the transaction, on PostgreSQL, and the caller must know.
async fn inside_a_transaction_an_extension_that_cannot_be_written_is_an_error(db: TestDatabase) {
    let created = db.sessions::<UserSession>().await.create(user("1234")).await.unwrap();
    let sessions = read_only_sessions(&db).await;
    for (days, is_due) in [(0, false), (3, true)] {
        db.clock().set(START + Duration::days(days));
        let mut transaction = sessions.begin().await.unwrap();
        let read = sessions.within(&mut transaction).authenticate(&created.token).await;
        match read {
            Ok(read) => assert_eq!((read, is_due), (Some(created.session.clone()), false)),
            Err(error) => assert_eq!((error.kind(), is_due), (ErrorKind::ReadOnly, true), "{error}"),
        }
        transaction.rollback().await.unwrap();
    }
    sessions.database().close().await;
}

async fn only_what_was_refused_before_is_said_to_be_extended_again(db: TestDatabase) {
    capture::start("cloakroom");
    let table = db.unique_name();
    let (definition, config) = (named::<UserSession>(&table), db.config().build().unwrap());
    let sessions = Sessions::<UserSession>::with_definition(db.database(), definition, config).unwrap();
    sessions.migrate().await.unwrap();
    let created = sessions.create(user("1234")).await.unwrap();
    db.clock().set(START + Duration::days(3));
    let extended = sessions.authenticate(&created.token).await.unwrap().unwrap();
    assert!(extended.expires_at > created.session.expires_at);
    let reported = capture::text();
    assert!(
        !reported.lines().any(|line| line.contains(&table) && line.contains("extended again")),
        "{reported}"
    );
}

#[derive(Clone, SessionTable)]
#[session(table = "visits")]
struct Visit {
    user_id: String,
    #[session(last_seen)]
    last_seen: Option<OffsetDateTime>,
}

async fn where_nothing_can_be_written_last_uses_are_kept_and_no_call_fails(db: TestDatabase) {
    capture::start("cloakroom");
    let every = std::time::Duration::from_secs(1);
    let name = format!("visits_{}", db.unique_name());
    let table = named::<Visit>(&name);
    let config = || db.config().auto_extend(false).record_seen(every).build().unwrap();
    let writing = Sessions::<Visit>::with_definition(db.database(), table.clone(), config()).unwrap();
    writing.migrate().await.unwrap();
    let new = NewSession::new(Visit { user_id: "1234".to_owned(), last_seen: None });
    let created = writing.create(new).await.unwrap();
    let sessions = Sessions::<Visit>::with_definition(read_only(&db).await, table, config()).unwrap();
    let reported = || {
        let reported = capture::text();
        let of_table = reported.lines().filter(|line| line.starts_with("WARN") && line.contains(&name));
        of_table.filter(|line| line.contains("last uses of sessions could not be written")).count()
    };
    let begun = Instant::now();
    for _ in 0..4 {
        db.clock().advance(every);
        let session = sessions.authenticate(&created.token).await.unwrap().unwrap();
        assert_eq!(sessions.last_seen(&session), Some(db.now()));
        assert_eq!(sessions.flush_seen().await.unwrap_err().kind(), ErrorKind::ReadOnly);
        while reported() == 0 {
            assert!(begun.elapsed() < patience(), "nothing is said");
            db.clock().advance(every);
            sessions.authenticate(&created.token).await.unwrap().unwrap();
        }
    }
    let error = sessions.close().await.unwrap_err();
    assert_eq!((error.kind(), reported()), (ErrorKind::ReadOnly, 1), "it is said once");
    sessions.database().close().await;
}

async fn where_nothing_can_be_written_reads_work_and_writes_say_so(db: TestDatabase) {
    let created = db.sessions::<UserSession>().await.create(user("1234")).await.unwrap();
    let sessions = read_only_sessions(&db).await;
    db.clock().set(START + Duration::days(3));
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
    for outcome in every_operation(&sessions, &created.session, &created.token).await {
        let kind = outcome.error.as_ref().map(cloakroom::Error::kind);
        let expected = writes.contains(&outcome.operation).then_some(ErrorKind::ReadOnly);
        assert_eq!(kind, expected, "{outcome:?}");
    }
    assert_eq!(sessions.migrate().await.unwrap(), [], "a table that is in place needs no writing");
    let error = sessions.migrate_down().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReadOnly, "{error:?}");
    assert_eq!(sessions.query().fetch_all().await.unwrap(), [created.session]);
    sessions.database().close().await;
}

trait Now {
    fn clock_now(&self) -> OffsetDateTime;
}

impl Now for TestDatabase {
    fn clock_now(&self) -> OffsetDateTime {
        cloakroom::Clock::now(self.clock())
    }
}

async fn where_nothing_can_be_written_a_session_of_an_older_scheme_is_read_and_stays(db: TestDatabase) {
    capture::start("cloakroom");
    let key = |number| Scheme::hmac_sha256(format!("key-{number}"), &Key::from_bytes([number; 32]).unwrap());
    let older = db.sessions_with::<UserSession>(db.config().digests([key(1)])).await;
    let created = older.create(user("1234")).await.unwrap();
    let config = || db.config().digests([key(2), key(1)]).build().unwrap();
    let sessions = Sessions::<UserSession>::new(read_only(&db).await, config()).unwrap();
    for _ in 0..3 {
        assert_eq!(sessions.authenticate(&created.token).await.unwrap().unwrap(), created.session);
    }
    let reported = capture::text();
    let id = created.session.id.to_string();
    let warnings: Vec<&str> = reported.lines().filter(|line| line.contains(&id)).collect();
    let [warning] = warnings[..] else { panic!("{warnings:?}") };
    assert!(warning.contains("could not be stored under the newest scheme"), "{warning}");
    sessions.database().close().await;
    // Once it can be written, it is.
    let writing = db.sessions_with::<UserSession>(db.config().digests([key(2), key(1)])).await;
    let found = writing.authenticate(&created.token).await.unwrap().unwrap();
    assert!(found.updated_at > created.session.updated_at);
    assert!(older.authenticate(&created.token).await.unwrap().is_none());
}

each_database! {
    inside_a_transaction_an_extension_that_cannot_be_written_is_an_error,
    only_what_was_refused_before_is_said_to_be_extended_again,
    where_nothing_can_be_written_last_uses_are_kept_and_no_call_fails,
    where_nothing_can_be_written_a_session_of_an_older_scheme_is_read_and_stays,
    where_nothing_can_be_written_due_extensions_are_one_warning_and_the_session_is_valid,
    where_nothing_can_be_written_reads_work_and_writes_say_so,
}
