#!/usr/bin/env bash
# Debian chromium 156.0.8078.108; npm playwright-core 1.65.1
#
# Expected: a cookie whose name begins with `__Host-` is its host's own in every way, so that another host of the same
#   site, which can neither set nor read it, cannot get rid of it either. Where a browser has too many cookies, those
#   of the host that sets so many go first.
#
# Seen: Chromium counts the cookies of all hosts of a site together and forgets the ones that were used least
#   recently, whatever their names and hosts. A sibling host that sets 200 cookies of its own logs the user out of the
#   application beside it. A cookie that is set afterwards stays, so that logging in works.
#
#   logged in: __Host-session
#   after 100 cookies of a sibling host: __Host-session
#   after 200 cookies of a sibling host: none
#   logged in again: __Host-session
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

npm_install playwright-core@1.65.1
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out certificate.pem -days 2 \
    -subj /CN=site.test -addext 'subjectAltName=DNS:*.site.test' 2>/dev/null

cat >browser.mjs <<'JAVASCRIPT'
import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { chromium } from "playwright-core";

const [key, cert] = ["key.pem", "certificate.pem"].map((file) => readFileSync(file));
const server = createServer({ key, cert }, (request, response) => {
    const { pathname, searchParams } = new URL(request.url, "https://site.test");
    const cookies = {
        "/login": ["__Host-session=a; Path=/; Secure; HttpOnly"],
        "/many": Array.from({ length: searchParams.get("count") }, (_, n) => `n${n}=1; Path=/; Secure; HttpOnly`),
    };
    response.writeHead(200, { "content-type": "text/html", "set-cookie": cookies[pathname] ?? [] });
    response.end(/__Host-session/.exec(request.headers.cookie ?? "")?.[0] ?? "none");
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const at = (host, path) => `https://${host}.site.test:${server.address().port}${path}`;

const spki = new X509Certificate(cert).publicKey.export({ type: "spki", format: "der" });
const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: [
        "--no-sandbox",
        "--host-resolver-rules=MAP *.test 127.0.0.1",
        `--ignore-certificate-errors-spki-list=${createHash("sha256").update(spki).digest("base64")}`,
    ],
    timeout: 120_000,
});
const page = await browser.newPage();
page.setDefaultTimeout(120_000);
const show = async (when) => {
    await page.goto(at("app", "/"));
    console.log(`${when}: ${await page.textContent("body")}`);
};
await page.goto(at("app", "/login"));
await show("logged in");
for (const count of [100, 200]) {
    await page.goto(at("sibling", `/many?count=${count}`));
    await show(`after ${count} cookies of a sibling host`);
}
await page.goto(at("app", "/login"));
await show("logged in again");
await browser.close();
server.close();
JAVASCRIPT

expect 'logged in: __Host-session
after 100 cookies of a sibling host: __Host-session
after 200 cookies of a sibling host: none
logged in again: __Host-session' "$(node browser.mjs)"
