//! How a revocation is announced on PostgreSQL: `<table> <id>`, or `<table> *` for many, on one channel, in the
//! statement that makes it. So the announcement is sent when that statement commits, and only then. It holds no digest.

use super::Revoked;
use crate::database::{FieldValue, Statement, counted};

pub(crate) const CHANNEL: &str = "cloakroom";

/// How many sessions are announced one by one.
const MAX_ANNOUNCED: usize = 1000;

/// Returns `write`, changed so that it announces what it revokes. It returns as many rows as it wrote; on the pool it
/// returns one row, which counts them.
pub(crate) fn with(write: &Statement, table: &str, revoked: Revoked, on_pool: bool) -> Statement {
    let what = match revoked {
        Revoked::Session(_) => "\"id\"::text".to_owned(),
        // The server sends each different text of a transaction once.
        Revoked::Any => format!(
            "CASE WHEN (SELECT count(*) FROM revoked) > {MAX_ANNOUNCED} THEN '*' ELSE \"id\"::text END"
        ),
    };
    let mut values = write.values.clone();
    values.push(FieldValue::plain(table));
    let (sql, place) = (&write.sql, values.len());
    let with_revoked = format!("WITH revoked AS ({sql} RETURNING \"id\")");
    let notify = format!("pg_notify('{CHANNEL}', ${place}::text || ' ' || {what})");
    if on_pool {
        let (counted, guard) = counted(&format!("count({notify})"));
        Statement::new(format!("{with_revoked} SELECT {counted} FROM revoked"), values).guarded(guard)
    } else {
        Statement::new(format!("{with_revoked} SELECT {notify} FROM revoked"), values)
    }
}

/// Returns what an announcement about `table` revokes, or `None` if it is about another table.
#[cfg(feature = "postgres")]
pub(crate) fn read(announcement: &str, table: &str) -> Option<Revoked> {
    // A table's name may hold spaces, and so may the announcements of a later version. If in doubt, the announcement is
    // about this table.
    let what = announcement.strip_prefix(table)?.strip_prefix(' ')?;
    match what.parse() {
        Ok(id) => Some(Revoked::Session(id)),
        // Text that is no id revokes all sessions: it cannot revoke more.
        Err(_) => Some(Revoked::Any),
    }
}

#[cfg(all(test, feature = "postgres"))]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_announcement_is_of_the_table_whose_name_it_begins_with() {
        let id = Uuid::from_u128(7);
        let table = "Tenant A";
        assert!(matches!(read(&format!("{table} {id}"), table), Some(Revoked::Session(read)) if read == id));
        assert!(matches!(read(&format!("{table} *"), table), Some(Revoked::Any)));
        assert!(matches!(read(&format!("{table} whatever"), table), Some(Revoked::Any)));
        for other in ["A", "Tenant A ", "Tenant A B", "Tena", "tenant a"] {
            assert!(read(&format!("{table} {id}"), other).is_none(), "{other}");
        }
        // This could be an announcement of a later version: too much is void, and never too little.
        assert!(matches!(read(&format!("{table} {id}"), "Tenant"), Some(Revoked::Any)));
    }
}
