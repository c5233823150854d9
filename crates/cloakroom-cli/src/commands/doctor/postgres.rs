use cloakroom::{Database, sqlx};
use sqlx::PgPool;

use super::Findings;
use super::ask::{clocks, text, texts};

/// The part of the notification queue from which on it is worth to look who holds it.
const FILLS: f64 = 0.01;

pub(super) async fn look(database: &Database, pool: &PgPool, findings: &mut Findings) {
    match text(database, "SELECT pg_catalog.current_setting('server_version')").await {
        Ok(version) => findings.ok("server", format!("PostgreSQL {}", version.unwrap_or_default())),
        Err(error) => findings.unknown("server", &error),
    }
    strict(database, findings).await;
    pooler(pool, findings).await;
    durability(database, findings).await;
    clocks(database, "SELECT extract(epoch FROM pg_catalog.clock_timestamp())::text", findings).await;
    connections(database, findings).await;
    queue(database, findings).await;
}

/// Finds out whether a lookup sees each commit that was acknowledged before.
async fn strict(database: &Database, findings: &mut Findings) {
    let sql = "SELECT pg_catalog.pg_is_in_recovery()::text, \
               coalesce(round(extract(epoch FROM now() - pg_catalog.pg_last_xact_replay_timestamp()))::text, '?')";
    let standby = match texts(database, sql).await {
        Ok(rows) => rows.into_iter().next().unwrap_or_default(),
        Err(error) => return findings.unknown("standby", &error),
    };
    if standby.first().is_some_and(|is_standby| is_standby.as_deref() == Some("true")) {
        let age = standby.get(1).cloned().flatten().unwrap_or_default();
        findings.warn(
            "standby",
            format!("this is a standby: it takes no writes. The last commit that it has is {age} s old"),
        );
        findings.warn(
            "strict",
            "no: a session that was ended on the primary is accepted here until that arrives",
        );
    } else {
        findings.ok("standby", "this is no standby");
        findings.ok("strict", "yes: every lookup asks the server that commits");
    }
}

/// A transaction pooler lends one backend to one client after another, so two connections have the same.
async fn pooler(pool: &PgPool, findings: &mut Findings) {
    const CHECK: &str = "pooler";
    match backends(pool).await {
        Ok([one, other]) if one == other => findings.warn(
            CHECK,
            "two connections have the same backend, as behind a transaction pooler such as pgbouncer: a cache must \
             not listen through it (Cache::listen(false)), and it must keep prepared statements \
             (max_prepared_statements, from pgbouncer 1.21 on)",
        ),
        Ok(_) => findings.ok(CHECK, "each connection has a backend of its own"),
        Err(error) => findings.unknown(CHECK, &error),
    }
}

async fn backends(pool: &PgPool) -> Result<[i32; 2], sqlx::Error> {
    // In text, since the pooler may not know prepared statements.
    const ASK: &str = "SELECT pg_catalog.pg_backend_pid()";
    let (mut one, mut other) = (pool.acquire().await?, pool.acquire().await?);
    let mut pids = [0; 2];
    for (pid, connection) in pids.iter_mut().zip([&mut one, &mut other]) {
        let row = sqlx::Executor::fetch_one(&mut **connection, sqlx::raw_sql(ASK)).await?;
        *pid = sqlx::Row::try_get(&row, 0)?;
    }
    Ok(pids)
}

async fn durability(database: &Database, findings: &mut Findings) {
    const CHECK: &str = "durability";
    let sql = "SELECT pg_catalog.current_setting('fsync'), pg_catalog.current_setting('synchronous_commit')";
    match texts(database, sql).await {
        Ok(rows) => {
            let settings: Vec<String> = rows.into_iter().flatten().flatten().collect();
            let says = format!("fsync {}, synchronous_commit {}", settings[0], settings[1]);
            if settings.iter().any(|setting| setting == "off") {
                findings.warn(CHECK, format!("{says}: a crash can undo log-outs that were acknowledged"));
            } else {
                findings.ok(CHECK, says);
            }
        }
        Err(error) => findings.unknown(CHECK, &error),
    }
}

async fn connections(database: &Database, findings: &mut Findings) {
    const CHECK: &str = "connections";
    let sql = "SELECT (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend')::text, \
               pg_catalog.current_setting('max_connections')";
    match texts(database, sql).await {
        Ok(rows) => {
            let counts: Vec<String> = rows.into_iter().flatten().flatten().collect();
            let says = format!("{} of {} are in use", counts[0], counts[1]);
            let (used, most) = (counts[0].parse().unwrap_or(0), counts[1].parse().unwrap_or(u32::MAX));
            if used > most / 10 * 9 {
                findings.warn(CHECK, format!("{says}: the next processes will be refused"));
            } else {
                findings.ok(CHECK, says);
            }
        }
        Err(error) => findings.unknown(CHECK, &error),
    }
}

/// Once the queue of notifications is full, every transaction that announces a revocation fails.
async fn queue(database: &Database, findings: &mut Findings) {
    const CHECK: &str = "notifications";
    // Asking also empties what no listener needs any more.
    let usage = match text(database, "SELECT pg_catalog.pg_notification_queue_usage()::text").await {
        Ok(usage) => usage.and_then(|usage| usage.parse::<f64>().ok()).unwrap_or_default(),
        Err(error) => return findings.unknown(CHECK, &error),
    };
    let says = format!("{:.2} % of the queue are in use", usage * 100.0);
    if usage < FILLS {
        return findings.ok(CHECK, says);
    }
    // Which of them listens cannot be seen. A session of another role shows its state only to pg_monitor.
    let sql = "SELECT pid::text, coalesce(nullif(application_name, ''), '?'), \
               round(extract(epoch FROM now() - xact_start))::text FROM pg_catalog.pg_stat_activity \
               WHERE state LIKE 'idle in transaction%' AND pid <> pg_catalog.pg_backend_pid() \
               ORDER BY xact_start LIMIT 3";
    let holders = match texts(database, sql).await {
        Ok(holders) => holders,
        Err(error) => return findings.unknown(CHECK, &error),
    };
    let holders: Vec<String> = holders
        .into_iter()
        .map(|holder| {
            let [pid, name, age] = [0, 1, 2].map(|at| holder.get(at).cloned().flatten().unwrap_or_default());
            format!("process {pid} ({name}), for {age} s")
        })
        .collect();
    let whose = if holders.is_empty() {
        "no session is seen that idles in a transaction; one of another role is seen with pg_monitor"
            .to_owned()
    } else {
        format!(
            "a session that listens and idles in a transaction keeps it; these idle: {}",
            holders.join(", ")
        )
    };
    findings.warn(CHECK, format!("{says}: once it is full, no revocation can be announced. {whose}"));
}
