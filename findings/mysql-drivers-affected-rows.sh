#!/usr/bin/env bash
# npm mysql2 3.24.6 and mariadb 3.5.4; PyPI PyMySQL 1.2.4 and mysql-connector-python 26.10.0; against
# MariaDB 10.11.19 (Debian mariadb-server-core 1:10.11.19-0+deb12u1)
#
# Expected: without an option, every driver says of an UPDATE what the server says by default: the rows that have
#   changed, so 0 where they had the value already.
#
# Seen: the flag "found rows" is a matter of taste. Node's drivers set it unasked and say 1, Python's do not and say
#   0, so that "0 means gone" is true in one half of a system and false in the other. An upsert that changes nothing
#   is 1 with the flag, which is what an insert is, and 0 without.
#
#   mysql2: UPDATE 1, upsert 1
#   mariadb: UPDATE 1, upsert 1
#   PyMySQL: UPDATE 0, upsert 0
#   mysql-connector-python: UPDATE 0, upsert 0
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

start_mariadb 1:10.11.19-0+deb12u1
pip_install 'PyMySQL==1.2.4' 'mysql-connector-python==26.10.0'
npm_install mysql2@3.24.6 mariadb@3.5.4

cat >node.mjs <<'JAVASCRIPT'
import mysql2 from "mysql2/promise";
import mariadb from "mariadb";

const server = { host: "127.0.0.1", port: Number(process.argv[2]), user: "root", database: "test" };
const UPDATE = "update notes set n = 1 where id = 1";
const UPSERT = "insert into notes values (1, 1) on duplicate key update n = 1";

const one = await mysql2.createConnection(server);
await one.query("create table notes (id int primary key, n int)");
await one.query("insert into notes values (1, 1)");
const [update] = await one.query(UPDATE);
const [upsert] = await one.query(UPSERT);
console.log(`mysql2: UPDATE ${update.affectedRows}, upsert ${upsert.affectedRows}`);
await one.end();

const other = await mariadb.createConnection(server);
const affected = async (sql) => (await other.query(sql)).affectedRows;
console.log(`mariadb: UPDATE ${await affected(UPDATE)}, upsert ${await affected(UPSERT)}`);
await other.end();
JAVASCRIPT

seen='mysql2: UPDATE 1, upsert 1
mariadb: UPDATE 1, upsert 1
PyMySQL: UPDATE 0, upsert 0
mysql-connector-python: UPDATE 0, upsert 0'

expect "$seen" "$(
    node node.mjs "$mariadb_port"
    python3 - "$mariadb_port" <<'PYTHON'
import sys
import mysql.connector
import pymysql

server = {"host": "127.0.0.1", "port": int(sys.argv[1]), "user": "root", "database": "test"}
for name, driver in (("PyMySQL", pymysql), ("mysql-connector-python", mysql.connector)):
    connection = driver.connect(**server)
    cursor = connection.cursor()
    counts = []
    for sql in (
        "update notes set n = 1 where id = 1",
        "insert into notes values (1, 1) on duplicate key update n = 1",
    ):
        cursor.execute(sql)
        counts.append(cursor.rowcount)
    print(f"{name}: UPDATE {counts[0]}, upsert {counts[1]}")
    connection.close()
PYTHON
)"
