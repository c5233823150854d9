#!/usr/bin/env bash
# MariaDB 10.11.19 (Debian mariadb-server-core 1:10.11.19-0+deb12u1), Galera (galera-4 26.4.23-0+deb12u1), PyMySQL 1.2.4
#
# Expected: with wsrep_sync_wait = 1 every SELECT waits until its node has applied what was committed on the others,
#   also within a transaction, and the error of a wait that takes too long says that the node is behind.
#
# Seen: within a transaction no SELECT waits, whatever the variable says: BEGIN is what waits, if it was set before. The
#   wait that takes too long ends in 1205, "Lock wait timeout exceeded", as if another transaction held a row. And
#   SET STATEMENT wsrep_sync_wait=1 FOR START TRANSACTION is allowed, and waits.
#
#   a SELECT, without waiting: 0 rows
#   SET STATEMENT ... FOR SELECT: 1205
#   within a transaction, SET STATEMENT ... FOR SELECT: 0 rows
#   SET STATEMENT ... FOR START TRANSACTION: 1205
#   SET STATEMENT ... FOR DO 0: done
#   once it has caught up: 1 rows
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

version=1:10.11.19-0+deb12u1
apt_unpack "mariadb-server-core=$version" "mariadb-client-core=$version" "mariadb-server=$version" \
    galera-4=26.4.23-0+deb12u1 liburing2 libaio1 libnuma1 rsync libpopt0 libxxhash0
export PATH=$debian/usr/bin:$PATH
pip_install 'PyMySQL==1.2.4'

own_folder "$scratch/first"
"${unprivileged[@]}" env LD_LIBRARY_PATH="$libraries" "$debian/usr/bin/mariadb-install-db" --no-defaults \
    --basedir="$debian/usr" --datadir="$scratch/first/data" --auth-root-authentication-method=normal \
    >"$scratch/install.log" 2>&1
groups=("$(free_port)" "$(free_port)")

# Starts a node and waits until it serves. Sets `port`.
start_node() { # start_node <number> <folder> [option]...
    local group=${groups[$1]} folder=$scratch/$2
    shift 2
    port=$(free_port)
    "${unprivileged[@]}" env LD_LIBRARY_PATH="$libraries" "$debian/usr/sbin/mariadbd" --no-defaults \
        --basedir="$debian/usr" --datadir="$folder/data" --socket="$folder/socket" --bind-address=127.0.0.1 \
        --port="$port" --innodb-buffer-pool-size=32M --binlog-format=ROW --innodb-autoinc-lock-mode=2 \
        --wsrep-on=ON --wsrep-provider="$debian/usr/lib/galera/libgalera_smm.so" --wsrep-sst-method=rsync \
        --wsrep-cluster-address="gcomm://127.0.0.1:${groups[0]},127.0.0.1:${groups[1]}" \
        --wsrep-node-address=127.0.0.1 --wsrep-sst-receive-address="127.0.0.1:$(free_port)" \
        --wsrep-provider-options="gmcast.listen_addr=tcp://127.0.0.1:$group;ist.recv_addr=127.0.0.1:$(free_port);repl.causal_read_timeout=PT0.5S" \
        "$@" >"$folder/log" 2>&1 &
    started+=($!)
    for _ in $(seq 600); do
        grep -qs 'Synchronized with group, ready for connections' "$folder/log" && wait_for_port "$port" && return
        sleep 0.1
    done
    echo 'The node did not start.' >&2
    exit 1
}

# The second node begins with a copy of the first one's data.
start_node 0 first --wsrep-new-cluster
kill "${started[-1]}"
wait "${started[-1]}" || true
cp -a "$scratch/first" "$scratch/second"
start_node 0 first --wsrep-new-cluster
first=$port
start_node 1 second
second=$port

seen='a SELECT, without waiting: 0 rows
SET STATEMENT ... FOR SELECT: 1205
within a transaction, SET STATEMENT ... FOR SELECT: 0 rows
SET STATEMENT ... FOR START TRANSACTION: 1205
SET STATEMENT ... FOR DO 0: done
once it has caught up: 1 rows'

expect "$seen" "$(
    python3 - "$first" "$second" <<'PYTHON'
import sys
import time
import pymysql


def connect(port):
    return pymysql.connect(host="127.0.0.1", port=int(port), user="root", autocommit=True).cursor()


def run(sql):
    try:
        reader.execute(sql)
    except pymysql.Error as error:
        return error.args[0]
    return f"{len(reader.fetchall())} rows" if reader.description else "done"


first, second, reader = connect(sys.argv[1]), connect(sys.argv[2]), connect(sys.argv[2])
first.execute("create database notes")
first.execute("create table notes.notes (id int primary key)")
while run("select * from notes.notes") != "0 rows":
    time.sleep(0.01)
# The second node applies nothing from now on.
second.execute("flush tables with read lock")
first.execute("insert into notes.notes values (1)")
SELECT, WAITING = "select * from notes.notes", "set statement wsrep_sync_wait=1 for "
print("a SELECT, without waiting:", run(SELECT))
print("SET STATEMENT ... FOR SELECT:", run(WAITING + SELECT))
run("start transaction")
print("within a transaction, SET STATEMENT ... FOR SELECT:", run(WAITING + SELECT))
run("rollback")
print("SET STATEMENT ... FOR START TRANSACTION:", run(WAITING + "start transaction"))
print("SET STATEMENT ... FOR DO 0:", run(WAITING + "do 0"))
second.execute("unlock tables")
run(WAITING + SELECT)
print("once it has caught up:", run(WAITING + SELECT))
PYTHON
)"
