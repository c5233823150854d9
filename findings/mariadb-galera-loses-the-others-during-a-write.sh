#!/usr/bin/env bash
# MariaDB 10.11.19 (Debian mariadb-server-core 1:10.11.19-0+deb12u1), Galera (galera-4 26.4.23-0+deb12u1), PyMySQL 1.2.4
#
# Expected: a node that loses the other nodes refuses everything with 1047, "WSREP has not yet prepared node for
#   application use", the write that is on its way to them at that moment too.
#
# Seen: the write that is on its way fails with 1180, which speaks of streaming replication, though that is off. The
#   number is that of a commit that failed for any reason, so a program that tries again on 1047 and on 1213 does not.
#   Everything after it is refused with 1047.
#
#   streaming replication: off
#   a write on its way: 1180, Error while appending streaming replication fragment(provider status: Not connected to Primary Component)
#   a later write: 1047, WSREP has not yet prepared node for application use
#   a commit: 1047, WSREP has not yet prepared node for application use
#   a SELECT: 1047, WSREP has not yet prepared node for application use
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

pip_install 'PyMySQL==1.2.4'
start_galera 1:10.11.19-0+deb12u1 26.4.23-0+deb12u1 'repl.causal_read_timeout=PT5S'

seen='streaming replication: off
a write on its way: 1180, Error while appending streaming replication fragment(provider status: Not connected to Primary Component)
a later write: 1047, WSREP has not yet prepared node for application use
a commit: 1047, WSREP has not yet prepared node for application use
a SELECT: 1047, WSREP has not yet prepared node for application use'

expect "$seen" "$(
    python3 - "$first_node" "$second_node" <<'PYTHON'
import sys
import threading
import time
import pymysql


def connect(port):
    return pymysql.connect(host="127.0.0.1", port=int(port), user="root", autocommit=True).cursor()


def run(cursor, sql):
    try:
        cursor.execute(sql)
    except pymysql.Error as error:
        return f"{error.args[0]}, {error.args[1]}"
    return "done"


first, second = connect(sys.argv[1]), connect(sys.argv[2])
writer, committer = connect(sys.argv[2]), connect(sys.argv[2])
first.execute("select @@wsrep_trx_fragment_size")
print("streaming replication:", "on" if first.fetchone()[0] else "off")
first.execute("create database notes")
first.execute("create table notes.notes (id int primary key)")
while run(second, "select * from notes.notes") != "done":
    time.sleep(0.01)
run(committer, "start transaction")
run(committer, "insert into notes.notes values (1)")
second.execute("set global wsrep_provider_options = 'gmcast.isolate=1'")
seen = {}
writing = threading.Thread(target=lambda: seen.update(write=run(writer, "insert into notes.notes values (2)")))
writing.start()
writing.join()
print("a write on its way:", seen["write"])
print("a later write:", run(writer, "insert into notes.notes values (3)"))
print("a commit:", run(committer, "commit"))
print("a SELECT:", run(second, "select * from notes.notes"))
second.execute("set global wsrep_provider_options = 'gmcast.isolate=0'")
PYTHON
)"
