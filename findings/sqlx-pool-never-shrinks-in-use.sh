#!/usr/bin/env bash
# crates.io sqlx 0.9.0 (SQLite, in the same process; the pool is the same for each database)
#
# Expected: a pool that once needed eight connections and now runs one short query at a time keeps one or two of them in
#   use, and closes the others after idle_timeout.
#
# Seen: it closes none. A query has the connection that has been idle for longest, so that all eight have their turn, and
#   none is idle for as long as idle_timeout, be it only one query in a twentieth of it. Only a pool that is not used at all
#   shrinks. So the largest number of connections that a busy moment has opened stays until max_lifetime, of the server's
#   connections too, and each query goes to the server process that has least of what it needs in the processor's cache.
#
#   16 queries one after another: 8 connections
#   after 4 s of one query in 50 ms, with an idle_timeout of 1 s: 8 connections open
#   after 4 s without: 0
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

seen='16 queries one after another: 8 connections
after 4 s of one query in 50 ms, with an idle_timeout of 1 s: 8 connections open
after 4 s without: 0'

expect "$seen" "$(
    cargo_run "${sqlx[@]}" <<'RUST'
use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};

static OPENED: AtomicI64 = AtomicI64::new(0);

/// Returns the number of the connection that ran the query, once the pool has it back.
async fn query(pool: &SqlitePool) -> i64 {
    let number = sqlx::query_scalar("select number from this_connection").fetch_one(pool).await.unwrap();
    while pool.num_idle() != pool.size() as usize {
        tokio::task::yield_now().await;
    }
    number
}

#[tokio::main]
async fn main() {
    let options = SqlitePoolOptions::new().max_connections(8).idle_timeout(Duration::from_secs(1));
    let options = options.after_connect(|connection, _| {
        Box::pin(async move {
            sqlx::query("create temp table this_connection (number)").execute(&mut *connection).await?;
            let number = OPENED.fetch_add(1, Ordering::SeqCst);
            let insert = sqlx::query("insert into this_connection values (?)").bind(number);
            insert.execute(connection).await.map(drop)
        })
    });
    let pool = options.connect("sqlite:file.db?mode=rwc").await.unwrap();
    let mut at_once = Vec::new();
    for _ in 0..8 {
        at_once.push(pool.acquire().await.unwrap());
    }
    drop(at_once);

    let mut used = HashSet::new();
    for _ in 0..16 {
        used.insert(query(&pool).await);
    }
    println!("16 queries one after another: {} connections", used.len());

    for _ in 0..80 {
        query(&pool).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("after 4 s of one query in 50 ms, with an idle_timeout of 1 s: {} connections open", pool.size());

    tokio::time::sleep(Duration::from_secs(4)).await;
    println!("after 4 s without: {}", pool.size());
}
RUST
)"
