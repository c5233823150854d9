//! How much a storm of requests writes of when its sessions were last used.

use std::time::{Duration, Instant};

use cloakroom::{Cache, Seen, Sessions, Token};
use cloakroom_testing::{Kind, TestDatabase, each_database, patience};
use futures_util::future::join_all;

use crate::seen::{Device, device};
use crate::statements::Watched;

const SESSIONS: usize = 1_000;

/// In a second.
const REQUESTS: usize = 20_000;

const SECONDS: usize = 5;

/// The requests between two steps of the test's clock. However quick the database is, no more statements are due than
/// there are steps.
const AT_ONCE: usize = 1_000;

/// A table of its own name, in which each row that an UPDATE writes is counted.
async fn counted(db: &TestDatabase, config: cloakroom::ConfigBuilder) -> Watched<Device> {
    let watched = Watched::<Device>::on(db, db.database(), config).await;
    let table = &watched.table;
    let integer = if db.kind() == Kind::Sqlite { "integer" } else { "bigint" };
    db.execute_anew(&format!("CREATE TABLE counted_rows (number {integer})")).await;
    let insert = "INSERT INTO counted_rows VALUES (1)";
    let trigger = match db.kind() {
        Kind::Sqlite => format!("CREATE TRIGGER counts AFTER UPDATE ON {table} BEGIN {insert}; END"),
        Kind::MariaDb => format!("CREATE TRIGGER counts AFTER UPDATE ON {table} FOR EACH ROW {insert}"),
        Kind::Postgres => format!(
            "CREATE FUNCTION count_row() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN {insert}; RETURN NULL; END $$; \
             CREATE TRIGGER counts AFTER UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION count_row()"
        ),
    };
    db.execute_anew(&trigger).await;
    watched
}

/// Requests that use one session after another, for a second of the test's clock. Each of them must be answered.
async fn storm(db: &TestDatabase, sessions: &Sessions<Device>, tokens: &[Token]) {
    let pause = Duration::from_secs(1) * u32::try_from(AT_ONCE).unwrap() / u32::try_from(REQUESTS).unwrap();
    let mut next = tokens.iter().cycle();
    for _ in 0..REQUESTS / AT_ONCE {
        let requests: Vec<_> =
            next.by_ref().take(AT_ONCE).map(|token| sessions.authenticate(token)).collect();
        for answer in join_all(requests).await {
            assert!(answer.unwrap().is_some());
        }
        db.clock().advance(pause);
    }
}

async fn rows_written(db: &TestDatabase) -> usize {
    db.texts("SELECT 'one' FROM counted_rows").await.len()
}

/// Waits until this many rows were written: the test's clock does not wait for the database.
async fn until_written(db: &TestDatabase, rows: usize) {
    let begun = Instant::now();
    while rows_written(db).await < rows {
        assert!(begun.elapsed() < patience(), "it is never written");
    }
}

async fn a_storm_writes_each_session_once_in_the_span_and_few_statements(db: TestDatabase) {
    // What a cache answers is seen too, and takes no statements that would have to be told from these.
    let cache = Cache::new(4 * SESSIONS).listen(false).max_staleness(Duration::from_hours(1));
    let watched = counted(&db, db.config().cache(cache).record_seen(Duration::from_secs(1))).await;
    let sessions = &watched.sessions;
    let new = (0..SESSIONS).map(|number| sessions.create(device(&number.to_string())));
    let created: Vec<_> = join_all(new).await.into_iter().map(Result::unwrap).collect();
    let tokens: Vec<_> = created.iter().map(|created| created.token.clone()).collect();
    let begun = db.now();
    let statements = watched.statements(async {
        for second in 0..SECONDS {
            storm(&db, sessions, &tokens).await;
            // What was noted in the second before was due when this one began.
            until_written(&db, second * SESSIONS).await;
        }
        sessions.close().await.unwrap();
    });
    let statements = statements.await;
    let writes = statements.iter().filter(|sql| sql.contains("UPDATE") && sql.contains("used_at")).count();
    let rows = rows_written(&db).await;
    // The last write is that of `close`.
    assert!(writes <= 20 * (SECONDS + 1), "{writes} statements");
    assert!(rows <= SESSIONS * (SECONDS + 1), "{rows} rows");
    // Nothing was lost: each row says of the last of its session's requests.
    let rows = sessions.query().fetch_all().await.unwrap();
    let last = begun + Duration::from_secs(SECONDS.try_into().unwrap());
    let round = Duration::from_secs(1) * u32::try_from(SESSIONS).unwrap() / u32::try_from(REQUESTS).unwrap();
    assert_eq!(rows.len(), SESSIONS);
    for row in &rows {
        assert!(row.last_seen().is_some_and(|seen| seen >= last - round && seen < last), "{row:?}");
        assert_eq!(row.updated_at, begun);
    }
    // A caller that read them before has no conflict.
    for created in created.into_iter().take(50) {
        sessions.update(&mut created.session.clone()).await.unwrap();
    }
}

const HELD: usize = 100;

async fn a_flush_waits_once_for_rows_that_one_transaction_holds(db: TestDatabase) {
    let config = db.config().record_seen(Duration::from_mins(1));
    let watched = Watched::<Device>::on(&db, db.database(), config).await;
    let sessions = &watched.sessions;
    for number in 0..HELD {
        let created = sessions.create(device(&number.to_string())).await.unwrap();
        sessions.seen(&created.session, Seen::new());
    }
    let select = format!("SELECT id FROM {} FOR UPDATE", watched.table);
    let mut written = 0;
    macro_rules! flush_while_all_are_held {
        ($pool:expr) => {{
            let mut holder = $pool.begin().await.unwrap();
            sqlx::query(sqlx::AssertSqlSafe(select.as_str())).execute(&mut *holder).await.unwrap();
            let mut flush = Box::pin(sessions.flush_seen());
            let early = tokio::time::timeout(Duration::from_millis(500), &mut flush).await;
            assert!(early.is_err(), "{early:?}");
            holder.rollback().await.unwrap();
            written = flush.await.unwrap();
        }};
    }
    let statements = watched.statements(async {
        match db.kind() {
            Kind::Sqlite => unreachable!("it locks the file"),
            Kind::Postgres => flush_while_all_are_held!(db.postgres_pool()),
            Kind::MariaDb => flush_while_all_are_held!(db.mariadb_pool()),
        }
    });
    let statements = statements.await;
    let writes = statements.iter().filter(|sql| sql.contains("UPDATE") && sql.contains("used_at")).count();
    assert_eq!(written, HELD as u64);
    // MariaDB fails for the first row that is locked, so that it is found by halves which are not.
    let to_find_them = if db.kind() == Kind::Postgres { 2 } else { 2 * HELD };
    assert!(writes <= to_find_them + 3, "{writes} statements");
}

mod on_a_server {
    mod postgres {
        cloakroom_testing::each_case!(
            Postgres,
            Coalesced,
            super::super,
            a_flush_waits_once_for_rows_that_one_transaction_holds
        );
    }

    mod mariadb {
        cloakroom_testing::each_case!(
            MariaDb,
            Coalesced,
            super::super,
            a_flush_waits_once_for_rows_that_one_transaction_holds
        );
    }
}

each_database! {
    a_storm_writes_each_session_once_in_the_span_and_few_statements,
}
