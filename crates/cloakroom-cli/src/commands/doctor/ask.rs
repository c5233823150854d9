//! Questions to any of the databases, of which all answers are texts.

use std::time::{Duration, Instant};

use cloakroom::{Database, sqlx};
use sqlx::{AssertSqlSafe, Row};
use time::OffsetDateTime;

use super::Findings;

pub(super) type Texts = Vec<Vec<Option<String>>>;

/// Above this, a session can be seen to expire by one machine and to be valid by another for longer than anybody expects.
const MOST_APART: f64 = 1.0;

/// Returns all columns of all rows, which must be texts.
pub(super) async fn texts(database: &Database, sql: &str) -> Result<Texts, sqlx::Error> {
    macro_rules! fetch {
        ($pool:expr) => {{
            // Not prepared: a pooler may not know prepared statements.
            let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all($pool).await?;
            rows.iter().map(|row| (0..row.len()).map(|column| row.try_get(column)).collect()).collect()
        }};
    }
    match database {
        Database::Sqlite(pool) => fetch!(pool),
        Database::Postgres(pool) => fetch!(pool),
        Database::MySql(pool) => fetch!(pool),
        _ => Ok(Vec::new()),
    }
}

/// Returns the only text.
pub(super) async fn text(database: &Database, sql: &str) -> Result<Option<String>, sqlx::Error> {
    Ok(texts(database, sql).await?.into_iter().next().and_then(|row| row.into_iter().next().flatten()))
}

/// Compares this machine's clock with the server's, whose `sql` returns the seconds since 1970.
pub(super) async fn clocks(database: &Database, sql: &str, findings: &mut Findings) {
    const CHECK: &str = "clocks";
    // The shortest of a few round trips tells most.
    let mut best: Option<(Duration, f64)> = None;
    for _ in 0..5 {
        let begun = Instant::now();
        let asked = seconds(OffsetDateTime::now_utc());
        let theirs = match text(database, sql).await {
            Ok(theirs) => theirs.and_then(|text| text.parse::<f64>().ok()),
            Err(error) => return findings.unknown(CHECK, &error),
        };
        let took = begun.elapsed();
        let Some(theirs) = theirs else {
            return findings.note(CHECK, "the server does not tell its time");
        };
        if best.is_none_or(|(shortest, _)| took < shortest) {
            best = Some((took, theirs - asked - took.as_secs_f64() / 2.0));
        }
    }
    let Some((took, ahead)) = best else {
        return;
    };
    let doubt = took.as_secs_f64() / 2.0;
    let side = if ahead < 0.0 { "behind" } else { "ahead of" };
    let says = format!("the server is {:.3} s {side} this machine, give or take {doubt:.3} s", ahead.abs());
    if ahead.abs() - doubt > MOST_APART {
        findings.warn(CHECK, format!("{says}: let one service set both clocks (NTP)"));
    } else {
        findings.ok(CHECK, says);
    }
}

#[expect(clippy::cast_precision_loss, reason = "to the microsecond, until the year 2255")]
fn seconds(instant: OffsetDateTime) -> f64 {
    (instant.unix_timestamp_nanos() / 1_000) as f64 / 1e6
}
