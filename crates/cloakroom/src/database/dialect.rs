//! What differs between databases in the SQL that is written for them.
//!
//! Each database answers in its own folder. The answers do not depend on features: `migrations::up_sql` writes for any
//! database.

use std::borrow::Cow;
use std::sync::Arc;

use sea_query::{Expr, ExprTrait, SubQueryStatement, Value};
use time::OffsetDateTime;

use super::guard::Guard;
use super::statement::Statement;
use super::{Backend, ColumnType, Described, FieldValue, Foreign, KeyList, mysql, postgres, sqlite};

/// The SQL of one database, where it differs from that of another.
pub(crate) trait Dialect: Sync {
    // ---- What it is ----

    /// Returns the database's name.
    fn name(&self) -> &'static str;

    /// Returns `true` if it runs in this process and has one writer at a time.
    fn is_embedded(&self) -> bool {
        false
    }

    /// Returns `true` if it tells other processes of a write when that write commits.
    fn notifies(&self) -> bool {
        false
    }

    // ---- Names and placeholders ----

    /// Returns the character around a quoted name.
    fn quote(&self) -> char {
        '"'
    }

    /// Returns a quoted name. It may have any characters but control characters.
    fn quoted(&self, name: &str) -> String {
        let quote = self.quote().to_string();
        format!("{quote}{}{quote}", name.replace(&quote, &quote.repeat(2)))
    }

    /// Returns `true` if two names stand for the same column or index.
    fn is_same_name(&self, one: &str, other: &str) -> bool;

    /// Returns why a table or column cannot have this name, if it cannot.
    fn refuses_name(&self, _name: &str) -> Option<&'static str> {
        None
    }

    /// Returns `true` if placeholders are `$1`, `$2`…, and not `?`.
    fn numbers_placeholders(&self) -> bool {
        false
    }

    /// Returns what stands for a value in a statement, if placeholders have no numbers.
    fn placeholder(&self) -> &'static str {
        "?"
    }

    // ---- Types ----

    /// Returns the type of a column in SQL.
    fn sql_type<'t>(&self, column_type: &'t ColumnType) -> &'t str;

    /// Returns the type of a column that has an index.
    fn indexed_type<'t>(&self, column_type: &'t ColumnType) -> &'t str {
        self.sql_type(column_type)
    }

    /// Returns the type of the digest's column, which folds no case.
    fn digest_type(&self) -> &'static str;

    /// Returns the type of text of any length.
    fn long_text_type(&self) -> &'static str {
        "TEXT"
    }

    /// Returns the default of the data's column, an empty object.
    fn empty_object(&self) -> &'static str;

    /// Returns the check of a new column with this type and quoted name, if its type does not say what it holds.
    fn check(&self, _column_type: &ColumnType, _quoted: &str) -> Option<String> {
        None
    }

    /// Returns the check of the data's column in a new table, with a space before it. `hash` is that of the table's
    /// name.
    fn check_of_data(&self, _hash: &str) -> String {
        String::new()
    }

    /// Returns what follows the columns of a new table with fields of these types.
    fn table_options(&self, _types: &[&ColumnType]) -> &'static str {
        ""
    }

    // ---- Changes of tables ----

    /// Returns the statement that makes a schema, or `None` if only the application can make one.
    fn create_schema(&self, quoted: &str) -> Option<String>;

    /// Returns what stands in `CREATE INDEX` so that an index that exists is no error.
    fn unless_index_exists(&self) -> &'static str {
        "IF NOT EXISTS "
    }

    /// Returns `true` if `CREATE INDEX` gives the schema with the name of the index, and not with that of the table.
    fn names_schema_of_new_index(&self) -> bool {
        false
    }

    /// Returns `true` if `DROP INDEX` needs the schema of the index.
    fn names_schema_of_index(&self) -> bool {
        false
    }

    /// Returns the statement that bounds how long the connection waits for a table that other transactions use, if it
    /// could wait long.
    fn bounds_wait_for_table(&self) -> Option<&'static str> {
        None
    }

    /// Returns the `CREATE INDEX` of a table that others use meanwhile.
    fn index_in_use(&self, create: String) -> String {
        create
    }

    /// Returns the statement that changes the type of a column, or `None` if the column must be made anew.
    fn change_type(&self, table: &str, column: &str, sql_type: &str, null: bool) -> Option<String>;

    /// Returns the statement that allows or forbids null in a column, or `None` if the column must be made anew.
    fn change_null(&self, table: &str, column: &str, described: &Described, null: bool) -> Option<String>;

    /// Returns the statement after which a column does not [move](Described::moves) any more.
    fn keep_in_place(&self, _table: &str, _column: &str, _described: &Described) -> Option<String> {
        None
    }

    /// Returns `true` if each statement that changes a table commits.
    fn commits_changes_of_tables(&self) -> bool {
        false
    }

    /// Returns what a column needs so that a foreign key can refer to it, or `None` if the database does not check that
    /// when the key is made.
    fn needs_for_references(&self) -> Option<&'static str>;

    /// Returns `true` if a foreign key refers to a table in the schema of its own table.
    fn refers_within_schema(&self) -> bool {
        false
    }

    // ---- The database's description of its tables ----

    /// Returns the query for the columns of a table: name, declared type, whether it may hold null, and the type that a
    /// domain is made of.
    fn columns(&self, schema: Option<&str>, table: &str) -> Statement;

    /// Returns the query for what [`Described`] tells of the columns of a table.
    fn described(&self, schema: Option<&str>, table: &str) -> Statement;

    /// Returns the query for the indexes of a table: name, whether it is unique over all rows, whether it is complete,
    /// and what it is over.
    fn indexes(&self, schema: Option<&str>, table: &str) -> Statement;

    /// Returns the query that finds a schema of this name.
    fn schema(&self, name: &str) -> Statement;

    /// Returns the type of a column from its declared type, and from the one that a domain is made of.
    fn column_type(&self, declared: &str, base: &str) -> (ColumnType, Option<Foreign>);

    /// Returns `true` if the declared type tells the kind of a field. Otherwise the record of the migration does.
    fn declares_every_kind(&self) -> bool {
        false
    }

    /// Returns `true` if a column with this declared type may have the type that a migration has recorded for it.
    fn may_be(&self, declared: &str, recorded: &ColumnType) -> bool;

    // ---- What columns keep ----

    /// Returns `true` if a column keeps instants with fewer than six digits of a second.
    fn rounds_instants(&self, declared: &str) -> bool;

    /// Returns `true` if a value that is stored in a column may be read as another value.
    fn changes_values(&self, declared: &str, column_type: &ColumnType) -> bool;

    /// Returns what a column can hold of the values of its type.
    fn bound(&self, declared: &str) -> Bound;

    /// Returns `true` if a digest with other characters than ASCII cannot be stored or compared.
    fn keeps_only_ascii_digests(&self) -> bool {
        false
    }

    /// Returns the statement that has the database look at a table of this quoted name, if it keeps plans that were made
    /// for the table as it was before.
    fn update_statistics(&self, _table: &str) -> Option<String> {
        None
    }

    /// Returns the built-in columns that a table may move by itself with each UPDATE that does not name them.
    fn columns_that_move_by_themselves(&self) -> &'static [&'static str] {
        &[]
    }

    // ---- Whether a statement is a transaction of its own ----

    /// Returns an expression that is true if its statement is a transaction of its own, if statements can say so.
    fn own_transaction(&self) -> Option<&'static str> {
        None
    }

    /// Returns what each UPDATE and DELETE has in its condition, which has no effect unless
    /// [`guard_write`](Self::guard_write) replaces it.
    fn place_of_condition(&self) -> Option<Expr> {
        None
    }

    /// Returns a write that returns no rows, changed so that it says whether it was a transaction of its own.
    fn guard_write<'s>(&self, sql: &'s str) -> (Cow<'s, str>, Guard) {
        (Cow::Borrowed(sql), Guard::Silent)
    }

    // ---- Locks, and values that do not fit ----

    /// Returns a write that refuses a value that it would cut.
    fn strictly(&self, sql: Arc<str>) -> Arc<str> {
        sql
    }

    /// Returns `true` if writes may wait for rows that another transaction has locked.
    fn locks_rows(&self) -> bool {
        true
    }

    /// Returns an UPDATE that fails instead of waiting for a row, as far as that is possible.
    fn at_once(&self, sql: Arc<str>) -> Arc<str> {
        sql
    }

    /// Returns an INSERT that [refuses what it would cut](Self::strictly) and hardly waits for a row.
    fn strictly_at_once(&self, sql: Arc<str>) -> Arc<str> {
        sql
    }

    /// Returns the first value of an INSERT that hardly waits for a row.
    fn at_once_from(&self, value: Expr) -> Expr {
        value
    }

    /// Returns what keeps two transactions from counting the sessions of one owner at once.
    fn owner_lock(&self) -> OwnerLock;

    /// Returns `true` if a subquery can skip rows that another transaction has locked.
    fn skips_locked_rows(&self) -> bool {
        false
    }

    /// Returns `true` if UPDATE and DELETE can return what they wrote.
    fn returns_written_rows(&self) -> bool {
        false
    }

    /// Returns `true` if an UPDATE can return what its rows were before.
    fn returns_rows_before(&self) -> bool {
        false
    }

    /// Returns `true` if each index holds the rows of one key in the order of their ids, so that an order by an indexed
    /// column and then by the id needs no sorting.
    fn indexes_end_with_the_id(&self) -> bool {
        false
    }

    /// Returns `true` if an UPDATE or DELETE can have an order and a limit.
    fn writes_in_order(&self) -> bool {
        false
    }

    // ---- Lookups ----

    /// Returns how many sessions of `width` columns one row holds side by side, or `None` if each is read as a row.
    fn side_by_side(&self, _width: usize) -> Option<usize> {
        None
    }

    /// Returns `true` if a lookup of one session should return a row if there is no session, so that the row says
    /// whether the statement was a transaction of its own.
    fn returns_a_row_for_a_miss(&self) -> bool {
        false
    }

    /// Returns `true` if many keys are bound one by one where their number allows it.
    fn prefers_placeholders(&self) -> bool {
        false
    }

    /// Returns the fewest keys in a list. A shorter one is padded.
    fn fewest_keys(&self) -> usize {
        1
    }

    /// Returns the condition that a column is one of the keys that are bound as `list`.
    fn is_in_list(&self, column: Expr, keys: &KeyList, list: Expr) -> Expr;

    /// Returns the condition that a column is one of the values that a subquery selects.
    fn is_in_subquery(&self, column: Expr, subquery: SubQueryStatement) -> Expr {
        column.binary(sea_query::BinOper::In, Expr::from(subquery))
    }

    /// Returns `true` if the driver remembers the columns of a table that another connection has changed.
    fn remembers_columns(&self) -> bool {
        false
    }

    // ---- Values in conditions ----

    /// Returns an instant as a value that compares correctly, also if the caller runs the statement.
    fn instant(&self, instant: OffsetDateTime) -> Value {
        instant.into()
    }

    /// Returns the condition that an expiry stands for never.
    fn is_never(&self, expires_at: Expr) -> Expr {
        expires_at.is_null()
    }

    /// Returns the condition that a column holds a date, if it may hold anything else.
    fn is_a_date(&self, _column: Expr) -> Option<Expr> {
        None
    }

    /// Returns the expiry as the planner does not find it in the index on the expiry. That index holds every session
    /// that ever expired. With older statistics a planner can take that for few rows, and read them all for the ten of
    /// one user.
    fn apart_from_index(&self, expires_at: Expr) -> Expr {
        expires_at
    }

    /// Returns the new `updated_at` of a row if its last write is not known: `now`, or the instant after that write if
    /// the clock has not moved past it.
    fn written_at(&self, now: Expr, last: Expr) -> Expr;

    /// Returns the condition that a column holds this text byte by byte. The text is given twice, for two placeholders.
    fn has_bytes(&self, column: Expr, text: [Expr; 2]) -> Expr;

    /// Returns the condition that a column of text with spaces between its words has this word, byte by byte. The word is
    /// given with a space on either side.
    fn has_word(&self, column: Expr, word: Expr) -> Expr;

    /// Returns the place of the first `$` in a text, from 1 on, or 0 if there is none.
    fn place_of_dollar(&self, text: Expr) -> Expr {
        Expr::cust_with_exprs("INSTR(?, ?)", [text, Expr::cust("'$'")])
    }

    /// Returns the condition that a text is hexadecimal of lower case.
    fn is_hex(&self, text: Expr) -> Expr;

    /// Returns the condition that a column holds JSON of this value.
    fn is_json(&self, column: Expr, value: Expr) -> Expr;

    /// Returns a field's column that holds JSON, or a value of it, as the two are compared with each other.
    fn compared_as_json(&self, operand: Expr) -> Expr {
        operand
    }

    /// Returns `true` if a list of values may hold JSON.
    fn lists_json(&self) -> bool {
        true
    }
}

impl Backend {
    pub(crate) fn dialect(self) -> &'static dyn Dialect {
        match self {
            Self::Sqlite => &sqlite::Sqlite,
            Self::Postgres => &postgres::Postgres,
            Self::MySql => &mysql::MySql,
        }
    }
}

/// What keeps two transactions from counting the sessions of one owner at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnerLock {
    /// A lock by name, which is the transaction's.
    Advisory,
    /// The lock of all writers.
    Whole,
    /// The rows that are counted.
    Rows,
}

/// The values that fit into a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    None,
    /// Text of this many characters.
    Characters(usize),
    /// This many bytes.
    Bytes(usize),
    /// Integers from and to.
    Integers(i64, i64),
    /// No values: they would be taken for others.
    Nothing,
}

/// Returns the query `sql` of a catalogue, of which the values are a table's name and its schema, if one was given.
pub(super) fn of_table(sql: &'static str, schema: Option<&str>, table: &str) -> Statement {
    Statement::new(sql, vec![FieldValue::plain(table), FieldValue::plain(schema.map(str::to_owned))])
}

/// Returns whether a column may hold null, in a column's definition.
pub(crate) fn null_or_not(null: bool) -> &'static str {
    if null { "NULL" } else { "NOT NULL" }
}

/// Returns the integers that a type of so many bits has.
pub(super) fn integers(bits: u32, is_unsigned: bool) -> Bound {
    if is_unsigned {
        Bound::Integers(0, (1 << bits) - 1)
    } else {
        Bound::Integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    }
}

/// Returns the length in a declared type, such as `varchar(30)`.
pub(super) fn length(declared: &str) -> Option<usize> {
    declared.split(['(', ')']).nth(1).and_then(|length| length.parse().ok())
}

/// Returns the first word of a declared type, in lower case.
pub(super) fn first_word(declared: &str) -> &str {
    declared.split(['(', ' ']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_column_cannot_keep_is_known_by_its_type() {
        use Backend::{MySql, Postgres, Sqlite};
        for (backend, declared, bounded, changes, rounds) in [
            (Postgres, "character varying(255)", Bound::Characters(255), false, false),
            (Postgres, "character varying(3)[]", Bound::None, true, false),
            (Postgres, "character(4)", Bound::Characters(4), true, false),
            (Postgres, "text", Bound::None, false, false),
            (Postgres, "integer", Bound::Integers(-2_147_483_648, 2_147_483_647), false, false),
            (Postgres, "timestamp(0) without time zone", Bound::None, true, true),
            (Postgres, "timestamp without time zone", Bound::None, false, false),
            (Postgres, "numeric(10,2)", Bound::None, true, false),
            (MySql, "varchar(30)", Bound::Characters(30), false, false),
            (MySql, "varbinary(255)", Bound::Bytes(255), false, false),
            (MySql, "blob", Bound::Bytes(65_535), false, false),
            (MySql, "tinytext", Bound::Bytes(255), false, false),
            (MySql, "tinyint(3) unsigned", Bound::Integers(0, 255), false, false),
            (MySql, "datetime", Bound::None, true, true),
            (MySql, "datetime(6)", Bound::None, false, false),
            (MySql, "decimal(10,2)", Bound::None, true, false),
            (Sqlite, "TEXT", Bound::None, false, false),
            (Sqlite, "INTEGER", Bound::None, true, false),
        ] {
            let dialect = backend.dialect();
            assert_eq!(dialect.bound(declared), bounded, "{declared}");
            assert_eq!(dialect.changes_values(declared, &ColumnType::Text), changes, "{declared}");
            assert_eq!(dialect.rounds_instants(declared), rounds, "{declared}");
        }
    }
}
