#!/usr/bin/env bash
# MariaDB 11.8.9 (Debian trixie mariadb-server-core 1:11.8.9+ds-0+deb13u1), PyMySQL 1.2.4
#
# Expected: since 11.6 a transaction that writes or locks a row which has changed since its first read fails with 1020
#   (innodb_snapshot_isolation). It is the statement that fails: the transaction goes on with what it has written, until the
#   caller rolls back, as after 1205. A key that has been deleted meanwhile can be inserted, and SKIP LOCKED waits for
#   nothing and fails on nothing.
#
# Seen: the transaction is rolled back and over, without a word of that: the next statement is committed on its own, others
#   see it, and ROLLBACK does not undo it. The same error meets an INSERT of a key that has been deleted since, INSERT
#   IGNORE, SELECT … FOR UPDATE SKIP LOCKED, and a DELETE that finds nothing to delete, if a row that it looks at has
#   changed. The first read may be of another table, or START TRANSACTION WITH CONSISTENT SNAPSHOT; without a read before
#   it there is no error.
#
#   UPDATE of a row that has changed: 1020, in_transaction=0, after the next INSERT others read 1, after ROLLBACK 1
#   INSERT of a key that has been deleted: 1020, in_transaction=0, after the next INSERT others read 1, after ROLLBACK 1
#   INSERT IGNORE of a key that has changed: 1020, in_transaction=0, after the next INSERT others read 1, after ROLLBACK 1
#   SELECT … FOR UPDATE SKIP LOCKED: 1020, in_transaction=0, after the next INSERT others read 1, after ROLLBACK 1
#   DELETE that finds nothing: 1020, in_transaction=0, after the next INSERT others read 1, after ROLLBACK 1
#   UPDATE, after a read of another table: 1020, in_transaction=0, after the next INSERT others read 1, after ROLLBACK 1
#   UPDATE, without a read before it: done, in_transaction=1, after the next INSERT others read 0, after ROLLBACK 0
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

start_mariadb_of trixie 1:11.8.9+ds-0+deb13u1
pip_install PyMySQL==1.2.4
export MARIADB_PORT=$mariadb_port

seen='UPDATE of a row that has changed: 1020, in_transaction=0, after the next INSERT others read 1, after ROLLBACK 1
INSERT of a key that has been deleted: 1020, in_transaction=0, after the next INSERT others read 1, after ROLLBACK 1
INSERT IGNORE of a key that has changed: 1020, in_transaction=0, after the next INSERT others read 1, after ROLLBACK 1
SELECT … FOR UPDATE SKIP LOCKED: 1020, in_transaction=0, after the next INSERT others read 1, after ROLLBACK 1
DELETE that finds nothing: 1020, in_transaction=0, after the next INSERT others read 1, after ROLLBACK 1
UPDATE, after a read of another table: 1020, in_transaction=0, after the next INSERT others read 1, after ROLLBACK 1
UPDATE, without a read before it: done, in_transaction=1, after the next INSERT others read 0, after ROLLBACK 0'

expect "$seen" "$(
    python3 <<'PYTHON'
import os
import pymysql

def connect():
    return pymysql.connect(host="127.0.0.1", port=int(os.environ["MARIADB_PORT"]), user="root", database="test",
                           autocommit=True).cursor()

one, other = connect(), connect()
one.execute("CREATE TABLE sessions (id int PRIMARY KEY, uses int)")
one.execute("CREATE TABLE log (what text)")

def count(cursor):
    cursor.execute("SELECT count(*) FROM log")
    return cursor.fetchone()[0]

READ = "SELECT * FROM sessions"
for name, read, statement in (
    ("UPDATE of a row that has changed", READ, "UPDATE sessions SET uses = uses + 1 WHERE id = 1"),
    ("INSERT of a key that has been deleted", READ, "INSERT INTO sessions VALUES (2, 0)"),
    ("INSERT IGNORE of a key that has changed", READ, "INSERT IGNORE INTO sessions VALUES (1, 0)"),
    ("SELECT … FOR UPDATE SKIP LOCKED", READ, "SELECT * FROM sessions WHERE id = 1 FOR UPDATE SKIP LOCKED"),
    ("DELETE that finds nothing", READ, "DELETE FROM sessions WHERE uses > 100"),
    ("UPDATE, after a read of another table", "SELECT * FROM log", "UPDATE sessions SET uses = uses + 1 WHERE id = 1"),
    ("UPDATE, without a read before it", None, "UPDATE sessions SET uses = uses + 1 WHERE id = 1"),
):
    one.execute("DELETE FROM log")
    one.execute("REPLACE INTO sessions VALUES (1, 0), (2, 0)")
    one.execute("BEGIN")
    one.execute("INSERT INTO log VALUES ('before')")
    if read:
        one.execute(read)
    other.execute("UPDATE sessions SET uses = 7 WHERE id = 1")
    other.execute("DELETE FROM sessions WHERE id = 2")
    try:
        one.execute(statement)
        outcome = "done"
    except pymysql.err.Error as error:
        outcome = error.args[0]
    one.execute("SELECT @@in_transaction")
    [(inside,)] = one.fetchall()
    one.execute("INSERT INTO log VALUES ('after')")
    others = count(other)
    one.execute("ROLLBACK")
    print(f"{name}: {outcome}, in_transaction={inside}, after the next INSERT others read {others}, "
          f"after ROLLBACK {count(one)}")
PYTHON
)"
