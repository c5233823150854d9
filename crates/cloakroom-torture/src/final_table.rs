//! Reads the table with plain sqlx on a new connection.

use sqlx::Connection as _;
use time::OffsetDateTime;

use crate::checker::Row;
use crate::journal::Digest;
use crate::settings::Kind;

const ROWS: &str = "SELECT label, user_id, mark, auth_token_digest, expires_at FROM torture_sessions";

type Stored = (i64, String, i64, String, Option<OffsetDateTime>);

/// Returns all rows, and when they were read.
pub(crate) async fn read(kind: Kind, url: &str) -> Result<(Vec<Row>, OffsetDateTime), sqlx::Error> {
    let rows: Vec<Stored> = match kind {
        Kind::Sqlite => {
            sqlx::query_as(ROWS).fetch_all(&mut sqlx::SqliteConnection::connect(url).await?).await?
        }
        Kind::Postgres => {
            sqlx::query_as(ROWS).fetch_all(&mut sqlx::PgConnection::connect(url).await?).await?
        }
        Kind::MariaDb => {
            sqlx::query_as(ROWS).fetch_all(&mut sqlx::MySqlConnection::connect(url).await?).await?
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
