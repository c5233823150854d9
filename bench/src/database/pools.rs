//! Pools of this sqlx, for Cloakroom, for the statements by hand and for `axum_session`.

use sqlx::mysql::{MySqlConnectOptions, MySqlPool, MySqlPoolOptions};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};

use super::CONNECTIONS;
use crate::failure::Outcome;

pub async fn postgres(url: &str) -> Outcome<PgPool> {
    postgres_of(url, CONNECTIONS).await
}

/// The same with another number of connections.
pub async fn postgres_of(url: &str, connections: u32) -> Outcome<PgPool> {
    let options: PgConnectOptions = url.parse()?;
    let pool = PgPoolOptions::new().max_connections(connections).min_connections(connections);
    Ok(pool.test_before_acquire(false).idle_timeout(None).max_lifetime(None).connect_with(options).await?)
}

pub async fn sqlite(options: SqliteConnectOptions) -> Outcome<SqlitePool> {
    let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).min_connections(CONNECTIONS);
    Ok(pool.test_before_acquire(false).idle_timeout(None).max_lifetime(None).connect_with(options).await?)
}

pub async fn mariadb(url: &str) -> Outcome<MySqlPool> {
    let options: MySqlConnectOptions = url.parse()?;
    let pool = MySqlPoolOptions::new().max_connections(CONNECTIONS).min_connections(CONNECTIONS);
    Ok(pool.test_before_acquire(false).idle_timeout(None).max_lifetime(None).connect_with(options).await?)
}
