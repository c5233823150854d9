//! Finds the session tables of a database: those with a column for the digest.

use cloakroom::{Database, sqlx};
use sqlx::Row;

/// A session table, and its schema if the schema must be named to reach it.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) schema: Option<String>,
    pub(crate) table: String,
}

impl Found {
    /// The options that name it.
    pub(crate) fn options(&self) -> String {
        let quoted =
            |name: &str| shlex::try_quote(name).map(std::borrow::Cow::into_owned).unwrap_or_default();
        match &self.schema {
            Some(schema) => format!("--schema {} --table {}", quoted(schema), quoted(&self.table)),
            None => format!("--table {}", quoted(&self.table)),
        }
    }
}

/// Returns the first few of them: first those that need no schema.
pub(crate) async fn session_tables(database: &Database) -> Result<Vec<Found>, sqlx::Error> {
    let found = match database {
        Database::Sqlite(pool) => {
            let sql = "SELECT NULL, t.name FROM sqlite_schema AS t, pragma_table_info(t.name) AS c \
                       WHERE t.type IN ('table', 'view') AND c.name = 'auth_token_digest' ORDER BY t.name LIMIT 10";
            let rows = sqlx::query(sql).fetch_all(pool).await?;
            rows.iter()
                .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
                .collect::<Result<Vec<_>, sqlx::Error>>()
        }
        Database::Postgres(pool) => {
            let sql = "SELECT CASE WHEN pg_catalog.pg_table_is_visible(t.oid) THEN NULL ELSE n.nspname::text END, \
                       t.relname::text FROM pg_catalog.pg_attribute AS c \
                       JOIN pg_catalog.pg_class AS t ON t.oid = c.attrelid \
                       JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace \
                       WHERE c.attname = 'auth_token_digest' AND NOT c.attisdropped \
                       AND t.relkind IN ('r', 'p', 'v', 'm', 'f') \
                       AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') \
                       ORDER BY 1 NULLS FIRST, 2 LIMIT 10";
            let rows = sqlx::query(sql).fetch_all(pool).await?;
            rows.iter()
                .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
                .collect::<Result<Vec<_>, sqlx::Error>>()
        }
        Database::MySql(pool) => {
            // Server versions differ in the types of these columns.
            let sql = "SELECT CAST(NULLIF(table_schema, DATABASE()) AS CHAR), CAST(table_name AS CHAR) \
                       FROM information_schema.columns WHERE column_name = 'auth_token_digest' \
                       ORDER BY table_schema <> DATABASE(), table_schema, table_name LIMIT 10";
            let rows = sqlx::query(sql).fetch_all(pool).await?;
            rows.iter()
                .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
                .collect::<Result<Vec<_>, sqlx::Error>>()
        }
        // There is no other database, with the features that this command enables.
        _ => Ok(Vec::new()),
    }?;
    Ok(found.into_iter().map(|(schema, table)| Found { schema, table }).collect())
}
