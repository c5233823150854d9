#!/usr/bin/env bash
# npm express-session 1.19.0 with its MemoryStore, express 5.3.0
#
# Expected: a new release that shortens `cookie.maxAge` from fourteen days to fifteen minutes, and adds `secure` and
#   `sameSite`, applies to the sessions that there are, at the latest when they are next saved.
#
# Seen: the cookie's settings are stored in each session, and those win. A session from before, if it is used, is
#   saved with fourteen days again and again, and its cookie is sent without Secure and SameSite, for as long as
#   it lives. Only new sessions have the new settings.
#
#   before: Path=/; Expires in 14.0 days; HttpOnly
#   after, the same session: Path=/; Expires in 14.0 days; HttpOnly
#   after, a new session: Path=/; Expires in 0.0 days; HttpOnly; Secure; SameSite=Lax
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

npm_install express@5.3.0 express-session@1.19.0

cat >node.mjs <<'JAVASCRIPT'
import express from "express";
import session from "express-session";

const store = new session.MemoryStore();

async function release(cookie) {
    const app = express();
    app.set("trust proxy", true);
    app.use(session({ secret: "k", resave: false, saveUninitialized: false, proxy: true, store, cookie }));
    app.get("/", (request, response) => {
        request.session.visits = (request.session.visits ?? 0) + 1;
        response.send();
    });
    return new Promise((started) => {
        const server = app.listen(0, "127.0.0.1", () => started(server));
    });
}

async function visit(server, cookie) {
    const url = `http://127.0.0.1:${server.address().port}/`;
    const response = await fetch(url, { headers: { "x-forwarded-proto": "https", ...(cookie && { cookie }) } });
    return response.headers.get("set-cookie");
}

function show(when, header) {
    const [, ...attributes] = header.split("; ");
    const days = (at) => ((Date.parse(at) - Date.now()) / 86_400_000).toFixed(1);
    console.log(`${when}: ${attributes.join("; ").replace(/Expires=([^;]+)/, (_, at) => `Expires in ${days(at)} days`)}`);
}

const old = await release({ maxAge: 14 * 86_400_000 });
const first = await visit(old);
show("before", first);
old.close();

const next = await release({ maxAge: 15 * 60_000, secure: true, sameSite: "lax" });
show("after, the same session", await visit(next, first.split(";")[0]));
show("after, a new session", await visit(next));
next.close();
JAVASCRIPT

seen='before: Path=/; Expires in 14.0 days; HttpOnly
after, the same session: Path=/; Expires in 14.0 days; HttpOnly
after, a new session: Path=/; Expires in 0.0 days; HttpOnly; Secure; SameSite=Lax'

expect "$seen" "$(node node.mjs)"
