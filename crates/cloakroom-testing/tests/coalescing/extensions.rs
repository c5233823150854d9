use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cloakroom::{Clock, Config, CreatedSession, Database, ManualClock, Session, Sessions, Status};
use cloakroom_testing::{Kind, START, TestDatabase, UserSession, coalesced, hold_connections, user};
use futures_util::future::try_join_all;
use sqlx::{AssertSqlSafe, Executor};
use time::OffsetDateTime;
use tokio::task::JoinHandle;

use crate::statements::Watched;
use crate::{all, begin, locks, pool, soon};

const DAY: Duration = Duration::from_hours(24);

type Created = CreatedSession<UserSession>;

/// Sessions that are due to be extended.
async fn due(db: &TestDatabase, sessions: &Sessions<UserSession>, count: usize) -> Vec<Created> {
    let mut created = Vec::new();
    for n in 0..count {
        created.push(sessions.create(user(&n.to_string())).await.unwrap());
        // No two rows are alike.
        db.clock().advance(Duration::from_micros(1));
    }
    db.clock().advance(2 * DAY);
    created
}

fn ask(sessions: &Sessions<UserSession>, one: &Created) -> JoinHandle<Option<Session<UserSession>>> {
    let (sessions, token) = (sessions.clone(), one.token.clone());
    begin(async move { sessions.authenticate(&token).await.unwrap() })
}

async fn row(sessions: &Sessions<UserSession>, one: &Session<UserSession>) -> Session<UserSession> {
    sessions.query().id(one.id).status(Status::All).fetch_all().await.unwrap().remove(0)
}

/// A clock that counts how often it is looked at: three times by a caller, up to its extension, and once by each
/// statement.
#[derive(Debug)]
struct Counting {
    clock: ManualClock,
    looks: AtomicUsize,
}

impl Clock for Counting {
    fn now(&self) -> OffsetDateTime {
        self.looks.fetch_add(1, Ordering::Relaxed);
        self.clock.now()
    }
}

/// What keeps writers out of a table, and what lets them in again.
fn lock(kind: Kind, table: &str) -> (String, &'static str) {
    match kind {
        Kind::Sqlite => ("BEGIN IMMEDIATE".to_owned(), "ROLLBACK"),
        Kind::Postgres => (format!("BEGIN; LOCK TABLE {table} IN SHARE MODE"), "ROLLBACK"),
        Kind::MariaDb => (format!("LOCK TABLES {table} READ"), "UNLOCK TABLES"),
    }
}

async fn many_sessions_are_extended_in_few_statements(db: TestDatabase) {
    const CALLERS: usize = 70;
    let counting = Arc::new(Counting { clock: ManualClock::new(START), looks: AtomicUsize::new(0) });
    let config = db.config().clock(Arc::clone(&counting) as Arc<dyn Clock>);
    let watched = Watched::<UserSession>::on(&db, pool::of(&db, 3).await, config).await;
    let sessions = &watched.sessions;
    let new = (0..CALLERS).map(|n| sessions.create(user(&n.to_string())));
    let created = try_join_all(new).await.unwrap();
    counting.clock.advance(2 * DAY);
    let mut answers = Vec::new();
    let statements = watched.statements(async {
        let (shut, open) = lock(db.kind(), &watched.table);
        let before = counting.looks.load(Ordering::Relaxed);
        macro_rules! ask_while_no_row_can_be_written {
            ($pool:expr) => {{
                let mut writer = $pool.acquire().await.unwrap();
                writer.execute(AssertSqlSafe(shut)).await.unwrap();
                let asked: Vec<_> = created.iter().map(|one| ask(sessions, one)).collect();
                let all_are_due = async {
                    while counting.looks.load(Ordering::Relaxed) <= before + 3 * CALLERS {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                };
                soon(all_are_due).await;
                writer.execute(open).await.unwrap();
                answers = all(asked).await;
            }};
        }
        match db.kind() {
            Kind::Sqlite => ask_while_no_row_can_be_written!(db.sqlite_pool()),
            Kind::Postgres => ask_while_no_row_can_be_written!(db.postgres_pool()),
            Kind::MariaDb => ask_while_no_row_can_be_written!(db.mariadb_pool()),
        }
    });
    let statements = statements.await;
    let updates = statements.iter().filter(|sql| sql.contains("UPDATE ")).count();
    assert!((3..=12).contains(&updates), "{updates} of {} statements are updates", statements.len());
    let now = sessions.config().now();
    for (one, answer) in created.iter().zip(answers) {
        let answer = answer.unwrap();
        assert_eq!(answer.expires_at, Some(now + 7 * DAY));
        assert_eq!(answer.updated_at, now);
        assert_eq!(row(sessions, &one.session).await, answer);
    }
}

async fn a_session_that_many_present_is_extended_once(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    for one in due(&db, &sessions, 10).await {
        let asked: Vec<_> = (0..30)
            .map(|_| {
                let (sessions, token) = (sessions.clone(), one.token.clone());
                tokio::spawn(async move { sessions.authenticate(&token).await.unwrap().unwrap() })
            })
            .collect();
        let answers = all(asked).await;
        let row = row(&sessions, &one.session).await;
        assert_eq!(row.expires_at, Some(sessions.config().now() + 7 * DAY));
        // A second write would have had to move it past the instant.
        assert_eq!(row.updated_at, sessions.config().now());
        for answer in answers {
            assert_eq!(answer, row);
        }
    }
}

async fn what_ends_between_the_read_and_the_extension_stays_ended(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    for _ in 0..3 {
        let created = due(&db, &sessions, 40).await;
        let mut asked = Vec::new();
        for (n, one) in created.iter().enumerate() {
            for caller in 0..4 {
                let (sessions, one) = (sessions.clone(), one.clone());
                asked.push(tokio::spawn(async move {
                    if caller == 2 && n % 2 == 0 {
                        sessions.expire(&mut one.session.clone()).await.map(drop)
                    } else if caller == 2 {
                        sessions.query().id(one.session.id).expire_all().await.map(drop)
                    } else {
                        sessions.authenticate(&one.token).await.map(drop)
                    }
                }));
            }
        }
        for answer in all(asked).await {
            answer.unwrap();
        }
        let now = sessions.config().now();
        for one in created {
            assert!(!row(&sessions, &one.session).await.is_valid(now));
            assert_eq!(sessions.authenticate(&one.token).await.unwrap(), None);
        }
    }
}

/// A row that no update may touch, as when a trigger guards it.
async fn a_row_that_cannot_be_extended_keeps_no_other_from_it(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let created = due(&db, &sessions, 40).await;
    let bad = "7";
    let trigger = match db.kind() {
        Kind::Sqlite => format!(
            "CREATE TRIGGER frozen BEFORE UPDATE ON sessions WHEN OLD.user_id = '{bad}' \
             BEGIN SELECT RAISE(ABORT, 'this user is frozen'); END"
        ),
        Kind::Postgres => format!(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION 'this user is frozen'; END $$; \
             CREATE TRIGGER frozen BEFORE UPDATE ON sessions FOR EACH ROW \
             WHEN (OLD.user_id = '{bad}') EXECUTE FUNCTION refuse()"
        ),
        Kind::MariaDb => format!(
            "CREATE TRIGGER frozen BEFORE UPDATE ON sessions FOR EACH ROW IF OLD.user_id = '{bad}' THEN \
             SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'this user is frozen'; END IF"
        ),
    };
    db.execute(&trigger).await;
    let config: Config = db.config().build().unwrap();
    let sessions = Sessions::<UserSession>::new(pool::of(&db, 1).await, config).unwrap();
    let held = hold_connections(sessions.database()).await;
    let asked: Vec<_> = created.iter().map(|one| ask(&sessions, one)).collect();
    drop(held);
    let answers = all(asked).await;
    for (one, answer) in created.iter().zip(answers) {
        let answer = answer.expect("the session is valid, extended or not");
        assert_eq!(row(&sessions, &one.session).await, answer);
        let is_extended = answer.expires_at == Some(sessions.config().now() + 7 * DAY);
        assert_eq!(is_extended, answer.fields.user_id != bad, "{answer:?}");
    }
    sessions.database().close().await;
}

/// Of two that are due, one is being extended, and the other waits for its turn longer than it has to live.
/// The sessions of a process that lets them live for a day, so that others extend them at once.
fn of_a_day(db: &TestDatabase, counting: &Arc<Counting>) -> Sessions<UserSession> {
    let config =
        db.config().clock(Arc::clone(counting) as Arc<dyn Clock>).ttl(DAY).extend_after(Duration::ZERO);
    Sessions::new(db.database(), config.build().unwrap()).unwrap()
}

async fn a_session_that_runs_out_while_its_extension_waits_is_not_brought_back(db: TestDatabase) {
    let counting = Arc::new(Counting { clock: ManualClock::new(START), looks: AtomicUsize::new(0) });
    let config = db.config().clock(Arc::clone(&counting) as Arc<dyn Clock>).build().unwrap();
    let table = db.sessions::<UserSession>().await.definition().table_name().to_owned();
    let sessions = &Sessions::<UserSession>::new(pool::of(&db, 4).await, config).unwrap();
    let long = sessions.create(user("long")).await.unwrap();
    counting.clock.advance(5 * DAY);
    let short = of_a_day(&db, &counting).create(user("short")).await.unwrap();
    let before = counting.looks.load(Ordering::Relaxed);
    let (shut, open) = if db.kind() == Kind::MariaDb {
        // Whoever waits for a table there keeps its readers out.
        db.execute(
            "CREATE TRIGGER held BEFORE UPDATE ON sessions FOR EACH ROW \
             BEGIN DO GET_LOCK(SHA2(DATABASE(), 256), 60); DO RELEASE_LOCK(SHA2(DATABASE(), 256)); END",
        )
        .await;
        ("DO GET_LOCK(SHA2(DATABASE(), 256), 60)".to_owned(), "DO RELEASE_LOCK(SHA2(DATABASE(), 256))")
    } else {
        lock(db.kind(), &table)
    };
    macro_rules! ask_while_no_row_can_be_written {
        ($pool:expr) => {{
            let mut writer = $pool.acquire().await.unwrap();
            writer.execute(AssertSqlSafe(shut)).await.unwrap();
            let looked = async |times| {
                while counting.looks.load(Ordering::Relaxed) < before + times {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            let first = ask(sessions, &long);
            // Each looks four times, lookup and all, before its extension.
            soon(looked(5)).await;
            let second = ask(sessions, &short);
            soon(looked(9)).await;
            counting.clock.advance(DAY);
            writer.execute(open).await.unwrap();
            all(vec![first, second]).await
        }};
    }
    let answers = match db.kind() {
        Kind::Sqlite => ask_while_no_row_can_be_written!(db.sqlite_pool()),
        Kind::Postgres => ask_while_no_row_can_be_written!(db.postgres_pool()),
        Kind::MariaDb => ask_while_no_row_can_be_written!(db.mariadb_pool()),
    };
    assert!(answers[0].is_some());
    assert_eq!(answers[1], None);
    assert_eq!(row(sessions, &short.session).await, short.session);
    sessions.database().close().await;
}

/// Its extension waits for a lock for longer than the session has to live, and is not written in the end.
async fn a_session_that_runs_out_while_its_extension_fails_is_not_valid(db: TestDatabase) {
    let counting = Arc::new(Counting { clock: ManualClock::new(START), looks: AtomicUsize::new(0) });
    let config = db.config().clock(Arc::clone(&counting) as Arc<dyn Clock>).build().unwrap();
    db.sessions::<UserSession>().await;
    let sessions = &Sessions::<UserSession>::new(locks::impatient(&db, 4).await, config).unwrap();
    let short = of_a_day(&db, &counting).create(user("short")).await.unwrap();
    let before = counting.looks.load(Ordering::Relaxed);
    let (shut, open) = lock(db.kind(), "sessions");
    macro_rules! ask_while_no_row_can_be_written {
        ($pool:expr) => {{
            let mut writer = $pool.acquire().await.unwrap();
            writer.execute(AssertSqlSafe(shut)).await.unwrap();
            let asked = ask(sessions, &short);
            let is_read = async {
                while counting.looks.load(Ordering::Relaxed) < before + 4 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            soon(is_read).await;
            counting.clock.advance(DAY);
            let answer = all(vec![asked]).await.remove(0);
            writer.execute(open).await.unwrap();
            answer
        }};
    }
    let answer = match db.kind() {
        Kind::Sqlite => ask_while_no_row_can_be_written!(db.sqlite_pool()),
        Kind::Postgres => ask_while_no_row_can_be_written!(db.postgres_pool()),
        Kind::MariaDb => ask_while_no_row_can_be_written!(db.mariadb_pool()),
    };
    assert_eq!(answer, None);
    assert_eq!(row(sessions, &short.session).await, short.session);
    sessions.database().close().await;
}

coalesced! {
    a_session_that_runs_out_while_its_extension_waits_is_not_brought_back,
    a_session_that_runs_out_while_its_extension_fails_is_not_valid,
    many_sessions_are_extended_in_few_statements,
    a_session_that_many_present_is_extended_once,
    what_ends_between_the_read_and_the_extension_stays_ended,
    a_row_that_cannot_be_extended_keeps_no_other_from_it,
}

mod only_mariadb {
    use cloakroom_testing::run;

    use super::*;

    /// The server gives up the whole statement then, at once.
    async fn a_row_that_somebody_writes_holds_nobody_up(db: TestDatabase) {
        let sessions = db.sessions::<UserSession>().await;
        let created = due(&db, &sessions, 12).await;
        let mut other = db.mariadb_pool().begin().await.unwrap();
        other.execute("SELECT 1 FROM sessions WHERE user_id = '7' FOR UPDATE").await.unwrap();
        let config: Config = db.config().build().unwrap();
        let sessions = Sessions::<UserSession>::new(pool::of(&db, 1).await, config).unwrap();
        let Database::MySql(pool) = sessions.database() else { unreachable!("it is MariaDB") };
        let mut held = pool.acquire().await.unwrap();
        // MySQL cannot help waiting, and then each goes alone.
        let patience = if db.is_mysql() { 1 } else { 1000 };
        let setting = format!("SET SESSION innodb_lock_wait_timeout = {patience}");
        held.execute(AssertSqlSafe(setting)).await.unwrap();
        let asked: Vec<_> = created.iter().map(|one| ask(&sessions, one)).collect();
        drop(held);
        let answers = all(asked).await;
        other.rollback().await.unwrap();
        for answer in answers {
            let answer = answer.expect("the session is valid, extended or not");
            let is_extended = answer.expires_at == Some(sessions.config().now() + 7 * DAY);
            if db.is_mysql() {
                // Meanwhile a read may have waited for its turn for as long as a read does.
                assert!(!is_extended || answer.fields.user_id != "7", "{answer:?}");
            } else {
                assert_eq!(is_extended, answer.fields.user_id != "7", "{answer:?}");
            }
        }
        sessions.database().close().await;
    }

    #[test]
    #[cfg_attr(not(feature = "servers"), ignore = "MariaDB: run `cargo xtask test`")]
    fn a_row_that_somebody_writes_holds_up_nobody() {
        run(Kind::MariaDb, a_row_that_somebody_writes_holds_nobody_up);
    }
}

mod only_postgres {
    use cloakroom_testing::run;

    use super::*;

    /// Asks for all while another transaction has a lock on one of the rows.
    async fn with_a_lock(db: &TestDatabase, lock: &str) -> Vec<(Created, Session<UserSession>)> {
        let sessions = db.sessions::<UserSession>().await;
        let created = due(db, &sessions, 20).await;
        let mut other = db.postgres_pool().begin().await.unwrap();
        let lock = format!("SELECT 1 FROM sessions WHERE user_id = '7' {lock}");
        other.execute(AssertSqlSafe(lock)).await.unwrap();
        let asked: Vec<_> = created.iter().map(|one| ask(&sessions, one)).collect();
        let answers = all(asked).await;
        other.rollback().await.unwrap();
        let mut read = Vec::new();
        for (one, answer) in created.into_iter().zip(answers) {
            let answer = answer.unwrap();
            assert_eq!(row(&sessions, &one.session).await, answer);
            read.push((one, answer));
        }
        read
    }

    async fn a_row_that_somebody_writes_holds_nobody_up(db: TestDatabase) {
        for (one, answer) in with_a_lock(&db, "FOR UPDATE").await {
            let is_extended = answer != one.session;
            assert_eq!(is_extended, answer.fields.user_id != "7");
        }
    }

    /// Whoever inserts a row that refers to a session has such a lock on it.
    async fn a_row_that_somebody_refers_to_is_extended(db: TestDatabase) {
        for (one, answer) in with_a_lock(&db, "FOR KEY SHARE").await {
            assert_ne!(answer, one.session);
        }
    }

    #[test]
    #[cfg_attr(not(feature = "servers"), ignore = "PostgreSQL: run `cargo xtask test`")]
    fn a_row_that_somebody_writes_holds_up_nobody() {
        run(Kind::Postgres, a_row_that_somebody_writes_holds_nobody_up);
    }

    #[test]
    #[cfg_attr(not(feature = "servers"), ignore = "PostgreSQL: run `cargo xtask test`")]
    fn a_row_that_somebody_refers_to_is_extended_all_the_same() {
        run(Kind::Postgres, a_row_that_somebody_refers_to_is_extended);
    }
}
