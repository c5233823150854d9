use std::sync::Arc;

use sea_query::{QueryStatementWriter, SqlWriter};

use super::guard::Guard;
use super::list::match_database;
use super::{Backend, FieldValue};

/// SQL and the values of its placeholders, in order.
#[derive(Clone)]
pub(crate) struct Statement {
    pub(crate) sql: Arc<str>,
    pub(crate) values: Vec<FieldValue>,
    pub(crate) guard: Guard,
    /// Whether the connection remembers how it is compiled.
    pub(crate) is_remembered: bool,
}

impl Statement {
    pub(crate) fn new(sql: impl Into<Arc<str>>, values: Vec<FieldValue>) -> Self {
        Self { sql: sql.into(), values, guard: Guard::None, is_remembered: true }
    }

    /// Returns the statement, changed so that it refuses a value that it would cut.
    pub(crate) fn strictly(self, backend: Backend) -> Self {
        Self { sql: backend.dialect().strictly(self.sql), ..self }
    }

    /// Returns the statement, compiled anew each time, for a statement that names no columns. SQLite's driver remembers
    /// the columns that there were, and neither reads nor survives a table that has others since.
    pub(crate) fn compiled_anew(self) -> Self {
        Self { is_remembered: false, ..self }
    }

    /// Returns a write of the pool's, changed so that it returns the ids of the rows that it writes.
    pub(crate) fn returning_ids(self, backend: Backend) -> Self {
        let (sql, dialect) = (&self.sql, backend.dialect());
        let id = dialect.quoted("id");
        match dialect.own_transaction() {
            Some(own_transaction) => {
                let sql = format!("{sql} RETURNING {id}, {own_transaction}").into();
                Self { sql, guard: Guard::LastColumn, ..self }
            }
            None => Self { sql: format!("{sql} RETURNING {id}").into(), guard: Guard::Silent, ..self },
        }
    }

    /// Returns a write of the pool's that returns rows, changed so that each of them says whether it was a transaction of
    /// its own.
    pub(crate) fn returning_own_transaction(self, backend: Backend) -> Self {
        match backend.dialect().own_transaction() {
            Some(own_transaction) => {
                let sql = format!("{}, {own_transaction}", self.sql).into();
                Self { sql, guard: Guard::LastColumn, ..self }
            }
            None => Self { guard: Guard::Silent, ..self },
        }
    }

    /// Returns the statement, with the way in which its answer says that it was a transaction of its own.
    pub(crate) fn guarded(self, guard: Guard) -> Self {
        Self { guard, ..self }
    }
}

impl Backend {
    /// Writes a statement of sea-query's for this database. Nothing is written if its feature is off.
    pub(crate) fn write(self, statement: &impl QueryStatementWriter, to: &mut impl SqlWriter) {
        match_database!(self in driver => statement.build_collect_into(driver::QueryBuilder, to), else {});
    }
}
