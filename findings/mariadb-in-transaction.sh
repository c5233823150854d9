#!/usr/bin/env bash
# MariaDB 10.11.19 (Debian mariadb-server-core 1:10.11.19-0+deb12u1), PyMySQL 1.2.4
#
# Expected: @@in_transaction is 1 inside a lone INSERT or UPDATE, since InnoDB runs it in a transaction; and it is 1
#   for the first statement after SET autocommit = 0.
#
# Seen: it tells of what began before the statement. A lone INSERT writes 0 into its own row. With autocommit = 0 a
#   statement that touches no table reads 0, and so does the next; a statement that touches one reads 1 in itself.
#
#   lone INSERT ... RETURNING: 0
#   lone SELECT of a table: 0
#   within BEGIN, INSERT ... RETURNING: 1
#   autocommit = 0, without a table: 0, 0
#   autocommit = 0, INSERT ... RETURNING: 1
#   autocommit = 0, after it: 1
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

start_mariadb 1:10.11.19-0+deb12u1
pip_install 'PyMySQL==1.2.4'

seen='lone INSERT ... RETURNING: 0
lone SELECT of a table: 0
within BEGIN, INSERT ... RETURNING: 1
autocommit = 0, without a table: 0, 0
autocommit = 0, INSERT ... RETURNING: 1
autocommit = 0, after it: 1'

expect "$seen" "$(
    python3 - "$mariadb_port" <<'PYTHON'
import sys
import pymysql

connection = pymysql.connect(host="127.0.0.1", port=int(sys.argv[1]), user="root", database="test", autocommit=True)
cursor = connection.cursor()


def read(sql):
    cursor.execute(sql)
    return cursor.fetchone()[0] if cursor.description else None


INSERT = "insert into notes (state) values (@@in_transaction) returning state"
read("create table notes (id int primary key auto_increment, state int)")
print("lone INSERT ... RETURNING:", read(INSERT))
print("lone SELECT of a table:", read("select @@in_transaction from notes"))
read("begin")
print("within BEGIN, INSERT ... RETURNING:", read(INSERT))
read("rollback")
read("set autocommit = 0")
print(f"autocommit = 0, without a table: {read('select @@in_transaction')}, {read('select @@in_transaction')}")
print("autocommit = 0, INSERT ... RETURNING:", read(INSERT))
print("autocommit = 0, after it:", read("select @@in_transaction"))
PYTHON
)"
