//! How a revocation is announced on PostgreSQL: `<table> <id>`, or `<table> *` for many, on one channel, in the
//! statement that makes it. So it is sent when that commits, and not otherwise. It holds no digest.

use super::session_cache::Revoked;

pub(crate) const CHANNEL: &str = "cloakroom";

/// How many sessions are announced one by one.
const MAX_ANNOUNCED: usize = 1000;

/// `write`, announcing what it revokes. As many rows come back as it wrote.
pub(crate) fn with(write: &str, table: &str, revoked: Revoked) -> String {
    let what = match revoked {
        Revoked::Session(_) => "\"id\"::text".to_owned(),
        // The server sends each text of a transaction once.
        Revoked::Any => format!(
            "CASE WHEN (SELECT count(*) FROM revoked) > {MAX_ANNOUNCED} THEN '*' ELSE \"id\"::text END"
        ),
    };
    format!(
        "WITH revoked AS ({write} RETURNING \"id\") \
         SELECT pg_notify('{CHANNEL}', '{table} ' || {what}) FROM revoked"
    )
}

/// What an announcement about `table` revokes; `None` if it is about another.
#[cfg(feature = "postgres")]
pub(crate) fn read(announcement: &str, table: &str) -> Option<Revoked> {
    let what = announcement.strip_prefix(table)?.strip_prefix(' ')?;
    match what.parse() {
        Ok(id) => Some(Revoked::Session(id)),
        // Whatever it says, it is no less than this.
        Err(_) => Some(Revoked::Any),
    }
}
