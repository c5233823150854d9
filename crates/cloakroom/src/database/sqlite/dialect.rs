use sea_query::{BinOper, Expr, ExprTrait, Value};
use time::OffsetDateTime;

use super::instant::timestamp_text;
use crate::clock;
use crate::database::dialect::{Bound, Dialect, OwnerLock, first_word};
use crate::database::statement::Statement;
use crate::database::{ColumnType, Described, FieldValue, Foreign, KeyList};

pub(crate) struct Sqlite;

fn schema(schema: Option<&str>) -> FieldValue {
    FieldValue::plain(schema.unwrap_or("main"))
}

impl Dialect for Sqlite {
    fn name(&self) -> &'static str {
        "SQLite"
    }

    fn owner_lock(&self) -> OwnerLock {
        OwnerLock::Whole
    }

    fn is_embedded(&self) -> bool {
        true
    }

    /// The sign changes nothing about the value. Without it, SQLite looks at the value to plan the statement if the table
    /// was analyzed, and plans it anew for each other value: <https://www.sqlite.org/compile.html#enable_stat4>.
    fn placeholder(&self) -> &'static str {
        "+?"
    }

    /// It does not distinguish upper and lower case in the letters A to Z.
    fn is_same_name(&self, one: &str, other: &str) -> bool {
        one.eq_ignore_ascii_case(other)
    }

    fn sql_type<'t>(&self, column_type: &'t ColumnType) -> &'t str {
        match column_type {
            ColumnType::Exact(sql) => sql,
            ColumnType::Text | ColumnType::Timestamp | ColumnType::Json => "TEXT",
            ColumnType::Integer | ColumnType::Bool => "INTEGER",
            ColumnType::Float => "REAL",
            ColumnType::Bytes | ColumnType::Uuid => "BLOB",
        }
    }

    fn digest_type(&self) -> &'static str {
        "TEXT"
    }

    fn empty_object(&self) -> &'static str {
        "'{}'"
    }

    /// With `STRICT`, SQLite checks the types of stored values. It cannot be said if a type is declared that SQLite
    /// knows only by its affinity.
    fn table_options(&self, types: &[&ColumnType]) -> &'static str {
        const STRICT_TYPES: [&str; 6] = ["INT", "INTEGER", "REAL", "TEXT", "BLOB", "ANY"];
        let is_strict = |column_type: &&ColumnType| match column_type {
            ColumnType::Exact(sql) => STRICT_TYPES.iter().any(|strict| sql.eq_ignore_ascii_case(strict)),
            _ => true,
        };
        if types.iter().all(is_strict) { " STRICT" } else { "" }
    }

    /// A schema is an attached database, and only the application can attach it.
    fn create_schema(&self, _: &str) -> Option<String> {
        None
    }

    fn names_schema_of_new_index(&self) -> bool {
        true
    }

    fn change_type(&self, _: &str, _: &str, _: &str, _: bool) -> Option<String> {
        None
    }

    fn change_null(&self, _: &str, _: &str, _: &Described, _: bool) -> Option<String> {
        None
    }

    /// SQLite accepts any foreign key, and looks at the column that it refers to when a row is written.
    fn needs_for_references(&self) -> Option<&'static str> {
        None
    }

    fn columns(&self, in_schema: Option<&str>, table: &str) -> Statement {
        Statement::new(
            r#"SELECT name, type, NOT "notnull", NULL FROM pragma_table_info(?, ?) ORDER BY cid"#,
            vec![FieldValue::plain(table), schema(in_schema)],
        )
    }

    fn described(&self, in_schema: Option<&str>, table: &str) -> Statement {
        const DESCRIBED: &str = "\
            SELECT i.name, i.type, i.type, 1, \
                CASE WHEN t.type = 'table' THEN NOT (i.\"notnull\" OR i.pk AND t.wr) END, \
                i.dflt_value IS NOT NULL, NULL, t.strict, 1, 0 \
            FROM pragma_table_info(?, ?) i JOIN pragma_table_list t \
            WHERE t.schema = ? COLLATE NOCASE AND t.name = ? COLLATE NOCASE ORDER BY i.cid";
        let name = || FieldValue::plain(table);
        Statement::new(DESCRIBED, vec![name(), schema(in_schema), schema(in_schema), name()])
    }

    fn indexes(&self, in_schema: Option<&str>, table: &str) -> Statement {
        const INDEXES: &str = "\
            SELECT name, \"unique\" AND NOT partial, 1, \
                (SELECT group_concat(coalesce(c.name, 'an expression'), ', ') FROM pragma_index_info(l.name, ?) c) \
            FROM pragma_index_list(?, ?) l";
        Statement::new(INDEXES, vec![schema(in_schema), FieldValue::plain(table), schema(in_schema)])
    }

    fn schema(&self, name: &str) -> Statement {
        Statement::new("SELECT 1 FROM pragma_database_list WHERE name = ?", vec![FieldValue::plain(name)])
    }

    /// Each value has a type of its own.
    fn column_type(&self, declared: &str, _: &str) -> (ColumnType, Option<Foreign>) {
        let declared = declared.to_ascii_lowercase();
        let known = match first_word(&declared) {
            "integer" | "int" | "bigint" | "smallint" | "int8" | "int4" | "int2" | "mediumint"
            | "tinyint" => ColumnType::Integer,
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

    /// There are fewer types than kinds of fields.
    fn may_be(&self, declared: &str, recorded: &ColumnType) -> bool {
        self.sql_type(recorded).eq_ignore_ascii_case(declared)
    }

    /// SQLite keeps the text.
    fn rounds_instants(&self, _: &str) -> bool {
        false
    }

    /// By the affinity of the column: <https://www.sqlite.org/datatype3.html>.
    fn changes_values(&self, declared: &str, column_type: &ColumnType) -> bool {
        let declared = declared.to_ascii_lowercase();
        let has = |part: &str| declared.contains(part);
        let is_of_text = !has("int") && (has("char") || has("clob") || has("text"));
        let is_of_none = !has("int") && has("blob") || declared.is_empty();
        match column_type {
            ColumnType::Text | ColumnType::Json | ColumnType::Exact(_) => !is_of_text && !is_of_none,
            ColumnType::Integer | ColumnType::Bool => {
                !has("int") && !is_of_none && !matches!(first_word(&declared), "bool" | "boolean")
            }
            ColumnType::Float => is_of_text || has("int"),
            ColumnType::Bytes | ColumnType::Uuid | ColumnType::Timestamp => false,
        }
    }

    /// SQLite has no lengths, and one width of integers.
    fn bound(&self, _: &str) -> Bound {
        Bound::None
    }

    /// SQLite has one lock, for all of a database.
    fn locks_rows(&self) -> bool {
        false
    }

    /// SQLite joins at most 64 tables, and a row has at most 2,000 columns: <https://www.sqlite.org/limits.html>. One
    /// table of the join is the row that holds `now`, so 63 sessions would fit; 60 is the round number that `max_batch`
    /// names.
    fn side_by_side(&self, width: usize) -> Option<usize> {
        const MAX_JOINED: usize = 60;
        const MAX_COLUMNS: usize = 2000;
        Some((MAX_COLUMNS / width).clamp(1, MAX_JOINED))
    }

    fn is_in_list(&self, column: Expr, keys: &KeyList, list: Expr) -> Expr {
        let values = match keys {
            KeyList::Uuids(_) => "(SELECT unhex(value) FROM json_each(?))",
            KeyList::Texts(_) | KeyList::Integers(_) => "(SELECT value FROM json_each(?))",
        };
        column.binary(BinOper::In, Expr::cust_with_expr(values, list))
    }

    fn remembers_columns(&self) -> bool {
        true
    }

    fn instant(&self, instant: OffsetDateTime) -> Value {
        timestamp_text(clock::to_stored_precision(instant)).into()
    }

    fn apart_from_index(&self, expires_at: Expr) -> Expr {
        Expr::cust_with_exprs("+?", [expires_at])
    }

    fn returns_written_rows(&self) -> bool {
        true
    }

    /// The text's first 19 characters are whole seconds, and six digits begin at the 21st.
    fn written_at(&self, now: Expr, last: Expr) -> Expr {
        Expr::cust_with_exprs(
            "MAX(?, CASE WHEN SUBSTR(?, 21, 6) = '999999' \
             THEN STRFTIME('%Y-%m-%dT%H:%M:%S', SUBSTR(?, 1, 19), '+1 second') || '.000000Z' \
             ELSE PRINTF('%s%06dZ', SUBSTR(?, 1, 20), SUBSTR(?, 21, 6) + 1) END)",
            [now, last.clone(), last.clone(), last.clone(), last],
        )
    }

    fn has_bytes(&self, column: Expr, [text, _]: [Expr; 2]) -> Expr {
        Expr::cust_with_exprs("CAST(? AS BLOB) = CAST(? AS BLOB)", [column, text])
    }

    /// Unlike `LIKE`, the function knows no wildcards, and no other case of a letter.
    fn has_word(&self, column: Expr, word: Expr) -> Expr {
        Expr::cust_with_exprs("INSTR(' ' || ? || ' ', ?) > 0", [column, word])
    }

    fn is_hex(&self, text: Expr) -> Expr {
        Expr::cust_with_exprs("? NOT GLOB '*[^0-9a-f]*'", [text])
    }

    /// This library writes sorted keys, so equal data is equal text.
    fn is_json(&self, column: Expr, value: Expr) -> Expr {
        Expr::cust_with_exprs("json(?) = json(?)", [column, value])
    }
}
