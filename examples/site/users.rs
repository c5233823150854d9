//! The site's users: names and hashes of passwords, in a table of the site's own. And what the site answers in trouble.

use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use cloakroom::sqlx::sqlite::SqlitePoolOptions;
use cloakroom::sqlx::{self, SqliteConnection, SqlitePool, query, query_scalar};
use cloakroom_axum::SessionRejection;

/// What a form of the site's sends.
#[derive(serde::Deserialize)]
pub(crate) struct Given {
    #[serde(default)]
    pub(crate) name: String,
    pub(crate) password: String,
    pub(crate) remember: Option<String>,
}

/// Opens the database, in which there is one user.
pub(crate) async fn open() -> sqlx::Result<SqlitePool> {
    // A database in memory lives as long as a connection to it.
    let pool = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
    let pool = pool.connect("sqlite::memory:").await?;
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

/// Returns `true` if the user exists and has this password.
pub(crate) async fn is_right(pool: &SqlitePool, name: &str, password: String) -> sqlx::Result<bool> {
    let stored = query_scalar("SELECT hash FROM users WHERE name = ?").bind(name);
    // An unknown user takes as long as a known one, or longer.
    let stored: String = match stored.fetch_optional(pool).await? {
        Some(hash) => hash,
        None => hash("the password of no user".into()).await,
    };
    let verify = move || Argon2::default().verify_password(password.as_bytes(), stored.as_str()).is_ok();
    Ok(tokio::task::spawn_blocking(verify).await.expect("verifying does not panic"))
}

/// Writes the hash of a new password, within a transaction of the caller's.
pub(crate) async fn change(transaction: &mut SqliteConnection, name: &str, hash: &str) -> sqlx::Result<()> {
    query("UPDATE users SET hash = ? WHERE name = ?").bind(hash).bind(name).execute(transaction).await?;
    Ok(())
}

/// What the site answers if something fails.
pub(crate) struct Failed(Response);

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        self.0
    }
}

impl From<sqlx::Error> for Failed {
    fn from(_: sqlx::Error) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE.into_response())
    }
}

impl From<cloakroom::Error> for Failed {
    fn from(error: cloakroom::Error) -> Self {
        SessionRejection::from(error).into()
    }
}

impl From<SessionRejection> for Failed {
    fn from(rejection: SessionRejection) -> Self {
        Self(rejection.into_response())
    }
}
