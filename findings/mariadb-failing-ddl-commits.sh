#!/usr/bin/env bash
# MariaDB 10.11.19 (Debian mariadb-server-core 1:10.11.19-0+deb12u1), PyMySQL 1.2.4
#
# Expected: DDL commits an open transaction, as documented; DDL that fails, or that finds nothing to do, has done
#   nothing and so leaves the transaction open, and so do statements that only look, such as CHECK TABLE.
#
# Seen: the commit comes first, before the statement is found to be impossible or needless. Only what cannot be
#   parsed leaves the transaction alone. CHECK TABLE and ANALYZE TABLE commit, too. Temporary tables do not.
#
#   DROP TABLE missing: error 1051, committed
#   DROP TABLE IF EXISTS missing: done, committed
#   CREATE TABLE IF NOT EXISTS notes (id int): done, committed
#   ALTER TABLE notes ADD COLUMN id int: error 1060, committed
#   GRANT SELECT ON test.* TO nobody_here: error 1133, committed
#   CHECK TABLE notes: done, committed
#   ANALYZE TABLE notes: done, committed
#   CREATE TABLE (: error 1064, rolled back
#   CREATE TEMPORARY TABLE passing (id int): done, rolled back
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

start_mariadb 1:10.11.19-0+deb12u1
pip_install 'PyMySQL==1.2.4'

seen='DROP TABLE missing: error 1051, committed
DROP TABLE IF EXISTS missing: done, committed
CREATE TABLE IF NOT EXISTS notes (id int): done, committed
ALTER TABLE notes ADD COLUMN id int: error 1060, committed
GRANT SELECT ON test.* TO nobody_here: error 1133, committed
CHECK TABLE notes: done, committed
ANALYZE TABLE notes: done, committed
CREATE TABLE (: error 1064, rolled back
CREATE TEMPORARY TABLE passing (id int): done, rolled back'

expect "$seen" "$(
    python3 - "$mariadb_port" <<'PYTHON'
import sys
import warnings
import pymysql

warnings.simplefilter("ignore")
connection = pymysql.connect(host="127.0.0.1", port=int(sys.argv[1]), user="root", database="test", autocommit=True)
cursor = connection.cursor()
cursor.execute("create table notes (id int primary key)")

for statement in [
    "DROP TABLE missing",
    "DROP TABLE IF EXISTS missing",
    "CREATE TABLE IF NOT EXISTS notes (id int)",
    "ALTER TABLE notes ADD COLUMN id int",
    "GRANT SELECT ON test.* TO nobody_here",
    "CHECK TABLE notes",
    "ANALYZE TABLE notes",
    "CREATE TABLE (",
    "CREATE TEMPORARY TABLE passing (id int)",
]:
    cursor.execute("delete from notes")
    connection.begin()
    cursor.execute("insert into notes values (1)")
    try:
        cursor.execute(statement)
        outcome = "done"
    except pymysql.err.MySQLError as error:
        outcome = f"error {error.args[0]}"
    connection.rollback()
    cursor.execute("select count(*) from notes")
    print(f"{statement}: {outcome}, {'committed' if cursor.fetchone()[0] else 'rolled back'}")
PYTHON
)"
