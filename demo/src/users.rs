//! Users: a table of the demo's own, in the same database, with plain sqlx.

use cloakroom::{Backend, Database, Transaction};
use sqlx::FromRow;
use uuid::Uuid;

#[derive(Clone, Debug, FromRow)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) password_hash: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Users {
    database: Database,
}

/// Runs `$body` with the pool of any of the databases.
macro_rules! on_pool {
    ($database:expr, |$pool:ident| $body:expr) => {
        match $database {
            cloakroom::Database::Sqlite($pool) => $body,
            cloakroom::Database::Postgres($pool) => $body,
            cloakroom::Database::MySql($pool) => $body,
            // No other database is built in; see Cargo.toml.
            _ => Err(sqlx::Error::Configuration("no such database".into())),
        }
    };
}
pub(crate) use on_pool;

impl Users {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    pub(crate) async fn migrate(&self) -> Result<(), sqlx::Error> {
        let sql = match self.database.backend() {
            // `bob` and `Bob` are two users on every database.
            Backend::MySql => {
                "CREATE TABLE IF NOT EXISTS users (id varchar(36) PRIMARY KEY, \
                 name varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL UNIQUE, \
                 password_hash varchar(255) NOT NULL)"
            }
            _ => {
                "CREATE TABLE IF NOT EXISTS users (id varchar(36) PRIMARY KEY, \
                 name varchar(64) NOT NULL UNIQUE, password_hash varchar(255) NOT NULL)"
            }
        };
        on_pool!(&self.database, |pool| sqlx::raw_sql(sql).execute(pool).await.map(drop))
    }

    /// Returns the new user; `None` if the name is taken.
    pub(crate) async fn create(&self, name: &str, password_hash: &str) -> Result<Option<User>, sqlx::Error> {
        let id = Uuid::now_v7().to_string();
        let user = User { id, name: name.to_owned(), password_hash: password_hash.to_owned() };
        let sql = self.sql(
            "INSERT INTO users (id, name, password_hash) VALUES ($1, $2, $3)",
            "INSERT INTO users (id, name, password_hash) VALUES (?, ?, ?)",
        );
        let result = on_pool!(&self.database, |pool| {
            let insert = sqlx::query(sql).bind(&user.id).bind(&user.name).bind(&user.password_hash);
            insert.execute(pool).await.map(drop)
        });
        match result {
            Ok(()) => Ok(Some(user)),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn by_id(&self, id: &str) -> Result<Option<User>, sqlx::Error> {
        let sql = self.sql(
            "SELECT id, name, password_hash FROM users WHERE id = $1",
            "SELECT id, name, password_hash FROM users WHERE id = ?",
        );
        on_pool!(&self.database, |pool| sqlx::query_as(sql).bind(id).fetch_optional(pool).await)
    }

    pub(crate) async fn by_name(&self, name: &str) -> Result<Option<User>, sqlx::Error> {
        let sql = self.sql(
            "SELECT id, name, password_hash FROM users WHERE name = $1",
            "SELECT id, name, password_hash FROM users WHERE name = ?",
        );
        on_pool!(&self.database, |pool| sqlx::query_as(sql).bind(name).fetch_optional(pool).await)
    }

    /// Writes another password within the transaction. Returns `false` if the user's password is no longer this one.
    pub(crate) async fn replace_password(
        &self,
        transaction: &mut Transaction,
        user: &User,
        password_hash: &str,
    ) -> Result<bool, sqlx::Error> {
        let sql = self.sql(
            "UPDATE users SET password_hash = $1 WHERE id = $2 AND password_hash = $3",
            "UPDATE users SET password_hash = ? WHERE id = ? AND password_hash = ?",
        );
        macro_rules! update {
            ($connection:ident) => {{
                let update = sqlx::query(sql).bind(password_hash).bind(&user.id).bind(&user.password_hash);
                update.execute(transaction.$connection()).await?.rows_affected()
            }};
        }
        let updated = match self.database.backend() {
            Backend::Sqlite => update!(sqlite),
            Backend::Postgres => update!(postgres),
            _ => update!(mysql),
        };
        Ok(updated > 0)
    }

    /// SQLite and PostgreSQL number their parameters, MariaDB does not.
    fn sql(&self, numbered: &'static str, plain: &'static str) -> &'static str {
        if self.database.backend() == Backend::MySql { plain } else { numbered }
    }
}
