//! Brings the tables of an earlier version of the demo to the present one. `migrate` adds no columns of the application's
//! own, so the application does.

use cloakroom::{Backend, Database};
use sqlx::AssertSqlSafe;

use crate::users::on_pool;

/// What a column holds.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Instant,
    Scopes,
}

/// The columns that were added since the first version, in no order.
const ADDED: &[(&str, &str, Kind)] = &[
    ("user_sessions", "label", Kind::Text),
    ("user_sessions", "last_seen", Kind::Instant),
    ("user_sessions", "last_address", Kind::Text),
    ("user_sessions", "authenticated_at", Kind::Instant),
    ("user_sessions", "ended_because", Kind::Text),
    ("api_keys", "scopes", Kind::Scopes),
    ("api_keys", "hint", Kind::Text),
    ("api_keys", "last_seen", Kind::Instant),
    ("api_keys", "last_address", Kind::Text),
    ("api_keys", "ended_because", Kind::Text),
];

/// Adds the columns that are missing, and turns the roles of keys into scopes. Does nothing to tables that are up to date,
/// or not there yet.
pub(crate) async fn run(database: &Database) -> Result<(), sqlx::Error> {
    for (table, column, kind) in ADDED {
        let known = columns(database, table).await?;
        if known.is_empty() || known.iter().any(|known| known == column) {
            continue;
        }
        let sql = format!("ALTER TABLE {table} ADD COLUMN {column} {}", kind.sql_type(database.backend()));
        tracing::info!(sql, "the table is of an earlier version");
        if let Err(error) = execute(database, sql).await {
            // Another process that starts at the same time may have been faster.
            if !columns(database, table).await?.iter().any(|known| known == column) {
                return Err(error);
            }
        }
    }
    let has_roles = || async {
        Ok::<_, sqlx::Error>(columns(database, "api_keys").await?.iter().any(|known| known == "role"))
    };
    if has_roles().await? {
        let scopes = "CASE role WHEN 'admin' THEN 'read write' ELSE 'read' END";
        let sql = format!("UPDATE api_keys SET scopes = {scopes} WHERE scopes = ''");
        // Another process that starts at the same time may have come to the end by now.
        if let Err(error) = execute(database, sql).await
            && has_roles().await?
        {
            return Err(error);
        }
        if let Err(error) = execute(database, "ALTER TABLE api_keys DROP COLUMN role".to_owned()).await
            && has_roles().await?
        {
            return Err(error);
        }
    }
    Ok(())
}

impl Kind {
    fn sql_type(self, backend: Backend) -> &'static str {
        match (self, backend) {
            (Self::Text | Self::Instant, Backend::Sqlite) => "text",
            (Self::Text, _) => "varchar(255)",
            (Self::Instant, Backend::Postgres) => "timestamptz",
            (Self::Instant, _) => "datetime(6)",
            (Self::Scopes, Backend::Sqlite) => "text NOT NULL DEFAULT ''",
            (Self::Scopes, _) => "varchar(255) NOT NULL DEFAULT ''",
        }
    }
}

/// Returns the columns of a table; none if there is no such table.
async fn columns(database: &Database, table: &str) -> Result<Vec<String>, sqlx::Error> {
    let sql = match database.backend() {
        Backend::Sqlite => "SELECT name FROM pragma_table_info($1)",
        Backend::Postgres => {
            "SELECT attname::text FROM pg_attribute \
             WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped"
        }
        // MariaDB and MySQL.
        _ => {
            "SELECT CAST(column_name AS char) FROM information_schema.columns \
             WHERE table_schema = DATABASE() AND table_name = ?"
        }
    };
    on_pool!(database, |pool| sqlx::query_scalar(sql).bind(table).fetch_all(pool).await)
}

/// All of it is text of this file.
async fn execute(database: &Database, sql: String) -> Result<(), sqlx::Error> {
    on_pool!(database, |pool| sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await.map(drop))
}
