use cloakroom::{Config, Sessions};
use sqlx::{AssertSqlSafe, MySqlPool};
use sqlx_of_peers::{MySql, QueryBuilder};
use time::{Duration, OffsetDateTime, PrimitiveDateTime};
use tower_sessions_sqlx_store::MySqlStore;

use super::{LIFETIME, chunks};
use crate::contestants::tower_sessions as tower;
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

/// Creates the table of tower-sessions' store, which is in a database of its own, with as many rows.
pub async fn tower_sessions(pool: &sqlx_of_peers::MySqlPool, rows: u64) -> Outcome<MySqlStore> {
    let store = MySqlStore::new(pool.clone());
    store.migrate().await?;
    let expiry = OffsetDateTime::now_utc() + LIFETIME;
    for chunk in chunks(rows) {
        let records: Vec<_> = chunk.map(tower::record).collect();
        let data: Vec<Vec<u8>> = records.iter().map(rmp_serde::to_vec).collect::<Result<_, _>>()?;
        let mut insert =
            QueryBuilder::<MySql>::new("INSERT INTO tower_sessions.session (id, data, expiry_date) ");
        insert.push_values(records.iter().zip(data), |mut row, (record, data)| {
            row.push_bind(record.id.to_string()).push_bind(data).push_bind(expiry);
        });
        insert.build().execute(pool).await?;
    }
    sqlx_of_peers::query("ANALYZE TABLE tower_sessions.session").execute(pool).await?;
    sqlx_of_peers::raw_sql("FLUSH TABLES tower_sessions.session FOR EXPORT; UNLOCK TABLES")
        .execute(pool)
        .await?;
    Ok(store)
}
