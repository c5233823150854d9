//! The results, and the page that shows them.

use std::fs;
use std::iter;
use std::path::Path;

use super::list::Entry;
use crate::cargo;
use crate::summary::Count;

const PAGE: &str = "docs/databases.md";
const BEGIN: &str = "<!-- written by cargo xtask matrix: begin -->\n";
const END: &str = "<!-- end -->";

/// How the suites went on one server.
pub(super) struct Outcome {
    pub(super) version: String,
    pub(super) count: Count,
    pub(super) failures: Vec<String>,
}

impl Outcome {
    /// Writes a line each: the version, how many passed, how many failed, and then the names of those that failed.
    pub(super) fn write(&self, file: &Path) -> Result<(), String> {
        let Count { passed, failed } = self.count;
        let text = format!("{}\n{passed}\n{failed}\n{}\n", self.version, self.failures.join("\n"));
        fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
    }

    /// Returns `None` if there is no result yet.
    pub(super) fn read(file: &Path) -> Option<Self> {
        let text = fs::read_to_string(file).ok()?;
        let mut lines = text.lines();
        let version = lines.next()?.to_owned();
        let count = Count { passed: lines.next()?.parse().ok()?, failed: lines.next()?.parse().ok()? };
        let failures = lines.filter(|line| !line.is_empty()).map(str::to_owned).collect();
        Some(Self { version, count, failures })
    }
}

/// Puts the table of all results where the page has room for it.
pub(super) fn write(outcomes: &[(&Entry, Outcome)]) -> Result<(), String> {
    let path = cargo::root().join(PAGE);
    let page = fs::read_to_string(&path).map_err(|error| format!("{PAGE}: {error}"))?;
    let page =
        with_table(&page, &table(outcomes)).ok_or_else(|| format!("{PAGE} has no room for the table"))?;
    fs::write(&path, page).map_err(|error| format!("{PAGE}: {error}"))
}

fn with_table(page: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_old, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{table}{END}{after}"))
}

fn table(outcomes: &[(&Entry, Outcome)]) -> String {
    let head = "| server | from | passed | failed |\n|---|---|---|---|\n";
    let lines = outcomes.iter().map(|(entry, outcome)| {
        let Count { passed, failed } = outcome.count;
        format!("| {} | {} | {passed} | {failed} |\n", outcome.version, entry.source.name())
    });
    iter::once(head.to_owned()).chain(lines).collect()
}

/// Reads a server's name and version from what it prints for `--version`.
pub(super) fn version_in(text: &str) -> Option<String> {
    let line = text.lines().next()?;
    let number =
        line.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    let is_number = |letter: char| letter.is_ascii_digit() || letter == '.' || letter.is_ascii_alphabetic();
    let number = number.split(|letter| !is_number(letter)).next()?;
    let name = if line.contains("PostgreSQL") {
        "PostgreSQL"
    } else if line.contains("MariaDB") {
        "MariaDB"
    } else {
        "MySQL"
    };
    Some(format!("{name} {number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_by_what_it_prints() {
        let lines = [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "PostgreSQL 15.18"),
            ("postgres (PostgreSQL) 19rc1 (Debian 19~rc1-1)", "PostgreSQL 19rc1"),
            ("mariadbd  Ver 11.8.9-MariaDB-0+deb13u1 from Debian for debian-linux-gnu", "MariaDB 11.8.9"),
            ("/usr/sbin/mysqld  Ver 9.7.4-2 for Linux on x86_64 ((Debian))", "MySQL 9.7.4"),
        ];
        for (line, name) in lines {
            assert_eq!(version_in(line).as_deref(), Some(name));
        }
        assert_eq!(version_in(""), None);
    }

    #[test]
    fn the_table_replaces_the_one_before_and_nothing_else() {
        let page = format!("# Head\n\n{BEGIN}| old |\n{END}\n\nfoot\n");
        assert_eq!(
            with_table(&page, "| new |\n"),
            Some(format!("# Head\n\n{BEGIN}| new |\n{END}\n\nfoot\n"))
        );
        assert_eq!(with_table("no room", "| new |\n"), None);
    }

    #[test]
    fn a_result_is_read_as_it_was_written() {
        let file = std::env::temp_dir().join(format!("cloakroom-matrix-{}", std::process::id()));
        let count = Count { passed: 3, failed: 1 };
        let outcome = Outcome { version: "MySQL 9.7.4".into(), count, failures: vec!["mariadb::x".into()] };
        outcome.write(&file).expect("a temporary file");
        let read = Outcome::read(&file).expect("it was written");
        fs::remove_file(&file).expect("it was written");
        assert_eq!((read.version.as_str(), read.count), ("MySQL 9.7.4", count));
        assert_eq!(read.failures, ["mariadb::x"]);
    }
}
