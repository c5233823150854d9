#!/usr/bin/env bash
# MariaDB 10.11.19 (Debian mariadb-server-core 1:10.11.19-0+deb12u1), PyMySQL 1.2.4
#
# Expected: WITH SYSTEM VERSIONING keeps what a row was before it changed, and changes no answer to those who write. An
#   UPDATE that sets what is there already changes no row, says 0 and leaves no history, and INSERT … ON DUPLICATE KEY
#   UPDATE says 1 for a new row and 2 for a changed one, as documented.
#
# Seen: the UPDATE that changes nothing says 1 and leaves a version in the history each time, as a session that is saved as
#   it is with each request would. The upsert says 3 for a changed row, and 3 for one that it leaves as it is, so that
#   "2 means that it was there" is wrong once versioning is switched on. A column WITHOUT SYSTEM VERSIONING helps only if
#   the statement names no other column of the table.
#
#   plain: UPDATE v = v 0, UPDATE v = v + 1 1, upsert of a new row 1, upsert v = v + 1 2, upsert v = v 0
#   versioned: UPDATE v = v 1, UPDATE v = v + 1 1, upsert of a new row 1, upsert v = v + 1 3, upsert v = v 3
#   versions of the row afterwards: 5
#   after UPDATE seen = NOW(6), a column without versioning: 5
#   after UPDATE v = v, seen = NOW(6): 6
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

start_mariadb 1:10.11.19-0+deb12u1
pip_install PyMySQL==1.2.4
export MARIADB_PORT=$mariadb_port

seen='plain: UPDATE v = v 0, UPDATE v = v + 1 1, upsert of a new row 1, upsert v = v + 1 2, upsert v = v 0
versioned: UPDATE v = v 1, UPDATE v = v + 1 1, upsert of a new row 1, upsert v = v + 1 3, upsert v = v 3
versions of the row afterwards: 5
after UPDATE seen = NOW(6), a column without versioning: 5
after UPDATE v = v, seen = NOW(6): 6'

expect "$seen" "$(
    python3 <<'PYTHON'
import os
import pymysql

connection = pymysql.connect(host="127.0.0.1", port=int(os.environ["MARIADB_PORT"]), user="root", database="test",
                             autocommit=True)
cursor = connection.cursor()

def versions():
    cursor.execute("SELECT count(*) FROM versioned FOR SYSTEM_TIME ALL WHERE id = 1")
    return cursor.fetchone()[0]

for table, seen, option in (("plain", "", ""), ("versioned", "WITHOUT SYSTEM VERSIONING", "WITH SYSTEM VERSIONING")):
    cursor.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, v int, seen datetime(6) {seen}) {option}")
    cursor.execute(f"INSERT INTO {table} VALUES (1, 0, NULL)")
    upsert = f"INSERT INTO {table} VALUES ({{}}, 0, NULL) ON DUPLICATE KEY UPDATE {{}}"
    print(f"{table}:", ", ".join(f"{name} {cursor.execute(statement)}" for name, statement in (
        ("UPDATE v = v", f"UPDATE {table} SET v = v"),
        ("UPDATE v = v + 1", f"UPDATE {table} SET v = v + 1"),
        ("upsert of a new row", upsert.format(2, "v = v + 1")),
        ("upsert v = v + 1", upsert.format(1, "v = v + 1")),
        ("upsert v = v", upsert.format(1, "v = v")),
    )))
print("versions of the row afterwards:", versions())
cursor.execute("UPDATE versioned SET seen = NOW(6) WHERE id = 1")
print("after UPDATE seen = NOW(6), a column without versioning:", versions())
cursor.execute("UPDATE versioned SET v = v, seen = NOW(6) WHERE id = 1")
print("after UPDATE v = v, seen = NOW(6):", versions())
PYTHON
)"
