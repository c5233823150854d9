//! The rooms of this crate and of the benchmark: each knows only those that stand before it, and ARCHITECTURE.md says so
//! too.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The sources of one crate, and their rooms.
struct House {
    /// From this crate's directory.
    sources: &'static str,
    /// From the bottom to the top.
    rooms: &'static [&'static str],
    /// What stands before a room, and is none of its business all the same: room, and what it must not name.
    apart: &'static [(&'static str, &'static str)],
    /// Crates, and the rooms that may name them.
    crates: &'static [(&'static str, &'static [&'static str])],
    /// Files that stand above all rooms, or that are compiled for tests alone.
    others: &'static [&'static str],
}

const LIBRARY: House = House {
    sources: "src",
    rooms: &[
        "sync",
        "clock",
        "error",
        "observe",
        "token",
        "config",
        "deadline",
        "device",
        "scopes",
        "database",
        "table",
        "session",
        "events",
        "sql",
        "store",
        "batching",
        "cache",
        "seen",
        "migrations",
        "operations",
        "query",
        "sessions",
        "pruner",
    ],
    apart: &[
        ("batching", "cache"),
        ("cache", "batching"),
        ("cache", "sql"),
        ("cache", "store"),
        ("seen", "batching"),
        ("seen", "cache"),
        ("config", "error"),
        ("device", "clock"),
        ("device", "config"),
        ("device", "deadline"),
        ("device", "error"),
        ("device", "observe"),
        ("database", "config"),
        ("deadline", "config"),
        ("database", "token"),
        ("migrations", "sql"),
        ("token", "error"),
        ("token", "observe"),
        ("config", "observe"),
    ],
    crates: &[
        ("metrics::", &["observe"]),
        // Conditions and statements; a table's values are of its kinds.
        ("sea_query::", &["database", "table", "sql", "store", "operations", "query", "migrations"]),
        ("sqlx::", &["database", "sql", "store", "batching", "cache", "operations", "query"]),
    ],
    others: &["lib.rs", "fuzz.rs"],
};

const BENCHMARK: House = House {
    sources: "../../bench/src",
    rooms: &[
        "failure",
        "format",
        "statistics",
        "dataset",
        "database",
        "measure",
        "network",
        "results",
        "contestants",
        "load",
        "catalogue",
        "goals",
        "context",
        "cases",
        "report",
        "counts",
        "arguments",
    ],
    apart: &[
        ("report", "cases"),
        ("report", "context"),
        ("report", "contestants"),
        ("goals", "contestants"),
        ("catalogue", "contestants"),
    ],
    crates: &[],
    others: &["main.rs"],
};

impl House {
    fn sources(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(self.sources)
    }

    /// Every file but [`House::others`] and those in folders of tests.
    fn files(&self) -> Vec<(PathBuf, String)> {
        let mut files = Vec::new();
        let mut directories = vec![self.sources()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    if path.file_name().unwrap() != "tests" {
                        directories.push(path);
                    }
                    continue;
                }
                let name = path.strip_prefix(self.sources()).unwrap().to_owned();
                if !self.others.iter().any(|other| name == Path::new(other)) {
                    files.push((name, code(&fs::read_to_string(&path).unwrap())));
                }
            }
        }
        files.sort();
        for room in self.rooms {
            assert!(files.iter().any(|(path, _)| self::room(path) == *room), "{room} has no file");
        }
        files
    }

    /// Why a file of `room` may not name `other`.
    fn objection(&self, room: &str, other: &str) -> Option<String> {
        let place = |name| self.rooms.iter().position(|room| *room == name);
        let (Some(own), Some(theirs)) = (place(room), place(other)) else {
            return Some(format!("{other} is no room, or {room} is none"));
        };
        if theirs > own {
            return Some(format!("{other} stands above {room}"));
        }
        self.apart.contains(&(room, other)).then(|| format!("{room} is to know nothing of {other}"))
    }

    /// What `text`, in a file of `room`, names against the rules.
    fn objections(&self, room: &str, text: &str) -> Vec<String> {
        let others = named(text).into_iter().filter(|other| *other != room);
        let mut objections: Vec<_> = others.filter_map(|other| self.objection(room, other)).collect();
        for (name, rooms) in self.crates {
            if text.contains(name) && !rooms.contains(&room) {
                objections.push(format!("{room} is to know nothing of {name}"));
            }
        }
        objections
    }

    fn all_objections(&self) -> Vec<String> {
        let mut all = Vec::new();
        for (path, text) in self.files() {
            let found = self.objections(&room(&path), &text);
            all.extend(found.into_iter().map(|objection| format!("{}: {objection}", path.display())));
        }
        all
    }
}

/// The text without its comments, and without the unit tests that end it.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn room(path: &Path) -> String {
    let first = path.iter().next().unwrap().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The rooms that a text names, by `crate::room` or in `crate::{room, …}`.
fn named(text: &str) -> BTreeSet<&str> {
    let mut named = BTreeSet::new();
    for rest in text.split("crate::").skip(1) {
        let list = rest.strip_prefix('{').map(|rest| rest.split('}').next().unwrap_or_default());
        for item in list.unwrap_or(rest).split(',').take(if list.is_some() { usize::MAX } else { 1 }) {
            let item = item.trim_start();
            named.insert(item.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default());
        }
    }
    named
}

#[test]
fn each_room_knows_only_those_below_it() {
    assert_eq!(LIBRARY.all_objections(), [""; 0]);
}

#[test]
fn each_room_of_the_benchmark_knows_only_those_below_it() {
    assert_eq!(BENCHMARK.all_objections(), [""; 0]);
}

#[test]
fn what_is_forbidden_is_found() {
    for (room, text) in [
        ("session", "use crate::cache::SessionCache;"),
        ("error", "use crate::database::{Cause, cause};"),
        ("error", "fn of(error: sqlx::Error) {}"),
        ("table", "let filter = crate::sql::Filter::new();"),
        ("token", "use sea_query::Expr;"),
        ("cache", "use crate::{batching, clock};"),
        ("batching", "use crate::cache::{\n    Revoked,\n};"),
        ("operations", "use crate::sessions::Sessions;"),
        ("store", "use crate::ErrorKind;"),
    ] {
        assert_eq!(LIBRARY.objections(room, text).len(), 1, "{room}: {text}");
    }
    assert_eq!(LIBRARY.objections("query", "use crate::operations::Operations;\nuse super::Page;"), [""; 0]);
    for (room, text) in [
        ("measure", "use crate::context::Context;"),
        ("load", "use crate::cases::CASES;"),
        ("report", "use crate::cases::Case;"),
        ("format", "use crate::Outcome;"),
    ] {
        assert_eq!(BENCHMARK.objections(room, text).len(), 1, "{room}: {text}");
    }
}

#[test]
fn every_room_is_in_the_picture() {
    let architecture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ARCHITECTURE.md");
    let architecture = fs::read_to_string(architecture).unwrap();
    for (house, title) in [(LIBRARY, "\ncrates/cloakroom/src/ "), (BENCHMARK, "\nbench/src/ ")] {
        let (_, mut rest) = architecture.split_once(title).unwrap();
        // In the order of the list, from the top.
        for room in house.rooms.iter().rev() {
            let names = [format!("\n  {room}/ "), format!("\n  {room}.rs ")];
            let at = names.iter().filter_map(|name| rest.find(name.as_str())).min();
            let at = at.unwrap_or_else(|| {
                panic!("{room} does not stand in ARCHITECTURE.md below those that know it")
            });
            rest = &rest[at + 1..];
        }
    }
}
