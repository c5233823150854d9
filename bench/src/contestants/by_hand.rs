//! SQL that an application would write by hand with sqlx: one prepared statement for each request, on Cloakroom's own
//! table, decoded into a struct.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use sqlx::mysql::{MySqlPool, MySqlRow};
use sqlx::postgres::{PgPool, PgRow};
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::types::Json;
use sqlx::{FromRow, Row};
use time::{Duration, OffsetDateTime, PrimitiveDateTime};
use uuid::Uuid;

use super::{Authenticate, Create, Extend, List, Performs, Revoke, found, found_all, revoked_all};
use crate::database::sqlite_time::time_text;
use crate::dataset::{Payload, Tokens, digest, hex, secret, user};
use crate::failure::Outcome;

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

/// `authenticate` on PostgreSQL and on SQLite, which accept the same text, as for the statements below.
pub const SELECT: &str = "SELECT id, data, expires_at, inserted_at, updated_at, user_id, role \
    FROM sessions WHERE auth_token_digest = $1 AND (expires_at IS NULL OR expires_at > $2)";

pub const INSERT: &str = "INSERT INTO sessions \
    (id, auth_token_digest, data, expires_at, inserted_at, updated_at, user_id, role) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

const EXTEND: &str = "UPDATE sessions SET expires_at = $1, updated_at = $2 WHERE id = $3 AND expires_at > $4";

const LIST: &str = "SELECT id, data, expires_at, inserted_at, updated_at, user_id, role FROM sessions \
    WHERE user_id = $1 AND (expires_at IS NULL OR expires_at > $2) ORDER BY inserted_at DESC";

const REVOKE: &str = "UPDATE sessions SET expires_at = $1, updated_at = $2 \
    WHERE user_id = $3 AND (expires_at IS NULL OR expires_at > $4)";

const MARIADB: &str = "SELECT id, data, expires_at, inserted_at, updated_at, user_id, role \
    FROM sessions WHERE auth_token_digest = ? AND (expires_at IS NULL OR expires_at > ?)";

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

/// The same for PostgreSQL and SQLite, except for how an instant is bound: `$instant`.
macro_rules! by_hand {
    ($name:ident, $pool:ty, $row:ty, $instant:expr) => {
        impl FromRow<'_, $row> for Found {
            fn from_row(row: &$row) -> Result<Self, sqlx::Error> {
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

        #[derive(Clone)]
        pub struct $name {
            pool: $pool,
            tokens: Tokens,
            next_user: Arc<AtomicU64>,
        }

        impl $name {
            pub fn new(pool: &$pool, tokens: &Tokens) -> Self {
                Self { pool: pool.clone(), tokens: tokens.clone(), next_user: Arc::default() }
            }

            /// Counts the users to revoke, one after another.
            pub fn revoking(self, next_user: &Arc<AtomicU64>) -> Self {
                Self { next_user: Arc::clone(next_user), ..self }
            }

            async fn find(&self, random: u64) -> Outcome<Option<Found>> {
                let query = sqlx::query_as::<_, Found>(SELECT)
                    .bind(digest(&self.tokens.pick(random)))
                    .bind($instant(OffsetDateTime::now_utc()));
                Ok(query.fetch_optional(&self.pool).await?)
            }
        }

        impl Performs<Authenticate> for $name {
            async fn perform(&self, random: u64) -> Outcome {
                found(self.find(random).await?)
            }
        }

        impl Performs<Create> for $name {
            async fn perform(&self, random: u64) -> Outcome {
                let payload = Payload::of(random);
                let token = hex(&secret()?);
                let now = OffsetDateTime::now_utc();
                sqlx::query(INSERT)
                    .bind(Uuid::now_v7())
                    .bind(digest(token.as_bytes()))
                    .bind(Json(payload.data))
                    .bind($instant(now + Duration::days(7)))
                    .bind($instant(now))
                    .bind($instant(now))
                    .bind(payload.user_id)
                    .bind(payload.role)
                    .execute(&self.pool)
                    .await?;
                found(Some(token))
            }
        }

        impl Performs<Extend> for $name {
            async fn perform(&self, random: u64) -> Outcome {
                let session = self.find(random).await?.ok_or("the session was not found")?;
                let now = OffsetDateTime::now_utc();
                sqlx::query(EXTEND)
                    .bind($instant(now + Duration::days(7)))
                    .bind($instant(now))
                    .bind(session.id)
                    .bind($instant(now))
                    .execute(&self.pool)
                    .await?;
                found(Some(session))
            }
        }

        impl Performs<List> for $name {
            async fn perform(&self, random: u64) -> Outcome {
                let query = sqlx::query_as::<_, Found>(LIST)
                    .bind(self.tokens.pick_user(random))
                    .bind($instant(OffsetDateTime::now_utc()));
                found_all(query.fetch_all(&self.pool).await?)
            }
        }

        impl Performs<Revoke> for $name {
            async fn perform(&self, _random: u64) -> Outcome {
                let now = OffsetDateTime::now_utc();
                let revoked = sqlx::query(REVOKE)
                    .bind($instant(now))
                    .bind($instant(now))
                    .bind(user(self.next_user.fetch_add(1, Ordering::Relaxed)))
                    .bind($instant(now))
                    .execute(&self.pool)
                    .await?;
                revoked_all(revoked.rows_affected())
            }
        }
    };
}

by_hand!(ByHandPostgres, PgPool, PgRow, |instant: OffsetDateTime| instant);
by_hand!(ByHandSqlite, SqlitePool, SqliteRow, time_text);

#[derive(Clone)]
pub struct ByHandMariaDb {
    pool: MySqlPool,
    tokens: Tokens,
}

impl ByHandMariaDb {
    pub fn new(pool: &MySqlPool, tokens: &Tokens) -> Self {
        Self { pool: pool.clone(), tokens: tokens.clone() }
    }
}

impl Performs<Authenticate> for ByHandMariaDb {
    async fn perform(&self, random: u64) -> Outcome {
        let now = OffsetDateTime::now_utc();
        let query = sqlx::query_as::<_, Found>(MARIADB);
        let query = query.bind(digest(&self.tokens.pick(random)));
        let query = query.bind(PrimitiveDateTime::new(now.date(), now.time()));
        found(query.fetch_optional(&self.pool).await?)
    }
}
