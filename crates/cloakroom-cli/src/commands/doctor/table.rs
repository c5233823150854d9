//! The session table: its rows, rights, migrations, and whether the hot statements have their indexes.

use cloakroom::{Database, Status, sqlx};
use sqlx::{AssertSqlSafe, Connection as _, Executor, Row};

use super::Findings;
use super::ask::text;
use crate::context::Table;

pub(super) async fn look(sessions: &Table, findings: &mut Findings) {
    rights(sessions, findings).await;
    migrations(sessions, findings).await;
    indexes(sessions, findings).await;
    collation(sessions, findings).await;
    rows(sessions, findings).await;
    schemes(sessions, findings).await;
}

/// The table's name as it stands in a statement.
fn quoted(sessions: &Table) -> String {
    let quote = if matches!(sessions.database(), Database::MySql(_)) { '`' } else { '"' };
    let one = |name: &str| format!("{quote}{}{quote}", name.replace(quote, &format!("{quote}{quote}")));
    let definition = sessions.definition();
    match definition.schema_name() {
        Some(schema) => format!("{}.{}", one(schema), one(definition.table_name())),
        None => one(definition.table_name()),
    }
}

/// MySQL 9.7 answers with a tree unless it is asked for the table of all other servers.
const EXPLAIN: &str = "EXPLAIN FORMAT=TRADITIONAL";

async fn rights(sessions: &Table, findings: &mut Findings) {
    const CHECK: &str = "rights";
    let (database, table) = (sessions.database(), quoted(sessions));
    let mut missing = Vec::new();
    match database {
        Database::Postgres(_) => {
            let named = table.replace('\'', "''");
            for right in ["SELECT", "INSERT", "UPDATE", "DELETE"] {
                let sql = format!("SELECT pg_catalog.has_table_privilege('{named}', '{right}')::text");
                match text(database, &sql).await {
                    Ok(has) if has.as_deref() == Some("true") => {}
                    Ok(_) => missing.push(right),
                    Err(error) => return findings.unknown(CHECK, &error),
                }
            }
        }
        Database::MySql(_) => {
            // A server explains only what the role may do, and does nothing of it.
            for (right, sql) in [
                ("SELECT", format!("{EXPLAIN} SELECT * FROM {table}")),
                ("INSERT", format!("{EXPLAIN} INSERT INTO {table} SELECT * FROM {table} WHERE FALSE")),
                ("UPDATE", format!("{EXPLAIN} UPDATE {table} SET updated_at = updated_at WHERE FALSE")),
                ("DELETE", format!("{EXPLAIN} DELETE FROM {table} WHERE FALSE")),
            ] {
                match explained(database, &sql).await {
                    Ok(_) => {}
                    Err(sqlx::Error::Database(error)) if error.message().contains("denied") => {
                        missing.push(right);
                    }
                    Err(error) => return findings.unknown(CHECK, &error),
                }
            }
        }
        // Whether the file can be written was said before.
        _ => return,
    }
    if missing.is_empty() {
        findings.ok(CHECK, "the table can be read and written");
    } else {
        findings.warn(CHECK, format!("this role lacks {} on the table", missing.join(", ")));
    }
}

async fn migrations(sessions: &Table, findings: &mut Findings) {
    const CHECK: &str = "migrations";
    match sessions.migration_plan().await {
        Ok(plan) if plan.is_empty() => findings.ok(CHECK, "nothing is to be done"),
        Ok(plan) => findings.warn(CHECK, format!("`migrate up` would run: {}", plan.join("; "))),
        Err(error) => findings.warn(CHECK, error.to_string()),
    }
}

/// Looks whether the statements that are asked most can go by an index.
async fn indexes(sessions: &Table, findings: &mut Findings) {
    const CHECK: &str = "index";
    let table = quoted(sessions);
    let quote = if matches!(sessions.database(), Database::MySql(_)) { '`' } else { '"' };
    let mut asked = vec![
        ("authenticate".to_owned(), "auth_token_digest".to_owned(), " LIMIT 1"),
        ("prune".to_owned(), "expires_at".to_owned(), " ORDER BY expires_at LIMIT 200"),
    ];
    for field in sessions.definition().fields().iter().filter(|field| field.is_indexed()) {
        asked.push((
            format!("list by {}", field.name()),
            field.name().to_owned(),
            " ORDER BY inserted_at DESC LIMIT 20",
        ));
    }
    for (what, column, rest) in asked {
        let name = format!("{quote}{}{quote}", column.replace(quote, &format!("{quote}{quote}")));
        let is_range = column == "expires_at";
        match can_use_index(sessions.database(), &table, &name, is_range, rest).await {
            Ok(true) => findings.ok(CHECK, format!("{what}: there is one on {column}")),
            Ok(false) => findings.warn(
                CHECK,
                format!("{what}: there is none that begins with {column}, so the whole table is read; `migrate up` adds it"),
            ),
            Err(error) => findings.unknown(CHECK, &error),
        }
    }
}

/// On PostgreSQL the index on the digest may be in the order of a language. A lookup then costs the server more,
/// which is worth to know, and no fault.
async fn collation(sessions: &Table, findings: &mut Findings) {
    const CHECK: &str = "collation";
    let Database::Postgres(_) = sessions.database() else {
        return;
    };
    let table = quoted(sessions);
    // By its bytes, a small letter comes after all capitals.
    let sql = format!(
        "SELECT (digest < 'B')::text FROM (SELECT auth_token_digest AS digest FROM {table} WHERE FALSE UNION ALL SELECT 'a') t"
    );
    match text(sessions.database(), &sql).await {
        Ok(Some(is_before)) if is_before == "true" => findings.note(
            CHECK,
            format!(
                "the digests are in the order of a language, which makes lookups dearer for the server; \
                 ALTER TABLE {table} ALTER COLUMN auth_token_digest TYPE varchar(255) COLLATE \"C\" makes the index anew, \
                 and no other statement can use the table meanwhile"
            ),
        ),
        Ok(_) => findings.ok(CHECK, "the digests are in the order of their bytes"),
        Err(error) => findings.unknown(CHECK, &error),
    }
}

/// Returns `true` if the statement reads the table by an index, or could, if the table had many rows.
async fn can_use_index(
    database: &Database,
    table: &str,
    column: &str,
    is_range: bool,
    rest: &str,
) -> Result<bool, sqlx::Error> {
    let comparison = if is_range { "<=" } else { "=" };
    let select = |value: &str| format!("SELECT id FROM {table} WHERE {column} {comparison} {value}{rest}");
    match database {
        Database::Sqlite(_) => {
            let plan = explained(database, &format!("EXPLAIN QUERY PLAN {}", select("?1"))).await?;
            Ok(plan.iter().any(|line| line.starts_with("SEARCH")))
        }
        Database::Postgres(pool) => {
            let mut connection = pool.acquire().await?;
            let mut transaction = connection.begin().await?;
            // The plan for any value, of a table of any size.
            let prepare = format!(
                "SET LOCAL enable_seqscan = off; SET LOCAL plan_cache_mode = force_generic_plan; \
                 PREPARE cloakroom_doctor AS {}",
                select("$1")
            );
            transaction.execute(sqlx::raw_sql(AssertSqlSafe(prepare))).await?;
            let explain = sqlx::raw_sql("EXPLAIN EXECUTE cloakroom_doctor (NULL)");
            let plan = transaction.fetch_all(explain).await;
            transaction.execute(sqlx::raw_sql("DEALLOCATE cloakroom_doctor")).await?;
            transaction.rollback().await?;
            let lines: Vec<String> = plan?.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
            Ok(!lines.iter().any(|line| line.contains("Seq Scan"))
                && lines.iter().any(|line| line.contains("Index Cond")))
        }
        _ => {
            // Of two values none is a constant, for which the server would look at once.
            let either = if is_range {
                select("NOW(6)")
            } else {
                format!("SELECT id FROM {table} WHERE {column} IN ('a', 'b'){rest}")
            };
            let plan = explained(database, &format!("{EXPLAIN} {either}")).await?;
            Ok(plan.iter().any(|possible_keys| !possible_keys.is_empty()))
        }
    }
}

/// Returns what EXPLAIN says: of each row the plan's detail on SQLite, and the keys that are possible on MariaDB.
async fn explained(database: &Database, sql: &str) -> Result<Vec<String>, sqlx::Error> {
    macro_rules! column {
        ($pool:expr, $name:literal) => {{
            let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all($pool).await?;
            let texts =
                rows.iter().map(|row| Ok(row.try_get::<Option<String>, _>($name)?.unwrap_or_default()));
            texts.collect()
        }};
    }
    match database {
        Database::Sqlite(pool) => column!(pool, "detail"),
        Database::MySql(pool) => column!(pool, "possible_keys"),
        _ => Ok(Vec::new()),
    }
}

async fn rows(sessions: &Table, findings: &mut Findings) {
    let valid = sessions.query().count().await;
    let expired = sessions.query().status(Status::Expired).count().await;
    let (valid, expired) = match (valid, expired) {
        (Ok(valid), Ok(expired)) => (valid, expired),
        (Err(error), _) | (_, Err(error)) => return findings.warn("rows", error.to_string()),
    };
    let says = format!("{valid} valid, {expired} expired");
    // Pruning keeps up if the expired are few beside the valid.
    if expired > 1_000 && expired > valid {
        findings.note("rows", format!("{says}: more than half of the table waits to be pruned"));
    } else {
        findings.ok("rows", says);
    }
}

/// Says how many valid sessions are stored under each scheme.
async fn schemes(sessions: &Table, findings: &mut Findings) {
    const CHECK: &str = "schemes";
    let counts = match sessions.count_by_scheme().await {
        Ok(counts) => counts,
        Err(error) => return findings.warn(CHECK, error.to_string()),
    };
    for (place, count) in counts.iter().enumerate() {
        let says = format!("{}: {} valid", count.scheme, count.valid);
        match (count.is_configured, place) {
            (true, 0) => findings.ok(CHECK, format!("{says}, and new tokens")),
            (true, _) if count.count == 0 => {
                findings.note(CHECK, format!("{says}, nor expired: it can be taken out"));
            }
            (true, _) => findings.ok(CHECK, says),
            (false, _) if count.valid > 0 => findings.warn(
                CHECK,
                format!(
                    "{says}, and it is not in the configuration of this command: if the application's does not have it \
                     either, their tokens are refused"
                ),
            ),
            (false, _) => {}
        }
    }
}
