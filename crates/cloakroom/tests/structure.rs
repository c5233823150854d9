//! The rooms of this crate: each knows only those that stand before it in [`ROOMS`], and ARCHITECTURE.md says so too.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// From the bottom to the top.
const ROOMS: [&str; 17] = [
    "sync",
    "clock",
    "error",
    "token",
    "config",
    "database",
    "table",
    "session",
    "sql",
    "store",
    "batching",
    "cache",
    "migrations",
    "operations",
    "query",
    "sessions",
    "pruner",
];

/// What stands before a room, and is none of its business all the same: room, and what it must not name.
const APART: [(&str, &str); 9] = [
    ("batching", "cache"),
    ("cache", "batching"),
    ("cache", "sql"),
    ("cache", "store"),
    ("config", "error"),
    ("database", "config"),
    ("database", "token"),
    ("migrations", "sql"),
    ("token", "error"),
];

/// Crates, and the rooms that may name them.
const CRATES: [(&str, &[&str]); 2] = [
    // Conditions and statements; a table's values are of its kinds.
    ("sea_query::", &["database", "table", "sql", "store", "operations", "query", "migrations"]),
    ("sqlx::", &["database", "sql", "store", "batching", "cache", "operations", "query"]),
];

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every file of this crate but the front page and what is compiled for tests alone.
fn files() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut directories = vec![sources()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if path.file_name().unwrap() != "tests" {
                    directories.push(path);
                }
            } else if !["lib.rs", "fuzz.rs"].iter().any(|name| path.ends_with(format!("src/{name}"))) {
                let text = fs::read_to_string(&path).unwrap();
                files.push((path.strip_prefix(sources()).unwrap().to_owned(), code(&text)));
            }
        }
    }
    files.sort();
    assert!(files.len() > 60, "{} files were found", files.len());
    files
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

/// Why a file of `room` may not name `other`.
fn objection(room: &str, other: &str) -> Option<String> {
    let place = |name| ROOMS.iter().position(|room| *room == name);
    let (Some(own), Some(theirs)) = (place(room), place(other)) else {
        return Some(format!("{other} is no room, or {room} is none"));
    };
    if theirs > own {
        return Some(format!("{other} stands above {room}"));
    }
    APART.contains(&(room, other)).then(|| format!("{room} is to know nothing of {other}"))
}

/// What `text`, in a file of `room`, names against the rules.
fn objections(room: &str, text: &str) -> Vec<String> {
    let others = named(text).into_iter().filter(|other| *other != room);
    let mut objections: Vec<_> = others.filter_map(|other| objection(room, other)).collect();
    for (name, rooms) in CRATES {
        if text.contains(name) && !rooms.contains(&room) {
            objections.push(format!("{room} is to know nothing of {name}"));
        }
    }
    objections
}

#[test]
fn each_room_knows_only_those_below_it() {
    let mut all = Vec::new();
    for (path, text) in files() {
        let found = objections(&room(&path), &text);
        all.extend(found.into_iter().map(|objection| format!("{}: {objection}", path.display())));
    }
    assert!(all.is_empty(), "{all:#?}");
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
        assert_eq!(objections(room, text).len(), 1, "{room}: {text}");
    }
    assert_eq!(objections("query", "use crate::operations::Operations;\nuse super::Page;"), [""; 0]);
}

#[test]
fn every_room_is_in_the_picture() {
    let architecture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ARCHITECTURE.md");
    let architecture = fs::read_to_string(architecture).unwrap();
    let mut rest = architecture.as_str();
    // In the order of the list, from the top.
    for room in ROOMS.iter().rev() {
        let names = [format!("\n  {room}/ "), format!("\n  {room}.rs ")];
        let at = names.iter().filter_map(|name| rest.find(name.as_str())).min();
        let at =
            at.unwrap_or_else(|| panic!("{room} does not stand in ARCHITECTURE.md below those that know it"));
        rest = &rest[at + 1..];
    }
}
