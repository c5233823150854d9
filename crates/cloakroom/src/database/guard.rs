//! Tells whether a statement on a pooled connection was a transaction of its own. The statement's own answer says so.
//!
//! A connection may come back to its pool inside an open transaction. sqlx 0.9 leaves it so if the future of a `begin`
//! is dropped while BEGIN is on its way, and its own count of transactions is then zero. A write there is seen by no
//! other connection, and is lost when the connection closes. So every statement on the pool says whether it was a
//! transaction of its own, without another round trip:
//!
//! | database | what tells |
//! |---|---|
//! | PostgreSQL | The portal of a statement that is bound and executed alone begins in the same instant as its transaction. Within an open transaction it begins later. To look at portals costs some microseconds, which a statement on a [warm connection](crate::store) saves. |
//! | MariaDB | `@@in_transaction` and `@@autocommit` |
//! | MySQL | nothing does, not even a count of rows, so [`Pooled`](super::Pooled) asks once for each time that a connection is taken |
//! | SQLite | The driver's own count, which is right except for transactions that SQL of the application's own began. So the first write on a connection is followed by ROLLBACK, in the same message to the driver's thread, which fails if no transaction is open. |

use sea_query::{Expr, SelectStatement};

use super::statement::Statement;
use super::{Backend, Row};

/// How the answer to a statement says whether the statement was a transaction of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// It need not say.
    None,
    /// The last column of each row says so; an answer without rows does not.
    LastColumn,
    /// The only row has the number of rows that were written, and says so.
    Count,
    /// If the statement was not a transaction of its own, it wrote nothing. If nothing was written, the reason is not
    /// known.
    Condition,
    /// It does not say.
    Silent,
}

/// True if and only if the statement is a transaction of its own.
///
/// `transaction_timestamp() = statement_timestamp()` would not do. With prepared statements the first is when Bind
/// came, and the second when Execute came. A portal notes when Bind came.
pub(super) const OWN_TRANSACTION_ON_POSTGRES: &str =
    "EXISTS (SELECT FROM pg_catalog.pg_cursors WHERE creation_time = transaction_timestamp())";

/// Null on MySQL, which has no such variable. Each server reads the comment meant for it.
pub(super) const OWN_TRANSACTION_ON_MYSQL: &str =
    "CASE WHEN @@autocommit THEN COALESCE(/*M! NOT @@in_transaction, */ NULL) ELSE 0 END";

/// The opposite, as a query by itself.
#[cfg(feature = "postgres")]
pub(super) const INSIDE_ON_POSTGRES: &str =
    "SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_cursors WHERE creation_time = transaction_timestamp())";

#[cfg(feature = "mysql")]
pub(super) const INSIDE_ON_MYSQL: &str =
    "SELECT CASE WHEN @@autocommit THEN COALESCE(/*M! @@in_transaction = 1, */ NULL) ELSE 1 END";

/// Makes each row of `select` say in its last column whether the statement was a transaction of its own.
pub(crate) fn guard_rows(backend: Backend, select: &mut SelectStatement) -> Guard {
    match backend.dialect().own_transaction() {
        Some(own_transaction) => {
            // By default the column's name would be the expression's text, which MariaDB would send along.
            select.expr_as(Expr::cust(own_transaction), "alone");
            Guard::LastColumn
        }
        None => Guard::None,
    }
}

/// Returns how the rows of a statement that [`guard_rows`] has changed say so.
pub(crate) fn guard_of_rows(backend: Backend) -> Guard {
    if backend.dialect().own_transaction().is_some() { Guard::LastColumn } else { Guard::None }
}

/// Returns `write`, which returns no rows, changed so that it says whether it was a transaction of its own.
pub(crate) fn guard_write(backend: Backend, write: &Statement) -> Statement {
    let (sql, guard) = backend.dialect().guard_write(&write.sql);
    Statement::new(sql, write.values.clone()).guarded(guard)
}

/// Returns what PostgreSQL selects from a write, with `count` as the expression that counts its rows.
pub(crate) fn counted(count: &str) -> (String, Guard) {
    (format!("{count}, {OWN_TRANSACTION_ON_POSTGRES}"), Guard::Count)
}

/// What an answer says about its statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It was a transaction of its own.
    OwnTransaction,
    /// It ran inside a transaction that was open.
    Inside,
    /// It did, and was undone with that transaction.
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "SQLite's writes alone are"))]
    Undone,
    /// It says nothing, although it matters.
    Nothing,
    /// It does not matter.
    NotAsked,
}

impl Guard {
    /// Returns what `rows` and the number of written rows say.
    pub(crate) fn told(self, rows: &[Row], written: u64) -> Verdict {
        match self {
            Self::None => Verdict::NotAsked,
            Self::LastColumn | Self::Count => rows.last().map_or(Verdict::Nothing, last_column),
            Self::Condition if written > 0 => Verdict::OwnTransaction,
            Self::Condition | Self::Silent => Verdict::Nothing,
        }
    }
}

fn last_column(row: &Row) -> Verdict {
    match row.flag(row.width() - 1) {
        Ok(Some(true)) => Verdict::OwnTransaction,
        Ok(Some(false)) => Verdict::Inside,
        Ok(None) | Err(_) => Verdict::Nothing,
    }
}
