//! What an application would write by hand with sqlx: one prepared statement a request, on Cloakroom's own
//! table, decoded into a struct.

use std::sync::Arc;

use serde_json::Value;
use sqlx::mysql::{MySqlConnectOptions, MySqlPool, MySqlPoolOptions, MySqlRow};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgRow};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteRow};
use sqlx::types::Json;
use sqlx::{FromRow, Row};
use time::{OffsetDateTime, PrimitiveDateTime};
use uuid::Uuid;

use super::{Authenticate, CONNECTIONS, found, pick};
use crate::Outcome;
use crate::payload::digest;
use crate::time_text;

/// Eight connections, all open from the start, that are not pinged before each use.
pub async fn postgres_pool(url: &str) -> Outcome<PgPool> {
    let options: PgConnectOptions = url.parse()?;
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).min_connections(CONNECTIONS);
    Ok(pool.test_before_acquire(false).idle_timeout(None).max_lifetime(None).connect_with(options).await?)
}

pub async fn sqlite_pool(options: SqliteConnectOptions) -> Outcome<SqlitePool> {
    let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).min_connections(CONNECTIONS);
    Ok(pool.test_before_acquire(false).idle_timeout(None).max_lifetime(None).connect_with(options).await?)
}

pub async fn mariadb_pool(url: &str) -> Outcome<MySqlPool> {
    let options: MySqlConnectOptions = url.parse()?;
    let pool = MySqlPoolOptions::new().max_connections(CONNECTIONS).min_connections(CONNECTIONS);
    Ok(pool.test_before_acquire(false).idle_timeout(None).max_lifetime(None).connect_with(options).await?)
}

#[derive(Debug)]
#[expect(dead_code, reason = "an application would read them")]
pub struct Found {
    id: Uuid,
    data: Value,
    expires_at: Option<OffsetDateTime>,
    inserted_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    user_id: String,
    role: String,
}

pub const POSTGRES: &str = "SELECT id, data, expires_at, inserted_at, updated_at, user_id, role \
    FROM sessions WHERE auth_token_digest = $1 AND (expires_at IS NULL OR expires_at > $2)";

pub const SQLITE: &str = "SELECT id, data, expires_at, inserted_at, updated_at, user_id, role \
    FROM sessions WHERE auth_token_digest = ?1 AND (expires_at IS NULL OR expires_at > ?2)";

const MARIADB: &str = "SELECT id, data, expires_at, inserted_at, updated_at, user_id, role \
    FROM sessions WHERE auth_token_digest = ? AND (expires_at IS NULL OR expires_at > ?)";

impl FromRow<'_, PgRow> for Found {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get(0)?,
            data: row.try_get::<Json<Value>, _>(1)?.0,
            expires_at: row.try_get(2)?,
            inserted_at: row.try_get(3)?,
            updated_at: row.try_get(4)?,
            user_id: row.try_get(5)?,
            role: row.try_get(6)?,
        })
    }
}

impl FromRow<'_, SqliteRow> for Found {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get(0)?,
            data: row.try_get::<Json<Value>, _>(1)?.0,
            expires_at: row.try_get(2)?,
            inserted_at: row.try_get(3)?,
            updated_at: row.try_get(4)?,
            user_id: row.try_get(5)?,
            role: row.try_get(6)?,
        })
    }
}

impl FromRow<'_, MySqlRow> for Found {
    fn from_row(row: &MySqlRow) -> Result<Self, sqlx::Error> {
        // `datetime` knows no time zone.
        let instant = |index| row.try_get(index).map(|time: PrimitiveDateTime| time.assume_utc());
        let data: &str = row.try_get(1)?;
        Ok(Self {
            id: row.try_get(0)?,
            data: serde_json::from_str(data).map_err(|error| sqlx::Error::Decode(error.into()))?,
            expires_at: row.try_get::<Option<PrimitiveDateTime>, _>(2)?.map(PrimitiveDateTime::assume_utc),
            inserted_at: instant(3)?,
            updated_at: instant(4)?,
            user_id: row.try_get(5)?,
            role: row.try_get(6)?,
        })
    }
}

#[derive(Clone)]
pub struct ByHandPostgres {
    pool: PgPool,
    tokens: Arc<[String]>,
}

impl ByHandPostgres {
    pub fn new(pool: PgPool, tokens: &Arc<[String]>) -> Self {
        Self { pool, tokens: Arc::clone(tokens) }
    }
}

impl Authenticate for ByHandPostgres {
    async fn authenticate(&self, random: u64) -> Outcome {
        let query = sqlx::query_as::<_, Found>(POSTGRES);
        let query = query.bind(digest(pick(&self.tokens, random).as_bytes())).bind(OffsetDateTime::now_utc());
        found(query.fetch_optional(&self.pool).await?)
    }
}

#[derive(Clone)]
pub struct ByHandSqlite {
    pool: SqlitePool,
    tokens: Arc<[String]>,
}

impl ByHandSqlite {
    pub fn new(pool: SqlitePool, tokens: &Arc<[String]>) -> Self {
        Self { pool, tokens: Arc::clone(tokens) }
    }
}

impl Authenticate for ByHandSqlite {
    async fn authenticate(&self, random: u64) -> Outcome {
        let query = sqlx::query_as::<_, Found>(SQLITE);
        let now = time_text(OffsetDateTime::now_utc());
        let query = query.bind(digest(pick(&self.tokens, random).as_bytes())).bind(now);
        found(query.fetch_optional(&self.pool).await?)
    }
}

#[derive(Clone)]
pub struct ByHandMariaDb {
    pool: MySqlPool,
    tokens: Arc<[String]>,
}

impl ByHandMariaDb {
    pub fn new(pool: MySqlPool, tokens: &Arc<[String]>) -> Self {
        Self { pool, tokens: Arc::clone(tokens) }
    }
}

impl Authenticate for ByHandMariaDb {
    async fn authenticate(&self, random: u64) -> Outcome {
        let now = OffsetDateTime::now_utc();
        let query = sqlx::query_as::<_, Found>(MARIADB);
        let query = query.bind(digest(pick(&self.tokens, random).as_bytes()));
        let query = query.bind(PrimitiveDateTime::new(now.date(), now.time()));
        found(query.fetch_optional(&self.pool).await?)
    }
}
