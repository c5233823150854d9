//! How a revocation is announced on PostgreSQL: `<table> <id>,<id>…`, or `<table> *` for very many, on one channel, in
//! the statement that makes it. So the announcement is sent when that statement commits, and only then. It holds no
//! digest.
//!
//! Sessions that one statement revokes share announcements, because each notification costs every listening connection
//! of the server.

use super::{FieldValue, Guard, Statement, counted};
use crate::database::guard::OWN_TRANSACTION_ON_POSTGRES;

pub(crate) const CHANNEL: &str = "cloakroom";

/// How many sessions are announced by their ids.
const MAX_ANNOUNCED: usize = 1000;

/// How many ids an announcement has at most. With the longest name of a table they take 7,500 bytes; the server sends no
/// more than 8,000.
const MAX_IDS: usize = 200;

/// The code of the error that the server's queue is full, and of other limits.
#[cfg(feature = "postgres")]
const LIMIT_EXCEEDED: &str = "54000";

/// The error's message in English, and the function of the server's that reports it in any language.
#[cfg(feature = "postgres")]
const QUEUE_IS_FULL: [&str; 2] = ["too many notifications in the NOTIFY queue", "PreCommit_Notify"];

/// The setting that silences the trigger until the end of a transaction.
pub(super) const SETTING: &str = "cloakroom.announces";

/// Empties the queue as far as it can be emptied, and returns how full it is then, from 0 to 1.
pub(crate) const EMPTY_QUEUE: &str = "SELECT pg_notification_queue_usage()";

const VALID_OF_REVOKED: &str = r#"revoked ("id", "valid")"#;
const COUNTS: &str = r#"count(*) FILTER (WHERE "valid"), count(*)"#;

/// Which sessions a statement revokes, and what it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Revokes {
    /// One. It returns how many rows it wrote.
    One,
    /// Any number. It returns how many rows it wrote.
    Any,
    /// One for each of several callers. It returns the ids of the rows that it wrote.
    Each,
    /// Any number. It returns the rows that it wrote, as the write itself says, before its own columns.
    Rows,
    /// Any number, on the pool. It returns how many of the rows that it wrote were valid before, which the write itself
    /// says of each after its id, and how many it wrote.
    Valid,
}

/// Returns `write`, changed so that it announces what it revokes. On the pool the changed statement returns what `revokes`
/// says; within a transaction it returns as many rows as it wrote.
pub(crate) fn announcing(write: &Statement, table: &str, revokes: Revokes, on_pool: bool) -> Statement {
    let mut values = write.values.clone();
    values.push(FieldValue::plain(table));
    let place = values.len();
    let notify = |what: &str| format!("pg_notify('{CHANNEL}', ${place}::text || ' ' || {what})");
    telling(&write.sql, values, revokes, on_pool, notify)
}

/// Returns `write`, changed so that nothing announces what it revokes: not the table's trigger either. It is for the
/// pool, and returns what `revokes` says.
pub(crate) fn silent(write: &Statement, revokes: Revokes) -> Statement {
    telling(&write.sql, write.values.clone(), revokes, true, |_| silencing())
}

/// Returns the statement that silences the trigger in the rest of a transaction, for writes that run again because their
/// announcement was refused.
pub(crate) fn silence() -> Statement {
    Statement::new(format!("SELECT {}", silencing()), Vec::new())
}

fn silencing() -> String {
    format!("set_config('{SETTING}', 'off', true)")
}

/// Returns a write that says of each row after its id whether it was valid before, changed so that it returns how many
/// were, and how many rows there were.
pub(crate) fn counting_valid(write: &Statement) -> Statement {
    let (counts, guard) = counted(COUNTS);
    let sql = format!("WITH {VALID_OF_REVOKED} AS ({}) SELECT {counts} FROM revoked", write.sql);
    Statement::new(sql, write.values.clone()).guarded(guard)
}

/// Returns the write, changed so that it calls `notify` with the ids of what it revokes.
fn telling(
    sql: &str,
    values: Vec<FieldValue>,
    revokes: Revokes,
    on_pool: bool,
    notify: impl Fn(&str) -> String,
) -> Statement {
    let write = match revokes {
        Revokes::Rows => format!("WITH revoked AS ({sql})"),
        Revokes::Valid => format!("WITH {VALID_OF_REVOKED} AS ({sql})"),
        Revokes::One | Revokes::Any | Revokes::Each => format!("WITH revoked AS ({sql} RETURNING \"id\")"),
    };
    let told = match revokes {
        Revokes::One => {
            let one = notify("\"id\"::text");
            let (told, guard) = if on_pool { counted(&format!("count({one})")) } else { (one, Guard::None) };
            return Statement::new(format!("{write} SELECT {told} FROM revoked"), values).guarded(guard);
        }
        // There are no more callers than ids fit.
        Revokes::Each => {
            format!("SELECT {} FROM revoked HAVING count(*) > 0", notify("string_agg(\"id\"::text, ',')"))
        }
        // The server sends each different text of a transaction once, `*` among them.
        Revokes::Any | Revokes::Rows | Revokes::Valid => format!(
            "SELECT count({}) FROM ( \
                SELECT CASE WHEN max(total) > {MAX_ANNOUNCED} THEN '*' ELSE string_agg(id, ',') END AS ids FROM ( \
                    SELECT \"id\"::text AS id, count(*) OVER () AS total, row_number() OVER () / {MAX_IDS} AS part \
                    FROM revoked \
                ) AS numbered GROUP BY part \
            ) AS parts",
            notify("ids"),
        ),
    };
    let (selected, guard) = match (on_pool, revokes) {
        (true, Revokes::Each) => (format!("\"id\", {OWN_TRANSACTION_ON_POSTGRES}"), Guard::LastColumn),
        (true, Revokes::Rows) => (format!("revoked.*, {OWN_TRANSACTION_ON_POSTGRES}"), Guard::LastColumn),
        (false, Revokes::Rows) => ("revoked.*".to_owned(), Guard::None),
        (_, Revokes::Valid) => counted(COUNTS),
        (true, _) => counted("count(*)"),
        (false, _) => ("1".to_owned(), Guard::None),
    };
    let sql = format!("{write}, told AS ({told}) SELECT {selected} FROM revoked CROSS JOIN told");
    Statement::new(sql, values).guarded(guard)
}

/// Returns `true` if a statement failed because its announcement was refused. It was undone, and may run without.
#[cfg_attr(not(feature = "postgres"), allow(unused_variables, reason = "no other database announces"))]
pub(crate) fn is_refused(error: &sqlx::Error) -> bool {
    #[cfg(feature = "postgres")]
    if let sqlx::Error::Database(error) = error
        && let Some(error) = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
    {
        let [message, routine] = QUEUE_IS_FULL;
        let is_it = error.message() == message || error.routine() == Some(routine);
        return is_it && error.code() == LIMIT_EXCEEDED;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_silent_sets_what_the_transaction_sets() {
        let write = Statement::new(r#"DELETE FROM "sessions""#, Vec::new());
        for revokes in [Revokes::One, Revokes::Any, Revokes::Each, Revokes::Rows, Revokes::Valid] {
            let sql = silent(&write, revokes).sql;
            assert!(
                sql.contains(silence().sql.trim_start_matches("SELECT ")) && !sql.contains("notify"),
                "{sql}"
            );
        }
    }

    #[test]
    fn a_write_is_announced_in_its_own_statement() {
        let write = r#"DELETE FROM "sessions" WHERE "id" = $1"#;
        let statement = Statement::new(write, Vec::new());
        for on_pool in [false, true] {
            let sql = |revokes| announcing(&statement, "sessions", revokes, on_pool).sql;
            let (one, many, each) = (sql(Revokes::One), sql(Revokes::Any), sql(Revokes::Each));
            let valid = sql(Revokes::Valid);
            for sql in [&one, &many, &each, &valid] {
                assert_eq!(sql.matches(write).count(), 1);
                assert!(!sql.contains(';') && !sql.contains("digest"), "{sql}");
            }
            assert!(!one.contains("'*'") && many.contains("'*'") && many.contains("> 1000"), "{many}");
            assert!(!each.contains("'*'"), "{each}");
        }
    }
}
