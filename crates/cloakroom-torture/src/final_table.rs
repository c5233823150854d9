//! Reads the table with plain sqlx on a new connection.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use sqlx::{Connection as _, Executor as _};
use time::OffsetDateTime;

use crate::checker::Row;
use crate::journal::Digest;
use crate::settings::Kind;
use crate::target::Target;

const ROWS: &str = "SELECT label, user_id, mark, auth_token_digest, expires_at FROM torture_sessions \
    UNION ALL SELECT label, user_id, mark, auth_token_digest, expires_at FROM torture_others";

type Stored = (i64, String, i64, String, Option<OffsetDateTime>);

/// How long a cluster may take until its nodes work together again, or a pooler until it asks its server again.
const REUNION: Duration = Duration::from_mins(2);

/// Returns all rows, and when they were read.
pub(crate) async fn read(target: &Target) -> Result<(Vec<Row>, OffsetDateTime), sqlx::Error> {
    read_from(target, target.url()).await
}

/// Says of each session that is on the first node and not on another one of a cluster, or the other way round, where it is. A node
/// that does not answer is not compared.
pub(crate) async fn differences(target: &Target, first: &[Row]) -> Vec<String> {
    let others = if target.servers.is_cluster() { &target.urls[1..] } else { &[] };
    let labels = |rows: &[Row]| rows.iter().map(|row| (row.label, row.mark)).collect::<BTreeSet<_>>();
    let first = labels(first);
    let mut found = Vec::new();
    for (place, url) in others.iter().enumerate() {
        let rows = match read_from(target, url).await {
            Ok((rows, _)) => labels(&rows),
            Err(error) => {
                eprintln!("node {} does not answer, and is not compared: {error}", place + 1);
                continue;
            }
        };
        let of = |(label, mark): &(i64, i64), node| {
            format!("session {label} with the mark {mark} is on node {node} alone")
        };
        found.extend(first.difference(&rows).map(|row| format!("{} of 0 and {}", of(row, 0), place + 1)));
        found.extend(
            rows.difference(&first).map(|row| format!("{} of 0 and {}", of(row, place + 1), place + 1)),
        );
    }
    found
}

async fn read_from(target: &Target, url: &str) -> Result<(Vec<Row>, OffsetDateTime), sqlx::Error> {
    let begun = Instant::now();
    loop {
        match read_once(target, url).await {
            Err(error) if target.servers.is_several() && begun.elapsed() < REUNION => {
                eprintln!("{target} does not answer yet: {error}");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            read => return read,
        }
    }
}

async fn read_once(target: &Target, url: &str) -> Result<(Vec<Row>, OffsetDateTime), sqlx::Error> {
    let rows: Vec<Stored> = match target.kind {
        Kind::Sqlite => {
            sqlx::query_as(ROWS).fetch_all(&mut sqlx::SqliteConnection::connect(url).await?).await?
        }
        Kind::Postgres => {
            sqlx::query_as(ROWS).fetch_all(&mut sqlx::PgConnection::connect(url).await?).await?
        }
        Kind::MariaDb => {
            let mut connection = sqlx::MySqlConnection::connect(url).await?;
            if target.servers.is_cluster() {
                // What another node has committed may not have come to this one yet.
                connection.execute("SET SESSION wsrep_sync_wait = 1").await?;
            }
            sqlx::query_as(ROWS).fetch_all(&mut connection).await?
        }
    };
    let rows = rows.into_iter().map(|(label, user, mark, digest, expires_at)| Row {
        label,
        user,
        mark,
        digest: Digest(digest),
        expires_at,
    });
    Ok((rows.collect(), OffsetDateTime::now_utc()))
}
