//! How a revocation is announced on PostgreSQL: `<table> <id>`, or `<table> *` for many, on one channel, in the
//! statement that makes it. So it is sent when that commits, and not otherwise. It holds no digest.

use super::Revoked;
use crate::database::{FieldValue, Statement, counted};

pub(crate) const CHANNEL: &str = "cloakroom";

/// How many sessions are announced one by one.
const MAX_ANNOUNCED: usize = 1000;

/// `write`, announcing what it revokes. As many rows come back as it wrote; on the pool one, which counts them.
pub(crate) fn with(write: &Statement, table: &str, revoked: Revoked, on_pool: bool) -> Statement {
    let what = match revoked {
        Revoked::Session(_) => "\"id\"::text".to_owned(),
        // The server sends each text of a transaction once.
        Revoked::Any => format!(
            "CASE WHEN (SELECT count(*) FROM revoked) > {MAX_ANNOUNCED} THEN '*' ELSE \"id\"::text END"
        ),
    };
    let mut values = write.values.clone();
    values.push(FieldValue::plain(table));
    let (sql, place) = (&write.sql, values.len());
    let revoking = format!("WITH revoked AS ({sql} RETURNING \"id\")");
    let notify = format!("pg_notify('{CHANNEL}', ${place}::text || ' ' || {what})");
    if on_pool {
        let (counted, guard) = counted(&format!("count({notify})"));
        Statement::new(format!("{revoking} SELECT {counted} FROM revoked"), values).guarded(guard)
    } else {
        Statement::new(format!("{revoking} SELECT {notify} FROM revoked"), values)
    }
}

/// What an announcement about `table` revokes; `None` if it is about another.
#[cfg(feature = "postgres")]
pub(crate) fn read(announcement: &str, table: &str) -> Option<Revoked> {
    // A name may hold spaces, and what a later version announces too. In doubt it is about this table.
    let what = announcement.strip_prefix(table)?.strip_prefix(' ')?;
    match what.parse() {
        Ok(id) => Some(Revoked::Session(id)),
        // Whatever it says, it is no less than this.
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
        // As if it were a later version's: too much is void, and never too little.
        assert!(matches!(read(&format!("{table} {id}"), "Tenant"), Some(Revoked::Any)));
    }
}
