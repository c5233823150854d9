#!/usr/bin/env bash
# crates.io sqlx 0.9.0, with the SQLite that it brings
#
# Expected: after another connection has rebuilt a table, in the way that SQLite's documentation of ALTER TABLE
#   describes, a SELECT * that is cached is compiled anew (SQLite does that by itself) and its columns carry their new
#   names, so that get("name") reads the column `name`. On MariaDB it does.
#
# Seen: the values are those of the new table, the names those of the old. get("name") returns the value of `secret`,
#   without an error, for as long as the connection lives; a new connection is right.
#
#   before: name=Ann secret=hidden
#   after, same connection: name=hidden secret=Ann
#   after, new connection: name=Ann secret=hidden
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

seen='before: name=Ann secret=hidden
after, same connection: name=hidden secret=Ann
after, new connection: name=Ann secret=hidden'

expect "$seen" "$(
    cargo_run "${sqlx[@]}" <<'RUST'
use sqlx::{Connection, Executor, Row, SqliteConnection};

async fn show(when: &str, connection: &mut SqliteConnection) {
    let row = sqlx::query("select * from users where name <> ?").bind("Bob").fetch_one(connection).await.unwrap();
    println!("{when}: name={} secret={}", row.get::<&str, _>("name"), row.get::<&str, _>("secret"));
}

#[tokio::main]
async fn main() {
    const URL: &str = "sqlite://users.db?mode=rwc";
    let mut connection = SqliteConnection::connect(URL).await.unwrap();
    connection.execute("create table users (name text, secret text)").await.unwrap();
    connection.execute("insert into users values ('Ann', 'hidden')").await.unwrap();
    show("before", &mut connection).await;

    let mut other = SqliteConnection::connect(URL).await.unwrap();
    other
        .execute(
            "begin;
             create table new_users (secret text, name text);
             insert into new_users (name, secret) select name, secret from users;
             drop table users;
             alter table new_users rename to users;
             commit",
        )
        .await
        .unwrap();
    show("after, same connection", &mut connection).await;
    show("after, new connection", &mut other).await;
}
RUST
)"
