//! Lookups on SQLite that go past the pool: when they do, when they do not, and what they must not hold up.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cloakroom::{CreatedSession, Database, ErrorKind, ManualClock, Session, SessionTable, Sessions};
use cloakroom_testing::{ApiKey, Role, TestDatabase, UserSession, at_once, hold_connections, patience, user};
use futures_util::future::join_all;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, SqlitePool};

/// Sessions, and one of them, whose lookups have begun to go past the pool.
pub(crate) async fn begun(db: &TestDatabase) -> (Sessions<UserSession>, CreatedSession<UserSession>) {
    let sessions = db.sessions::<UserSession>().await;
    let created = sessions.create(user("frieda")).await.unwrap();
    begin(&sessions, &created).await;
    (sessions, created)
}

/// Looks a session up until that goes past the pool.
pub(crate) async fn begin<T: SessionTable>(sessions: &Sessions<T>, created: &CreatedSession<T>)
where
    Session<T>: PartialEq + Debug,
{
    let until = Instant::now() + patience();
    loop {
        let found = sessions.authenticate(&created.token).await.unwrap();
        assert_eq!(found.as_ref(), Some(&created.session));
        if goes_past_the_pool(sessions, created).await {
            return;
        }
        assert!(Instant::now() < until, "every lookup asks the pool");
        // A slow machine makes reads slow, after which the pool is asked for a while.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Returns `true` if a lookup is answered while all connections of the pool are held.
async fn goes_past_the_pool<T: SessionTable>(sessions: &Sessions<T>, created: &CreatedSession<T>) -> bool
where
    Session<T>: PartialEq + Debug,
{
    let _held = hold_connections(sessions.database()).await;
    match at_once(sessions.authenticate(&created.token)) {
        Some(found) => {
            assert_eq!(found.unwrap().as_ref(), Some(&created.session));
            true
        }
        None => false,
    }
}

async fn a_lookup_needs_no_connection_of_the_pool(db: TestDatabase) {
    let (sessions, created) = begun(&db).await;
    let off = db.config().direct_reads(false).build().unwrap();
    let by_pool = Sessions::<UserSession>::new(db.database(), off).unwrap();
    for _ in 0..3 {
        assert!(!goes_past_the_pool(&by_pool, &created).await);
        by_pool.authenticate(&created.token).await.unwrap().unwrap();
    }
    drop(sessions);
}

/// They keep the only connection that the pool has opened warm, so that it is never idle.
async fn lookups_without_a_pause_between_them_begin_too(db: TestDatabase) {
    let created = db.sessions::<UserSession>().await.create(user("frieda")).await.unwrap();
    let pool = SqlitePoolOptions::new().max_connections(4).connect(db.url()).await.unwrap();
    let sessions = Sessions::<UserSession>::new(pool.clone(), db.config().build().unwrap()).unwrap();
    let until = Instant::now() + Duration::from_millis(20);
    while Instant::now() < until {
        assert!(sessions.authenticate(&created.token).await.unwrap().is_some());
    }
    assert!(pool.size() > 1, "the pool was not asked for another connection");
    begin(&sessions, &created).await;
    pool.close().await;
}

async fn what_was_committed_before_is_seen(db: TestDatabase) {
    let (sessions, _) = begun(&db).await;
    let other = Database::connect(db.url()).await.unwrap();
    let elsewhere = Sessions::<UserSession>::new(other, db.config().build().unwrap()).unwrap();
    for number in 0..300 {
        let mut created = elsewhere.create(user(&number.to_string())).await.unwrap();
        assert_eq!(sessions.authenticate(&created.token).await.unwrap().as_ref(), Some(&created.session));
        if number % 2 == 0 {
            assert!(elsewhere.expire(&mut created.session).await.unwrap());
        } else {
            assert!(elsewhere.delete(created.session).await.unwrap());
        }
        assert_eq!(sessions.authenticate(&created.token).await.unwrap(), None);
    }
    elsewhere.database().close().await;
}

async fn a_session_is_extended_and_expires_as_by_the_pool(db: TestDatabase) {
    let (sessions, created) = begun(&db).await;
    db.clock().advance(Duration::from_hours(24 * 3));
    let extended = sessions.authenticate(&created.token).await.unwrap().unwrap();
    assert!(extended.expires_at > created.session.expires_at);
    db.clock().advance(Duration::from_hours(24 * 7) - Duration::from_micros(1));
    assert!(sessions.authenticate_without_extending(&created.token).await.unwrap().is_some());
    db.clock().advance(Duration::from_micros(1));
    assert!(sessions.authenticate(&created.token).await.unwrap().is_none());
}

async fn ending_all_ends_what_is_valid_only_by_a_clock_behind(db: TestDatabase) {
    let (sessions, lapsed) = begun(&db).await;
    let behind = Arc::new(ManualClock::new(sessions.config().now()));
    let behind =
        Sessions::<UserSession>::new(db.database(), db.config().clock(behind).build().unwrap()).unwrap();
    db.clock().advance(Duration::from_hours(24 * 7));
    let valid = sessions.create(user("frieda")).await.unwrap();
    assert!(behind.authenticate_without_extending(&lapsed.token).await.unwrap().is_some());
    for ended in [1, 0] {
        assert_eq!(sessions.query().expire_all().await.unwrap(), ended);
        for token in [&lapsed.token, &valid.token] {
            assert!(behind.authenticate_without_extending(token).await.unwrap().is_none());
        }
    }
}

async fn an_open_transaction_of_a_writer_holds_nothing_up(db: TestDatabase) {
    let (sessions, created) = begun(&db).await;
    let other = SqlitePool::connect(db.url()).await.unwrap();
    let mut writer = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    sqlx::query("DELETE FROM sessions").execute(&mut *writer).await.unwrap();
    begin(&sessions, &created).await;
    writer.commit().await.unwrap();
    other.close().await;
    assert!(sessions.authenticate(&created.token).await.unwrap().is_none());
}

async fn no_checkpoint_is_held_up(db: TestDatabase) {
    let (sessions, created) = begun(&db).await;
    begin(&sessions, &created).await;
    assert!(checkpoint(db.sqlite_pool()).await, "the log is written back, and empty");
}

/// Writes all of the log back and empties it. Returns `false` if a connection is in the way.
async fn checkpoint(pool: &SqlitePool) -> bool {
    let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
    let (busy, log, _): (i64, i64, i64) = sqlx::query_as(checkpoint).fetch_one(pool).await.unwrap();
    (busy, log) == (0, 0)
}

async fn no_connection_stays_open_when_the_pool_is_closed(db: TestDatabase) {
    let (sessions, created) = begun(&db).await;
    begin(&sessions, &created).await;
    sessions.database().close().await;
    let until = Instant::now() + patience();
    while !can_leave_wal_mode(&path_of(&db)).await {
        assert!(Instant::now() < until, "a connection stays open");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let error = sessions.authenticate(&created.token).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
}

/// Leaves it, and returns `true`, if no other connection to the file is open.
async fn can_leave_wal_mode(path: &Path) -> bool {
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(Duration::ZERO);
    let alone = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let mode: Result<(String,), _> = sqlx::query_as("PRAGMA journal_mode = DELETE").fetch_one(&alone).await;
    alone.close().await;
    mode.is_ok_and(|(mode,)| mode == "delete")
}

async fn another_file_at_the_path_is_noticed(db: TestDatabase) {
    let (sessions, created) = begun(&db).await;
    let path = path_of(&db);
    let held = hold_connections(sessions.database()).await;
    std::fs::rename(&path, path.with_extension("old")).unwrap();
    let until = Instant::now() + patience();
    while at_once(sessions.authenticate(&created.token)).is_some() {
        assert!(Instant::now() < until, "the old file is still read");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(held);
    // The pool's connections know the old file alone.
    assert_eq!(sessions.authenticate(&created.token).await.unwrap(), Some(created.session));
}

async fn a_table_that_is_gone_is_reported_as_ever(db: TestDatabase) {
    let (sessions, created) = begun(&db).await;
    db.execute_anew("DROP TABLE sessions").await;
    let error = sessions.authenticate(&created.token).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MissingTable, "{error:?}");
    sessions.migrate().await.unwrap();
    assert_eq!(sessions.authenticate(&created.token).await.unwrap(), None);
}

async fn values_that_this_library_does_not_write_are_read_as_by_the_pool(db: TestDatabase) {
    let (sessions, created) = begun(&db).await;
    let off = db.config().direct_reads(false).build().unwrap();
    let by_pool = Sessions::<UserSession>::new(db.database(), off).unwrap();
    // Tables that take any value.
    db.execute(
        "CREATE TABLE kept AS SELECT * FROM sessions; CREATE TABLE lax AS SELECT * FROM sessions; \
         DROP TABLE sessions; ALTER TABLE lax RENAME TO sessions",
    )
    .await;
    begin(&sessions, &created).await;
    for change in [
        "user_id = x'66'",
        "data = x'7b7d'",
        "data = 'no JSON'",
        "inserted_at = '2026-11-23 01:48:09'",
        "expires_at = '2026-12-23 01:48:09.5'",
        "expires_at = 'never'",
        "updated_at = 5",
        "expires_at = NULL",
        "id = 'text'",
        "id = x'00'",
        "sliding_seconds = 'x'",
    ] {
        db.execute(&format!("UPDATE sessions SET {change}")).await;
        let (one, other) =
            (sessions.authenticate(&created.token).await, by_pool.authenticate(&created.token).await);
        match (one, other) {
            (Ok(one), Ok(other)) => assert_eq!(one, other, "{change}"),
            (Err(one), Err(other)) => assert_eq!(one.to_string(), other.to_string(), "{change}"),
            (one, other) => panic!("{change}: {one:?}, and by the pool {other:?}"),
        }
        db.execute("DELETE FROM sessions; INSERT INTO sessions SELECT * FROM kept").await;
        begin(&sessions, &created).await;
    }
}

/// Fields of every type that is read without the driver.
#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "typed")]
struct Typed {
    text: String,
    long: i64,
    int: i32,
    short: i16,
    byte: i8,
    flag: bool,
    float: f64,
    bytes: Vec<u8>,
    uuid: uuid::Uuid,
    instant: time::OffsetDateTime,
    json: serde_json::Value,
    no_text: Option<String>,
    no_instant: Option<time::OffsetDateTime>,
    maybe: Option<i64>,
}

async fn every_type_is_read_as_by_the_pool(db: TestDatabase) {
    let sessions = db.sessions::<Typed>().await;
    let fields = Typed {
        text: "späte Züge".into(),
        long: i64::MIN,
        int: i32::MAX,
        short: -1,
        byte: i8::MIN,
        flag: true,
        float: -0.1,
        bytes: vec![0, 255],
        uuid: uuid::Uuid::now_v7(),
        instant: db.now(),
        json: serde_json::json!({ "a": [1, null, "x"] }),
        no_text: None,
        no_instant: None,
        maybe: Some(7),
    };
    let created = sessions.create(cloakroom::NewSession::new(fields.clone())).await.unwrap();
    assert_eq!(created.session.fields, fields);
    begin(&sessions, &created).await;
}

async fn a_field_of_an_own_type_is_read_by_the_pool(db: TestDatabase) {
    let sessions = db.sessions::<ApiKey>().await;
    let fields = ApiKey { user_id: "frieda".into(), role: Role::Admin, quota: None };
    let created = sessions.create(cloakroom::NewSession::new(fields)).await.unwrap();
    for _ in 0..3 {
        assert_eq!(sessions.authenticate(&created.token).await.unwrap().as_ref(), Some(&created.session));
    }
    assert!(!goes_past_the_pool(&sessions, &created).await);
}

async fn an_odd_database_is_read_by_the_pool(db: TestDatabase) {
    let file = |name: &str| {
        let path = path_of(&db).with_file_name(name);
        SqliteConnectOptions::new().filename(path).create_if_missing(true)
    };
    let with_hook = async |options: SqliteConnectOptions, hook: &'static str| {
        SqlitePoolOptions::new()
            .max_connections(2)
            .after_connect(move |connection, _| {
                Box::pin(
                    async move { sqlx::raw_sql(AssertSqlSafe(hook)).execute(connection).await.map(drop) },
                )
            })
            .connect_with(options)
            .await
            .unwrap()
    };
    let wal = |name| file(name).journal_mode(SqliteJournalMode::Wal);
    let pools: [(&str, SqlitePool); 5] = [
        ("a journal", with_hook(file("journal"), "").await),
        ("a shared cache", with_hook(wal("shared").shared_cache(true), "").await),
        ("attached", with_hook(wal("attached"), "ATTACH ':memory:' AS other").await),
        ("temporary", with_hook(wal("temporary"), "CREATE TEMP TABLE odd (a)").await),
        ("in memory", SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap()),
    ];
    for (what, pool) in pools {
        let sessions = Sessions::<UserSession>::new(pool, db.config().build().unwrap()).unwrap();
        sessions.migrate().await.unwrap();
        let created = sessions.create(user("frieda")).await.unwrap();
        for _ in 0..3 {
            let found = sessions.authenticate(&created.token).await.unwrap();
            assert_eq!(found.as_ref(), Some(&created.session), "{what}");
            assert!(!goes_past_the_pool(&sessions, &created).await, "{what}");
        }
        sessions.database().close().await;
    }
}

async fn an_application_that_locks_its_file_for_itself_keeps_it(db: TestDatabase) {
    let path = path_of(&db).with_file_name("exclusive");
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .locking_mode(SqliteLockingMode::Exclusive)
        .busy_timeout(Duration::ZERO);
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let sessions = Sessions::<UserSession>::new(pool.clone(), db.config().build().unwrap()).unwrap();
    sessions.migrate().await.unwrap();
    let created = sessions.create(user("frieda")).await.unwrap();
    for _ in 0..3 {
        assert!(!goes_past_the_pool(&sessions, &created).await);
        assert!(sessions.authenticate(&created.token).await.unwrap().is_some());
        pool.acquire().await.unwrap().close().await.unwrap();
    }
    pool.close().await;
}

/// SQLite unmaps what another connection has cut off before it reads again; a read past the end of a file would end the
/// process.
async fn a_mapped_file_shrinks_and_grows_beside_lookups(db: TestDatabase) {
    let path = path_of(&db).with_file_name("mapped");
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .pragma("mmap_size", "67108864");
    let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await.unwrap();
    let sessions = Sessions::<UserSession>::new(pool.clone(), db.config().build().unwrap()).unwrap();
    sessions.migrate().await.unwrap();
    let kept = sessions.create(user("frieda")).await.unwrap();
    begin(&sessions, &kept).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let lookups: Vec<_> = (0..3)
        .map(|_| {
            let (sessions, is_over) = (sessions.clone(), Arc::clone(&is_over));
            let (token, session) = (kept.token.clone(), kept.session.clone());
            tokio::spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    assert_eq!(sessions.authenticate(&token).await.unwrap().as_ref(), Some(&session));
                }
            })
        })
        .collect();
    let length = || std::fs::metadata(&path).unwrap().len();
    for _ in 0..5 {
        let large = || user("george").data(serde_json::json!("a".repeat(20_000)));
        let created: Vec<_> = join_all((0..50).map(|_| sessions.create(large()))).await;
        let until = Instant::now() + patience();
        while !checkpoint(&pool).await {
            assert!(Instant::now() < until, "lookups hold a checkpoint up");
        }
        let grown = length();
        assert!(grown > 1_000_000, "{grown}");
        for created in created {
            let created = created.unwrap();
            assert_eq!(sessions.authenticate(&created.token).await.unwrap().as_ref(), Some(&created.session));
            assert!(sessions.delete(created.session).await.unwrap());
        }
        while length() >= grown / 2 {
            assert!(Instant::now() < until, "lookups keep the file from being cut off");
            sqlx::raw_sql("VACUUM").execute(&pool).await.unwrap();
            checkpoint(&pool).await;
        }
    }
    begin(&sessions, &kept).await;
    is_over.store(true, Ordering::Relaxed);
    for lookup in lookups {
        lookup.await.unwrap();
    }
    let until = Instant::now() + patience();
    while cfg!(target_os = "linux") && !is_mapped_past(&pool, &sessions, &kept).await {
        assert!(Instant::now() < until, "the file is not mapped past the pool");
    }
    pool.close().await;
}

/// Returns `true` if the file is mapped after a lookup, although the pool has no connection.
async fn is_mapped_past(
    pool: &SqlitePool,
    sessions: &Sessions<UserSession>,
    created: &CreatedSession<UserSession>,
) -> bool {
    while pool.size() > 0 {
        pool.acquire().await.unwrap().close().await.unwrap();
    }
    assert_eq!(sessions.authenticate(&created.token).await.unwrap().as_ref(), Some(&created.session));
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().any(|map| map.ends_with("/mapped")) && pool.size() == 0
}

async fn a_dropped_handle_leaves_nothing_open(db: TestDatabase) {
    let (sessions, created) = begun(&db).await;
    begin(&sessions, &created).await;
    drop(sessions);
    let pool = db.database();
    let path = path_of(&db);
    pool.close().await;
    assert!(can_leave_wal_mode(&path).await, "a connection stays open");
}

pub(crate) fn path_of(db: &TestDatabase) -> PathBuf {
    Path::new(db.sqlite_pool().connect_options().get_filename()).to_owned()
}

mod sqlite {
    cloakroom_testing::each_case!(
        Sqlite,
        Direct,
        super,
        a_lookup_needs_no_connection_of_the_pool,
        lookups_without_a_pause_between_them_begin_too,
        what_was_committed_before_is_seen,
        a_session_is_extended_and_expires_as_by_the_pool,
        ending_all_ends_what_is_valid_only_by_a_clock_behind,
        an_open_transaction_of_a_writer_holds_nothing_up,
        no_checkpoint_is_held_up,
        no_connection_stays_open_when_the_pool_is_closed,
        another_file_at_the_path_is_noticed,
        a_table_that_is_gone_is_reported_as_ever,
        values_that_this_library_does_not_write_are_read_as_by_the_pool,
        every_type_is_read_as_by_the_pool,
        a_field_of_an_own_type_is_read_by_the_pool,
        an_odd_database_is_read_by_the_pool,
        an_application_that_locks_its_file_for_itself_keeps_it,
        a_mapped_file_shrinks_and_grows_beside_lookups,
        a_dropped_handle_leaves_nothing_open
    );
}
