use cloakroom::{Database, sqlx};

use super::Findings;
use super::ask::text;

pub(super) async fn look(database: &Database, findings: &mut Findings) {
    match text(database, "SELECT sqlite_version()").await {
        Ok(version) => findings.ok("server", format!("SQLite {}", version.unwrap_or_default())),
        Err(error) => findings.unknown("server", &error),
    }
    findings.ok("strict", "yes: every lookup reads the file, in which each commit stands at once");
    match text(database, "PRAGMA journal_mode").await {
        Ok(Some(mode)) if mode == "wal" => findings.ok("journal", "wal: readers do not wait for a writer"),
        Ok(mode) => findings.warn(
            "journal",
            format!(
                "{}: readers wait for each writer; set PRAGMA journal_mode = WAL",
                mode.unwrap_or_default()
            ),
        ),
        Err(error) => findings.unknown("journal", &error),
    }
    writes(database, findings).await;
}

/// Finds out whether the file may be written, without writing.
async fn writes(database: &Database, findings: &mut Findings) {
    const CHECK: &str = "rights";
    let Database::Sqlite(pool) = database else {
        return;
    };
    match pool.begin_with("BEGIN IMMEDIATE").await {
        Ok(transaction) => match transaction.rollback().await {
            Ok(()) => findings.ok(CHECK, "the file can be read and written"),
            Err(error) => findings.unknown(CHECK, &error),
        },
        Err(sqlx::Error::Database(error)) if error.message().contains("readonly") => {
            findings.warn(CHECK, "the file cannot be written: no session can be created, extended or ended");
        }
        Err(error) => findings.unknown(CHECK, &error),
    }
}
