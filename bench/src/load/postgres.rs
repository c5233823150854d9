use axum_session::DatabasePool;
use axum_session_sqlx::SessionPgPool;
use cloakroom::{Config, Sessions};
use sqlx::{AssertSqlSafe, PgPool};
use time::{Duration, OffsetDateTime};
use tower_sessions_sqlx_store::PostgresStore;

use super::{LIFETIME, chunks};
use crate::contestants::axum_session::{self as axum, Stored};
use crate::contestants::tower_sessions as tower;
use crate::database::{pools, pools_of_peers};
use crate::dataset::{Payload, Tokens, UserSession};
use crate::failure::Outcome;

/// The values of `Payload::of` and `token`, computed by the server itself: a million rows in seconds.
const FILL: &str = "INSERT INTO sessions
    (id, auth_token_digest, data, expires_at, user_id, role, inserted_at, updated_at)
    SELECT ('01990000-0000-7000-8000-' || lpad(to_hex(row), 12, '0'))::uuid,
        encode(sha256(encode(sha256(row::text::bytea), 'hex')::bytea), 'hex'),
        jsonb_build_object('device', 'Firefox 140 on Linux', 'remember', true,
            'address', '203.0.' || row / 256 % 256 || '.' || row % 256),
        $3, 'user-' || row / $4, 'member', $5 + row * interval '1 microsecond', $5
    FROM generate_series($1::bigint, $2::bigint - 1) row";

/// Creates Cloakroom's table, with this many rows that expire in `lifetime`.
pub async fn cloakroom(pool: &PgPool, rows: u64, lifetime: Duration) -> Outcome {
    Sessions::<UserSession>::new(pool.clone(), Config::default())?.migrate().await?;
    fill(pool, rows, lifetime).await
}

/// The same in an unlogged table, which is as quick to read and quicker to load.
pub async fn unlogged(pool: &PgPool, rows: u64) -> Outcome {
    Sessions::<UserSession>::new(pool.clone(), Config::default())?.migrate().await?;
    sqlx::query("ALTER TABLE sessions SET UNLOGGED").execute(pool).await?;
    fill(pool, rows, LIFETIME).await?;
    settle_unlogged(pool).await
}

async fn fill(pool: &PgPool, rows: u64, lifetime: Duration) -> Outcome {
    let indexes = "SELECT indexname::text, indexdef FROM pg_indexes \
        WHERE tablename = 'sessions' AND indexname NOT LIKE '%pkey'";
    let indexes: Vec<(String, String)> = sqlx::query_as(indexes).fetch_all(pool).await?;
    // Sorting once is quicker than finding a million places.
    for (name, _) in &indexes {
        sqlx::query(AssertSqlSafe(format!("DROP INDEX {name}"))).execute(pool).await?;
    }
    append(pool, 0..rows, lifetime).await?;
    for (_, definition) in indexes {
        sqlx::query(AssertSqlSafe(definition)).execute(pool).await?;
    }
    settle(pool, "sessions").await
}

/// Writes everything that was loaded into `table` to the disk, so that nothing is written during the measurement.
pub async fn settle(pool: &PgPool, table: &str) -> Outcome {
    sqlx::query(AssertSqlSafe(format!("VACUUM ANALYZE {table}"))).execute(pool).await?;
    sqlx::query("CHECKPOINT").execute(pool).await?;
    Ok(())
}

/// The same for unlogged tables, which a checkpoint skips, except for the one before files are copied.
async fn settle_unlogged(pool: &PgPool) -> Outcome {
    // Before version 15 this was the only strategy, and had no name.
    for strategy in ["STRATEGY file_copy", ""] {
        let create = format!("CREATE DATABASE settling TEMPLATE template0 {strategy}");
        if sqlx::query(AssertSqlSafe(create)).execute(pool).await.is_ok() {
            sqlx::query("DROP DATABASE settling").execute(pool).await?;
            return Ok(());
        }
    }
    Err("the server did not write down what was loaded".into())
}

/// Adds rows to a table that is in use.
pub async fn append(pool: &PgPool, rows: std::ops::Range<u64>, lifetime: Duration) -> Outcome {
    let now = OffsetDateTime::now_utc();
    sqlx::query(FILL)
        .bind(rows.start.cast_signed())
        .bind(rows.end.cast_signed())
        .bind(now + lifetime)
        .bind(crate::dataset::SESSIONS_PER_USER.cast_signed())
        .bind(now - Duration::days(1))
        .execute(pool)
        .await?;
    Ok(())
}

/// The pools and tables of all contestants, in one database.
#[derive(Clone)]
pub struct Peers {
    pub url: String,
    pub tokens: Tokens,
    pub cloakroom: PgPool,
    pub by_hand: PgPool,
    pub tower_sessions: PostgresStore,
    pub axum_session: SessionPgPool,
}

impl Peers {
    /// Creates them with this many rows each.
    pub async fn load(url: String, rows: u64) -> Outcome<Self> {
        let pool = pools::postgres(&url).await?;
        cloakroom(&pool, rows, LIFETIME).await?;
        let tower_sessions = tower_sessions(&pools_of_peers::postgres(&url).await?, rows).await?;
        let axum_session = axum_session(&pools::postgres(&url).await?, rows).await?;
        settle(&pool, "tower_sessions.session").await?;
        settle(&pool, axum::TABLE).await?;
        let by_hand = pools::postgres(&url).await?;
        Ok(Self { tokens: Tokens::of(rows), cloakroom: pool, by_hand, tower_sessions, axum_session, url })
    }
}

async fn tower_sessions(pool: &sqlx_of_peers::PgPool, rows: u64) -> Outcome<PostgresStore> {
    let store = PostgresStore::new(pool.clone());
    store.migrate().await?;
    for chunk in chunks(rows) {
        let records: Vec<_> = chunk.map(tower::record).collect();
        let ids: Vec<String> = records.iter().map(|record| record.id.to_string()).collect();
        let data: Vec<Vec<u8>> = records.iter().map(rmp_serde::to_vec).collect::<Result<_, _>>()?;
        sqlx_of_peers::query(
            "INSERT INTO tower_sessions.session (id, data, expiry_date) \
             SELECT id, data, $3 FROM unnest($1::text[], $2::bytea[]) AS row (id, data)",
        )
        .bind(ids)
        .bind(data)
        .bind(OffsetDateTime::now_utc() + Duration::days(7))
        .execute(pool)
        .await?;
    }
    Ok(store)
}

async fn axum_session(pool: &PgPool, rows: u64) -> Outcome<SessionPgPool> {
    let sessions = SessionPgPool::from(pool.clone());
    sessions.initiate(axum::TABLE).await?;
    for chunk in chunks(rows) {
        let ids: Vec<String> = chunk.clone().map(axum::id).collect();
        let texts: Vec<String> = chunk
            .map(|row| serde_json::to_string(&Stored::of(&Payload::of(row))))
            .collect::<Result<_, _>>()?;
        let insert = format!(
            "INSERT INTO {} (id, session, expires) \
             SELECT id, session, $3 FROM unnest($1::text[], $2::text[]) AS row (id, session)",
            axum::TABLE
        );
        let expires = OffsetDateTime::now_utc() + Duration::days(7);
        sqlx::query(AssertSqlSafe(insert))
            .bind(ids)
            .bind(texts)
            .bind(expires.unix_timestamp())
            .execute(pool)
            .await?;
    }
    Ok(sessions)
}
