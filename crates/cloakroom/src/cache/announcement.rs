//! Reads the [announcements](crate::database::announcing) of revocations.

use super::Revoked;

/// Returns what an announcement revokes of `table`: nothing if it is about another table.
pub(crate) fn read<'a>(announcement: &'a str, table: &str) -> impl Iterator<Item = Revoked> + use<'a> {
    // A table's name may hold spaces, and so may the announcements of a later version. If in doubt, the announcement is
    // about this table.
    let what = announcement.strip_prefix(table).and_then(|rest| rest.strip_prefix(' '));
    // Text that is no id revokes all sessions: it cannot revoke more.
    let revoked = |what: &str| what.parse().map_or(Revoked::Any, Revoked::Session);
    what.into_iter().flat_map(|what| what.split(',')).map(revoked)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_announcement_is_of_the_table_whose_name_it_begins_with() {
        let id = Uuid::from_u128(7);
        let table = "Tenant A";
        assert_eq!(one(&format!("{table} {id}"), table), Some(Revoked::Session(id)));
        assert_eq!(one(&format!("{table} *"), table), Some(Revoked::Any));
        assert_eq!(one(&format!("{table} whatever"), table), Some(Revoked::Any));
        for other in ["A", "Tenant A ", "Tenant A B", "Tena", "tenant a"] {
            assert_eq!(one(&format!("{table} {id}"), other), None, "{other}");
        }
        // This could be an announcement of a later version: too much is void, and never too little.
        assert_eq!(one(&format!("{table} {id}"), "Tenant"), Some(Revoked::Any));
    }

    #[test]
    fn an_announcement_may_be_of_many_sessions() {
        let ids = [1, 2, 3].map(Uuid::from_u128);
        let [one, two, three] = ids.map(|id| id.to_string());
        let read = |text: &str| read(text, "sessions").collect::<Vec<_>>();
        assert_eq!(read(&format!("sessions {one},{two},{three}")), ids.map(Revoked::Session));
        assert_eq!(read(&format!("sessions {one},{two},")).last(), Some(&Revoked::Any));
    }

    fn one(announcement: &str, table: &str) -> Option<Revoked> {
        let mut all = read(announcement, table);
        let first = all.next();
        assert_eq!(all.next(), None);
        first
    }
}
