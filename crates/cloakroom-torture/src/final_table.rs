//! Reads the table with plain sqlx on a new connection.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use sqlx::{Connection as _, Executor as _};
use time::OffsetDateTime;

use crate::checker::Row;
use crate::journal::{Digest, Label};
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

/// Says of each session whose row is not the same on all nodes of a cluster between which nodes it differs. A node that does
/// not answer is not compared. A call whose caller is gone may still take effect, so what differs is read once more.
pub(crate) async fn differences(target: &Target) -> Result<Vec<(Label, String)>, sqlx::Error> {
    let mut found = differences_now(target).await?;
    if !found.is_empty() {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let again = differences_now(target).await?;
        found.retain(|one| again.contains(one));
    }
    Ok(found)
}

async fn differences_now(target: &Target) -> Result<Vec<(Label, String)>, sqlx::Error> {
    let others = if target.servers.is_cluster() { &target.urls[1..] } else { &[] };
    let by_label = |rows: Vec<Row>| rows.into_iter().map(|row| (row.label, row)).collect::<BTreeMap<_, _>>();
    let mut found = Vec::new();
    for (place, url) in others.iter().enumerate() {
        let first = by_label(read(target).await?.0);
        let other = match read_from(target, url).await {
            Ok((rows, _)) => by_label(rows),
            Err(error) => {
                eprintln!("node {} does not answer, and is not compared: {error}", place + 1);
                continue;
            }
        };
        let labels: BTreeSet<Label> = first.keys().chain(other.keys()).copied().collect();
        for label in labels.into_iter().filter(|label| first.get(label) != other.get(label)) {
            let is_there =
                |rows: &BTreeMap<Label, Row>| if rows.contains_key(&label) { "there" } else { "missing" };
            let (here, there) = (is_there(&first), is_there(&other));
            found.push((label, format!("{here} on node 0, {there} on node {}", place + 1)));
        }
    }
    Ok(found)
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
