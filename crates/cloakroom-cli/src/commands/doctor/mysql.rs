use std::collections::BTreeMap;

use cloakroom::{Database, sqlx};
use sqlx::MySqlPool;

use super::Findings;
use super::ask::{clocks, text, texts};

pub(super) async fn look(database: &Database, pool: &MySqlPool, findings: &mut Findings) {
    match text(database, "SELECT CAST(VERSION() AS CHAR)").await {
        Ok(version) => {
            let version = version.unwrap_or_default();
            let maker = if version.contains("MariaDB") { "" } else { "MySQL " };
            findings.ok("server", format!("{maker}{version}"));
        }
        Err(error) => findings.unknown("server", &error),
    }
    strict(database, findings).await;
    pooler(pool, findings).await;
    durability(database, findings).await;
    clocks(database, "SELECT CAST(UNIX_TIMESTAMP(SYSDATE(6)) AS CHAR)", findings).await;
    connections(database, findings).await;
}

/// Returns variables of the session, or the server's status. Those that a server does not know are not there.
async fn shown(
    database: &Database,
    what: &str,
    names: &[&str],
) -> Result<BTreeMap<String, String>, sqlx::Error> {
    let names: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    let sql = format!("SHOW {what} WHERE Variable_name IN ({})", names.join(", "));
    let rows = texts(database, &sql).await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            let mut cells = row.into_iter().flatten();
            Some((cells.next()?.to_lowercase(), cells.next()?))
        })
        .collect())
}

/// Finds out whether a lookup sees each commit that was acknowledged before, on any node.
async fn strict(database: &Database, findings: &mut Findings) {
    let variables = ["wsrep_on", "wsrep_sync_wait", "read_only", "log_bin"];
    let status = ["wsrep_cluster_size", "wsrep_cluster_status", "wsrep_local_state_comment"];
    let (variables, status) = match (
        shown(database, "VARIABLES", &variables).await,
        shown(database, "GLOBAL STATUS", &status).await,
    ) {
        (Ok(variables), Ok(status)) => (variables, status),
        (Err(error), _) | (_, Err(error)) => return findings.unknown("galera", &error),
    };
    let of = |map: &BTreeMap<String, String>, name: &str| map.get(name).cloned().unwrap_or_default();
    if of(&variables, "wsrep_on") == "ON" {
        let cluster = of(&status, "wsrep_cluster_status");
        let says = format!(
            "a node of {}, {cluster}, {}",
            of(&status, "wsrep_cluster_size"),
            of(&status, "wsrep_local_state_comment")
        );
        if cluster == "Primary" {
            findings.ok("galera", says);
        } else {
            findings.warn("galera", format!("{says}: this part of the cluster takes no statements"));
        }
        if of(&variables, "log_bin") == "OFF" {
            findings.note(
                "savepoints",
                "log_bin OFF: other nodes may keep what ROLLBACK TO SAVEPOINT has undone, in transactions that are not \
                 begun by Sessions::begin or Database::begin",
            );
        }
        // Bit 1 is for SELECT.
        let waits = of(&variables, "wsrep_sync_wait").parse::<u32>().is_ok_and(|bits| bits & 1 == 1);
        if waits {
            findings.ok("strict", "yes: each lookup waits until this node has what the others committed");
        } else {
            findings.note(
                "strict",
                "only if the lookups wait for the other nodes: wsrep_sync_wait is 0 on this connection, so the \
                 application must ask causally",
            );
        }
    } else {
        findings.ok("galera", "this is no node of a cluster");
        if of(&variables, "read_only") == "ON" {
            findings.warn("strict", "no: read_only is on, as on a replica, whose answers lag behind");
        } else {
            findings.ok("strict", "yes: every lookup asks the server that commits");
        }
    }
}

async fn pooler(pool: &MySqlPool, findings: &mut Findings) {
    const CHECK: &str = "pooler";
    match backends(pool).await {
        Ok([one, other]) if one == other => findings.warn(
            CHECK,
            "two connections have the same id: a proxy lends one connection to several clients, and statements of a \
             transaction may go astray",
        ),
        Ok(_) => findings.ok(CHECK, "each connection has an id of its own"),
        Err(error) => findings.unknown(CHECK, &error),
    }
}

async fn backends(pool: &MySqlPool) -> Result<[u64; 2], sqlx::Error> {
    let (mut one, mut other) = (pool.acquire().await?, pool.acquire().await?);
    let mut ids = [0; 2];
    for (id, connection) in ids.iter_mut().zip([&mut one, &mut other]) {
        *id = sqlx::query_scalar("SELECT CONNECTION_ID()").fetch_one(&mut **connection).await?;
    }
    Ok(ids)
}

async fn durability(database: &Database, findings: &mut Findings) {
    const CHECK: &str = "durability";
    let names = ["innodb_flush_log_at_trx_commit", "log_bin", "sync_binlog"];
    let variables = match shown(database, "VARIABLES", &names).await {
        Ok(variables) => variables,
        Err(error) => return findings.unknown(CHECK, &error),
    };
    let lost = "a crash can undo log-outs that were acknowledged";
    let has_log = variables.get("log_bin").is_some_and(|value| value == "ON");
    for (name, value) in &variables {
        let says = format!("{name} {value}");
        match (name.as_str(), value.as_str()) {
            ("log_bin", "OFF") => findings.note(
                CHECK,
                format!(
                    "{says}: others may read a commit before it is on the disk, and a crash of the machine can still undo it"
                ),
            ),
            // With a binary log InnoDB leaves it to that to keep a commit; without one the value says nothing.
            ("sync_binlog", value) if value != "1" && has_log => {
                findings.warn(CHECK, format!("{says}: {lost}"));
            }
            ("sync_binlog", _) if !has_log => {}
            // 3 is MariaDB's, and waits for the disk even twice.
            ("log_bin" | "sync_binlog", _) | (_, "1" | "3") => findings.ok(CHECK, says),
            _ => findings.warn(CHECK, format!("{says}: {lost}")),
        }
    }
}

async fn connections(database: &Database, findings: &mut Findings) {
    const CHECK: &str = "connections";
    let used = shown(database, "GLOBAL STATUS", &["Threads_connected"]).await;
    let most = shown(database, "VARIABLES", &["max_connections"]).await;
    match (used, most) {
        (Ok(used), Ok(most)) => {
            let number = |map: &BTreeMap<String, String>| {
                map.values().next().and_then(|value| value.parse::<u64>().ok()).unwrap_or_default()
            };
            let (used, most) = (number(&used), number(&most));
            let says = format!("{used} of {most} are in use");
            if used > most / 10 * 9 {
                findings.warn(CHECK, format!("{says}: the next processes will be refused"));
            } else {
                findings.ok(CHECK, says);
            }
        }
        (Err(error), _) | (_, Err(error)) => findings.unknown(CHECK, &error),
    }
}
