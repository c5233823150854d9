//! MariaDB's SQL, and MySQL's. Each server reads the comments that are meant for it.

use std::borrow::Cow;
use std::sync::Arc;

use sea_query::{BinOper, Expr, ExprTrait};

use crate::database::dialect::{
    Bound, Dialect, OwnerLock, first_word, integers, length, null_or_not, of_table,
};
use crate::database::guard::{Guard, OWN_TRANSACTION_ON_MYSQL};
use crate::database::statement::Statement;
use crate::database::{Backend, ColumnType, Described, FieldValue, Foreign, KeyList};

pub(crate) struct MySql;

/// How the name of the check on the data begins on MySQL.
pub(super) const CHECK_OF_DATA: &str = "cloakroom_data_is_json";

/// Makes a statement of MariaDB's fail if it would wait for a row. MySQL has nothing like it, and reads a comment.
const AT_ONCE: &str = "/*M!100700 SET STATEMENT innodb_lock_wait_timeout=0 FOR */ ";

/// Makes a statement of MySQL's refuse a value that it would cut, in any mode of the server and its connections.
/// Stands after the statement's first word. MariaDB reads a comment.
const STRICTLY_ON_MYSQL: &str = " /*+ SET_VAR(sql_mode='STRICT_ALL_TABLES') */";

/// The same for MariaDB.
const STRICTLY: &str = "/*M!100700 SET STATEMENT sql_mode='STRICT_ALL_TABLES' FOR */ ";

/// Both.
const STRICTLY_AT_ONCE: &str = "/*M!100700 SET STATEMENT innodb_lock_wait_timeout=0, \
     sql_mode='STRICT_ALL_TABLES' FOR */ ";

/// A mark in each UPDATE and DELETE for MariaDB and MySQL, which [`CONDITION`] may replace. No name holds a control
/// character, so no name is mistaken for the mark.
const PLACE_OF_CONDITION: &str = "/*\talone\t*/ TRUE";

const CONDITION: &str = "/*M! NOT @@in_transaction AND */ @@autocommit";

const RETURNING: &str = "/*M! RETURNING @@autocommit AND NOT @@in_transaction */";

/// Each query on the server's own tables names one table: otherwise the server opens every table there is.
const DESCRIBED: &str = "\
    SELECT CAST(column_name AS CHAR), CAST(column_type AS CHAR), CAST(data_type AS CHAR), 1, \
        CASE WHEN (SELECT table_type FROM information_schema.tables \
            WHERE table_name = ? AND table_schema = COALESCE(?, DATABASE())) = 'BASE TABLE' \
            THEN is_nullable = 'YES' END, \
        column_default IS NOT NULL AND column_default <> 'NULL', \
        CAST(collation_name AS CHAR), 0, column_key <> '', LOWER(extra) LIKE '%on update%' \
    FROM information_schema.columns \
    WHERE table_name = ? AND table_schema = COALESCE(?, DATABASE()) ORDER BY ordinal_position";

const COLUMNS: &str = "\
    SELECT column_name, column_type, is_nullable = 'YES', NULL FROM information_schema.columns \
    WHERE table_name = ? AND table_schema = COALESCE(?, DATABASE()) ORDER BY ordinal_position";

const INDEXES: &str = "\
    SELECT index_name, MAX(non_unique) = 0, 1, GROUP_CONCAT(CONCAT(COALESCE(column_name, 'an expression'), \
        IF(COALESCE(sub_part, 255) < 255, CONCAT('(', sub_part, ')'), '')) ORDER BY seq_in_index SEPARATOR ', ') \
    FROM information_schema.statistics \
    WHERE table_name = ? AND table_schema = COALESCE(?, DATABASE()) GROUP BY index_name";

/// Returns a statement of MariaDB's without the settings that hold for that statement alone.
fn without_settings(sql: &str) -> &str {
    const END: &str = " FOR */ ";
    match sql.split_once(END) {
        Some((settings, rest)) if settings.starts_with("/*M!") => rest,
        _ => sql,
    }
}

/// Returns a statement with the hint for MySQL after its first word.
fn strictly_on_mysql(sql: &str) -> String {
    let end = sql.find(' ').unwrap_or(sql.len());
    let (verb, rest) = sql.split_at(end);
    format!("{verb}{STRICTLY_ON_MYSQL}{rest}")
}

impl Dialect for MySql {
    fn name(&self) -> &'static str {
        "MariaDB/MySQL"
    }

    fn owner_lock(&self) -> OwnerLock {
        OwnerLock::Rows
    }

    fn quote(&self) -> char {
        '`'
    }

    /// Neither server distinguishes upper and lower case.
    fn is_same_name(&self, one: &str, other: &str) -> bool {
        one.to_lowercase() == other.to_lowercase()
    }

    fn refuses_name(&self, name: &str) -> Option<&'static str> {
        if name.ends_with(' ') {
            Some("MariaDB and MySQL have no name that ends with a space")
        } else if name.chars().any(|c| u32::from(c) > 0xffff) {
            Some("MariaDB and MySQL have no name with a character beyond U+FFFF")
        } else {
            None
        }
    }

    fn sql_type<'t>(&self, column_type: &'t ColumnType) -> &'t str {
        match column_type {
            ColumnType::Exact(sql) => sql,
            // Neither folds case nor ignores trailing spaces.
            ColumnType::Text => {
                "varchar(255) CHARACTER SET utf8mb4 COLLATE /*M! utf8mb4_nopad_bin */ /*!80017 utf8mb4_0900_bin */"
            }
            ColumnType::Integer => "bigint",
            ColumnType::Bool => "boolean",
            ColumnType::Float => "double",
            ColumnType::Bytes => "blob",
            ColumnType::Uuid => "binary(16)",
            ColumnType::Timestamp => "datetime(6)",
            // MySQL's own type rounds numbers, sorts keys and writes spaces, so checked text takes its place. On
            // MariaDB the type is such text.
            ColumnType::Json => "/*M! json */ /*!80017 longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */",
        }
    }

    /// Bytes cannot be indexed without a length limit.
    fn indexed_type<'t>(&self, column_type: &'t ColumnType) -> &'t str {
        match column_type {
            ColumnType::Bytes => "varbinary(255)",
            other => self.sql_type(other),
        }
    }

    /// Neither folds case nor, on MariaDB, ignores trailing spaces.
    fn digest_type(&self) -> &'static str {
        "varchar(255) CHARACTER SET ascii COLLATE /*M! ascii_nopad_bin */ /*!80017 ascii_bin */"
    }

    /// MariaDB has this check without being told.
    fn check(&self, column_type: &ColumnType, quoted: &str) -> Option<String> {
        (*column_type == ColumnType::Json).then(|| format!("CHECK (JSON_VALID({quoted}))"))
    }

    /// The check has a name on MySQL, which names no column in its error. A comment may hold neither a table's name nor
    /// a field's, which could end it.
    fn check_of_data(&self, hash: &str) -> String {
        format!(" /*!80017 CONSTRAINT {CHECK_OF_DATA}{hash} CHECK (JSON_VALID(data)) */")
    }

    fn long_text_type(&self) -> &'static str {
        "text"
    }

    fn empty_object(&self) -> &'static str {
        "('{}')"
    }

    fn create_schema(&self, quoted: &str) -> Option<String> {
        Some(format!("CREATE DATABASE IF NOT EXISTS {quoted}"))
    }

    /// MySQL does not know `IF NOT EXISTS` here, and MariaDB does not need it: a migration checks first which indexes
    /// exist.
    fn unless_index_exists(&self) -> &'static str {
        ""
    }

    fn index_in_use(&self, create: String) -> String {
        format!("{create} ALGORITHM=INPLACE LOCK=NONE")
    }

    fn change_type(&self, table: &str, column: &str, sql_type: &str, null: bool) -> Option<String> {
        let null = null_or_not(null);
        Some(format!("ALTER TABLE {table} MODIFY {column} {sql_type} {null}"))
    }

    fn change_null(&self, table: &str, column: &str, described: &Described, null: bool) -> Option<String> {
        let collation = described.collation.as_ref();
        let collate = collation.map_or(String::new(), |collation| format!(" COLLATE {collation}"));
        let null = null_or_not(null);
        // Each server writes the default differently, and it is lost unless it is repeated.
        let default = if described.has_default { " DEFAULT … /* as it was */" } else { "" };
        let declared = &described.declared;
        Some(format!("ALTER TABLE {table} MODIFY {column} {declared}{collate} {null}{default}"))
    }

    /// A default that is told, as a server may make one up for the first `timestamp` of a table, and make it move anew.
    fn keep_in_place(&self, table: &str, column: &str, described: &Described) -> Option<String> {
        let declared = &described.declared;
        let rest = if described.nullable == Some(true) {
            "NULL DEFAULT NULL".to_owned()
        } else {
            let precision = declared.find('(').map_or("", |place| &declared[place..]);
            format!("NOT NULL DEFAULT CURRENT_TIMESTAMP{precision}")
        };
        Some(format!("ALTER TABLE {table} MODIFY {column} {declared} {rest}"))
    }

    /// In whole seconds.
    fn bounds_wait_for_table(&self) -> Option<&'static str> {
        Some("SET lock_wait_timeout = 1")
    }

    fn commits_changes_of_tables(&self) -> bool {
        true
    }

    fn needs_for_references(&self) -> Option<&'static str> {
        Some("key or index that begins with it")
    }

    fn refers_within_schema(&self) -> bool {
        true
    }

    fn columns(&self, schema: Option<&str>, table: &str) -> Statement {
        of_table(COLUMNS, schema, table)
    }

    fn described(&self, schema: Option<&str>, table: &str) -> Statement {
        let name = || FieldValue::plain(table);
        let owned = || FieldValue::plain(schema.map(str::to_owned));
        Statement::new(DESCRIBED, vec![name(), owned(), name(), owned()])
    }

    fn indexes(&self, schema: Option<&str>, table: &str) -> Statement {
        of_table(INDEXES, schema, table)
    }

    fn schema(&self, name: &str) -> Statement {
        Statement::new(
            "SELECT 1 FROM information_schema.schemata WHERE schema_name = ?",
            vec![FieldValue::plain(name)],
        )
    }

    fn column_type(&self, declared: &str, _: &str) -> (ColumnType, Option<Foreign>) {
        if let Some(foreign) = Foreign::on_mysql(declared) {
            return (ColumnType::Exact(declared.to_owned().into()), Some(foreign));
        }
        let words = declared.to_ascii_lowercase();
        let known = match first_word(&words) {
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

    /// The server names the type that its alias stands for.
    fn may_be(&self, declared: &str, recorded: &ColumnType) -> bool {
        *recorded == ColumnType::Json && declared.eq_ignore_ascii_case("longtext")
    }

    fn rounds_instants(&self, declared: &str) -> bool {
        let declared = declared.to_ascii_lowercase();
        ["datetime", "timestamp", "date"].iter().any(|word| declared.starts_with(word))
            && !declared.contains("(6)")
    }

    fn changes_values(&self, declared: &str, column_type: &ColumnType) -> bool {
        let declared = declared.to_ascii_lowercase();
        match first_word(&declared) {
            "varchar" | "text" | "tinytext" | "mediumtext" | "longtext" | "bigint" | "int" | "mediumint"
            | "smallint" | "tinyint" | "double" | "blob" | "tinyblob" | "mediumblob" | "longblob"
            | "varbinary" => false,
            "datetime" | "timestamp" => !declared.contains("(6)"),
            "binary" => *column_type != ColumnType::Uuid,
            _ => true,
        }
    }

    /// MySQL has no way to be strict for one statement, and would cut what is longer in a lenient mode.
    fn bound(&self, declared: &str) -> Bound {
        let declared = declared.to_ascii_lowercase();
        let is_unsigned = declared.contains("unsigned");
        match first_word(&declared) {
            "varchar" | "char" => length(&declared).map_or(Bound::None, Bound::Characters),
            "varbinary" | "binary" => length(&declared).map_or(Bound::None, Bound::Bytes),
            "tinyblob" | "tinytext" => Bound::Bytes(255),
            "blob" | "text" => Bound::Bytes(65_535),
            "mediumblob" | "mediumtext" => Bound::Bytes(16_777_215),
            "tinyint" => integers(8, is_unsigned),
            "smallint" => integers(16, is_unsigned),
            "mediumint" => integers(24, is_unsigned),
            "int" => integers(32, is_unsigned),
            "bigint" if is_unsigned => Bound::Integers(0, i64::MAX),
            _ => Bound::None,
        }
    }

    /// The column is ASCII, and cannot even be compared with other text.
    fn keeps_only_ascii_digests(&self) -> bool {
        true
    }

    /// A column of type `timestamp` may be declared `ON UPDATE CURRENT_TIMESTAMP`. Older servers do so by themselves for the
    /// first one of a table (`explicit_defaults_for_timestamp`).
    fn columns_that_move_by_themselves(&self) -> &'static [&'static str] {
        &["expires_at", "inserted_at", "updated_at"]
    }

    fn own_transaction(&self) -> Option<&'static str> {
        Some(OWN_TRANSACTION_ON_MYSQL)
    }

    fn place_of_condition(&self) -> Option<Expr> {
        Some(Expr::cust(PLACE_OF_CONDITION))
    }

    fn guard_write<'s>(&self, sql: &'s str) -> (Cow<'s, str>, Guard) {
        if without_settings(sql).starts_with("INSERT") {
            (Cow::Owned(format!("{sql} {RETURNING}")), Guard::LastColumn)
        } else if sql.contains(PLACE_OF_CONDITION) {
            (Cow::Owned(sql.replacen(PLACE_OF_CONDITION, CONDITION, 1)), Guard::Condition)
        } else {
            (Cow::Borrowed(sql), Guard::Silent)
        }
    }

    fn strictly(&self, sql: Arc<str>) -> Arc<str> {
        format!("{STRICTLY}{}", strictly_on_mysql(&sql)).into()
    }

    fn at_once(&self, sql: Arc<str>) -> Arc<str> {
        format!("{AT_ONCE}{sql}").into()
    }

    fn strictly_at_once(&self, sql: Arc<str>) -> Arc<str> {
        format!("{STRICTLY_AT_ONCE}{}", strictly_on_mysql(&sql)).into()
    }

    fn indexes_end_with_the_id(&self) -> bool {
        true
    }

    fn writes_in_order(&self) -> bool {
        true
    }

    fn prefers_placeholders(&self) -> bool {
        true
    }

    fn is_in_list(&self, column: Expr, keys: &KeyList, list: Expr) -> Expr {
        let values = match keys {
            KeyList::Uuids(_) => {
                "(SELECT UNHEX(k) FROM JSON_TABLE(?, '$[*]' COLUMNS (k char(32) PATH '$')) AS k)"
            }
            // The columns on both sides may have collations that do not mix; an explicit one wins.
            KeyList::Texts(_) => {
                "(SELECT k COLLATE utf8mb4_bin FROM JSON_TABLE(?, '$[*]' COLUMNS (k varchar(255) CHARACTER SET utf8mb4 PATH '$')) AS k)"
            }
            KeyList::Integers(_) => "(SELECT k FROM JSON_TABLE(?, '$[*]' COLUMNS (k bigint PATH '$')) AS k)",
        };
        column.binary(BinOper::In, Expr::cust_with_expr(values, list))
    }

    /// In a lenient mode another program may have stored a date without a month or a day, or the 31st of February,
    /// which the strict mode refuses to write back.
    fn is_a_date(&self, column: Expr) -> Option<Expr> {
        Some(Expr::cust_with_exprs(
            "(MONTH(?) > 0 AND DAYOFMONTH(?) BETWEEN 1 AND \
             DAYOFMONTH(LAST_DAY(MAKEDATE(YEAR(?), 1) + INTERVAL MONTH(?) - 1 MONTH)))",
            [column.clone(), column.clone(), column.clone(), column],
        ))
    }

    /// In its strict mode MariaDB adds nothing to a value that is no date.
    fn written_at(&self, now: Expr, last: Expr) -> Expr {
        let is_a_date = self.is_a_date(last.clone()).unwrap_or_else(|| true.into());
        Expr::cust_with_exprs(
            "GREATEST(?, CASE WHEN ? THEN ? ELSE TIMESTAMP'1000-01-01 00:00:00' END + INTERVAL 1 MICROSECOND)",
            [now, is_a_date, last],
        )
    }

    fn has_bytes(&self, column: Expr, [text, _]: [Expr; 2]) -> Expr {
        Expr::cust_with_exprs(
            "CAST(CONVERT(? USING utf8mb4) AS BINARY) = CAST(CONVERT(? USING utf8mb4) AS BINARY)",
            [column, text],
        )
    }

    /// The column's collation may ignore case.
    fn has_word(&self, column: Expr, word: Expr) -> Expr {
        Expr::cust_with_exprs(
            "LOCATE(CAST(CONVERT(? USING utf8mb4) AS BINARY), \
             CAST(CONCAT(' ', CONVERT(? USING utf8mb4), ' ') AS BINARY)) > 0",
            [word, column],
        )
    }

    fn is_hex(&self, text: Expr) -> Expr {
        Expr::cust_with_exprs("? NOT REGEXP '[^0-9a-f]'", [text])
    }

    /// MariaDB compares with a function, MySQL by its type. Text that is no JSON equals nothing.
    fn is_json(&self, column: Expr, value: Expr) -> Expr {
        Expr::cust_with_exprs(
            "IF(JSON_VALID(?), /*M! JSON_EQUALS( */ /*!80017 CAST( */ ? /*!80017 AS JSON) = CAST( */ /*M! , */ ? \
             /*!80017 AS JSON) */ /*M! ) */, NULL)",
            [column.clone(), column, value],
        )
    }

    /// MySQL takes text for a JSON string, which equals no other JSON, unless it is told that the text is JSON. On
    /// MariaDB the column itself is text.
    fn compared_as_json(&self, operand: Expr) -> Expr {
        Expr::cust_with_exprs("/*!80017 CAST( */ ? /*!80017 AS JSON) */", [operand])
    }

    /// MySQL has no such list.
    fn lists_json(&self) -> bool {
        false
    }
}
