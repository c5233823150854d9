//! The names of all tables and rows. The goals refer to these names, so a typo could make a goal lose its table and be
//! "not measured" from then on. A test compares the goals with this list, and every run compares the list with its
//! measurements.

pub mod name;
pub mod row;

use crate::failure::Outcome;
use crate::results::Table;
use name::{
    AXUM_SESSION, BY_HAND, CACHED, CACHED_AND_READ, CLOAKROOM, CLOAKROOM_MAPPED, EDDSA, HARNESS, HS256,
    NO_CHECKSUM, ONE_BY_ONE, ONE_SCHEME, OWNED, RECORDED, RUSQLITE, RUSQLITE_MAPPED, RUSQLITE_WRITER, SHARED,
    THREE_SCHEMES, TOKIO_POSTGRES, TOWER_CACHED, TOWER_ONE, TOWER_SESSIONS, UNRECORDED, WITHOUT_SESSION,
};
use row::growth::{ONE_MILLION, TEN_MILLION, TEN_THOUSAND};
use row::{bound, prune, revocation, settings};

/// Tables of a case that have the same rows.
struct Entry {
    case: &'static str,
    /// Their names are this, a slash, and each of `parts`.
    table: &'static str,
    parts: &'static [&'static str],
    rows: &'static [&'static str],
}

const fn entry(
    case: &'static str,
    table: &'static str,
    parts: &'static [&'static str],
    rows: &'static [&'static str],
) -> Entry {
    Entry { case, table, parts, rows }
}

const CREATE: &[&str] = &[CLOAKROOM, ONE_BY_ONE, BY_HAND, TOWER_SESSIONS, AXUM_SESSION];
const CREATE_SQLITE: &[&str] =
    &[CLOAKROOM, ONE_BY_ONE, BY_HAND, TOWER_SESSIONS, TOWER_ONE, AXUM_SESSION, RUSQLITE_WRITER];
const EXTEND: &[&str] = &[CLOAKROOM, BY_HAND, TOWER_SESSIONS, AXUM_SESSION];
const AUTHENTICATE_SQLITE: &[&str] = &[
    CLOAKROOM,
    CLOAKROOM_MAPPED,
    ONE_BY_ONE,
    BY_HAND,
    TOWER_SESSIONS,
    AXUM_SESSION,
    RUSQLITE,
    RUSQLITE_MAPPED,
];
const GROWTH: &[&str] = &[TEN_THOUSAND, ONE_MILLION, TEN_MILLION];
const PRUNE: &[&str] = &[prune::ALONE, prune::DURING, prune::AGAIN];

#[rustfmt::skip]
const CATALOGUE: &[Entry] = &[
    entry("authenticate-postgres", "authenticate-postgres", &["1", "16", "128", "1024"],
        &[CLOAKROOM, ONE_BY_ONE, BY_HAND, TOWER_SESSIONS, AXUM_SESSION, TOKIO_POSTGRES]),
    entry("authenticate-sqlite", "authenticate-sqlite", &["1", "16", "128", "1024"],
        AUTHENTICATE_SQLITE),
    entry("authenticate-mariadb", "authenticate-mariadb", &["1", "16", "128", "1024"],
        &[CLOAKROOM, ONE_BY_ONE, BY_HAND, TOWER_SESSIONS]),
    entry("settings", "settings-postgres-in-flight", &["128", "1024"], settings::IN_FLIGHT),
    entry("settings", "settings-postgres-batch", &["128", "1024"], settings::BATCH),
    entry("settings", "settings-sqlite-in-flight", &["16", "64", "128"], settings::IN_FLIGHT_SQLITE),
    entry("cached", "cached", &["1", "16", "128", "1024"], &[CACHED, SHARED, OWNED, HS256, EDDSA, HARNESS]),
    entry("schemes", "schemes-postgres", &["128"], &[ONE_SCHEME, THREE_SCHEMES]),
    entry("schemes", "schemes-sqlite", &["128"], &[ONE_SCHEME, THREE_SCHEMES]),
    entry("schemes", "schemes-cached", &["1", "128"], &[ONE_SCHEME, THREE_SCHEMES]),
    entry("seen", "seen-postgres", &["128"], &[UNRECORDED, RECORDED]),
    entry("seen", "seen-sqlite", &["128"], &[UNRECORDED, RECORDED]),
    entry("seen", "seen-cached", &["1", "128"], &[UNRECORDED, RECORDED]),
    entry("mistyped", "mistyped", &["1", "128"], &[CLOAKROOM, NO_CHECKSUM, HARNESS]),
    entry("http", "http", &["64"], &[CLOAKROOM, TOWER_SESSIONS, AXUM_SESSION, WITHOUT_SESSION]),
    entry("http", "http-cached", &["64"], &[CACHED, TOWER_CACHED, AXUM_SESSION, WITHOUT_SESSION]),
    entry("bound", "bound-authenticate", &["1", "128"], bound::KEYS_ROWS),
    entry("bound", "bound", &["core"], bound::CORE_ROWS),
    entry("bound", "bound", &["beside"], bound::BESIDE_ROWS),
    entry("memory", "memory", &["cached"], &[CACHED, CACHED_AND_READ, TOWER_CACHED]),
    entry("list-postgres", "list-postgres", &["1", "16"], &[CLOAKROOM, BY_HAND]),
    entry("list-sqlite", "list-sqlite", &["1", "16"], &[CLOAKROOM, BY_HAND]),
    entry("extend-postgres", "extend-postgres", &["1", "128"], EXTEND),
    entry("extend-sqlite", "extend-sqlite", &["1", "128"], EXTEND),
    entry("create-postgres", "create-postgres", &["1", "16", "128"], CREATE),
    entry("create-sqlite", "create-sqlite-normal", &["1", "16", "128"], CREATE_SQLITE),
    entry("create-sqlite", "create-sqlite-full", &["1", "16", "128"], CREATE_SQLITE),
    entry("revoke-postgres", "revoke-postgres", &["1"], &[CLOAKROOM, BY_HAND]),
    entry("revoke-sqlite", "revoke-sqlite", &["1"], &[CLOAKROOM, BY_HAND]),
    entry("expire-postgres", "expire-postgres", &["0", "10", "50"], &[CLOAKROOM, ONE_BY_ONE]),
    entry("revocation", "revocation", &["heard"], revocation::HEARD_ROWS),
    entry("revocation", "revocation", &["cut"], revocation::CUT_ROWS),
    entry("prune-postgres", "prune-postgres", &["16"], PRUNE),
    entry("prune-sqlite", "prune-sqlite", &["16"], PRUNE),
    entry("growth-postgres", "growth-postgres", &["authenticate", "list"], GROWTH),
    entry("growth-sqlite", "growth-sqlite", &["authenticate", "list"], GROWTH),
];

impl Entry {
    fn tables(&self) -> impl Iterator<Item = String> {
        self.parts.iter().map(|part| format!("{}/{part}", self.table))
    }
}

fn entry_of(table: &str) -> Option<&'static Entry> {
    CATALOGUE.iter().find(|entry| entry.tables().any(|name| name == table))
}

/// Returns the cases that have tables.
#[cfg(test)]
pub fn cases() -> std::collections::BTreeSet<&'static str> {
    CATALOGUE.iter().map(|entry| entry.case).collect()
}

/// Returns `true` if a whole run has this row in this table.
#[cfg(test)]
pub fn knows(table: &str, row: &str) -> bool {
    entry_of(table).is_some_and(|entry| entry.rows.contains(&row))
}

/// Checks that a case has measured what the catalogue lists for it. A quick run may measure less, but nothing else.
pub fn check(case: &str, tables: &[Table], is_quick: bool) -> Outcome {
    for table in tables {
        let entry = entry_of(&table.name).filter(|entry| entry.case == case);
        let known = entry.ok_or_else(|| format!("the catalogue does not have {}", table.name))?.rows;
        let rows: Vec<&str> = table.rows.iter().map(|row| row.contestant.as_str()).collect();
        let is_known = if is_quick { rows.iter().all(|row| known.contains(row)) } else { rows == known };
        if !is_known {
            return Err(format!("{} has the rows {rows:?}, not {known:?}", table.name).into());
        }
    }
    let mut expected = CATALOGUE.iter().filter(|entry| entry.case == case).flat_map(Entry::tables);
    let missing = expected.find(|name| tables.iter().all(|table| table.name != *name));
    match missing {
        // On some systems a case cannot measure anything.
        Some(name) if !is_quick && !tables.is_empty() => Err(format!("{name} was not measured").into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Measure, Row};

    fn table(name: &str, rows: &[&str]) -> Table {
        let row = |name: &&str| Row { contestant: (*name).to_owned(), values: vec![1.0], latency: None };
        let rows = rows.iter().map(row).collect();
        let (name, title) = (name.to_owned(), String::new());
        Table { name, title, measure: Measure::PerSecond, rows, notes: Vec::new() }
    }

    #[test]
    fn a_whole_run_has_all_of_a_case_and_a_quick_one_nothing_else() {
        let sizes = [TEN_THOUSAND, ONE_MILLION, TEN_MILLION];
        let whole = ["authenticate", "list"].map(|part| table(&format!("growth-sqlite/{part}"), &sizes));
        let quick = [table("growth-sqlite/list", &sizes[..2])];
        let foreign = [table("growth-sqlite/list", &["11 rows"])];
        let fails = |tables: &[Table], is_quick| check("growth-sqlite", tables, is_quick).is_err();
        assert!(!fails(&whole, false) && !fails(&quick, true) && !fails(&[], false));
        assert!(fails(&whole[..1], false) && fails(&quick, false));
        assert!(fails(&foreign, true) && fails(&[table("growth-sqlite/lists", &sizes)], true));
    }
}
