#!/usr/bin/env bash
# crates.io rusqlite 0.39.0 with its bundled SQLite (libsqlite3-sys 0.37.0), Linux; needs two processors
#
# Expected: two threads that read a file in WAL mode, each by a connection of its own, do about twice as many lookups as one.
#   SQLite locks nothing between readers, and its documentation says of the page cache that each connection has its own.
#
# Seen: the crate compiles SQLite with SQLITE_ENABLE_MEMORY_MANAGEMENT, which puts the page caches of all connections of the
#   process into one group with one lock. Each page that a statement looks at takes it, and two threads together do fewer
#   lookups than one alone: 0.65 to 0.76 times as many. Compiled without it, by the variable that the crate has for that
#   (`LIBSQLITE3_FLAGS=-USQLITE_ENABLE_MEMORY_MANAGEMENT`), 1.25 to 1.40 times as many. sqlx uses the same crate.
#
#   as it is: ENABLE_MEMORY_MANAGEMENT, two threads do fewer lookups than one
#   compiled without: not ENABLE_MEMORY_MANAGEMENT, two threads do more lookups than one
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

# Without this the C code is compiled without optimisation, too.
export CARGO_PROFILE_DEV_OPT_LEVEL=2

seen='as it is: ENABLE_MEMORY_MANAGEMENT, two threads do fewer lookups than one
compiled without: not ENABLE_MEMORY_MANAGEMENT, two threads do more lookups than one'

read -r -d '' program <<'RUST' || true
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension};

const ROWS: u64 = 100_000;

fn key(row: u64) -> String {
    format!("{:016x}{row:048x}", row.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Returns how many rows so many threads find in a second.
fn found(path: &std::path::Path, threads: u64) -> u64 {
    let find = |thread: u64| {
        let connection = Connection::open(path).unwrap();
        let mut statement = connection.prepare("SELECT data FROM t WHERE key = ?").unwrap();
        let (begun, mut count) = (Instant::now(), 0);
        while begun.elapsed() < Duration::from_secs(1) {
            let row = (thread + 2 * count).wrapping_mul(7919) % ROWS;
            let data: Option<String> = statement.query_row([key(row)], |row| row.get(0)).optional().unwrap();
            assert!(data.is_some());
            count += 1;
        }
        count
    };
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|thread| scope.spawn(move || find(thread))).collect();
        all.into_iter().map(|one| one.join().unwrap()).sum()
    })
}

fn main() {
    let path = std::env::current_dir().unwrap().join("lookups.db");
    let mut connection = Connection::open(&path).unwrap();
    let _: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).unwrap();
    connection.execute("DROP TABLE IF EXISTS t", []).unwrap();
    connection.execute("CREATE TABLE t (key TEXT PRIMARY KEY, data TEXT)", []).unwrap();
    let transaction = connection.transaction().unwrap();
    for row in 0..ROWS {
        transaction.execute("INSERT INTO t VALUES (?, ?)", [key(row), "x".repeat(150)]).unwrap();
    }
    transaction.commit().unwrap();
    let used = "SELECT sqlite_compileoption_used('ENABLE_MEMORY_MANAGEMENT')";
    let used: bool = connection.query_row(used, [], |row| row.get(0)).unwrap();
    // The median of five.
    let ratio = || found(&path, 2) as f64 / found(&path, 1) as f64;
    let mut ratios: Vec<f64> = (0..5).map(|_| ratio()).collect();
    ratios.sort_by(f64::total_cmp);
    eprintln!("{ratios:.2?}");
    let (not, more) = (if used { "" } else { "not " }, if ratios[2] < 1.0 { "fewer" } else { "more" });
    println!("{not}ENABLE_MEMORY_MANAGEMENT, two threads do {more} lookups than one");
}
RUST

run() {
    cargo_run 'rusqlite = { version = "=0.39.0", features = ["bundled"] }' <<<"$program"
}

expect "$seen" "$(
    echo "as it is: $(run)"
    echo "compiled without: $(LIBSQLITE3_FLAGS=-USQLITE_ENABLE_MEMORY_MANAGEMENT run)"
)"
