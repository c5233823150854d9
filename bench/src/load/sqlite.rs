use std::fs;
use std::path::Path;

use axum_session::DatabasePool;
use axum_session_sqlx::SessionSqlitePool;
use cloakroom::{Config, Sessions};
use rusqlite::Connection;
use sqlx::SqlitePool;
use time::{Duration, OffsetDateTime};
use tower_sessions::SessionStore;
use tower_sessions_sqlx_store::SqliteStore;

use super::{EXPIRED, LIFETIME};
use crate::contestants::axum_session::{self as axum, Stored};
use crate::contestants::tower_sessions as tower;
use crate::database::sqlite_file::{BUSY, File, Synchronous};
use crate::database::sqlite_time::time_text;
use crate::database::{CONNECTIONS, pools, pools_of_peers};
use crate::dataset::{Payload, Tokens, UserSession, digest, token};
use crate::failure::Outcome;

/// Creates Cloakroom's table, with this many rows that expire in `lifetime`.
pub async fn cloakroom(pool: &SqlitePool, path: &Path, rows: u64, lifetime: Duration) -> Outcome {
    Sessions::<UserSession>::new(pool.clone(), Config::default())?.migrate().await?;
    bulk(path, |connection| {
        let mut indexes = connection.prepare(
            "SELECT name, sql FROM sqlite_master \
             WHERE type = 'index' AND tbl_name = 'sessions' AND sql IS NOT NULL",
        )?;
        let indexes: Vec<(String, String)> =
            indexes.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        for (name, _) in &indexes {
            connection.execute_batch(&format!("DROP INDEX {name}"))?;
        }
        append(connection, 0..rows, lifetime)?;
        for (_, definition) in indexes {
            connection.execute_batch(&definition)?;
        }
        Ok(())
    })
}

fn append(connection: &Connection, rows: std::ops::Range<u64>, lifetime: Duration) -> Outcome {
    let now = OffsetDateTime::now_utc();
    let (expires_at, updated_at) = (time_text(now + lifetime), time_text(now));
    let mut insert = connection.prepare(
        "INSERT INTO sessions (id, auth_token_digest, data, expires_at, user_id, role, inserted_at, updated_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    for row in rows {
        let payload = Payload::of(row);
        let id = uuid::Uuid::from_u128((0x0199_0000_0000_7000_8000 << 48) | u128::from(row));
        let inserted_at = now - Duration::days(1) + Duration::microseconds(row.cast_signed());
        insert.execute((
            id.as_bytes(),
            digest(token(row).as_bytes()),
            payload.data.to_string(),
            &expires_at,
            payload.user_id,
            payload.role,
            time_text(inserted_at),
            &updated_at,
        ))?;
    }
    Ok(())
}

/// Adds expired rows to an existing table.
pub fn expired(path: &Path, rows: std::ops::Range<u64>) -> Outcome {
    bulk(path, |connection| append(connection, rows, EXPIRED))
}

/// The pools and tables of all contestants, a file each.
#[derive(Clone)]
pub struct Peers {
    /// For Cloakroom and for the statements by hand.
    pub file: File,
    pub tokens: Tokens,
    pub cloakroom: SqlitePool,
    pub by_hand: SqlitePool,
    pub tower_sessions: SqliteStore,
    /// The same with one connection: `SQLite` has one writer, and a connection that finds it busy sleeps.
    pub tower_sessions_alone: SqliteStore,
    pub axum_session: SessionSqlitePool,
}

impl Peers {
    /// Creates them with this many rows each, in files in this directory.
    pub async fn load(directory: &Path, synchronous: Synchronous, rows: u64) -> Outcome<Self> {
        fs::create_dir_all(directory)?;
        let file = |name: &str| File::new(directory.join(name), synchronous);
        let (own, tower, axum) = (file("cloakroom.db")?, file("tower.db")?, file("axum.db")?);
        let pool = pools::sqlite(own.options()).await?;
        cloakroom(&pool, &own.path, rows, LIFETIME).await?;
        let tower_pool = pools_of_peers::sqlite(tower.options_of_peers(), CONNECTIONS).await?;
        let tower_alone = pools_of_peers::sqlite(tower.options_of_peers(), 1).await?;
        let axum_pool = pools::sqlite(axum.options()).await?;
        Ok(Self {
            tokens: Tokens::of(rows),
            cloakroom: pool,
            by_hand: pools::sqlite(own.options()).await?,
            tower_sessions: tower_sessions(&tower_pool, &tower.path, rows).await?,
            tower_sessions_alone: SqliteStore::new(tower_alone),
            axum_session: axum_session(&axum_pool, &axum.path, rows).await?,
            file: own,
        })
    }
}

async fn tower_sessions(pool: &sqlx_of_peers::SqlitePool, path: &Path, rows: u64) -> Outcome<SqliteStore> {
    let store = SqliteStore::new(pool.clone());
    store.migrate().await?;
    if rows > 0 {
        // The first row by the store itself, to see how it writes an instant.
        store.save(&tower::record(0)).await?;
    }
    bulk(path, |connection| {
        let mut insert = connection.prepare(
            "INSERT INTO tower_sessions (id, data, expiry_date) SELECT ?1, ?2, expiry_date FROM tower_sessions LIMIT 1",
        )?;
        for record in (1..rows).map(tower::record) {
            insert.execute((record.id.to_string(), rmp_serde::to_vec(&record)?))?;
        }
        Ok(())
    })?;
    Ok(store)
}

async fn axum_session(pool: &SqlitePool, path: &Path, rows: u64) -> Outcome<SessionSqlitePool> {
    let sessions = SessionSqlitePool::from(pool.clone());
    sessions.initiate(axum::TABLE).await?;
    let expires = (OffsetDateTime::now_utc() + LIFETIME).unix_timestamp();
    bulk(path, |connection| {
        let insert = format!("INSERT INTO {} (id, session, expires) VALUES (?1, ?2, ?3)", axum::TABLE);
        let mut insert = connection.prepare(&insert)?;
        for row in 0..rows {
            insert.execute((
                axum::id(row),
                serde_json::to_string(&Stored::of(&Payload::of(row)))?,
                expires,
            ))?;
        }
        Ok(())
    })?;
    Ok(sessions)
}

/// Writes many rows in one transaction that does not wait for the disk, because they can be loaded again. Then
/// everything is written to the disk at once, so that nothing is written during the measurement.
fn bulk(path: &Path, write: impl FnOnce(&Connection) -> Outcome) -> Outcome {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "cache_size", -262_144)?;
    connection.execute_batch("BEGIN IMMEDIATE")?;
    write(&connection)?;
    connection.execute_batch("COMMIT; ANALYZE")?;
    let is_busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if is_busy {
        return Err("the file is in use while it is loaded".into());
    }
    fs::File::open(path)?.sync_all()?;
    Ok(())
}
