//! Whether a statement on a pooled connection was a transaction of its own, told by the statement itself.
//!
//! A connection may come back to its pool inside an open transaction: sqlx 0.9 leaves it so if the future of a
//! `begin` is dropped while BEGIN is on its way, and its own count of transactions says that there is none. What is
//! written there is seen by no other connection, and gone when the connection closes. So every statement on the pool
//! tells whether it stood alone, without another round trip:
//!
//! | database | what tells |
//! |---|---|
//! | PostgreSQL | The portal of a statement that is bound and executed alone begins in the same instant as its transaction. Within an open transaction it begins later. To look at portals costs some microseconds, so a lookup by a token only compares when its transaction and its execution began, and is asked about if that leaves a doubt. |
//! | MariaDB | `@@in_transaction` and `@@autocommit` |
//! | MySQL | nothing does, so [`Pooled`](super::Pooled) asks once for each time that a connection is taken |
//! | SQLite | The driver's own count, which is right but for transactions that SQL of the application's own began. Those are looked for after a write, which costs another message to the driver's thread. |

use std::borrow::Cow;
use std::sync::atomic::{AtomicU32, Ordering};

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
    /// The last column of each row says that it was, or that this is in doubt; an answer without rows says neither.
    Clock,
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

/// True only if the statement is a transaction of its own, and nearly always if it is.
///
/// Bind begins the transaction and Execute the statement. The two come together, and lie some microseconds apart. What
/// was left open began before its connection went through the pool, which asks the server for an answer at that time:
/// a round trip earlier at least. The clock may go back meanwhile, and then there is a doubt too.
const ALONE_BY_THE_CLOCK_ON_POSTGRES: &str = "statement_timestamp() BETWEEN transaction_timestamp() \
     AND transaction_timestamp() + interval '20 microseconds'";

/// How many doubts for nothing there may be at once. On a server that is too slow for the clock, lookups go on to look
/// at portals.
const DOUBTS: u32 = 1_000;

/// What a doubt for nothing counts, if each lookup without one takes one off.
const DOUBT: u32 = 30;

/// Whether the clocks of the servers that this process asks tell soon enough.
static DOUBTED: AtomicU32 = AtomicU32::new(0);

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

/// What the rows of a lookup by a token say about their transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tells {
    Nothing,
    /// As cheaply as PostgreSQL can. It may be in doubt.
    ByTheClock,
    Exactly,
}

impl Tells {
    /// For a lookup of `size` digests, on a connection of which it `is_known` that no transaction is open.
    pub(crate) fn of_lookup(backend: Backend, size: usize, is_known: bool) -> Self {
        if is_known {
            return Self::Nothing;
        }
        // That of many is planned anew each time, between the two instants that are compared.
        let has_time = size == 1 && DOUBTED.load(Ordering::Relaxed) < DOUBTS;
        if backend == Backend::Postgres && has_time { Self::ByTheClock } else { Self::Exactly }
    }
}

/// Has each row of a lookup tell.
pub(crate) fn guard_lookup(backend: Backend, tells: Tells, select: &mut SelectStatement) {
    match tells {
        Tells::Nothing => {}
        Tells::ByTheClock => {
            select.expr_as(Expr::cust(ALONE_BY_THE_CLOCK_ON_POSTGRES), "alone");
        }
        Tells::Exactly => {
            guard_rows(backend, select);
        }
    }
}

/// How the rows of a statement that [`guard_lookup`] has changed tell.
pub(crate) fn guard_of_lookup(backend: Backend, tells: Tells) -> Guard {
    match tells {
        Tells::Nothing => Guard::None,
        Tells::ByTheClock => Guard::Clock,
        Tells::Exactly => guard_of_rows(backend),
    }
}

/// Takes down whether a lookup by the clock was in doubt for nothing.
pub(super) fn note_doubt(was_in_doubt: bool) {
    if was_in_doubt {
        DOUBTED.fetch_add(DOUBT, Ordering::Relaxed);
    } else if DOUBTED.load(Ordering::Relaxed) > 0 {
        // Two at once may lose one of the two, which does not matter.
        DOUBTED.store(DOUBTED.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
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
pub(crate) enum Told {
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
    pub(crate) fn told(self, rows: &[Row], written: u64) -> Told {
        match self {
            Self::None => Told::NotAsked,
            Self::LastColumn | Self::Count => rows.last().map_or(Told::Nothing, last_column),
            Self::Clock => match rows.last().map(last_column) {
                Some(Told::Alone) => {
                    note_doubt(false);
                    Told::Alone
                }
                _ => Told::Nothing,
            },
            Self::Condition if written > 0 => Told::Alone,
            Self::Condition | Self::Silent => Told::Nothing,
        }
    }
}

fn last_column(row: &Row) -> Told {
    match row.flag(row.width() - 1) {
        Ok(Some(true)) => Told::Alone,
        Ok(Some(false)) => Told::Inside,
        Ok(None) | Err(_) => Told::Nothing,
    }
}
