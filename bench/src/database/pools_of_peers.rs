//! The same pools of the older sqlx, for the store of tower-sessions.

use sqlx_of_peers::mysql::{MySqlConnectOptions, MySqlPool, MySqlPoolOptions};
use sqlx_of_peers::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx_of_peers::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};

use super::CONNECTIONS;
use crate::failure::Outcome;

pub async fn postgres(url: &str) -> Outcome<PgPool> {
    let options: PgConnectOptions = url.parse()?;
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).min_connections(CONNECTIONS);
    Ok(pool.test_before_acquire(false).idle_timeout(None).max_lifetime(None).connect_with(options).await?)
}

pub async fn sqlite(options: SqliteConnectOptions, connections: u32) -> Outcome<SqlitePool> {
    let pool = SqlitePoolOptions::new().max_connections(connections).min_connections(connections);
    Ok(pool.test_before_acquire(false).idle_timeout(None).max_lifetime(None).connect_with(options).await?)
}

pub async fn mariadb(url: &str) -> Outcome<MySqlPool> {
    let options: MySqlConnectOptions = url.parse()?;
    let pool = MySqlPoolOptions::new().max_connections(CONNECTIONS).min_connections(CONNECTIONS);
    Ok(pool.test_before_acquire(false).idle_timeout(None).max_lifetime(None).connect_with(options).await?)
}
