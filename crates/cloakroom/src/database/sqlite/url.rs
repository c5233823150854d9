//! What a URL of SQLite asks for. sqlx reads it too, but tells only the file's name.

/// How a URL asks for its database to be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// Whether the database ends with its connection.
    pub(super) in_memory: bool,
    /// Whether the URL says by a `mode` what is done about a file that does not exist.
    pub(super) has_mode: bool,
    /// Whether it says that the file is not made.
    pub(super) must_exist: bool,
}

impl Asked {
    /// Reads a URL that sqlx has understood.
    pub(super) fn of(url: &str) -> Self {
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let name = address.trim_start_matches("sqlite://").trim_start_matches("sqlite:");
        let modes = || form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == "mode");
        // A database without a name is a temporary one: each connection has its own.
        let in_memory = name == ":memory:" || name.is_empty() || modes().any(|(_, mode)| mode == "memory");
        let has_mode = modes().next().is_some();
        let must_exist = has_mode && !in_memory && modes().all(|(_, mode)| mode != "rwc");
        Self { in_memory, has_mode, must_exist }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_one_only_in_the_query() {
        for (url, has_mode, must_exist) in [
            ("sqlite:a.db", false, false),
            ("sqlite:a.mode=rw.db", false, false),
            ("sqlite:a.db?cache=private", false, false),
            ("sqlite:a.db?vfs=mode%3Drw", false, false),
            ("sqlite:a.db?mode=rw", true, true),
            ("sqlite://a.db?cache=private&mode=rwc", true, false),
            ("sqlite:a.db?m%6Fde=ro", true, true),
        ] {
            assert_eq!(Asked::of(url), Asked { in_memory: false, has_mode, must_exist }, "{url}");
        }
    }

    #[test]
    fn a_database_is_in_memory_by_its_whole_name_or_its_mode() {
        for (url, in_memory) in [
            ("sqlite::memory:", true),
            ("sqlite://:memory:", true),
            ("sqlite::memory:?cache=private", true),
            ("sqlite:", true),
            ("sqlite://?mode=memory", true),
            ("sqlite:shared?mode=memory&cache=shared", true),
            ("sqlite:a:memory:.db", false),
            ("sqlite:/in/mode=memory/a.db", false),
            ("sqlite:memory.db", false),
            ("sqlite:a.db?vfs=mode%3Dmemory", false),
        ] {
            assert_eq!(Asked::of(url).in_memory, in_memory, "{url}");
        }
    }
}
