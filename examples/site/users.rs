//! The site's users: names and hashes of passwords, in a table of the site's own.

use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use axum::http::StatusCode;
use axum::response::Result;
use cloakroom::sqlx::{self, SqliteConnection, SqlitePool, query, query_scalar};

/// Opens the database, in which there is one user.
pub(crate) async fn open() -> Result<SqlitePool, sqlx::Error> {
    let pool = SqlitePool::connect("sqlite::memory:").await?;
    query("CREATE TABLE users (name text PRIMARY KEY, hash text NOT NULL)").execute(&pool).await?;
    let insert = query("INSERT INTO users VALUES ('robin', ?)").bind(hash("a password".into()).await);
    insert.execute(&pool).await?;
    Ok(pool)
}

/// Hashing takes long on purpose, so it is done beside the threads that serve.
pub(crate) async fn hash(password: String) -> String {
    let hash = move || Argon2::default().hash_password(password.as_bytes()).expect("the defaults are valid");
    tokio::task::spawn_blocking(hash).await.expect("hashing does not panic").to_string()
}

fn away(_: sqlx::Error) -> StatusCode {
    StatusCode::SERVICE_UNAVAILABLE
}

/// Returns `true` if the user exists and has this password.
pub(crate) async fn is_right(pool: &SqlitePool, name: &str, password: String) -> Result<bool> {
    let stored = query_scalar("SELECT hash FROM users WHERE name = ?").bind(name).fetch_optional(pool).await;
    // An unknown user takes as long as a known one.
    let stored: String = stored.map_err(away)?.unwrap_or(hash("of no user".into()).await);
    let verify = move || Argon2::default().verify_password(password.as_bytes(), stored.as_str()).is_ok();
    Ok(tokio::task::spawn_blocking(verify).await.expect("verifying does not panic"))
}

/// Writes the hash of a new password, within a transaction of the caller's.
pub(crate) async fn change_password(
    transaction: &mut SqliteConnection,
    name: &str,
    hash: &str,
) -> Result<()> {
    let update = query("UPDATE users SET hash = ? WHERE name = ?").bind(hash).bind(name);
    update.execute(transaction).await.map_err(away)?;
    Ok(())
}
