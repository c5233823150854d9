use std::sync::Arc;

use super::guard::Guard;
use super::{Backend, FieldValue};

/// Has a statement of MariaDB's fail where it would wait for a row. MySQL, which has nothing like it, reads a comment.
pub(crate) const AT_ONCE_ON_MARIADB: &str = "/*M!100700 SET STATEMENT innodb_lock_wait_timeout=0 FOR */ ";

/// Has a statement of MariaDB's refuse what it would cut, in whatever mode the server and its connections are.
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

    /// The same, refusing what it would cut.
    pub(crate) fn strictly(self, backend: Backend) -> Self {
        match backend {
            Backend::MySql => Self { sql: format!("{STRICTLY_ON_MARIADB}{}", self.sql).into(), ..self },
            Backend::Sqlite | Backend::Postgres => self,
        }
    }

    /// The same, compiled anew each time: for what names no columns. SQLite's driver remembers which there were, and
    /// neither reads nor survives a table that has others since.
    pub(crate) fn compiled_anew(self) -> Self {
        Self { is_remembered: false, ..self }
    }

    /// The same, of which it is known how its answer tells that it was a transaction of its own.
    pub(crate) fn guarded(self, guard: Guard) -> Self {
        Self { guard, ..self }
    }
}
