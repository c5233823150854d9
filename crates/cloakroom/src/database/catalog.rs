//! The database's own description of its tables.

use super::statement::Statement;
use super::{Backend, ColumnType, Connection, FieldValue, Foreign};

/// A column as the database describes it.
#[derive(Debug)]
pub(crate) struct ColumnInfo {
    pub(crate) name: String,
    pub(crate) column_type: ColumnType,
    /// How its values are written and read, if not in the driver's way.
    pub(crate) foreign: Option<Foreign>,
    /// The type as the database describes it, with its length or precision.
    pub(crate) declared: String,
    /// On PostgreSQL, the type that a domain is made of, or the type itself if it is no domain.
    pub(crate) base: Option<String>,
    pub(crate) nullable: bool,
}

/// An index as the database describes it.
#[derive(Debug)]
pub(crate) struct IndexInfo {
    pub(crate) name: String,
    /// Whether it is unique over all rows of the table.
    pub(crate) is_unique: bool,
    /// Whether it is complete.
    pub(crate) is_valid: bool,
    /// The columns, expressions, or first characters of a column that it is over, as the database writes them.
    pub(crate) over: String,
}

impl Connection<'_> {
    /// Returns the columns of a table, in their order. There are none if there is no such table.
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
                let base = if backend == Backend::Postgres { row.text(3)? } else { None };
                let (column_type, foreign) = match backend {
                    Backend::Sqlite => on_sqlite(&declared),
                    Backend::Postgres => on_postgres(base.as_deref().unwrap_or_default()),
                    Backend::MySql => on_mysql(&declared),
                };
                Ok(ColumnInfo {
                    name: row.text(0)?.unwrap_or_default(),
                    column_type,
                    foreign,
                    declared,
                    base,
                    nullable: row.integer(2)? == Some(1),
                })
            })
            .collect()
    }

    /// Returns a table's indexes.
    pub(crate) async fn indexes(
        &mut self,
        schema: Option<&str>,
        table: &str,
    ) -> Result<Vec<IndexInfo>, sqlx::Error> {
        let statement = match self.backend() {
            Backend::Sqlite => Statement::new(
                "SELECT name, \"unique\" AND NOT partial, 1, \
                (SELECT group_concat(coalesce(c.name, 'an expression'), ', ') FROM pragma_index_info(l.name, ?) c) \
                FROM pragma_index_list(?, ?) l",
                {
                    let schema = || FieldValue::plain(schema.unwrap_or("main"));
                    vec![schema(), FieldValue::plain(table), schema()]
                },
            ),
            Backend::Postgres => Statement::new(
                "SELECT i.relname::text, (x.indisunique AND x.indpred IS NULL)::int, x.indisvalid::int, \
                 (SELECT string_agg(pg_catalog.pg_get_indexdef(x.indexrelid, k, true), ', ' ORDER BY k) \
                 FROM generate_series(1, x.indnkeyatts) k) \
                 FROM pg_catalog.pg_index x \
                 JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid \
                 JOIN pg_catalog.pg_class c ON c.oid = x.indrelid \
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                 WHERE c.relname = $1 \
                 AND CASE WHEN $2::text IS NULL THEN pg_catalog.pg_table_is_visible(c.oid) ELSE n.nspname = $2 END",
                vec![FieldValue::plain(table), FieldValue::plain(schema.map(str::to_owned))],
            ),
            Backend::MySql => Statement::new(
                "SELECT index_name, MAX(non_unique) = 0, 1, GROUP_CONCAT(CONCAT(COALESCE(column_name, 'an expression'), \
                 IF(COALESCE(sub_part, 255) < 255, CONCAT('(', sub_part, ')'), '')) ORDER BY seq_in_index SEPARATOR ', ') FROM information_schema.statistics \
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
                    over: row.text(3)?.unwrap_or_default(),
                })
            })
            .collect()
    }

    /// Returns `true` if a schema of this name exists.
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

/// Returns the type of a column that SQLite declares so. Each value has a type of its own.
fn on_sqlite(declared: &str) -> (ColumnType, Option<Foreign>) {
    let declared = declared.to_ascii_lowercase();
    let known = match declared.split(['(', ' ']).next().unwrap_or_default() {
        "integer" | "int" | "bigint" | "smallint" | "int8" | "int4" | "int2" | "mediumint" | "tinyint" => {
            ColumnType::Integer
        }
        "bool" | "boolean" => ColumnType::Bool,
        "real" | "double" | "float" => ColumnType::Float,
        "blob" | "bytea" | "binary" | "varbinary" => ColumnType::Bytes,
        "uuid" => ColumnType::Uuid,
        "timestamp" | "datetime" => ColumnType::Timestamp,
        "json" | "jsonb" => ColumnType::Json,
        "text" | "varchar" | "character" | "char" | "citext" => ColumnType::Text,
        _ => ColumnType::Exact(declared.into()),
    };
    // In a column of numbers, text becomes a number if it can.
    let foreign = matches!(known, ColumnType::Exact(_)).then(Foreign::default);
    (known, foreign)
}

/// Returns the type of a column from PostgreSQL's name for it. For a domain, this is the name of the type that it is
/// made of.
fn on_postgres(name: &str) -> (ColumnType, Option<Foreign>) {
    let (known, bound) = match name {
        "bigint" | "integer" | "smallint" => (ColumnType::Integer, "bigint"),
        "boolean" => (ColumnType::Bool, "boolean"),
        "double precision" => (ColumnType::Float, "double precision"),
        "bytea" => (ColumnType::Bytes, "bytea"),
        "uuid" => (ColumnType::Uuid, "uuid"),
        "text" | "character varying" => (ColumnType::Text, "text"),
        // The driver's values have one form for these two types.
        "timestamp without time zone" | "timestamp with time zone" => return (ColumnType::Timestamp, None),
        "json" | "jsonb" => return (ColumnType::Json, None),
        "real" => return (ColumnType::Float, Some(Foreign::narrow(Backend::Postgres))),
        "bpchar" | "character" => return (ColumnType::Text, Some(Foreign::padded_on_postgres())),
        _ => return (ColumnType::Exact(name.to_owned().into()), Some(Foreign::on_postgres(name))),
    };
    (known, Some(Foreign::bound_on_postgres(bound)))
}

/// Returns the type of a column that MariaDB or MySQL describes by `declared`.
fn on_mysql(declared: &str) -> (ColumnType, Option<Foreign>) {
    if let Some(foreign) = Foreign::on_mysql(declared) {
        return (ColumnType::Exact(declared.to_owned().into()), Some(foreign));
    }
    let words = declared.to_ascii_lowercase();
    let known = match words.split(['(', ' ']).next().unwrap_or_default() {
        "tinyint" if words.starts_with("tinyint(1)") => ColumnType::Bool,
        "bigint" | "int" | "mediumint" | "smallint" | "tinyint" => ColumnType::Integer,
        "double" => ColumnType::Float,
        "float" => return (ColumnType::Float, Some(Foreign::narrow(Backend::MySql))),
        "binary" if words.starts_with("binary(16)") => ColumnType::Uuid,
        "blob" | "binary" | "varbinary" | "tinyblob" | "mediumblob" | "longblob" => ColumnType::Bytes,
        "timestamp" | "datetime" => ColumnType::Timestamp,
        "json" => ColumnType::Json,
        "varchar" | "char" | "text" | "tinytext" | "mediumtext" | "longtext" => ColumnType::Text,
        _ => ColumnType::Exact(declared.to_owned().into()),
    };
    (known, None)
}

/// Returns `true` if a column with this declared type may have the type that a migration has recorded for it. The
/// database has fewer types than there are kinds of fields.
pub(crate) fn may_be(backend: Backend, declared: &str, recorded: &ColumnType) -> bool {
    match backend {
        Backend::Sqlite => backend.sql_type(recorded).eq_ignore_ascii_case(declared),
        // The server names the type that its alias stands for.
        Backend::MySql => *recorded == ColumnType::Json && declared.eq_ignore_ascii_case("longtext"),
        Backend::Postgres => false,
    }
}
