use cloakroom::{Config, Sessions};
use sqlx::{AssertSqlSafe, MySqlPool};
use time::{Duration, OffsetDateTime, PrimitiveDateTime};

use super::LIFETIME;
use crate::dataset::{SESSIONS_PER_USER, UserSession};
use crate::failure::Outcome;

/// Creates Cloakroom's table, with this many rows.
pub async fn cloakroom(pool: &MySqlPool, rows: u64) -> Outcome {
    Sessions::<UserSession>::new(pool.clone(), Config::default())?.migrate().await?;
    // The values of `Payload::of` and `token`, computed by the server itself.
    let fill = format!(
        "INSERT INTO sessions (id, auth_token_digest, data, expires_at, user_id, role, inserted_at, updated_at) \
         SELECT UNHEX(CONCAT('01990000000070008000', LPAD(HEX(seq), 12, '0'))), SHA2(SHA2(seq, 256), 256), \
         CONCAT('{{\"address\":\"203.0.', seq DIV 256 % 256, '.', seq % 256, \
         '\",\"device\":\"Firefox 140 on Linux\",\"remember\":true}}'), \
         ?, CONCAT('user-', seq DIV {SESSIONS_PER_USER}), 'member', ? + INTERVAL seq MICROSECOND, ? \
         FROM seq_0_to_{}",
        rows - 1
    );
    let instant = |instant: OffsetDateTime| PrimitiveDateTime::new(instant.date(), instant.time());
    let now = OffsetDateTime::now_utc();
    sqlx::query(AssertSqlSafe(fill))
        .bind(instant(now + LIFETIME))
        .bind(instant(now - Duration::days(1)))
        .bind(instant(now))
        .execute(pool)
        .await?;
    sqlx::query("ANALYZE TABLE sessions").execute(pool).await?;
    // Has the whole table written, so that nothing is written during the measurement.
    sqlx::raw_sql("FLUSH TABLES sessions FOR EXPORT; UNLOCK TABLES").execute(pool).await?;
    Ok(())
}
