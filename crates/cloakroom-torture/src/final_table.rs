//! Reads the table with plain sqlx on a new connection.

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
    let begun = Instant::now();
    loop {
        match read_once(target).await {
            Err(error) if target.servers.is_several() && begun.elapsed() < REUNION => {
                eprintln!("{target} does not answer yet: {error}");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            read => return read,
        }
    }
}

async fn read_once(target: &Target) -> Result<(Vec<Row>, OffsetDateTime), sqlx::Error> {
    let url = target.url();
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
