//! Statements about owners, last uses and the tables beside a session table read no table from end to end.

use std::time::Duration;

use cloakroom::{NewSession, PerOwner, Seen, SessionTable, Status};
use cloakroom_testing::{Kind, START, TestDatabase, each_database};
use time::OffsetDateTime;

use crate::explain::{bare, plan, scans};
use crate::rows::{self, Row};
use crate::statements::Watched;

const DAY: Duration = Duration::from_hours(24);
const ROWS: usize = 20_000;

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(exchange, rotation_grace, audit_log)]
struct Device {
    #[session(index, owner)]
    user_id: String,
    #[session(last_seen)]
    seen: Option<OffsetDateTime>,
}

fn device() -> NewSession<Device> {
    NewSession::new(Device { user_id: "user-77".into(), seen: None })
}

async fn large(db: &TestDatabase) -> Watched<Device> {
    let config = db.config().record_seen(Duration::from_mins(1)).audit_retention(DAY * 400);
    let watched = Watched::on(db, db.database(), config).await;
    let (table, kind) = (&watched.table, db.kind());
    rows::insert(db, table, ROWS, |number| Row {
        user_id: format!("'user-{}'", number % (ROWS / 10)),
        inserted_at: START - Duration::from_secs(number as u64),
        expires_at: Some(START + 10 * DAY),
    })
    .await;
    let columns = "token_digest, session_id, retired_at, usable_until";
    rows::insert_values(db, &format!("{table}_retired_tokens ({columns})"), ROWS, |number| {
        let instant = rows::instant(kind, START + Duration::from_secs(number as u64));
        // Its digest is no session's.
        let digest = rows::digest(ROWS + number);
        format!("'{digest}', {}, {instant}, {instant}", rows::uuid(kind, rows::id(number)))
    })
    .await;
    let columns = "id, recorded_at, event, session_id, owner, details";
    rows::insert_values(db, &format!("{table}_audit_log ({columns})"), ROWS, |number| {
        let (id, owner) = (rows::uuid(kind, rows::id(number)), number % (ROWS / 10));
        let instant = rows::instant(kind, START - Duration::from_secs(number as u64));
        format!("{id}, {instant}, 'created', {id}, 'user-{owner}', '{{}}'")
    })
    .await;
    for name in [table.clone(), format!("{table}_retired_tokens"), format!("{table}_audit_log")] {
        db.execute(&match kind {
            Kind::Sqlite => "ANALYZE".to_owned(),
            Kind::Postgres => {
                db.execute(&format!("ALTER TABLE {name} SET (autovacuum_enabled = off)")).await;
                format!("VACUUM ANALYZE {name}")
            }
            Kind::MariaDb => format!("ANALYZE TABLE {name}"),
        })
        .await;
    }
    watched
}

async fn reads_by_an_index(db: &TestDatabase, watched: &Watched<Device>, operation: impl Future) {
    let mut statements = watched.statements(operation).await;
    // An insert reads no row, and a lock of the whole file neither.
    let is_insert = |sql: &str| bare(sql).starts_with("INSERT");
    statements.retain(|sql| !is_insert(sql) && !sql.contains("pg_advisory") && !sql.contains("1 = 0"));
    assert!(!statements.is_empty(), "nothing was asked");
    for sql in statements {
        let plan = plan(db, &sql).await;
        assert!(!scans(db.kind(), &plan), "{sql}\n{plan}");
    }
}

async fn statements_about_owners_uses_and_tables_beside_read_by_an_index(db: TestDatabase) {
    let watched = large(&db).await;
    let sessions = &watched.sessions;
    let created = sessions.create(device()).await.unwrap();
    let exchanged = async || sessions.exchange(&created.token).await.unwrap().unwrap();
    reads_by_an_index(&db, &watched, exchanged()).await;
    // Again, from what is sealed.
    reads_by_an_index(&db, &watched, exchanged()).await;
    let mut key = sessions.create(device()).await.unwrap();
    let rotate = sessions.rotate_with_grace(&mut key.session, DAY);
    reads_by_an_index(&db, &watched, async { rotate.await.unwrap() }).await;
    // By an old key.
    let authenticate = async { sessions.authenticate(&key.token).await.unwrap().unwrap() };
    reads_by_an_index(&db, &watched, authenticate).await;
    reads_by_an_index(&db, &watched, async { sessions.retired_tokens(&key.session).await.unwrap() }).await;
    let limited = sessions.clone().with_limit(PerOwner::at_most(5)).unwrap();
    reads_by_an_index(&db, &watched, async { limited.create(device()).await.unwrap() }).await;
    reads_by_an_index(&db, &watched, async { sessions.query().owner("user-77").fetch_all().await.unwrap() })
        .await;
    sessions.seen(&key.session, Seen::new());
    reads_by_an_index(&db, &watched, async { sessions.flush_seen().await.unwrap() }).await;
    let log = || sessions.audit_log().limit(50);
    reads_by_an_index(&db, &watched, async { log().session(rows::id(7)).fetch_all().await.unwrap() }).await;
    reads_by_an_index(&db, &watched, async { log().owner("user-77").fetch_all().await.unwrap() }).await;
    let returning = sessions.query().owner("user-77").status(Status::All).delete_all_returning();
    reads_by_an_index(&db, &watched, async { returning.await.unwrap() }).await;
}

each_database! { statements_about_owners_uses_and_tables_beside_read_by_an_index }
