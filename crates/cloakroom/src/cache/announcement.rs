//! Reads the [announcements](crate::database::announcing) of revocations.

use super::Revoked;

/// Returns what an announcement about `table` revokes, or `None` if it is about another table.
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

#[cfg(test)]
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
