//! Whether a statement on a pooled connection was a transaction of its own, told by the statement itself.
//!
//! A connection may come back to its pool inside an open transaction: sqlx 0.9 leaves it so if the future of a
//! `begin` is dropped while BEGIN is on its way, and its own count of transactions says that there is none. What is
//! written there is seen by no other connection, and gone when the connection closes. So every statement on the pool
//! tells whether it stood alone, without another round trip:
//!
//! | database | what tells |
//! |---|---|
//! | PostgreSQL | The portal of a statement that is bound and executed alone begins in the same instant as its transaction. Within an open transaction it begins later. To look at portals costs some microseconds, which a lookup on a [spare connection](crate::batching) saves. |
//! | MariaDB | `@@in_transaction` and `@@autocommit` |
//! | MySQL | nothing does, so [`Pooled`](super::Pooled) asks once for each time that a connection is taken |
//! | SQLite | The driver's own count, which is right but for transactions that SQL of the application's own began. Those are looked for after a write, which costs another message to the driver's thread. |

use std::borrow::Cow;

use sea_query::{Expr, SelectStatement};

use super::statement::Statement;
use super::{Backend, Row};

/// How the answer to a statement tells whether the statement was a transaction of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// It need not tell.
    None,
    /// The last column of each row says so; an answer without rows does not.
    LastColumn,
    /// The only row has the number of rows that were written, and says so.
    Count,
    /// If it was not, nothing was written; that nothing was written does not tell why.
    Condition,
    /// It does not tell.
    Silent,
}

/// True if and only if the statement is a transaction of its own.
///
/// Not `transaction_timestamp() = statement_timestamp()`: with prepared statements the one is when Bind came, and the
/// other when Execute did. A portal notes when Bind came.
const ALONE_ON_POSTGRES: &str =
    "EXISTS (SELECT FROM pg_catalog.pg_cursors WHERE creation_time = transaction_timestamp())";

/// Null on MySQL, which has no such variable. Each server reads the comment meant for it.
const ALONE_ON_MYSQL: &str =
    "CASE WHEN @@autocommit THEN COALESCE(/*M! NOT @@in_transaction, */ NULL) ELSE 0 END";

/// The opposite, as a query by itself.
#[cfg(feature = "postgres")]
pub(super) const INSIDE_ON_POSTGRES: &str =
    "SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_cursors WHERE creation_time = transaction_timestamp())";

#[cfg(feature = "mysql")]
pub(super) const INSIDE_ON_MYSQL: &str =
    "SELECT CASE WHEN @@autocommit THEN COALESCE(/*M! @@in_transaction = 1, */ NULL) ELSE 1 END";

/// Stands in each UPDATE and DELETE for MariaDB and MySQL, where [`CONDITION`] may take its place. No name holds a control
/// character, so that none is mistaken for it.
const PLACE_OF_CONDITION: &str = "/*\talone\t*/ TRUE";

const CONDITION: &str = "/*M! NOT @@in_transaction AND */ @@autocommit";

const RETURNING: &str = "/*M! RETURNING @@autocommit AND NOT @@in_transaction */";

/// An expression for the last column of a row, if this database's statements tell.
fn alone(backend: Backend) -> Option<&'static str> {
    match backend {
        Backend::Sqlite => None,
        Backend::Postgres => Some(ALONE_ON_POSTGRES),
        Backend::MySql => Some(ALONE_ON_MYSQL),
    }
}

/// Has each row of `select` tell in its last column.
pub(crate) fn guard_rows(backend: Backend, select: &mut SelectStatement) -> Guard {
    match alone(backend) {
        Some(alone) => {
            // By default its name would be its text, which MariaDB sends along.
            select.expr_as(Expr::cust(alone), "alone");
            Guard::LastColumn
        }
        None => Guard::None,
    }
}

/// How the rows of a statement that [`guard_rows`] has changed tell.
pub(crate) fn guard_of_rows(backend: Backend) -> Guard {
    if alone(backend).is_some() { Guard::LastColumn } else { Guard::None }
}

/// What each UPDATE and DELETE asks for in its condition: nothing, unless [`guard_write`] makes more of it.
pub(crate) fn place_of_condition(backend: Backend) -> Option<Expr> {
    (backend == Backend::MySql).then(|| Expr::cust(PLACE_OF_CONDITION))
}

/// `write`, which returns no rows, telling whether it was a transaction of its own.
pub(crate) fn guard_write(backend: Backend, write: &Statement) -> Statement {
    let sql = &*write.sql;
    let (sql, guard) = match backend {
        Backend::Postgres => {
            let (counted, guard) = counted("count(*)");
            (Cow::Owned(format!("WITH written AS ({sql} RETURNING 1) SELECT {counted} FROM written")), guard)
        }
        Backend::MySql if without_settings(sql).starts_with("INSERT") => {
            (Cow::Owned(format!("{sql} {RETURNING}")), Guard::LastColumn)
        }
        Backend::MySql if sql.contains(PLACE_OF_CONDITION) => {
            (Cow::Owned(sql.replacen(PLACE_OF_CONDITION, CONDITION, 1)), Guard::Condition)
        }
        Backend::Sqlite | Backend::MySql => (Cow::Borrowed(sql), Guard::Silent),
    };
    Statement::new(sql, write.values.clone()).guarded(guard)
}

/// A statement of MariaDB's without the settings that hold for it alone.
fn without_settings(sql: &str) -> &str {
    const END: &str = " FOR */ ";
    match sql.split_once(END) {
        Some((settings, rest)) if settings.starts_with("/*M!") => rest,
        _ => sql,
    }
}

/// What PostgreSQL selects of a write whose rows `count` counts.
pub(crate) fn counted(count: &str) -> (String, Guard) {
    (format!("{count}, {ALONE_ON_POSTGRES}"), Guard::Count)
}

/// What an answer says of its statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It was a transaction of its own.
    Alone,
    /// It ran inside a transaction that was open.
    Inside,
    /// Nothing, though it matters.
    Nothing,
    /// It does not matter.
    NotAsked,
}

impl Guard {
    /// What `rows` say, and the number of rows that were written.
    pub(crate) fn told(self, rows: &[Row], written: u64) -> Verdict {
        match self {
            Self::None => Verdict::NotAsked,
            Self::LastColumn | Self::Count => rows.last().map_or(Verdict::Nothing, last_column),
            Self::Condition if written > 0 => Verdict::Alone,
            Self::Condition | Self::Silent => Verdict::Nothing,
        }
    }
}

fn last_column(row: &Row) -> Verdict {
    match row.flag(row.width() - 1) {
        Ok(Some(true)) => Verdict::Alone,
        Ok(Some(false)) => Verdict::Inside,
        Ok(None) | Err(_) => Verdict::Nothing,
    }
}
