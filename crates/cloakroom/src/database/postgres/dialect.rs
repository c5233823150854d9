use std::borrow::Cow;

use sea_query::{Expr, ExprTrait, Func, SubQueryStatement};

use crate::database::dialect::{Bound, Dialect, OwnerLock, first_word, integers, length, of_table};
use crate::database::guard::{Guard, OWN_TRANSACTION_ON_POSTGRES, counted};
use crate::database::statement::Statement;
use crate::database::{Backend, ColumnType, Described, FieldValue, Foreign, KeyList};

pub(crate) struct Postgres;

/// A domain of a domain is not resolved: its name is not that of a built-in type.
const DESCRIBED: &str = "\
    SELECT a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), \
        pg_catalog.format_type(b.oid, NULL), \
        (bn.nspname = 'pg_catalog' AND b.typtype = 'b')::int, \
        CASE WHEN c.relkind IN ('r', 'p') THEN (NOT (a.attnotnull OR t.typnotnull))::int END, \
        (a.atthasdef OR a.attidentity <> '')::int, \
        NULLIF(co.collname, 'default')::text, \
        0, \
        EXISTS (SELECT FROM pg_catalog.pg_index x WHERE x.indrelid = c.oid AND x.indisunique \
            AND x.indnkeyatts = 1 AND x.indkey[0] = a.attnum AND x.indpred IS NULL)::int, 0 \
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

/// The last column is the type that a domain is made of, without a length: the form in which it is cast to.
///
/// A role that may only read, and only the columns that it was granted before there was one for sliding, does without it.
const COLUMNS: &str = "\
    SELECT a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), (NOT a.attnotnull)::int, ( \
        WITH RECURSIVE made_of AS ( \
            SELECT t.oid, t.typtype, t.typbasetype FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid \
            UNION ALL \
            SELECT t.oid, t.typtype, t.typbasetype FROM made_of \
            JOIN pg_catalog.pg_type t ON t.oid = made_of.typbasetype WHERE made_of.typtype = 'd' \
        ) SELECT pg_catalog.format_type(oid, -1) FROM made_of WHERE typtype <> 'd' \
    ) \
    FROM pg_catalog.pg_attribute a \
    JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relname = $1 AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'f') \
    AND CASE WHEN $2::text IS NULL THEN pg_catalog.pg_table_is_visible(c.oid) ELSE n.nspname = $2 END \
    AND (a.attname <> 'sliding_seconds' OR pg_catalog.has_any_column_privilege(c.oid, 'UPDATE') \
        OR pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT')) \
    ORDER BY a.attnum";

const INDEXES: &str = "\
    SELECT i.relname::text, (x.indisunique AND x.indpred IS NULL)::int, x.indisvalid::int, \
        (SELECT string_agg(pg_catalog.pg_get_indexdef(x.indexrelid, k, true), ', ' ORDER BY k) \
            FROM generate_series(1, x.indnkeyatts) k) \
    FROM pg_catalog.pg_index x \
    JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid \
    JOIN pg_catalog.pg_class c ON c.oid = x.indrelid \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relname = $1 \
    AND CASE WHEN $2::text IS NULL THEN pg_catalog.pg_table_is_visible(c.oid) ELSE n.nspname = $2 END";

/// Makes a statement wait for rows no longer than this, from when its first value is read. The setting holds for the
/// transaction, which consists of this statement.
const AT_ONCE: &str = "CASE WHEN set_config('lock_timeout', '10ms', true) IS NOT NULL THEN $1 END";

impl Dialect for Postgres {
    fn name(&self) -> &'static str {
        "PostgreSQL"
    }

    fn notifies(&self) -> bool {
        true
    }

    /// It distinguishes upper and lower case in quoted names.
    fn is_same_name(&self, one: &str, other: &str) -> bool {
        one == other
    }

    fn numbers_placeholders(&self) -> bool {
        true
    }

    fn sql_type<'t>(&self, column_type: &'t ColumnType) -> &'t str {
        match column_type {
            ColumnType::Exact(sql) => sql,
            ColumnType::Text => "varchar(255)",
            ColumnType::Integer => "bigint",
            ColumnType::Bool => "boolean",
            ColumnType::Float => "double precision",
            ColumnType::Bytes => "bytea",
            ColumnType::Uuid => "uuid",
            ColumnType::Timestamp => "timestamptz",
            ColumnType::Json => "jsonb",
        }
    }

    /// By its bytes: digests have no language, and by the rules of one, which most databases are created with, a shared
    /// lookup cost the server 1.6 times as much (docs/performance.md).
    fn digest_type(&self) -> &'static str {
        "varchar(255) COLLATE \"C\""
    }

    fn empty_object(&self) -> &'static str {
        "'{}'::jsonb"
    }

    fn create_schema(&self, quoted: &str) -> Option<String> {
        Some(format!("CREATE SCHEMA IF NOT EXISTS {quoted}"))
    }

    /// An index lives in the schema of its table.
    fn names_schema_of_index(&self) -> bool {
        true
    }

    /// Without `IF NOT EXISTS`: an index that exists and is not valid would be taken for a valid one.
    fn index_in_use(&self, create: String) -> String {
        create.replacen("INDEX IF NOT EXISTS", "INDEX CONCURRENTLY", 1)
    }

    fn change_type(&self, table: &str, column: &str, sql_type: &str, _: bool) -> Option<String> {
        Some(format!(
            "ALTER TABLE {table} ALTER COLUMN {column} TYPE {sql_type} USING {column}::text::{sql_type}"
        ))
    }

    fn change_null(&self, table: &str, column: &str, _: &Described, null: bool) -> Option<String> {
        let change = if null { "DROP" } else { "SET" };
        Some(format!("ALTER TABLE {table} ALTER COLUMN {column} {change} NOT NULL"))
    }

    fn needs_for_references(&self) -> Option<&'static str> {
        Some("unique index")
    }

    fn columns(&self, schema: Option<&str>, table: &str) -> Statement {
        of_table(COLUMNS, schema, table)
    }

    fn described(&self, schema: Option<&str>, table: &str) -> Statement {
        of_table(DESCRIBED, schema, table)
    }

    fn indexes(&self, schema: Option<&str>, table: &str) -> Statement {
        of_table(INDEXES, schema, table)
    }

    fn schema(&self, name: &str) -> Statement {
        Statement::new(
            "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1",
            vec![FieldValue::plain(name)],
        )
    }

    /// By the name of the type, or of the one that a domain is made of.
    fn column_type(&self, _: &str, base: &str) -> (ColumnType, Option<Foreign>) {
        let (known, bound) = match base {
            "bigint" | "integer" | "smallint" => (ColumnType::Integer, "bigint"),
            "boolean" => (ColumnType::Bool, "boolean"),
            "double precision" => (ColumnType::Float, "double precision"),
            "bytea" => (ColumnType::Bytes, "bytea"),
            "uuid" => (ColumnType::Uuid, "uuid"),
            "text" | "character varying" => (ColumnType::Text, "text"),
            // The driver's values have one form for these two types.
            "timestamp without time zone" | "timestamp with time zone" => {
                return (ColumnType::Timestamp, None);
            }
            "json" | "jsonb" => return (ColumnType::Json, None),
            "real" => return (ColumnType::Float, Some(Foreign::narrow(Backend::Postgres))),
            "bpchar" | "character" => return (ColumnType::Text, Some(Foreign::padded_on_postgres())),
            _ => return (ColumnType::Exact(base.to_owned().into()), Some(Foreign::on_postgres(base))),
        };
        (known, Some(Foreign::bound_on_postgres(bound)))
    }

    fn declares_every_kind(&self) -> bool {
        true
    }

    fn may_be(&self, _: &str, _: &ColumnType) -> bool {
        false
    }

    fn rounds_instants(&self, declared: &str) -> bool {
        declared.starts_with("timestamp(") && !declared.starts_with("timestamp(6)") || declared == "date"
    }

    fn changes_values(&self, declared: &str, _: &ColumnType) -> bool {
        let declared = declared.to_ascii_lowercase();
        match first_word(&declared) {
            "real" | "bpchar" => true,
            "character" => !declared.starts_with("character varying") || declared.ends_with("[]"),
            // A type with a precision keeps no more than that.
            _ => declared.contains('(') && !declared.starts_with("timestamp(6)"),
        }
    }

    fn bound(&self, declared: &str) -> Bound {
        let declared = declared.to_ascii_lowercase();
        match first_word(&declared) {
            "character" if declared.ends_with("[]") => Bound::None,
            "character" => length(&declared).map_or(Bound::None, Bound::Characters),
            "smallint" => integers(16, false),
            "integer" => integers(32, false),
            _ => Bound::None,
        }
    }

    fn own_transaction(&self) -> Option<&'static str> {
        Some(OWN_TRANSACTION_ON_POSTGRES)
    }

    fn guard_write<'s>(&self, sql: &'s str) -> (Cow<'s, str>, Guard) {
        let (counted, guard) = counted("count(*)");
        (Cow::Owned(format!("WITH written AS ({sql} RETURNING 1) SELECT {counted} FROM written")), guard)
    }

    fn bounds_wait_for_table(&self) -> Option<&'static str> {
        Some("SET LOCAL lock_timeout = '500ms'")
    }

    fn at_once_from(&self, value: Expr) -> Expr {
        Expr::cust_with_exprs(AT_ONCE, [value])
    }

    fn owner_lock(&self) -> OwnerLock {
        OwnerLock::Advisory
    }

    fn skips_locked_rows(&self) -> bool {
        true
    }

    fn returns_a_row_for_a_miss(&self) -> bool {
        true
    }

    /// A statement with fewer is planned anew each time.
    fn fewest_keys(&self) -> usize {
        10
    }

    /// An operator would add parentheses, and the list would then no longer be an operand.
    fn update_statistics(&self, table: &str) -> Option<String> {
        Some(format!("ANALYZE {table}"))
    }

    fn is_in_list(&self, column: Expr, _: &KeyList, list: Expr) -> Expr {
        Expr::cust_with_exprs("$1 = ANY($2)", [column, list])
    }

    /// As an array the values are looked up one by one. For a list the planner may choose a join that reads the whole
    /// table.
    fn is_in_subquery(&self, column: Expr, subquery: SubQueryStatement) -> Expr {
        Expr::cust_with_exprs("$1 = ANY (ARRAY $2)", [column, Expr::from(subquery)])
    }

    fn is_never(&self, expires_at: Expr) -> Expr {
        expires_at.clone().is_null().or(expires_at.eq(Expr::cust("'infinity'")))
    }

    fn apart_from_index(&self, expires_at: Expr) -> Expr {
        Func::coalesce([expires_at.clone(), expires_at]).into()
    }

    fn returns_written_rows(&self) -> bool {
        true
    }

    fn returns_rows_before(&self) -> bool {
        true
    }

    fn written_at(&self, now: Expr, last: Expr) -> Expr {
        Expr::cust_with_exprs("GREATEST($1, $2 + INTERVAL '1 microsecond')", [now, last])
    }

    /// A cast removes the spaces at the end of a `char(n)`, but its length counts them.
    fn has_bytes(&self, column: Expr, [text, same]: [Expr; 2]) -> Expr {
        Expr::cust_with_exprs(
            "$2 = (CAST($1 AS text) COLLATE \"C\") AND OCTET_LENGTH($1) = OCTET_LENGTH($3)",
            [column, text, same],
        )
    }

    /// The type may be one that ignores case, such as `citext`, and the collation one that knows no parts of a text.
    fn has_word(&self, column: Expr, word: Expr) -> Expr {
        Expr::cust_with_exprs(
            "STRPOS((' ' || CAST($1 AS text) || ' ') COLLATE \"C\", $2) > 0",
            [column, word],
        )
    }

    fn place_of_dollar(&self, text: Expr) -> Expr {
        Expr::cust_with_exprs("STRPOS($1, $2)", [text, Expr::cust("'$'")])
    }

    fn is_hex(&self, text: Expr) -> Expr {
        Expr::cust_with_exprs("$1 !~ $2", [text, Expr::cust("'[^0-9a-f]'")])
    }

    fn is_json(&self, column: Expr, value: Expr) -> Expr {
        column.eq(value)
    }
}
