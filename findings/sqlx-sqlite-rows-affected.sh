#!/usr/bin/env bash
# crates.io sqlx 0.9.0, with the SQLite that it brings
#
# Expected: rows_affected() of a statement that changes no rows is 0, as CREATE TABLE is on PostgreSQL; several in one text
#   add up.
#
# Seen: it is the count of the last INSERT, UPDATE or DELETE of the connection, as often as there are statements since.
#   CREATE TABLE, PRAGMA, BEGIN and SELECT each "affect" the five rows of the UPDATE before them, and an UPDATE of
#   five rows in one text with two others affects fifteen.
#
#   UPDATE of five rows: 5
#   CREATE TABLE: 5
#   CREATE TABLE IF NOT EXISTS, which is there: 5
#   SELECT: 5
#   BEGIN; COMMIT: 10
#   UPDATE of five rows; SELECT; PRAGMA: 15
#   UPDATE of none: 0
#   PRAGMA: 0
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

seen='UPDATE of five rows: 5
CREATE TABLE: 5
CREATE TABLE IF NOT EXISTS, which is there: 5
SELECT: 5
BEGIN; COMMIT: 10
UPDATE of five rows; SELECT; PRAGMA: 15
UPDATE of none: 0
PRAGMA: 0'

expect "$seen" "$(
    cargo_run "${sqlx[@]}" <<'RUST'
use sqlx::{Connection, Executor, SqliteConnection};

#[tokio::main]
async fn main() {
    let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    connection.execute("create table notes (n int); insert into notes values (1), (2), (3), (4), (5)").await.unwrap();
    for (name, sql) in [
        ("UPDATE of five rows", "update notes set n = 0"),
        ("CREATE TABLE", "create table more (n int)"),
        ("CREATE TABLE IF NOT EXISTS, which is there", "create table if not exists more (n int)"),
        ("SELECT", "select 1"),
        ("BEGIN; COMMIT", "begin; commit"),
        ("UPDATE of five rows; SELECT; PRAGMA", "update notes set n = 0; select 1; pragma user_version = 1"),
        ("UPDATE of none", "update notes set n = 0 where n = 1"),
        ("PRAGMA", "pragma user_version = 2"),
    ] {
        println!("{name}: {}", connection.execute(sql).await.unwrap().rows_affected());
    }
}
RUST
)"
