//! What the original gets wrong: the rows of "Mended" in `golden/README.md`, in their order.

use std::any::Any;
use std::error::Error as _;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use cloakroom::{
    ConfigError, Database, DynamicFields, DynamicValue, Error, ErrorKind, Hashing, Pruner, SessionFields,
    SessionTable, Sessions, Status, TableDefinition, Token, migrations,
};
use cloakroom_testing::{ApiKey, Kind, START, TestDatabase, UserSession, each_mode, user};
use futures_util::future::join_all;
use sqlx::mysql::MySqlPoolOptions;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{AssertSqlSafe, Executor as _};
use time::OffsetDateTime;
use tokio::sync::Barrier;
use uuid::Uuid;

use crate::between::{WatchedSession, during, during_sql, watched};
use crate::rows;

const DAY: Duration = Duration::from_hours(24);
const SOON: Duration = Duration::from_millis(10);

/// What another process would run to write these instants into a row.
fn written_by_another(
    db: &TestDatabase,
    id: Uuid,
    expires_at: OffsetDateTime,
    updated_at: OffsetDateTime,
) -> String {
    let kind = db.kind();
    format!(
        "UPDATE sessions SET expires_at = {}, updated_at = {} WHERE id = {}",
        rows::instant(kind, expires_at),
        rows::instant(kind, updated_at),
        rows::uuid(kind, id)
    )
}

fn deleted_by_another(db: &TestDatabase, id: Uuid) -> String {
    format!("DELETE FROM sessions WHERE id = {}", rows::uuid(db.kind(), id))
}

/// Whether the row holds these instants.
async fn holds(
    db: &TestDatabase,
    id: Uuid,
    expires_at: Option<OffsetDateTime>,
    updated_at: OffsetDateTime,
) -> bool {
    let kind = db.kind();
    let expires_at = match expires_at {
        Some(expires_at) => format!("= {}", rows::instant(kind, expires_at)),
        None => "IS NULL".to_owned(),
    };
    let sql = format!(
        "SELECT 'found' FROM sessions WHERE id = {} AND expires_at {expires_at} AND updated_at = {}",
        rows::uuid(kind, id),
        rows::instant(kind, updated_at)
    );
    db.texts(&sql).await.len() == 1
}

/// From now on the database itself counts the rows that are written.
async fn count_writes(db: &TestDatabase) {
    db.execute(match db.kind() {
        Kind::Sqlite => {
            "CREATE TABLE writes (number INTEGER PRIMARY KEY);
             CREATE TRIGGER count_writes AFTER UPDATE ON sessions BEGIN INSERT INTO writes VALUES (NULL); END"
        }
        Kind::Postgres => {
            "CREATE TABLE writes (number serial PRIMARY KEY);
             CREATE FUNCTION count_write() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN INSERT INTO writes DEFAULT VALUES; RETURN NULL; END';
             CREATE TRIGGER count_writes AFTER UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION count_write()"
        }
        Kind::MariaDb => {
            "CREATE TABLE writes (number int AUTO_INCREMENT PRIMARY KEY);
             CREATE TRIGGER count_writes AFTER UPDATE ON sessions FOR EACH ROW INSERT INTO writes () VALUES ()"
        }
    })
    .await;
}

async fn writes(db: &TestDatabase) -> usize {
    db.texts("SELECT 'a write' FROM writes").await.len()
}

async fn reading_an_expired_session_never_extends_it(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let created = sessions.create(user("1")).await.unwrap();
    let expired = created.session;
    count_writes(&db).await;
    for age in [7 * DAY, 8 * DAY, 400 * DAY] {
        db.clock().set(START + age);
        assert_eq!(sessions.authenticate(&created.token).await.unwrap(), None);
        for status in [Status::Expired, Status::All] {
            let query = || sessions.query().token(&created.token).status(status);
            assert_eq!(query().fetch_optional().await.unwrap(), Some(expired.clone()));
            assert_eq!(query().fetch_one().await.unwrap(), expired);
            assert_eq!(query().fetch_all().await.unwrap(), std::slice::from_ref(&expired));
        }
        let mut read = expired.clone();
        assert!(!sessions.extend(&mut read).await.unwrap());
        assert!(!read.is_valid(START + age));
    }
    assert_eq!(writes(&db).await, 0);
}

async fn a_session_that_expired_since_it_was_read_is_not_extended(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let mut session = sessions.create(user("1")).await.unwrap().session;
    let now = START + 2 * DAY;
    db.clock().set(now);
    db.execute(&written_by_another(&db, session.id, now, now)).await;
    assert!(session.is_valid(now), "what was read does not know yet");
    assert!(!sessions.extend(&mut session).await.unwrap());
    assert_eq!((session.expires_at, session.updated_at), (Some(now), now));
    assert!(holds(&db, session.id, Some(now), now).await);
}

/// Also where the other wrote the expiry alone: the original's own statement is the application's to choose.
async fn a_session_whose_expiry_alone_was_written_since_it_was_read_is_not_extended(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let mut session = sessions.create(user("1")).await.unwrap().session;
    let now = START + 2 * DAY;
    db.clock().set(now);
    db.execute(&written_by_another(&db, session.id, now, START)).await;
    assert!(!sessions.extend(&mut session).await.unwrap());
    session.fields.user_id = "2".into();
    session.expires_at = Some(now + DAY);
    assert_eq!(sessions.update(&mut session).await.unwrap_err().kind(), ErrorKind::Expired);
    assert!(holds(&db, session.id, Some(now), START).await);
}

async fn a_session_that_expired_since_it_was_read_is_not_brought_back_by_an_update(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let mut session = sessions.create(user("1")).await.unwrap().session;
    let now = START + 2 * DAY;
    db.clock().set(now);
    db.execute(&written_by_another(&db, session.id, now, now)).await;
    session.fields.user_id = "2".into();
    for expires_at in [session.expires_at, Some(now + DAY), None] {
        session.expires_at = expires_at;
        assert_eq!(sessions.update(&mut session).await.unwrap_err().kind(), ErrorKind::Conflict);
    }
    let later = now + DAY;
    let error = sessions.update_with(&mut session, |session| session.expires_at = Some(later)).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Expired);
    assert_eq!(sessions.rotate(&mut session).await.unwrap_err().kind(), ErrorKind::Expired);
    assert!(holds(&db, session.id, Some(now), now).await);
    assert_eq!(db.texts("SELECT user_id FROM sessions").await, [Some("1".to_owned())]);
}

async fn a_session_that_expires_while_it_is_read_is_not_brought_back(db: TestDatabase) {
    let db = Arc::new(db);
    let sessions = db.sessions::<WatchedSession>().await;
    let now = START + 2 * DAY;
    for round in 0..4 {
        db.clock().set(START);
        let created = sessions.create(watched("1")).await.unwrap();
        let id = created.session.id;
        db.clock().set(now);
        let expire = written_by_another(&db, id, now, now);
        let query = sessions.query().token(&created.token);
        match round {
            0 => {
                let read = during_sql(sessions.authenticate(&created.token), &db, expire).await;
                assert_eq!(read.unwrap(), None);
            }
            1 => assert_eq!(during_sql(query.fetch_optional(), &db, expire).await.unwrap(), None),
            2 => {
                let error = during_sql(query.fetch_one(), &db, expire).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::NotFound);
            }
            _ => {
                let read = during_sql(query.status(Status::All).fetch_one(), &db, expire).await.unwrap();
                assert_eq!((read.expires_at, read.updated_at), (Some(now), now));
            }
        }
        assert!(holds(&db, id, Some(now), now).await);
        assert_eq!(sessions.authenticate(&created.token).await.unwrap(), None);
    }
}

async fn a_session_that_is_written_while_it_is_read_is_read_again(db: TestDatabase) {
    let db = Arc::new(db);
    let sessions = db.sessions::<WatchedSession>().await;
    let created = sessions.create(watched("1")).await.unwrap();
    let now = START + 2 * DAY;
    db.clock().set(now);
    let (expires_at, updated_at) = (now + 3 * DAY, now + Duration::from_micros(1));
    let shorten = written_by_another(&db, created.session.id, now + 6 * DAY, updated_at);
    let read = during_sql(sessions.authenticate(&created.token), &db, shorten).await.unwrap().unwrap();
    // Not due any more: six days are left, and a seventh would gain no more than one.
    assert_eq!((read.expires_at, read.updated_at), (Some(now + 6 * DAY), updated_at));
    let shorten = written_by_another(&db, created.session.id, expires_at, updated_at);
    db.execute(&shorten).await;
    let read = sessions.authenticate(&created.token).await.unwrap().unwrap();
    assert_eq!(read.expires_at, Some(now + 7 * DAY), "due, and nobody in between");
}

/// Whoever comes first, what was ended stays ended.
async fn many_reads_at_once_do_not_bring_back_what_one_task_ends(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    for _ in 0..5 {
        db.clock().set(START);
        let created = sessions.create(user("1")).await.unwrap();
        db.clock().set(START + 2 * DAY);
        let barrier = Arc::new(Barrier::new(21));
        let readers = (0..20).map(|number| {
            let (sessions, barrier, token) = (sessions.clone(), Arc::clone(&barrier), created.token.clone());
            let mut session = created.session.clone();
            tokio::spawn(async move {
                barrier.wait().await;
                match number % 3 {
                    0 => drop(sessions.authenticate(&token).await.unwrap()),
                    1 => drop(sessions.query().token(&token).fetch_optional().await.unwrap()),
                    _ => drop(sessions.extend(&mut session).await.unwrap()),
                }
            })
        });
        let readers: Vec<_> = readers.collect();
        let mut session = created.session.clone();
        barrier.wait().await;
        assert!(sessions.expire(&mut session).await.unwrap());
        for reader in readers {
            reader.await.unwrap();
        }
        assert!(!session.is_valid(START + 2 * DAY));
        sessions.reload(&mut session).await.unwrap();
        assert_eq!(session.expires_at, Some(START + 2 * DAY));
        assert_eq!(sessions.authenticate(&created.token).await.unwrap(), None);
    }
}

async fn a_session_that_is_deleted_while_it_is_read_is_none(db: TestDatabase) {
    let db = Arc::new(db);
    let sessions = db.sessions::<WatchedSession>().await;
    for round in 0..3 {
        db.clock().set(START);
        let created = sessions.create(watched("1")).await.unwrap();
        db.clock().set(START + 2 * DAY);
        let delete = deleted_by_another(&db, created.session.id);
        let query = sessions.query().token(&created.token).status(Status::All);
        match round {
            0 => {
                let read = during_sql(sessions.authenticate(&created.token), &db, delete).await;
                assert_eq!(read.unwrap(), None);
            }
            1 => assert_eq!(during_sql(query.fetch_optional(), &db, delete).await.unwrap(), None),
            _ => {
                let error = during_sql(query.fetch_one(), &db, delete).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::NotFound);
            }
        }
        assert_eq!(sessions.query().status(Status::All).count().await.unwrap(), 0, "it was inserted again");
    }
}

async fn a_session_that_was_deleted_since_it_was_read_is_never_inserted_again(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let session = sessions.create(user("1")).await.unwrap().session;
    db.clock().advance(2 * DAY);
    db.execute(&deleted_by_another(&db, session.id)).await;
    let mut stale = session.clone();
    assert_eq!(sessions.extend(&mut stale).await.unwrap_err().kind(), ErrorKind::NotFound);
    stale.fields.user_id = "2".into();
    assert_eq!(sessions.update(&mut stale).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(sessions.update_with(&mut stale, |_| ()).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(sessions.rotate(&mut stale).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(sessions.reload(&mut stale).await.unwrap_err().kind(), ErrorKind::NotFound);
    let mut stale = session;
    assert!(!sessions.expire(&mut stale).await.unwrap());
    assert!(!stale.is_valid(START + 2 * DAY), "what is gone says that it is valid");
    assert_eq!(sessions.query().status(Status::All).count().await.unwrap(), 0);
}

async fn an_end_that_finds_no_row_says_when_the_session_was_over_and_what_went_wrong(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let over = sessions.create(user("1")).await.unwrap().session;
    let valid = sessions.create(user("2").expires_in(Duration::from_hours(24 * 365))).await.unwrap().session;
    for session in [&over, &valid] {
        db.execute(&deleted_by_another(&db, session.id)).await;
    }
    let end = over.expires_at.unwrap();
    db.clock().set(end + DAY);
    let mut ended = over.clone();
    assert!(!sessions.expire(&mut ended).await.unwrap());
    assert_eq!(ended.expires_at, Some(end), "it was over before the call");
    let mut ended = valid.clone();
    assert!(!sessions.expire(&mut ended).await.unwrap());
    assert_eq!(ended.expires_at, Some(db.now()));
    // What the row says cannot be read.
    db.execute("ALTER TABLE sessions RENAME COLUMN user_id TO renamed").await;
    let mut unknown = valid;
    assert_eq!(sessions.expire(&mut unknown).await.unwrap_err().kind(), ErrorKind::MissingColumn);
}

/// All fifty have read the stale session before the first of them writes.
async fn of_fifty_concurrent_reads_of_a_stale_session_one_writes_and_all_see_it(db: TestDatabase) {
    const READERS: usize = 50;
    let sessions = db.sessions::<WatchedSession>().await;
    let created = sessions.create(watched("1")).await.unwrap();
    count_writes(&db).await;
    for round in 1..=2 {
        let now = START + round * 2 * DAY;
        db.clock().set(now);
        let barrier = Arc::new(Barrier::new(READERS));
        let readers = (0..READERS).map(|number| {
            let (sessions, barrier, token) = (sessions.clone(), Arc::clone(&barrier), created.token.clone());
            tokio::spawn(async move {
                let reading = async {
                    if number % 2 == 0 {
                        sessions.authenticate(&token).await.unwrap()
                    } else {
                        sessions.query().token(&token).fetch_optional().await.unwrap()
                    }
                };
                let met = async move {
                    let all = tokio::time::timeout(Duration::from_secs(10), barrier.wait());
                    all.await.expect("all have read it");
                };
                during(reading, met).await.expect("the session is valid")
            })
        });
        let readers: Vec<_> = readers.collect();
        for read in join_all(readers).await {
            let read = read.unwrap();
            assert_eq!((read.expires_at, read.updated_at), (Some(now + 7 * DAY), now));
        }
        assert_eq!(writes(&db).await, round as usize);
    }
}

async fn the_returned_session_has_the_extended_expiry(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let created = sessions.create(user("1")).await.unwrap();
    let mut now = START;
    for round in 0..4 {
        now += 2 * DAY;
        db.clock().set(now);
        let query = || sessions.query().token(&created.token);
        let read = match round {
            0 => sessions.authenticate(&created.token).await.unwrap().unwrap(),
            1 => query().fetch_optional().await.unwrap().unwrap(),
            2 => query().fetch_one().await.unwrap(),
            _ => {
                let mut read = query().fetch_all().await.unwrap().remove(0);
                assert_eq!(read.expires_at, Some(now + 5 * DAY), "a list extends nothing");
                assert!(sessions.extend(&mut read).await.unwrap());
                read
            }
        };
        assert_eq!((read.expires_at, read.updated_at), (Some(now + 7 * DAY), now));
        assert!(holds(&db, read.id, read.expires_at, read.updated_at).await);
        let mut again = read.clone();
        sessions.reload(&mut again).await.unwrap();
        assert_eq!(again, read);
    }
}

async fn a_session_that_never_expires_stays_so(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let created = sessions.create(user("1").never_expires()).await.unwrap();
    assert_eq!(created.session.expires_at, None);
    for age in [DAY, 8 * DAY, 100_000 * DAY] {
        db.clock().set(START + age);
        let read = sessions.authenticate(&created.token).await.unwrap();
        assert_eq!(read, Some(created.session.clone()));
        assert!(read.unwrap().is_valid(START + age));
        let mut session = sessions.query().token(&created.token).fetch_one().await.unwrap();
        assert!(!sessions.extend(&mut session).await.unwrap());
    }
    assert!(holds(&db, created.session.id, None, START).await);
    assert_eq!(sessions.delete_expired().await.unwrap(), 0);
    let mut session = created.session;
    assert!(sessions.expire(&mut session).await.unwrap());
    assert_eq!(sessions.authenticate(&created.token).await.unwrap(), None);
}

async fn without_a_time_to_live_sessions_are_created_and_never_expire(db: TestDatabase) {
    let sessions = db.sessions_with::<UserSession>(db.config().ttl(None)).await;
    let created = sessions.create(user("1")).await.unwrap();
    assert_eq!(created.session.expires_at, None);
    assert!(holds(&db, created.session.id, None, START).await);
    let dated = sessions.create(user("2").expires_at(START + 3 * DAY)).await.unwrap();
    db.clock().advance(2 * DAY);
    assert_eq!(sessions.authenticate(&created.token).await.unwrap(), Some(created.session));
    // An expiry of its own is neither extended nor taken away.
    assert_eq!(sessions.authenticate(&dated.token).await.unwrap(), Some(dated.session.clone()));
    db.clock().advance(DAY);
    assert_eq!(sessions.authenticate(&dated.token).await.unwrap(), None);
    assert_eq!(sessions.query().count().await.unwrap(), 1);
}

async fn a_session_that_was_ended_says_so(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    for new in [user("1"), user("2").never_expires()] {
        let created = sessions.create(new).await.unwrap();
        let mut session = created.session;
        let mut copy = session.clone();
        db.clock().advance(DAY);
        let now = sessions.config().now();
        assert!(sessions.expire(&mut session).await.unwrap());
        assert!(!session.is_valid(now));
        assert_eq!((session.status(now), session.expires_at), (Status::Expired, Some(now)));
        assert!(holds(&db, session.id, Some(now), now).await);
        assert_eq!(sessions.authenticate(&created.token).await.unwrap(), None);
        // Ended a second time, by whoever still takes it for valid, it says when it really was.
        db.clock().advance(DAY);
        assert!(!sessions.expire(&mut copy).await.unwrap());
        assert_eq!(copy, session);
    }
}

async fn an_empty_token_is_no_session_and_is_not_asked_for(db: TestDatabase) {
    for config in
        [db.config(), db.config().secret_salt("pepper"), db.config().hashing(Hashing::DangerousPlaintext)]
    {
        let sessions = db.sessions_with::<UserSession>(config).await;
        sessions.create(user("1")).await.unwrap();
        // Were it asked for, it would be found under the salt's own digest, or as an empty column.
        db.execute("DROP TABLE sessions").await;
        assert_eq!(sessions.authenticate("").await.unwrap(), None);
        assert_eq!(sessions.query().token("").fetch_optional().await.unwrap(), None);
        assert_eq!(sessions.query().token(b"").count().await.unwrap(), 0);
        assert!(sessions.authenticate("not empty").await.is_err(), "the table is gone");
    }
}

async fn the_digest_of_an_older_row_is_no_token_when_hashing_is_off(db: TestDatabase) {
    for hashing in [Hashing::Sha1, Hashing::Sha256, Hashing::Sha384, Hashing::Sha512] {
        let hashed = db.sessions_with::<UserSession>(db.config().hashing(hashing)).await;
        let created = hashed.create(user("1")).await.unwrap();
        let stolen = db.texts("SELECT auth_token_digest FROM sessions").await[0].clone().unwrap();
        let plain = db.sessions_with::<UserSession>(db.config().hashing(Hashing::DangerousPlaintext)).await;
        assert_eq!(plain.authenticate(&stolen).await.unwrap(), None);
        assert_eq!(plain.query().token(&stolen).fetch_optional().await.unwrap(), None);
        let import = user("2").import_token(Token::import(stolen).unwrap());
        assert_eq!(plain.create(import).await.unwrap_err().kind(), ErrorKind::InvalidField);
        let own = plain.create(user("2")).await.unwrap();
        assert_eq!(plain.authenticate(&own.token).await.unwrap(), Some(own.session.clone()));
        hashed.delete(created.session).await.unwrap();
        plain.delete(own.session).await.unwrap();
    }
}

/// A database, and the name of a second schema in it; see `TableDefinition::schema` for what that is.
async fn second_schema(db: &TestDatabase) -> (Database, String) {
    if db.kind() != Kind::Sqlite {
        // The migration makes it.
        return (db.database(), db.unique_name());
    }
    let options = (*db.sqlite_pool().connect_options()).clone();
    let file = options.get_filename().with_file_name("second.db");
    let pool = SqlitePoolOptions::new().max_connections(4).after_connect(move |connection, _| {
        let attach = format!("ATTACH DATABASE '{}' AS second", file.display());
        Box::pin(async move { connection.execute(AssertSqlSafe(attach)).await.map(drop) })
    });
    (pool.connect_with(options).await.unwrap().into(), "second".to_owned())
}

/// The tables and indexes of a schema, in order, less the databases' own.
async fn things_in(database: &Database, schema: &str) -> Vec<String> {
    let sql = match database {
        Database::Sqlite(_) => {
            format!("SELECT name FROM \"{schema}\".sqlite_schema WHERE name NOT LIKE 'sqlite_%'")
        }
        Database::Postgres(_) => format!(
            "SELECT tablename::text FROM pg_tables WHERE schemaname = '{schema}' \
             UNION ALL SELECT indexname::text FROM pg_indexes WHERE schemaname = '{schema}' AND indexname NOT LIKE '%_pkey'"
        ),
        _ => format!(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = '{schema}' \
             UNION ALL SELECT DISTINCT index_name FROM information_schema.statistics \
             WHERE table_schema = '{schema}' AND index_name <> 'PRIMARY'"
        ),
    };
    let sql = AssertSqlSafe(sql);
    let mut names: Vec<String> = match database {
        Database::Sqlite(pool) => sqlx::query_scalar(sql).fetch_all(pool).await.unwrap(),
        Database::Postgres(pool) => sqlx::query_scalar(sql).fetch_all(pool).await.unwrap(),
        Database::MySql(pool) => sqlx::query_scalar(sql).fetch_all(pool).await.unwrap(),
        other => panic!("no such database: {other:?}"),
    };
    names.sort_unstable();
    names
}

const THINGS: [&str; 5] = [
    "sessions",
    "sessions_auth_token_digest_index",
    "sessions_cloakroom_migrations",
    "sessions_expires_at_index",
    "sessions_user_id_inserted_at_index",
];

/// A table of the same name in the default schema would be hit by whatever forgets the schema.
async fn a_schema_is_honoured_by_every_statement_down_to_the_last(db: TestDatabase) {
    let (database, schema) = second_schema(&db).await;
    let default = Sessions::<UserSession>::new(database.clone(), db.config().build().unwrap()).unwrap();
    default.migrate().await.unwrap();
    let decoy = default.create(user("1")).await.unwrap();
    let own = db.schema().unwrap_or("main").to_owned();
    assert_eq!(things_in(&database, &own).await, THINGS);

    let tenant = default.with_schema(schema.clone()).unwrap();
    assert_eq!(tenant.migrate().await.unwrap().len(), 3);
    assert_eq!(tenant.migrate().await.unwrap(), []);
    assert_eq!(things_in(&database, &schema).await, THINGS);
    assert_eq!(things_in(&database, &own).await, THINGS);
    assert!(tenant.migration_status().await.unwrap().iter().all(|(_, is_applied)| *is_applied));

    assert_eq!(tenant.authenticate(&decoy.token).await.unwrap(), None);
    let created = tenant.create(user("1")).await.unwrap();
    assert_eq!(default.authenticate(&created.token).await.unwrap(), None);
    db.clock().advance(2 * DAY);
    let mut session = tenant.authenticate(&created.token).await.unwrap().unwrap();
    assert_eq!(session.expires_at, Some(START + 9 * DAY));
    session.fields.user_id = "2".into();
    tenant.update(&mut session).await.unwrap();
    tenant.rotate(&mut session).await.unwrap();
    let owned = || tenant.query().filter(UserSession::USER_ID.eq("2")).status(Status::All);
    assert_eq!(owned().fetch_all().await.unwrap(), [session.clone()]);
    assert_eq!(owned().limit(1).count().await.unwrap(), 1);
    assert!(owned().oldest_first().exists().await.unwrap());
    assert!(tenant.expire(&mut session).await.unwrap());
    assert_eq!(tenant.delete_expired().await.unwrap(), 1);
    let other = tenant.create(user("2")).await.unwrap().session;
    assert_eq!(owned().limit(1).expire_all().await.unwrap(), 1);
    assert_eq!(owned().limit(1).delete_all().await.unwrap(), 1);
    assert!(!tenant.delete(other).await.unwrap());

    assert_eq!(tenant.migrate_down().await.unwrap().len(), 3);
    assert_eq!(things_in(&database, &schema).await, [""; 0]);
    assert_eq!(things_in(&database, &own).await, THINGS);
    assert_eq!(tenant.migrate_down().await.unwrap(), []);
    assert_eq!(tenant.migrate().await.unwrap().len(), 3, "down forgot to undo something");

    // Nobody touched the other.
    let mut untouched = decoy.session.clone();
    default.reload(&mut untouched).await.unwrap();
    assert_eq!(untouched, decoy.session);
    assert_eq!(default.query().status(Status::All).count().await.unwrap(), 1);

    for statement in migrations::up_sql(tenant.definition(), tenant.backend())
        .unwrap()
        .iter()
        .chain(&migrations::down_sql(tenant.definition(), tenant.backend()).unwrap())
    {
        assert!(statement.contains(&schema), "{statement} does not name the schema");
    }
    match db.kind() {
        Kind::Sqlite => database.close().await,
        Kind::Postgres => db.execute(&format!("DROP SCHEMA {schema} CASCADE")).await,
        Kind::MariaDb => db.execute(&format!("DROP DATABASE {schema}")).await,
    }
}

async fn migrating_twice_changes_nothing(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let created = sessions.create(user("1")).await.unwrap();
    let schema = db.schema().unwrap_or("main").to_owned();
    let before = things_in(&db.database(), &schema).await;
    assert_eq!(before, THINGS);
    for _ in 0..2 {
        assert_eq!(sessions.migrate().await.unwrap(), []);
        assert_eq!(things_in(&db.database(), &schema).await, before);
    }
    assert_eq!(sessions.authenticate(&created.token).await.unwrap(), Some(created.session));
    assert_eq!(sessions.migrate_down().await.unwrap().len(), 3);
    assert_eq!(sessions.migrate_down().await.unwrap(), []);
    assert_eq!(things_in(&db.database(), &schema).await, [""; 0]);
    assert_eq!(sessions.migrate().await.unwrap().len(), 3);
    assert_eq!(sessions.query().status(Status::All).count().await.unwrap(), 0);
}

/// As the original leaves it: with the unique index, one on the field alone, and no record of migrations. The
/// golden suite adopts the very tables that it made on PostgreSQL.
async fn a_table_that_was_there_already_is_adopted(db: TestDatabase) {
    let config = db.config().build().unwrap();
    let sessions = Sessions::<UserSession>::new(db.database(), config).unwrap();
    let statements = migrations::up_sql(sessions.definition(), sessions.backend()).unwrap();
    for statement in statements.iter().filter(|sql| sql.contains("TABLE") || sql.contains("UNIQUE")) {
        db.execute(statement).await;
    }
    db.execute("CREATE INDEX sessions_user_id_index ON sessions (user_id)").await;
    let created = sessions.create(user("1")).await.unwrap();
    let schema = db.schema().unwrap_or("main").to_owned();
    assert_eq!(things_in(&db.database(), &schema).await.len(), 3);

    assert_eq!(sessions.migrate().await.unwrap().len(), 3);
    let mut expected: Vec<&str> = THINGS.into_iter().chain(["sessions_user_id_index"]).collect();
    expected.sort_unstable();
    assert_eq!(things_in(&db.database(), &schema).await, expected);
    assert_eq!(sessions.authenticate(&created.token).await.unwrap(), Some(created.session));
    assert_eq!(sessions.migrate().await.unwrap(), []);
}

async fn settings_are_checked_once_and_before_anything_is_asked_of_the_database(db: TestDatabase) {
    // A closed pool fails whatever is asked of it.
    db.database().close().await;
    assert!(matches!(db.config().token_length(21).build(), Err(ConfigError::TokenLength { .. })));
    let late = db.config().ttl(DAY).extend_after(DAY).build();
    assert!(matches!(late, Err(ConfigError::ExtendAfter { .. })));
    let config = db.config().build().unwrap();
    let unsound = TableDefinition::new("sessions\0");
    let refused = Sessions::<DynamicFields>::with_definition(db.database(), unsound, config.clone());
    assert!(matches!(refused, Err(ConfigError::Identifier { .. })));
    let sessions = Sessions::<UserSession>::new(db.database(), config).unwrap();
    assert!(matches!(sessions.with_schema("a\nb"), Err(ConfigError::Identifier { .. })));
    // What can fail afterwards is the database alone.
    assert_eq!(sessions.authenticate("a token").await.unwrap_err().kind(), ErrorKind::Unavailable);
}

/// Everything that an error may print, its causes' words included.
fn all_that_is_said(error: &Error) -> String {
    let mut said = format!("{error} {error:#} {error:?} {error:#?}");
    let mut source = error.source();
    while let Some(cause) = source {
        write!(said, " {cause} {cause:#} {cause:?} {cause:#?}").unwrap();
        source = cause.source();
    }
    said
}

async fn no_secret_is_in_the_error_of_a_refused_create(db: TestDatabase) {
    const SALT: &str = "pepper-of-the-house";
    for config in [
        db.config(),
        db.config().secret_salt(SALT),
        db.config().hashing(Hashing::Sha512),
        db.config().hashing(Hashing::DangerousPlaintext),
    ] {
        let sessions = db.sessions_with::<UserSession>(config).await;
        let token = Token::generate(64).unwrap();
        let digest = sessions.config().digest(&token).unwrap();
        let new = |user_id: &str| user(user_id).import_token(token.clone());
        let first = sessions.create(new("1")).await.unwrap();

        let mut refused = vec![(ErrorKind::DuplicateToken, sessions.create(new("2")).await)];
        refused.push((ErrorKind::InvalidField, sessions.create(new(" ")).await));
        if db.kind() != Kind::Sqlite {
            refused.push((ErrorKind::InvalidField, sessions.create(new(&"x".repeat(300))).await));
        }
        sessions.delete(first.session).await.unwrap();
        // A constraint of the application's own, whose breach PostgreSQL explains with the whole row.
        let check = match db.kind() {
            Kind::Sqlite => {
                "CREATE TRIGGER no_guests BEFORE INSERT ON sessions WHEN new.user_id = 'guest' \
                 BEGIN SELECT RAISE(ABORT, 'no guests'); END"
            }
            _ => "ALTER TABLE sessions ADD CONSTRAINT no_guests CHECK (user_id <> 'guest')",
        };
        // The table is another one than a moment ago, which connections of the pool may not have noticed.
        db.execute_anew(check).await;
        refused.push((ErrorKind::Constraint, sessions.create(new("guest")).await));
        if db.is_mysql() {
            // It renames no column that a check is about.
            let named = "SELECT constraint_name FROM information_schema.check_constraints WHERE \
                 constraint_schema = DATABASE() AND constraint_name LIKE 'cloakroom\\_data\\_%'";
            let name = db.texts(named).await.remove(0).unwrap();
            db.execute(&format!("ALTER TABLE sessions DROP CONSTRAINT {name}")).await;
        }
        db.execute("ALTER TABLE sessions RENAME COLUMN data TO other_data").await;
        refused.push((ErrorKind::MissingColumn, sessions.create(new("1")).await));
        db.execute("DROP TABLE sessions").await;
        refused.push((ErrorKind::MissingTable, sessions.create(new("1")).await));

        for (kind, result) in refused {
            let error = result.unwrap_err();
            let said = all_that_is_said(&error);
            assert_eq!(error.kind(), kind, "{said}");
            for secret in [token.expose(), digest.expose(), SALT] {
                assert!(!said.contains(secret), "{said}");
                assert!(!said.contains(&secret[..16]), "{said}");
            }
        }
    }
}

async fn a_pruner_survives_a_table_that_is_missing_until_it_is_back(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    db.execute("DROP TABLE sessions").await;
    let mut pruner = Pruner::spawn(sessions.clone(), SOON);
    while pruner.run_ended().await.failures < 2 {}
    assert_eq!(pruner.progress().runs, 0);
    // The record of the migrations is still there; the table is made all the same.
    sessions.migrate().await.unwrap();
    sessions.create(user("1").expires_at(START)).await.unwrap();
    sessions.create(user("2")).await.unwrap();
    while pruner.run_ended().await.deleted < 1 {}
    pruner.stop().await;
    assert_eq!(sessions.query().status(Status::All).fetch_one().await.unwrap().fields.user_id, "2");
}

/// A pool that is exhausted, as far as the pruner can tell: nobody answers.
async fn a_pruner_survives_a_database_that_does_not_answer_until_it_does(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    sessions.create(user("1").expires_at(START)).await.unwrap();
    let (pool, held): (Database, Box<dyn Any>) = match db.database() {
        Database::Sqlite(of) => {
            let options = SqlitePoolOptions::new().max_connections(1).acquire_timeout(SOON * 300);
            let pool = options.connect_with((*of.connect_options()).clone()).await.unwrap();
            let held = pool.acquire().await.unwrap();
            (pool.into(), Box::new(held))
        }
        Database::Postgres(of) => {
            let options = PgPoolOptions::new().max_connections(1).acquire_timeout(SOON * 300);
            let pool = options.connect_with((*of.connect_options()).clone()).await.unwrap();
            let held = pool.acquire().await.unwrap();
            (pool.into(), Box::new(held))
        }
        Database::MySql(of) => {
            let options = MySqlPoolOptions::new().max_connections(1).acquire_timeout(SOON * 300);
            let pool = options.connect_with((*of.connect_options()).clone()).await.unwrap();
            let held = pool.acquire().await.unwrap();
            (pool.into(), Box::new(held))
        }
        other => panic!("no such database: {other:?}"),
    };
    let deaf = Sessions::<UserSession>::new(pool.clone(), db.config().build().unwrap()).unwrap();
    let mut pruner = Pruner::spawn(deaf, SOON);
    let progress = pruner.run_ended().await;
    assert_eq!((progress.failures, progress.runs), (1, 0));
    drop(held);
    while pruner.run_ended().await.deleted < 1 {}
    pruner.stop().await;
    pool.close().await;
    assert_eq!(sessions.query().status(Status::All).count().await.unwrap(), 0);
}

async fn any_number_of_pruners_may_run_and_each_row_is_deleted_once(db: TestDatabase) {
    const EXPIRED: usize = 2_000;
    let sessions = db.sessions::<UserSession>().await;
    rows::insert(&db, "sessions", EXPIRED, |number| rows::Row {
        user_id: "'1'".into(),
        inserted_at: START - 8 * DAY,
        // Many at one instant, which pruners could take in different orders.
        expires_at: Some(START - DAY * u32::try_from(number % 3).unwrap()),
    })
    .await;
    let kept = sessions.create(user("2")).await.unwrap().session;
    let mut pruners: Vec<Pruner> =
        (0..5).map(|_| Pruner::builder(SOON).batch(23).spawn(sessions.clone())).collect();
    let by_hand: u64 = join_all((0..3).map(|_| sessions.delete_expired()))
        .await
        .into_iter()
        .map(|deleted| deleted.expect("pruners collide"))
        .sum();
    let mut by_pruners = 0;
    for pruner in &mut pruners {
        // Two ends of runs: the first may be of one that began before the last row was gone.
        pruner.run_ended().await;
        let progress = pruner.run_ended().await;
        assert_eq!(progress.failures, 0, "pruners collide");
    }
    for pruner in pruners {
        by_pruners += pruner.progress().deleted;
        pruner.stop().await;
    }
    assert_eq!(sessions.query().status(Status::All).fetch_all().await.unwrap(), [kept]);
    assert_eq!(by_hand + by_pruners, EXPIRED as u64);
}

async fn deleting_a_session_that_is_gone_says_that_nothing_was_deleted(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let created = sessions.create(user("1")).await.unwrap();
    assert!(sessions.delete(created.session.clone()).await.unwrap());
    assert!(!sessions.delete(created.session.clone()).await.unwrap());
    let query = || sessions.query().token(&created.token).status(Status::All);
    assert_eq!(query().delete_all().await.unwrap(), 0);
    assert_eq!(query().limit(1).delete_all().await.unwrap(), 0);

    // Of many at once, one deletes.
    let session = sessions.create(user("1")).await.unwrap().session;
    let deletes = join_all((0..10).map(|_| sessions.delete(session.clone()))).await;
    assert_eq!(deletes.into_iter().filter(|deleted| *deleted.as_ref().unwrap()).count(), 1);
}

/// With a struct it does not compile: neither the constant of a column that there is not, nor another table's
/// column, nor a status that is none.
async fn a_field_that_does_not_exist_is_an_error_that_names_it(db: TestDatabase) {
    let keys = db.sessions::<ApiKey>().await;
    let definition = ApiKey::definition();
    let dynamic =
        Sessions::<DynamicFields>::with_definition(db.database(), definition.clone(), keys.config().clone())
            .unwrap();
    let mut fields = DynamicFields::new(&definition, dynamic.backend());
    for name in ["usr_id", "", "auth_token_digest", "data", "user_id; --"] {
        let value = DynamicValue::Text("1".into());
        let filter = || DynamicFields::equals(&definition, name, &value);
        for error in [
            dynamic.query().filter(filter()).fetch_all().await.unwrap_err(),
            dynamic.query().filter(filter()).expire_all().await.unwrap_err(),
            fields.set(name, value.clone()).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::UnknownField);
            assert!(error.to_string().contains(&format!("{name:?}")), "{error}");
            assert!(error.to_string().contains("user_id, role, quota"), "{error}");
        }
    }
    let known = DynamicFields::equals(&definition, "user_id", &DynamicValue::Text("1".into()));
    assert_eq!(dynamic.query().filter(known).count().await.unwrap(), 0);
    assert_eq!(ApiKey::ID.name(), "id");
}

each_mode! {
    reading_an_expired_session_never_extends_it,
    a_session_that_expired_since_it_was_read_is_not_extended,
    a_session_whose_expiry_alone_was_written_since_it_was_read_is_not_extended,
    a_session_that_expired_since_it_was_read_is_not_brought_back_by_an_update,
    a_session_that_expires_while_it_is_read_is_not_brought_back,
    a_session_that_is_written_while_it_is_read_is_read_again,
    many_reads_at_once_do_not_bring_back_what_one_task_ends,
    a_session_that_is_deleted_while_it_is_read_is_none,
    a_session_that_was_deleted_since_it_was_read_is_never_inserted_again,
    an_end_that_finds_no_row_says_when_the_session_was_over_and_what_went_wrong,
    of_fifty_concurrent_reads_of_a_stale_session_one_writes_and_all_see_it,
    the_returned_session_has_the_extended_expiry,
    a_session_that_never_expires_stays_so,
    without_a_time_to_live_sessions_are_created_and_never_expire,
    a_session_that_was_ended_says_so,
    an_empty_token_is_no_session_and_is_not_asked_for,
    the_digest_of_an_older_row_is_no_token_when_hashing_is_off,
    a_schema_is_honoured_by_every_statement_down_to_the_last,
    migrating_twice_changes_nothing,
    a_table_that_was_there_already_is_adopted,
    settings_are_checked_once_and_before_anything_is_asked_of_the_database,
    no_secret_is_in_the_error_of_a_refused_create,
    a_pruner_survives_a_table_that_is_missing_until_it_is_back,
    a_pruner_survives_a_database_that_does_not_answer_until_it_does,
    any_number_of_pruners_may_run_and_each_row_is_deleted_once,
    deleting_a_session_that_is_gone_says_that_nothing_was_deleted,
    a_field_that_does_not_exist_is_an_error_that_names_it,
}
