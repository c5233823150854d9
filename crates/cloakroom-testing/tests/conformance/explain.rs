use std::fmt::Write as _;
use std::time::Duration;

use cloakroom::{Key, Scheme};
use cloakroom_testing::{Kind, START, TestDatabase, UserSession, each_mode, hold_connections, user};
use futures_util::future::{FutureExt as _, join_all};
use sqlx::{AssertSqlSafe, Row as _};

use crate::rows::{self, Row};
use crate::statements::Watched;

const DAY: Duration = Duration::from_hours(24);
const ROWS: usize = 20_000;
/// How many callers share a statement by default.
const CALLERS: usize = 256;

/// A table of many rows, a tenth of which have expired, and ten of each user.
async fn large(db: &TestDatabase) -> Watched<UserSession> {
    let watched = Watched::new(db).await;
    rows::insert(db, &watched.table, ROWS, |number| {
        let age = Duration::from_secs(number as u64);
        Row {
            user_id: format!("'user-{}'", number % (ROWS / 10)),
            inserted_at: START - age,
            expires_at: Some(if number % 10 == 0 { START - age } else { START + 10 * DAY + age }),
        }
    })
    .await;
    let table = &watched.table;
    db.execute(&match db.kind() {
        Kind::Sqlite => "ANALYZE".to_owned(),
        Kind::Postgres => {
            // Emptied by the last case, the table would be cut off, and be read from end to end for good reason.
            db.execute(&format!("ALTER TABLE {table} SET (autovacuum_enabled = off)")).await;
            format!("VACUUM ANALYZE {table}")
        }
        Kind::MariaDb => format!("ANALYZE TABLE {table}"),
    })
    .await;
    watched
}

/// The statement with a value in place of each placeholder, one that goes with the column before it.
fn with_values(kind: Kind, sql: &str) -> String {
    let quote = if kind == Kind::MariaDb { '`' } else { '"' };
    let (mut filled, mut rest) = (String::new(), sql);
    // Each names another row.
    let mut numbers = 77..ROWS;
    let mut number = || numbers.next().unwrap_or(77);
    let mut digest = String::new();
    let mut instant = START;
    while let Some(at) = rest.find(['?', '$']) {
        filled.push_str(&rest[..at]);
        rest = rest[at + 1..].trim_start_matches(|c: char| c.is_ascii_digit());
        if filled.trim_end().ends_with("LIMIT") {
            filled.push_str("1000");
            continue;
        }
        if filled.ends_with("ANY(") {
            write!(filled, "ARRAY[{}]::uuid[]", rows::uuid(kind, rows::id(number()))).unwrap();
            continue;
        }
        // An extension says what is new of each id.
        let column = match filled.rsplit(quote).nth(1).unwrap_or_default() {
            "id" if filled.ends_with("THEN ") => "expires_at",
            column => column,
        };
        let value = match column {
            "id" | "session_id" => rows::uuid(kind, rows::id(number())),
            // MariaDB sees that a digest cannot equal two others.
            "auth_token_digest" if filled.ends_with("CONVERT(") => digest.clone(),
            // After a subquery that compares with now.
            "auth_token_digest" | "now" => {
                digest = format!("'{}'", rows::digest(number()));
                digest.clone()
            }
            "user_id" | "owner" => "'user-77'".to_owned(),
            "token_digest" => format!("'{}'", rows::digest(number())),
            // Each before the last, or MariaDB sees that nothing lies between two.
            "expires_at" | "inserted_at" | "updated_at" | "recorded_at" | "usable_until" | "seen" => {
                instant -= DAY;
                rows::instant(kind, instant)
            }
            other => panic!("a value for {other:?} in {sql}"),
        };
        filled.push_str(&value);
    }
    filled + rest
}

/// The plan on which PostgreSQL settles, for a statement whose keys are one value: for its first five runs it
/// plans anew each time, and may then read a table as small as this one from end to end.
async fn settled_plan(db: &TestDatabase, sql: &str) -> String {
    let mut connection = db.postgres_pool().acquire().await.unwrap();
    let digests: Vec<_> = (0..CALLERS).map(|number| format!("'{}'", rows::digest(number))).collect();
    let now = rows::instant(Kind::Postgres, START);
    let execute = format!("EXECUTE shared (ARRAY[{}], {now})", digests.join(", "));
    let prepare = format!("DEALLOCATE ALL; PREPARE shared AS {sql}; {}", format!("{execute};").repeat(6));
    sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *connection).await.unwrap();
    let explain = sqlx::raw_sql(AssertSqlSafe(format!("EXPLAIN {execute}")));
    let lines = explain.fetch_all(&mut *connection).await.unwrap();
    connection.close().await.unwrap();
    lines.iter().map(|line| line.get::<String, _>(0)).collect::<Vec<_>>().join("\n")
}

/// Returns the statement without what MariaDB is told before it, such as how long it may wait for a lock, since EXPLAIN
/// does not go there, and without what SQLite is told after it.
pub(crate) fn bare(sql: &str) -> &str {
    let sql = sql.strip_suffix("; ROLLBACK").unwrap_or(sql);
    sql.split_once("FOR */ ").map_or(sql, |(_, statement)| statement)
}

pub(crate) async fn plan(db: &TestDatabase, sql: &str) -> String {
    if db.kind() == Kind::Postgres && sql.contains("ANY($1)") && !sql.contains("$3") {
        return settled_plan(db, sql).await;
    }
    let sql = with_values(db.kind(), bare(sql));
    match db.kind() {
        Kind::Sqlite => {
            let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
            let rows = sqlx::query(explain).fetch_all(db.sqlite_pool()).await.unwrap();
            rows.iter().map(|row| row.get::<String, _>("detail")).collect::<Vec<_>>().join("\n")
        }
        Kind::Postgres => {
            let lines = db.texts(&format!("EXPLAIN {sql}")).await;
            lines.into_iter().flatten().collect::<Vec<_>>().join("\n")
        }
        Kind::MariaDb => {
            let mut connection = db.mariadb_pool().acquire().await.unwrap();
            if db.is_mysql() {
                // The form that MariaDB has.
                let set = sqlx::raw_sql("SET SESSION explain_json_format_version = 1");
                set.execute(&mut *connection).await.unwrap();
            }
            let explain = AssertSqlSafe(format!("EXPLAIN FORMAT=JSON {sql}"));
            sqlx::query_scalar(explain).fetch_one(&mut *connection).await.unwrap()
        }
    }
}

/// Returns `true` if the plan reads a table from end to end.
pub(crate) fn scans(kind: Kind, plan: &str) -> bool {
    match kind {
        Kind::Sqlite => {
            // Those who share a statement are joined to a row that holds nothing.
            let mut scans = plan.lines().filter(|line| line.starts_with("SCAN"));
            let of_values = ["SCAN CONSTANT ROW", "SCAN one", "SCAN json_each"];
            scans.any(|line| !of_values.iter().any(|of| line.starts_with(of)))
        }
        Kind::Postgres => plan.contains("Seq Scan"),
        Kind::MariaDb => {
            plan.contains("\"access_type\": \"ALL\"") || plan.contains("\"access_type\": \"index\"")
        }
    }
}

/// Asserts that the operation's statements read the table by one of the indexes, and never from end to end.
async fn uses(
    db: &TestDatabase,
    watched: &Watched<UserSession>,
    indexes: &[&str],
    operation: impl Future,
) -> Vec<String> {
    let mut statements = watched.statements(operation).await;
    // Others ask whether a transaction is open, and read no table.
    statements.retain(|sql| sql.contains(&watched.table));
    assert!(!statements.is_empty(), "nothing was asked");
    for sql in &statements {
        let plan = plan(db, sql).await;
        let table = &watched.table;
        let used = indexes.iter().any(|index| match (db.kind(), *index) {
            (Kind::Sqlite, "id") => plan.contains(&format!("sqlite_autoindex_{table}_1")),
            (Kind::Postgres, "id") => plan.contains(&format!("{table}_pkey")),
            (Kind::MariaDb, "id") => plan.contains("\"key\": \"PRIMARY\""),
            (Kind::MariaDb, index) => plan.contains(&format!("\"key\": \"{table}_{index}_index\"")),
            (_, index) => plan.contains(&format!("{table}_{index}_index")),
        });
        assert!(used, "{sql}\n{plan}");
        assert!(!scans(db.kind(), &plan), "{sql}\n{plan}");
    }
    statements
}

async fn authenticating_uses_the_index_on_the_digest(db: &TestDatabase, watched: &Watched<UserSession>) {
    let token = watched.sessions.create(user("1")).await.unwrap().token;
    let index = &["auth_token_digest"];
    uses(db, watched, index, async { watched.sessions.authenticate(&token).await.unwrap().unwrap() }).await;
    let query = || watched.sessions.query().token(&token);
    uses(db, watched, index, async { query().fetch_one().await.unwrap() }).await;
}

/// What all of these come to, each of which asks before the first is answered.
async fn together<F: Future>(
    watched: &Watched<UserSession>,
    calls: impl Iterator<Item = F>,
) -> Vec<F::Output> {
    let held = hold_connections(watched.sessions.database()).await;
    let mut calls: Vec<_> = calls.map(Box::pin).collect();
    for call in &mut calls {
        assert!(call.as_mut().now_or_never().is_none(), "answered without a connection");
    }
    drop(held);
    join_all(calls).await
}

async fn callers_that_share_a_statement_use_the_index_on_the_digest(
    db: &TestDatabase,
    watched: &Watched<UserSession>,
    statements_a_batch: usize,
) {
    for callers in [3, 40, CALLERS + 2] {
        let tokens: Vec<_> = (0..callers).map(|n| format!("a token that is unknown {n}")).collect();
        let ask = tokens.iter().map(|token| watched.sessions.authenticate(token));
        let statements = uses(db, watched, &["auth_token_digest"], together(watched, ask)).await;
        // Those who find a free slot go alone.
        let most = statements_a_batch * Ord::max(3, callers / 8);
        assert!(statements.len() <= most, "{} for {callers} callers", statements.len());
    }
}

/// One scheme more is one digest more in the same statement.
async fn tokens_of_several_schemes_use_the_index_on_the_digest(
    db: &TestDatabase,
    watched: &Watched<UserSession>,
) {
    let key = Key::from_bytes([7; 32]).unwrap();
    let schemes = [Scheme::hmac_sha256("a", &key), Scheme::hmac_sha256("b", &key), Scheme::sha256()];
    let one = watched.with(db.config().digests([Scheme::sha256()]));
    let several = watched.with(db.config().digests(schemes));
    let index = &["auth_token_digest"];
    let ask = async |by: &Watched<UserSession>| {
        let token = "a token that is unknown";
        let alone = uses(db, by, index, async { by.sessions.authenticate(token).await.unwrap() }).await;
        uses(db, by, index, async { by.sessions.query().token(token).count().await.unwrap() }).await;
        alone.len()
    };
    assert_eq!(ask(&several).await, ask(&one).await);
    if watched.sessions.config().max_batch() > 1 {
        // SQLite looks for the newest digests first.
        let statements_a_batch = if db.kind() == Kind::Sqlite { 2 } else { 1 };
        callers_that_share_a_statement_use_the_index_on_the_digest(db, &several, statements_a_batch).await;
    }
}

async fn extensions_that_share_a_statement_use_the_primary_key(
    db: &TestDatabase,
    watched: &Watched<UserSession>,
) {
    let created = join_all((0..100).map(|_| watched.sessions.create(user("1")))).await;
    let created: Vec<_> = created.into_iter().map(Result::unwrap).collect();
    db.clock().advance(2 * DAY);
    let ask = created.iter().map(|one| watched.sessions.authenticate(&one.token));
    let statements = uses(db, watched, &["id", "auth_token_digest"], together(watched, ask)).await;
    assert!(statements.iter().any(|sql| sql.contains("UPDATE ") && sql.matches("THEN").count() > 20));
    db.clock().set(START);
    for one in created {
        watched.sessions.delete(one.session).await.unwrap();
    }
}

async fn one_session_is_read_and_written_by_the_primary_key(
    db: &TestDatabase,
    watched: &Watched<UserSession>,
) {
    let sessions = &watched.sessions;
    let mut session = sessions.create(user("1")).await.unwrap().session;
    let id = session.id;
    uses(db, watched, &["id"], async { sessions.query().id(id).fetch_one().await.unwrap() }).await;
    uses(db, watched, &["id"], async { sessions.reload(&mut session).await.unwrap() }).await;
    // These name the expiry as well, of which an instant stands for a row or two.
    let either = &["id", "expires_at"];
    uses(db, watched, either, async { sessions.update(&mut session).await.unwrap() }).await;
    db.clock().advance(2 * DAY);
    uses(db, watched, either, async { assert!(sessions.extend(&mut session).await.unwrap()) }).await;
    uses(db, watched, either, async { sessions.rotate(&mut session).await.unwrap() }).await;
    let mut other = session.clone();
    uses(db, watched, either, async { assert!(sessions.expire(&mut session).await.unwrap()) }).await;
    uses(db, watched, either, async { assert!(!sessions.expire(&mut other).await.unwrap()) }).await;
    uses(db, watched, &["id"], async { assert!(sessions.delete(session).await.unwrap()) }).await;
}

async fn listing_and_counting_by_an_indexed_field_use_its_index(
    db: &TestDatabase,
    watched: &Watched<UserSession>,
) {
    let query = || watched.sessions.query().filter(UserSession::USER_ID.eq("user-77"));
    let index = &["user_id_inserted_at"];
    let listed = query().fetch_all().await.unwrap();
    assert_eq!(listed.len(), 10);
    let cursor = listed[4].cursor();
    uses(db, watched, index, async { query().fetch_all().await.unwrap() }).await;
    uses(db, watched, index, async { query().limit(5).fetch_all().await.unwrap() }).await;
    uses(db, watched, index, async { query().oldest_first().limit(5).fetch_all().await.unwrap() }).await;
    uses(db, watched, index, async { query().limit(5).after(cursor).fetch_all().await.unwrap() }).await;
    uses(db, watched, index, async { query().count().await.unwrap() }).await;
    uses(db, watched, index, async { query().exists().await.unwrap() }).await;
    // What has expired within a day is few rows, too, and MariaDB knows how many.
    let either: &[_] = match db.kind() {
        Kind::MariaDb => &["user_id_inserted_at", "expires_at"],
        Kind::Sqlite | Kind::Postgres => index,
    };
    uses(db, watched, either, async { query().expire_all().await.unwrap() }).await;
    uses(db, watched, either, async { query().delete_all().await.unwrap() }).await;
    let any = &["user_id_inserted_at", "expires_at", "id"];
    uses(db, watched, any, async { query().limit(1).expire_all().await.unwrap() }).await;
}

async fn pruning_uses_the_index_on_the_expiry(db: &TestDatabase, watched: &Watched<UserSession>) {
    let sessions = &watched.sessions;
    let index = &["expires_at"];
    // Many have expired by then, and no batch reads the others.
    db.clock().advance(20 * DAY);
    uses(db, watched, index, async { assert!(sessions.delete_expired().await.unwrap() > 15_000) }).await;
}

// One case, since it takes a while to make the table.
async fn every_hot_statement_uses_its_index(db: TestDatabase) {
    let watched = large(&db).await;
    authenticating_uses_the_index_on_the_digest(&db, &watched).await;
    tokens_of_several_schemes_use_the_index_on_the_digest(&db, &watched).await;
    if watched.sessions.config().max_batch() > 1 {
        callers_that_share_a_statement_use_the_index_on_the_digest(&db, &watched, 1).await;
        extensions_that_share_a_statement_use_the_primary_key(&db, &watched).await;
    }
    one_session_is_read_and_written_by_the_primary_key(&db, &watched).await;
    listing_and_counting_by_an_indexed_field_use_its_index(&db, &watched).await;
    pruning_uses_the_index_on_the_expiry(&db, &watched).await;
}

each_mode! { every_hot_statement_uses_its_index }
