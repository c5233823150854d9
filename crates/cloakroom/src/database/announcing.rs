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

/// The code of "too many notifications in the NOTIFY queue", among other limits.
const QUEUE_IS_FULL: &str = "54000";

/// Empties the queue as far as it can be emptied, and returns how full it is then, from 0 to 1.
pub(crate) const EMPTY_QUEUE: &str = "SELECT pg_notification_queue_usage()";

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
}

/// Returns `write`, changed so that it announces what it revokes. On the pool the changed statement returns what `revokes`
/// says; within a transaction it returns as many rows as it wrote.
pub(crate) fn announcing(write: &Statement, table: &str, revokes: Revokes, on_pool: bool) -> Statement {
    let mut values = write.values.clone();
    values.push(FieldValue::plain(table));
    let (sql, place) = (&write.sql, values.len());
    let notify = |what: &str| format!("pg_notify('{CHANNEL}', ${place}::text || ' ' || {what})");
    let returning = if revokes == Revokes::Rows { "" } else { " RETURNING \"id\"" };
    let write = format!("WITH revoked AS ({sql}{returning})");
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
        Revokes::Any | Revokes::Rows => format!(
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
        (true, _) => counted("count(*)"),
        (false, _) => ("1".to_owned(), Guard::None),
    };
    let sql = format!("{write}, told AS ({told}) SELECT {selected} FROM revoked CROSS JOIN told");
    Statement::new(sql, values).guarded(guard)
}

/// Returns `true` if a statement failed because its announcement was refused. It was undone, and may run without.
pub(crate) fn is_refused(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if error.code().as_deref() == Some(QUEUE_IS_FULL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_announced_in_its_own_statement() {
        let write = r#"DELETE FROM "sessions" WHERE "id" = $1"#;
        let statement = Statement::new(write, Vec::new());
        for on_pool in [false, true] {
            let sql = |revokes| announcing(&statement, "sessions", revokes, on_pool).sql;
            let (one, many, each) = (sql(Revokes::One), sql(Revokes::Any), sql(Revokes::Each));
            for sql in [&one, &many, &each] {
                assert_eq!(sql.matches(write).count(), 1);
                assert!(!sql.contains(';') && !sql.contains("digest"), "{sql}");
            }
            assert!(!one.contains("'*'") && many.contains("'*'") && many.contains("> 1000"), "{many}");
            assert!(!each.contains("'*'"), "{each}");
        }
    }
}
