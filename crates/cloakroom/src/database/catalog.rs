//! What the database says of its own tables.

use super::statement::Statement;
use super::{Backend, Connection};
use crate::field::{ColumnType, FieldValue};

/// A column as the database describes it.
#[derive(Debug)]
pub(crate) struct ColumnInfo {
    pub(crate) name: String,
    pub(crate) column_type: ColumnType,
    pub(crate) nullable: bool,
}

/// An index as the database describes it.
#[derive(Debug)]
pub(crate) struct IndexInfo {
    pub(crate) name: String,
    /// Whether it keeps every two rows of the table apart.
    pub(crate) is_unique: bool,
    /// Whether it is complete.
    pub(crate) is_valid: bool,
}

impl Connection<'_> {
    /// The columns of a table, in their order; none where there is no such table.
    pub(crate) async fn columns(
        &mut self,
        schema: Option<&str>,
        table: &str,
    ) -> Result<Vec<ColumnInfo>, sqlx::Error> {
        let statement = match self.backend() {
            #[cfg(feature = "sqlite")]
            Backend::Sqlite => super::sqlite::columns_query(schema, table),
            #[cfg(feature = "postgres")]
            Backend::Postgres => super::postgres::columns_query(schema, table),
            #[cfg(feature = "mysql")]
            Backend::MySql => super::mysql::columns_query(schema, table),
            #[allow(unreachable_patterns, reason = "reachable unless every feature is on")]
            _ => return Ok(Vec::new()),
        };
        let backend = self.backend();
        let rows = self.fetch_all(&statement).await?;
        rows.iter()
            .map(|row| {
                let declared = row.text(1)?.unwrap_or_default();
                Ok(ColumnInfo {
                    name: row.text(0)?.unwrap_or_default(),
                    column_type: column_type_named(backend, &declared),
                    nullable: row.integer(2)? == Some(1),
                })
            })
            .collect()
    }

    /// A table's indexes.
    pub(crate) async fn indexes(
        &mut self,
        schema: Option<&str>,
        table: &str,
    ) -> Result<Vec<IndexInfo>, sqlx::Error> {
        let statement = match self.backend() {
            Backend::Sqlite => Statement::new(
                r#"SELECT name, "unique" AND NOT partial, 1 FROM pragma_index_list(?, ?)"#,
                vec![FieldValue::plain(table), FieldValue::plain(schema.unwrap_or("main"))],
            ),
            Backend::Postgres => Statement::new(
                "SELECT i.relname::text, (x.indisunique AND x.indpred IS NULL)::int, x.indisvalid::int \
                 FROM pg_catalog.pg_index x \
                 JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid \
                 JOIN pg_catalog.pg_class c ON c.oid = x.indrelid \
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                 WHERE c.relname = $1 \
                 AND CASE WHEN $2::text IS NULL THEN pg_catalog.pg_table_is_visible(c.oid) ELSE n.nspname = $2 END",
                vec![FieldValue::plain(table), FieldValue::plain(schema.map(str::to_owned))],
            ),
            Backend::MySql => Statement::new(
                "SELECT index_name, MAX(non_unique) = 0, 1 FROM information_schema.statistics \
                 WHERE table_name = ? AND table_schema = COALESCE(?, DATABASE()) GROUP BY index_name",
                vec![FieldValue::plain(table), FieldValue::plain(schema.map(str::to_owned))],
            ),
        };
        let rows = self.fetch_all(&statement).await?;
        rows.iter()
            .map(|row| {
                Ok(IndexInfo {
                    name: row.text(0)?.unwrap_or_default(),
                    is_unique: row.integer(1)? == Some(1),
                    is_valid: row.integer(2)? == Some(1),
                })
            })
            .collect()
    }

    /// Whether a schema of this name exists.
    pub(crate) async fn has_schema(&mut self, schema: &str) -> Result<bool, sqlx::Error> {
        let statement = match self.backend() {
            Backend::Sqlite => Statement::new(
                "SELECT 1 FROM pragma_database_list WHERE name = ?",
                vec![FieldValue::plain(schema)],
            ),
            Backend::Postgres => Statement::new(
                "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1",
                vec![FieldValue::plain(schema)],
            ),
            Backend::MySql => Statement::new(
                "SELECT 1 FROM information_schema.schemata WHERE schema_name = ?",
                vec![FieldValue::plain(schema)],
            ),
        };
        Ok(self.fetch_optional(&statement).await?.is_some())
    }
}

/// The type of a column that the database describes by `declared`.
fn column_type_named(backend: Backend, declared: &str) -> ColumnType {
    let declared = declared.to_ascii_lowercase();
    let word = declared.split(['(', ' ']).next().unwrap_or_default();
    match (word, backend) {
        ("integer" | "int" | "bigint" | "smallint" | "int8" | "int4" | "int2" | "mediumint", _) => {
            ColumnType::Integer
        }
        ("tinyint", Backend::MySql) if declared.starts_with("tinyint(1)") => ColumnType::Bool,
        ("tinyint", _) => ColumnType::Integer,
        ("bool" | "boolean", _) => ColumnType::Bool,
        ("real" | "double" | "float", _) => ColumnType::Float,
        ("binary", Backend::MySql) if declared.starts_with("binary(16)") => ColumnType::Uuid,
        ("blob" | "bytea" | "binary" | "varbinary" | "tinyblob" | "mediumblob" | "longblob", _) => {
            ColumnType::Bytes
        }
        ("uuid", _) => ColumnType::Uuid,
        ("timestamp" | "datetime", _) => ColumnType::Timestamp,
        ("json" | "jsonb", _) => ColumnType::Json,
        (
            "text" | "varchar" | "character" | "char" | "citext" | "tinytext" | "mediumtext" | "longtext",
            _,
        ) => ColumnType::Text,
        _ => ColumnType::Exact(declared.into()),
    }
}
