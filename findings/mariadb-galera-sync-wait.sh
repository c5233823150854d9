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

pip_install 'PyMySQL==1.2.4'
start_galera 1:10.11.19-0+deb12u1 26.4.23-0+deb12u1 'repl.causal_read_timeout=PT0.5S'

seen='a SELECT, without waiting: 0 rows
SET STATEMENT ... FOR SELECT: 1205
within a transaction, SET STATEMENT ... FOR SELECT: 0 rows
SET STATEMENT ... FOR START TRANSACTION: 1205
SET STATEMENT ... FOR DO 0: done
once it has caught up: 1 rows'

expect "$seen" "$(
    python3 - "$first_node" "$second_node" <<'PYTHON'
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
