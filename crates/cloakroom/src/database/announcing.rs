//! How a revocation is announced on PostgreSQL: `<table> <id>`, or `<table> *` for many, on one channel, in the
//! statement that makes it. So the announcement is sent when that statement commits, and only then. It holds no digest.

use super::{FieldValue, Guard, Statement, counted};
use crate::database::guard::OWN_TRANSACTION_ON_POSTGRES;

pub(crate) const CHANNEL: &str = "cloakroom";

/// How many sessions are announced one by one.
const MAX_ANNOUNCED: usize = 1000;

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

/// Returns `write`, changed so that it announces what it revokes. On the pool it returns what `revokes` says; within a
/// transaction it returns as many rows as it wrote.
pub(crate) fn announcing(write: &Statement, table: &str, revokes: Revokes, on_pool: bool) -> Statement {
    let what = match revokes {
        Revokes::One | Revokes::Each => "\"id\"::text".to_owned(),
        // The server sends each different text of a transaction once.
        Revokes::Any | Revokes::Rows => format!(
            "CASE WHEN (SELECT count(*) FROM revoked) > {MAX_ANNOUNCED} THEN '*' ELSE \"id\"::text END"
        ),
    };
    let mut values = write.values.clone();
    values.push(FieldValue::plain(table));
    let (sql, place) = (&write.sql, values.len());
    let returning = if revokes == Revokes::Rows { "" } else { " RETURNING \"id\"" };
    let with_revoked = format!("WITH revoked AS ({sql}{returning})");
    let notify = format!("pg_notify('{CHANNEL}', ${place}::text || ' ' || {what})");
    let (selected, guard) = match (on_pool, revokes) {
        (false, Revokes::Rows) => (format!("revoked.*, {notify}"), Guard::None),
        (true, Revokes::Rows) => {
            (format!("revoked.*, {notify}, {OWN_TRANSACTION_ON_POSTGRES}"), Guard::LastColumn)
        }
        (false, _) => (notify, Guard::None),
        (true, Revokes::Each) => {
            (format!("\"id\", {notify}, {OWN_TRANSACTION_ON_POSTGRES}"), Guard::LastColumn)
        }
        (true, _) => counted(&format!("count({notify})")),
    };
    Statement::new(format!("{with_revoked} SELECT {selected} FROM revoked"), values).guarded(guard)
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
