//! The columns of a table as its database declares them, for comparison with the columns that the fields need.

use super::statement::Statement;
use super::{Backend, Connection, FieldValue};

/// A column as it is declared.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "what a catalogue says of a column")]
pub(crate) struct Described {
    pub(crate) name: String,
    /// The type in full, as the database writes it.
    pub(crate) declared: String,
    /// The type's name alone, in lower case; for a domain, the name of the type that it is made of.
    pub(crate) base: String,
    /// Whether the type is one of the database's own.
    pub(crate) is_built_in: bool,
    /// Whether it may hold null. This is not known for a view.
    pub(crate) nullable: Option<bool>,
    pub(crate) has_default: bool,
    pub(crate) collation: Option<String>,
    /// Whether SQLite enforces the types of the table's columns.
    pub(crate) is_strict: bool,
    /// Whether a key or a unique index begins with it. A foreign key needs that.
    pub(crate) is_key: bool,
}

/// A domain of a domain is not resolved: its name is not that of a built-in type.
const ON_POSTGRES: &str = "\
    SELECT a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), \
        pg_catalog.format_type(b.oid, NULL), \
        (bn.nspname = 'pg_catalog' AND b.typtype = 'b')::int, \
        CASE WHEN c.relkind IN ('r', 'p') THEN (NOT (a.attnotnull OR t.typnotnull))::int END, \
        (a.atthasdef OR a.attidentity <> '')::int, \
        NULLIF(co.collname, 'default')::text, \
        0, \
        EXISTS (SELECT FROM pg_catalog.pg_index x WHERE x.indrelid = c.oid AND x.indisunique \
            AND x.indnkeyatts = 1 AND x.indkey[0] = a.attnum AND x.indpred IS NULL)::int \
    FROM pg_catalog.pg_attribute a \
    JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
    JOIN pg_catalog.pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END \
    JOIN pg_catalog.pg_namespace bn ON bn.oid = b.typnamespace \
    LEFT JOIN pg_catalog.pg_collation co ON co.oid = a.attcollation \
    WHERE c.relname = $1 AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'f') \
    AND CASE WHEN $2::text IS NULL THEN pg_catalog.pg_table_is_visible(c.oid) ELSE n.nspname = $2 END \
    ORDER BY a.attnum";

/// Each query on the server's own tables names one table: otherwise the server opens every table there is.
const ON_MYSQL: &str = "\
    SELECT CAST(column_name AS CHAR), CAST(column_type AS CHAR), CAST(data_type AS CHAR), 1, \
        CASE WHEN (SELECT table_type FROM information_schema.tables \
            WHERE table_name = ? AND table_schema = COALESCE(?, DATABASE())) = 'BASE TABLE' \
            THEN is_nullable = 'YES' END, \
        column_default IS NOT NULL AND column_default <> 'NULL', \
        CAST(collation_name AS CHAR), 0, column_key <> '' \
    FROM information_schema.columns \
    WHERE table_name = ? AND table_schema = COALESCE(?, DATABASE()) ORDER BY ordinal_position";

const ON_SQLITE: &str = "\
    SELECT i.name, i.type, i.type, 1, \
        CASE WHEN t.type = 'table' THEN NOT (i.\"notnull\" OR i.pk AND t.wr) END, \
        i.dflt_value IS NOT NULL, NULL, t.strict, 1 \
    FROM pragma_table_info(?, ?) i JOIN pragma_table_list t \
    WHERE t.schema = ? COLLATE NOCASE AND t.name = ? COLLATE NOCASE ORDER BY i.cid";

impl Connection<'_> {
    /// Returns the columns of a table, in their order. There are none if there is no such table.
    pub(crate) async fn described(
        &mut self,
        schema: Option<&str>,
        table: &str,
    ) -> Result<Vec<Described>, sqlx::Error> {
        let owned = || FieldValue::plain(schema.map(str::to_owned));
        let statement = match self.backend() {
            Backend::Postgres => Statement::new(ON_POSTGRES, vec![FieldValue::plain(table), owned()]),
            Backend::MySql => {
                let name = || FieldValue::plain(table);
                Statement::new(ON_MYSQL, vec![name(), owned(), name(), owned()])
            }
            Backend::Sqlite => {
                let (name, schema) =
                    (|| FieldValue::plain(table), || FieldValue::plain(schema.unwrap_or("main")));
                Statement::new(ON_SQLITE, vec![name(), schema(), schema(), name()])
            }
        };
        let rows = self.fetch_all(&statement).await?;
        rows.iter()
            .map(|row| {
                let text = |index| Ok::<_, sqlx::Error>(row.text(index)?.unwrap_or_default());
                let flag = |index| Ok::<_, sqlx::Error>(row.integer(index)? == Some(1));
                Ok(Described {
                    name: text(0)?,
                    declared: text(1)?,
                    base: text(2)?.to_lowercase(),
                    is_built_in: flag(3)?,
                    nullable: row.integer(4)?.map(|nullable| nullable != 0),
                    has_default: flag(5)?,
                    collation: row.text(6)?,
                    is_strict: flag(7)?,
                    is_key: flag(8)?,
                })
            })
            .collect()
    }
}
