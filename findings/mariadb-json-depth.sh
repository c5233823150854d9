#!/usr/bin/env bash
# MariaDB 10.11.19 (Debian mariadb-server-core 1:10.11.19-0+deb12u1), PyMySQL 1.2.4
#
# Expected: a column of type JSON takes any valid JSON of modest size and depth; where there is a limit, as MySQL's
#   of 100 levels, the error names it.
#
# Seen: JSON of more than 31 levels is "not valid": JSON_VALID says 0, and as the type JSON is text with that check,
#   the error is that of a CHECK constraint which the application never wrote. A text column takes the same value.
#
#   31 levels: json_valid=1, json column: stored, text column: stored
#   32 levels: json_valid=0, json column: 4025 CONSTRAINT `documents.document` failed for `test`.`documents`, text column: stored
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

start_mariadb 1:10.11.19-0+deb12u1
pip_install 'PyMySQL==1.2.4'

seen='31 levels: json_valid=1, json column: stored, text column: stored
32 levels: json_valid=0, json column: 4025 CONSTRAINT `documents.document` failed for `test`.`documents`, text column: stored'

expect "$seen" "$(
    python3 - "$mariadb_port" <<'PYTHON'
import sys
import warnings
import pymysql

warnings.simplefilter("ignore")
connection = pymysql.connect(host="127.0.0.1", port=int(sys.argv[1]), user="root", database="test", autocommit=True)
cursor = connection.cursor()
cursor.execute("create table documents (document json)")
cursor.execute("create table texts (document longtext)")


def store(table, value):
    try:
        cursor.execute(f"insert into {table} values (%s)", (value,))
        return "stored"
    except pymysql.err.MySQLError as error:
        return f"{error.args[0]} {error.args[1]}"


for levels in (31, 32):
    value = "[" * levels + "]" * levels
    cursor.execute("select json_valid(%s)", (value,))
    valid = cursor.fetchone()[0]
    print(f"{levels} levels: json_valid={valid}, json column: {store('documents', value)}, "
          f"text column: {store('texts', value)}")
PYTHON
)"
