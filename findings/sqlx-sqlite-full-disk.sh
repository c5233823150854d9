#!/usr/bin/env bash
# crates.io sqlx 0.9.0, with the SQLite that it brings
#
# Expected: SQLite may end a transaction by itself (its documentation names a full disk); the driver asks SQLite, as
#   sqlite3_get_autocommit() is there for it, so that the next transaction on the connection is one like any other.
#
# Seen: the driver counts on its own. ROLLBACK fails, the count stays at one, and the next begin() is a SAVEPOINT. Its
#   commit() still commits, since SQLite takes RELEASE of the outermost savepoint for that, but its rollback() is
#   ROLLBACK TO, which leaves a transaction open. What is written on the connection from then on is answered with
#   success, others do not see it, and they cannot write themselves.
#
#   insert: (code: 13) database or disk is full
#   rollback: (code: 1) cannot rollback - no transaction is active
#   begin, insert, commit: Ok(()); rows others see: 1
#   begin, insert, rollback: Ok(()); rows others see: 1
#   insert without begin: Ok(1); rows others see: 1
#   insert of others: (code: 5) database is locked
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

seen='insert: (code: 13) database or disk is full
rollback: (code: 1) cannot rollback - no transaction is active
begin, insert, commit: Ok(()); rows others see: 1
begin, insert, rollback: Ok(()); rows others see: 1
insert without begin: Ok(1); rows others see: 1
insert of others: (code: 5) database is locked'

expect "$seen" "$(
    cargo_run "${sqlx[@]}" <<'RUST'
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, Executor};

fn text(error: sqlx::Error) -> String {
    error.to_string().replace("error returned from database: ", "")
}

const INSERT: &str = "insert into notes values ('small')";

async fn rows(connection: &mut SqliteConnection) -> i64 {
    sqlx::query_scalar("select count(*) from notes").fetch_one(connection).await.unwrap()
}

async fn connect() -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename("notes.db")
        .create_if_missing(true)
        .busy_timeout(Duration::from_millis(100))
        .connect()
        .await
        .unwrap()
}

#[tokio::main]
async fn main() {
    let mut connection = connect().await;
    connection.execute("pragma journal_mode = wal").await.unwrap();
    connection.execute("create table notes (text text); pragma max_page_count = 8").await.unwrap();

    let mut tx = connection.begin().await.unwrap();
    println!("insert: {}", text(tx.execute("insert into notes values (zeroblob(1000000))").await.unwrap_err()));
    println!("rollback: {}", text(tx.rollback().await.unwrap_err()));

    connection.execute("pragma max_page_count = 1000").await.unwrap();
    let mut others = connect().await;
    let mut tx = connection.begin().await.unwrap();
    tx.execute(INSERT).await.unwrap();
    let outcome = tx.commit().await;
    println!("begin, insert, commit: {outcome:?}; rows others see: {}", rows(&mut others).await);

    let mut tx = connection.begin().await.unwrap();
    tx.execute(INSERT).await.unwrap();
    let outcome = tx.rollback().await;
    println!("begin, insert, rollback: {outcome:?}; rows others see: {}", rows(&mut others).await);

    let outcome = connection.execute(INSERT).await.map(|done| done.rows_affected());
    println!("insert without begin: {outcome:?}; rows others see: {}", rows(&mut others).await);
    println!("insert of others: {}", text(others.execute(INSERT).await.unwrap_err()));
}
RUST
)"
