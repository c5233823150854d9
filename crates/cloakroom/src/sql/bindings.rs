use std::fmt::{self, Write};

use sea_query::{Alias, DynIden, Expr, IntoIden, QueryBuilder, QueryStatementWriter, SqlWriter, Value};

use crate::clock;
use crate::database::{Backend, FieldValue, Repr, Statement};
use crate::table::{TableDefinition, column};

/// The values of a statement under construction that sea-query cannot carry: JSON text and the application's own types.
/// Each of them is a mark in the statement, which becomes a placeholder in the end.
pub(crate) struct Bindings<'t> {
    table: &'t TableDefinition,
    backend: Backend,
    /// The table's name in the statement.
    alias: DynIden,
    carried: Vec<FieldValue>,
    /// Whether the table has the column `sliding_seconds`.
    has_sliding: bool,
}

/// No SQL holds U+0000, so a mark is never mistaken for anything else.
const MARK: &str = "\0cloakroom:";

impl<'t> Bindings<'t> {
    pub(crate) fn new(table: &'t TableDefinition, backend: Backend) -> Self {
        Self { table, backend, alias: identifier(&table.table), carried: Vec::new(), has_sliding: false }
    }

    /// Sets whether the table has the column for a span of the session's own. A table that was not migrated has none.
    pub(crate) fn has_sliding(self, has_sliding: bool) -> Self {
        Self { has_sliding, ..self }
    }

    pub(crate) fn knows_sliding(&self) -> bool {
        self.has_sliding
    }

    /// Returns the column for a span of the session's own, or null if the table has none.
    pub(crate) fn sliding(&self) -> Expr {
        if self.has_sliding { self.column(column::SLIDING) } else { Expr::cust("NULL") }
    }

    pub(crate) fn backend(&self) -> Backend {
        self.backend
    }

    pub(crate) fn table(&self) -> &'t TableDefinition {
        self.table
    }

    /// Calls the table `alias` from here on, for a statement that reads it more than once.
    pub(crate) fn call(&mut self, alias: DynIden) {
        self.alias = alias;
    }

    /// Returns a column of the session table, qualified by the table's current name.
    pub(crate) fn column(&self, name: &str) -> Expr {
        Expr::col((self.alias.clone(), identifier(name)))
    }

    /// Returns an expression that stands for `value`.
    pub(crate) fn expr(&mut self, value: FieldValue) -> Expr {
        match self.value(value) {
            FieldValue(Repr::Plain(value)) => Expr::Value(value),
            value => {
                self.carried.push(value);
                Expr::cust(format!("{MARK}{}", self.carried.len() - 1))
            }
        }
    }

    /// Returns `value` in the form in which the statement has it.
    pub(crate) fn value(&self, value: FieldValue) -> FieldValue {
        match value.0 {
            Repr::Plain(value) => FieldValue(Repr::Plain(portable(self.backend, value))),
            _ => value,
        }
    }

    /// Returns `true` if the statement carries no values here, so that it can stand alone.
    pub(crate) fn is_empty(&self) -> bool {
        self.carried.is_empty()
    }

    pub(crate) fn build(&self, statement: &impl QueryStatementWriter) -> Statement {
        let mut writer = Writer {
            sql: String::with_capacity(256),
            backend: self.backend,
            values: Vec::new(),
            carried: &self.carried,
        };
        self.backend.write(statement, &mut writer);
        Statement::new(writer.sql, writer.values)
    }
}

pub(crate) fn identifier(name: &str) -> DynIden {
    Alias::new(name).into_iden()
}

/// Returns `value` in the form that compares correctly in this database, also if the caller runs the statement.
fn portable(backend: Backend, value: Value) -> Value {
    match value {
        Value::TimeDateTimeWithTimeZone(Some(instant)) => {
            backend.dialect().instant(clock::to_stored_precision(instant))
        }
        value => value,
    }
}

/// Collects the SQL, and the values in the order of their placeholders.
struct Writer<'b> {
    sql: String,
    backend: Backend,
    values: Vec<FieldValue>,
    carried: &'b [FieldValue],
}

impl Writer<'_> {
    fn push(&mut self, value: FieldValue) {
        self.values.push(value);
        let dialect = self.backend.dialect();
        if dialect.numbers_placeholders() {
            // Writing to a string cannot fail.
            let _ = write!(self.sql, "${}", self.values.len());
        } else {
            self.sql.push_str(dialect.placeholder());
        }
    }
}

impl SqlWriter for Writer<'_> {
    fn push_param<B: QueryBuilder>(&mut self, value: Value, _: &B) {
        self.push(FieldValue(Repr::Plain(value)));
    }

    fn as_writer(&mut self) -> &mut dyn Write {
        self
    }
}

impl Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let marked = text.strip_prefix(MARK).and_then(|index| index.parse::<usize>().ok());
        match marked.and_then(|index| self.carried.get(index)) {
            Some(value) => self.push(value.clone()),
            None => self.sql.push_str(text),
        }
        Ok(())
    }
}

impl fmt::Display for Writer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sql)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "sqlite")]
    #[test]
    fn sqlite_plans_a_statement_once_for_all_values() {
        use rusqlite::{Connection, StatementStatus};
        use sea_query::{ExprTrait, Query};

        use super::super::*;
        use crate::database::{Backend, FieldValue};
        use crate::migrations;
        use crate::table::{FieldDefinition, TableDefinition, column};

        let table =
            TableDefinition::new("sessions").field(FieldDefinition::new::<String>("user_id").indexed());
        let connection = Connection::open_in_memory().unwrap();
        for sql in migrations::up_sql(&table, Backend::Sqlite).unwrap() {
            connection.execute_batch(&sql).unwrap();
        }
        let rows = "WITH numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1000)
            INSERT INTO sessions (id, auth_token_digest, user_id, data, expires_at, inserted_at, updated_at)
            SELECT randomblob(16), hex(randomblob(32)), 'user ' || (n % 100), '{}', n, n, n FROM numbers; ANALYZE";
        connection.execute_batch(rows).unwrap();

        let bindings = &mut Bindings::new(&table, Backend::Sqlite);
        let mut value = |name| bindings.column(name).eq(bindings.expr(FieldValue::plain("")));
        let (user, digest) = (value("user_id"), value(column::DIGEST));
        for is_it in [user, digest] {
            let mut select = Query::select();
            select.column(sea_query::Asterisk).from(table_ref(&table)).and_where(is_it);
            let sql = bindings.build(&select).sql;
            let planned = |sql: &str| {
                let mut find = connection.prepare(sql).unwrap();
                for number in 0..50 {
                    let mut found = find.query([format!("user {number}")]).unwrap();
                    while found.next().unwrap().is_some() {}
                }
                find.get_status(StatementStatus::RePrepare)
            };
            assert_eq!(planned(&sql), 0, "{sql}");
            if sql.contains("user_id") {
                assert_eq!(planned(&sql.replace("+?", "?")), 50, "SQLite no longer plans anew");
            }
        }
    }
}
