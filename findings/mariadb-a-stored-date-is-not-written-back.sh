#!/usr/bin/env bash
# MariaDB 10.11.19 (Debian mariadb-server-core 1:10.11.19-0+deb12u1), PyMySQL 1.2.4
#
# Expected: sql_mode decides which new values a column takes. An UPDATE that leaves a column as it is, or computes with it
#   in a branch that is not taken, has nothing to refuse.
#
# Seen: a day that no month has, which ALLOW_INVALID_DATES has let in, is read and compared in every mode, and "e = e" is
#   fine. But a CASE that comes to the value of the column itself, and an addition to it, fail the whole UPDATE in strict
#   mode (1292), rows that are in order included. A date without a month fails the addition, too. So "end all sessions of
#   a user" can fail for one row that another program wrote in its own mode.
#
#   read: 2026-02-31 00:00:00, before now: 1
#   e = e: stored
#   e = CASE WHEN e < now THEN e ELSE now END: 1292
#   u = u + INTERVAL 1 SECOND, the 31st of February: 1292
#   u = u + INTERVAL 1 SECOND, no month: 1292
#   MONTH and DAYOFMONTH in an UPDATE: stored
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

start_mariadb 1:10.11.19-0+deb12u1
pip_install 'PyMySQL==1.2.4'

seen='read: 2026-02-31 00:00:00, before now: 1
e = e: stored
e = CASE WHEN e < now THEN e ELSE now END: 1292
u = u + INTERVAL 1 SECOND, the 31st of February: 1292
u = u + INTERVAL 1 SECOND, no month: 1292
MONTH and DAYOFMONTH in an UPDATE: stored'

expect "$seen" "$(
    python3 - "$mariadb_port" <<'PYTHON'
import sys
import warnings
import pymysql

warnings.simplefilter("ignore")
connection = pymysql.connect(host="127.0.0.1", port=int(sys.argv[1]), user="root", database="test", autocommit=True)
cursor = connection.cursor()
cursor.execute("SET sql_mode = 'STRICT_TRANS_TABLES'")
cursor.execute("CREATE TABLE sessions (id int PRIMARY KEY, e datetime NULL, u datetime NOT NULL, n int)")
cursor.execute(
    "SET STATEMENT sql_mode = 'ALLOW_INVALID_DATES' FOR INSERT INTO sessions VALUES "
    "(1, '2026-02-31', '2026-01-01', 0), (2, NULL, '2026-02-31', 0), (3, NULL, '2026-00-10', 0)"
)


def update(what, row):
    try:
        cursor.execute(f"UPDATE sessions SET {what} WHERE id = {row}")
        return "stored"
    except pymysql.err.MySQLError as error:
        return error.args[0]


cursor.execute("SELECT CAST(e AS char), e < '2026-11-01' FROM sessions WHERE id = 1")
print("read: %s, before now: %s" % cursor.fetchone())
print("e = e:", update("e = e", 1))
ended = "CASE WHEN e < '2026-11-01' THEN e ELSE '2026-11-01' END"
print("e = CASE WHEN e < now THEN e ELSE now END:", update(f"e = {ended}", 1))
print("u = u + INTERVAL 1 SECOND, the 31st of February:", update("u = u + INTERVAL 1 SECOND", 2))
print("u = u + INTERVAL 1 SECOND, no month:", update("u = u + INTERVAL 1 SECOND", 3))
print("MONTH and DAYOFMONTH in an UPDATE:", update("n = MONTH(u) * 100 + DAYOFMONTH(u)", 2))
PYTHON
)"
