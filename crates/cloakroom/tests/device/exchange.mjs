// Writes exchange.json: what Chromium and a server say to each other from a log-in to the end of a bound session, once with
// each algorithm. Run by hand, once, on Debian 12 with its packages chromium and openssl, and with npm's playwright-core 1.65.1 beside it:
//
//     node exchange.mjs > exchange.json
//
// The server checks no signatures; the test that reads the file does. Keys, challenges and signatures are others each time.
// Made with Chromium 156.0.8078.108 and node 20.20.2.

import { execFileSync } from "node:child_process";
import { createHash, randomBytes, X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const directory = mkdtempSync(join(tmpdir(), "exchange-"));
const [keyFile, certificateFile] = ["key.pem", "certificate.pem"].map((name) => join(directory, name));
execFileSync("openssl", [
    ..."req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=app.test".split(" "),
    "-keyout", keyFile, "-out", certificateFile,
], { stdio: "ignore" });
const [key, cert] = [keyFile, certificateFile].map((file) => readFileSync(file));

const ID = "0197d3b04c5a7f3e9a41c2d5e6f70819";
const exchanges = {};
let algorithms, exchange, over, isChallengeOld, tokens;
const cookie = (age) =>
    `__Host-session=token-${++tokens}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=${age}`;
const challenge = () => randomBytes(24).toString("base64url");
const ahead = () => ({ "secure-session-challenge": `"${challenge()}";id="${ID}"` });

const answers = {
    "GET /login": () => [200, {
        "set-cookie": cookie(86400),
        "secure-session-registration": `(${algorithms});path="/device/register";challenge="${challenge()}"`,
    }],
    "POST /device/register": () => [200, { "set-cookie": cookie(600), ...ahead() }, JSON.stringify({
        session_identifier: ID,
        refresh_url: "/device/renew",
        scope: { include_site: false, scope_specification: [{ type: "exclude", domain: "*", path: "/static" }] },
        credentials: [{ type: "cookie", name: "__Host-session", attributes: "Path=/; Secure; HttpOnly; SameSite=Lax" }],
        allowed_refresh_initiators: ["*.example.com"],
    })],
    "POST /device/renew": () => {
        if (over) return [200, {}, JSON.stringify({ session_identifier: ID, continue: false })];
        if (isChallengeOld) {
            isChallengeOld = false;
            return [403, ahead()];
        }
        return [200, { "set-cookie": cookie(600), ...ahead() }];
    },
};
const KEPT = ["cookie", "origin", "sec-fetch-site", "sec-secure-session-id", "secure-session-response", "content-length"];
const server = createServer({ key, cert }, (request, response) => {
    const { method, url: path } = request;
    const [status, headers, body = ""] = answers[`${method} ${path}`]?.() ?? [200, {}];
    const kept = KEPT.filter((name) => name in request.headers).map((name) => [name, request.headers[name].replace(/:\d+$/, "")]);
    exchange.push({ method, path, request: Object.fromEntries(kept), status, response: headers, body });
    response.writeHead(status, { "content-type": method === "GET" ? "text/html" : "application/json", ...headers });
    response.end(method === "GET" ? "<link rel=icon href=data:,>" : body);
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const at = (path) => `https://app.test:${server.address().port}${path}`;

const spki = new X509Certificate(cert).publicKey.export({ type: "spki", format: "der" });
const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: [
        "--no-sandbox",
        "--host-resolver-rules=MAP *.test 127.0.0.1",
        `--ignore-certificate-errors-spki-list=${createHash("sha256").update(spki).digest("base64")}`,
        "--enable-features=DeviceBoundSessions,EnableBoundSessionCredentialsSoftwareKeysForManualTesting",
    ],
});
// The browser takes the first algorithm that it knows.
for (algorithms of ["ES256 RS256", "RS256 ES256"]) {
    [exchange, over, isChallengeOld, tokens] = [[], false, false, 0];
    const context = await browser.newContext();
    const page = await context.newPage();
    const devtools = await context.newCDPSession(page);
    await devtools.send("Network.enable");
    await devtools.send("Network.enableDeviceBoundSessions", { enable: true });
    const bound = new Promise((report) => {
        devtools.on("Network.deviceBoundSessionEventOccurred", (event) => event.creationEventDetails && report(event));
    });
    await page.goto(at("/login"));
    if (!(await bound).succeeded) throw new Error("not bound");
    await page.goto(at("/"));
    // As if ten minutes had passed, so that the cookie is gone.
    const visit = async () => {
        await devtools.send("Network.deleteCookies", { name: "__Host-session", url: at("/") });
        await page.goto(at("/"));
    };
    await visit();
    isChallengeOld = true;
    await visit();
    over = true;
    await visit();
    exchanges[algorithms.split(" ")[0]] = exchange;
    await context.close();
}
await browser.close();
server.close();
rmSync(directory, { recursive: true });
console.log(JSON.stringify(exchanges, null, 4));
