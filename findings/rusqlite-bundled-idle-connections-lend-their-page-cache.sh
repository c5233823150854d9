#!/usr/bin/env bash
# crates.io rusqlite 0.39.0 with its bundled SQLite (libsqlite3-sys 0.37.0), Linux
#
# Expected: `PRAGMA cache_size` bounds the page cache of one connection, as SQLite's documentation has it, and what other
#   connections of the process do is nothing to it. So a connection with the default of 2 MB that looks rows up at random in a
#   file of some 28 MB reads two pages or so for each, however many others are open.
#
# Seen: the crate compiles SQLite with SQLITE_ENABLE_MEMORY_MANAGEMENT, which lets a connection whose cache is full take the
#   least recently used page of any connection. Beside 20 connections that have filled their caches and do nothing, the one
#   in use soon holds the whole file and reads nothing. In turn the idle ones have lost their pages when they are used again.
#   Compiled without it, as SQLite is by default, the bound holds. sqlx uses the same crate, so what a busy connection of a
#   pool keeps depends on how many idle ones there are, and benchmarks of several pools in one process disturb each other.
#
#   as it is: alone 2 reads for each lookup, beside 20 idle connections 0
#   compiled without: alone 2 reads for each lookup, beside 20 idle connections 2
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

# Without this the C code is compiled without optimisation, too.
export CARGO_PROFILE_DEV_OPT_LEVEL=2

seen='as it is: alone 2 reads for each lookup, beside 20 idle connections 0
compiled without: alone 2 reads for each lookup, beside 20 idle connections 2'

read -r -d '' program <<'RUST' || true
use rusqlite::Connection;

const ROWS: u64 = 100_000;

fn key(row: u64) -> String {
    format!("{:016x}{row:048x}", row.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// How many reads the process has asked the system for.
fn reads() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    io.lines().find_map(|line| line.strip_prefix("syscr: ")).unwrap().parse().unwrap()
}

fn look_up(connection: &Connection, lookups: u64) {
    let mut statement = connection.prepare("SELECT data FROM t WHERE key = ?").unwrap();
    for lookup in 0..lookups {
        let row = lookup.wrapping_mul(7919) % ROWS;
        let data: String = statement.query_row([key(row)], |row| row.get(0)).unwrap();
        assert_eq!(data.len(), 100);
    }
}

fn open(path: &std::path::Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    look_up(&connection, 3_000);
    connection
}

fn main() {
    let path = std::env::current_dir().unwrap().join("cache.db");
    let mut connection = Connection::open(&path).unwrap();
    let _: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).unwrap();
    connection.execute("DROP TABLE IF EXISTS t", []).unwrap();
    connection.execute("CREATE TABLE t (key TEXT PRIMARY KEY, data TEXT)", []).unwrap();
    let transaction = connection.transaction().unwrap();
    for row in 0..ROWS {
        transaction.execute("INSERT INTO t VALUES (?, ?)", [key(row), "x".repeat(100)]).unwrap();
    }
    transaction.commit().unwrap();
    drop(connection);
    let each = |idle: u64| {
        let _idle: Vec<_> = (0..idle).map(|_| open(&path)).collect();
        let used = open(&path);
        look_up(&used, ROWS);
        let before = reads();
        look_up(&used, ROWS);
        (reads() - before) as f64 / ROWS as f64
    };
    let (alone, beside) = (each(0), each(20));
    eprintln!("{alone:.2} {beside:.2}");
    println!("alone {alone:.0} reads for each lookup, beside 20 idle connections {beside:.0}");
}
RUST

run() {
    cargo_run 'rusqlite = { version = "=0.39.0", features = ["bundled"] }' <<<"$program"
}

expect "$seen" "$(
    echo "as it is: $(run)"
    echo "compiled without: $(LIBSQLITE3_FLAGS=-USQLITE_ENABLE_MEMORY_MANAGEMENT run)"
)"
