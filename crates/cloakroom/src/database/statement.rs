use std::sync::Arc;

use super::guard::Guard;
use super::{Backend, FieldValue};

/// Makes a statement of MariaDB's fail if it would wait for a row. MySQL has nothing like it, and reads a comment.
pub(crate) const AT_ONCE_ON_MARIADB: &str = "/*M!100700 SET STATEMENT innodb_lock_wait_timeout=0 FOR */ ";

/// Makes a statement of MariaDB's refuse a value that it would cut, in any mode of the server and its connections.
pub(crate) const STRICTLY_ON_MARIADB: &str = "/*M!100700 SET STATEMENT sql_mode='STRICT_ALL_TABLES' FOR */ ";

/// Both.
pub(crate) const STRICTLY_AT_ONCE_ON_MARIADB: &str = "/*M!100700 SET STATEMENT innodb_lock_wait_timeout=0, \
     sql_mode='STRICT_ALL_TABLES' FOR */ ";

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
        match backend {
            Backend::MySql => Self { sql: format!("{STRICTLY_ON_MARIADB}{}", self.sql).into(), ..self },
            Backend::Sqlite | Backend::Postgres => self,
        }
    }

    /// Returns the statement, compiled anew each time, for a statement that names no columns. SQLite's driver remembers
    /// the columns that there were, and neither reads nor survives a table that has others since.
    pub(crate) fn compiled_anew(self) -> Self {
        Self { is_remembered: false, ..self }
    }

    /// Returns the statement, with the way in which its answer says that it was a transaction of its own.
    pub(crate) fn guarded(self, guard: Guard) -> Self {
        Self { guard, ..self }
    }
}
