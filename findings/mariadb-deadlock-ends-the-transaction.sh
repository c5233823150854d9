#!/usr/bin/env bash
# MariaDB 10.11.19 (Debian mariadb-server-core 1:10.11.19-0+deb12u1), PyMySQL 1.2.4
#
# Expected: after an error within a transaction, be it a deadlock (1213) or a lock wait that timed out (1205), the
#   connection stays in that transaction until ROLLBACK, so that what follows is undone with the rest. PostgreSQL
#   refuses all statements until then.
#
# Seen: so it is after 1205. After 1213 the transaction is over, and nothing reminds the caller of it: the next
#   UPDATE is committed at once, others see it, and ROLLBACK says nothing and undoes nothing.
#
#   1205: in_transaction=1, after the next UPDATE others read 0, after ROLLBACK 0
#   1213: in_transaction=0, after the next UPDATE others read 7, after ROLLBACK 7
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

start_mariadb 1:10.11.19-0+deb12u1 --innodb-lock-wait-timeout=1
pip_install 'PyMySQL==1.2.4'

seen='1205: in_transaction=1, after the next UPDATE others read 0, after ROLLBACK 0
1213: in_transaction=0, after the next UPDATE others read 7, after ROLLBACK 7'

expect "$seen" "$(
    python3 - "$mariadb_port" <<'PYTHON'
import sys
import threading
import time
import pymysql


def connect():
    return pymysql.connect(host="127.0.0.1", port=int(sys.argv[1]), user="root", database="test", autocommit=True)


def read(connection, sql):
    cursor = connection.cursor()
    cursor.execute(sql)
    return cursor.fetchone()[0] if cursor.description else None


def others_read():
    return read(connect(), "select n from accounts where id = 3")


def go_on(victim, error):
    state = read(victim, "select @@in_transaction")
    read(victim, "update accounts set n = 7 where id = 3")
    meanwhile = others_read()
    victim.rollback()
    print(
        f"{error.args[0]}: in_transaction={state}, after the next UPDATE others read {meanwhile}, "
        f"after ROLLBACK {others_read()}"
    )


first, second = connect(), connect()
read(first, "create table accounts (id int primary key, n int)")
read(first, "insert into accounts values (1, 0), (2, 0), (3, 0)")

first.begin()
read(first, "update accounts set n = 1 where id = 1")
second.begin()
read(second, "update accounts set n = 1 where id = 2")
try:
    read(second, "update accounts set n = 1 where id = 1")
except pymysql.err.OperationalError as error:
    go_on(second, error)
first.rollback()

# InnoDB picks the one that has written less: `second`.
first.begin()
read(first, "update accounts set n = n + 1 where id = 1")
read(first, "insert into accounts values (4, 0), (5, 0), (6, 0)")
second.begin()
read(second, "update accounts set n = 1 where id = 2")
waiting = threading.Thread(target=read, args=(first, "update accounts set n = n + 1 where id = 2"))
waiting.start()
time.sleep(0.3)
try:
    read(second, "update accounts set n = 1 where id = 1")
except pymysql.err.OperationalError as error:
    waiting.join()
    go_on(second, error)
first.rollback()
PYTHON
)"
