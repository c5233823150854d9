// For the scripts about device bound sessions: an https server that speaks the protocol, and Chromium, which keeps its keys in
// software for the purpose. Needs key.pem, certificate.pem and playwright-core beside it.

import { createHash, createPublicKey, randomBytes, verify, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { chromium } from "playwright-core";

const ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Lax";
const HTML = { "content-type": "text/html" };
const BLANK = "<!doctype html><link rel=icon href=data:,>";
const fresh = () => randomBytes(24).toString("base64url");
export const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

const sites = new Map();

// An application on a host of its own. Its sessions are s1, s2, …, and their tokens s1.0, s1.1, … : each renewal gives the next.
export class Site {
    constructor(host, { cookie = "__Host-session", maxAge = 600, instructions = {}, answer = async () => false } = {}) {
        Object.assign(this, { host, cookie, maxAge, instructions, answer, sessions: new Map(), requests: [] });
        sites.set(host, this);
    }

    url(path) {
        return `https://${this.host}:${server.address().port}${path}`;
    }

    // The requests since the last call: the path, the token, and the session that is renewed.
    take() {
        return this.requests.splice(0).map(({ path, token, id }) => `${path}${id ? ` of ${id}` : ""} with ${token ?? "no cookie"}`);
    }

    setCookie(token, maxAge) {
        return { "set-cookie": `${this.cookie}=${token}; Max-Age=${maxAge}; ${ATTRIBUTES}` };
    }

    challenge(session) {
        session.challenge = fresh();
        return { "secure-session-challenge": `"${session.challenge}";id="${session.id}"` };
    }

    async handle(request, respond) {
        const path = request.url.split("?")[0];
        const token = new RegExp(`(?:^|; )${this.cookie}=([^;]+)`).exec(request.headers.cookie)?.[1];
        const id = request.headers["sec-secure-session-id"];
        const proof = request.headers["secure-session-response"];
        this.requests.push({ path, token, id, proof });
        if (await this.answer({ path, token, respond, request, site: this })) return;
        if (path === "/login") {
            const session = { id: `s${this.sessions.size + 1}`, tokens: 0, challenge: fresh() };
            this.sessions.set(session.id, session);
            this.registering = session;
            const registration = `(ES256);path="/register";challenge="${session.challenge}"`;
            respond(200, { ...HTML, ...this.setCookie(`${session.id}.0`, 86400), "secure-session-registration": registration }, BLANK);
        } else if (path === "/register") {
            const session = this.registering;
            const key = (head) => (session.key = head.jwk);
            if (!isGood(proof, key, session.challenge)) return respond(403);
            const instructions = {
                session_identifier: session.id,
                refresh_url: "/renew",
                scope: { include_site: false },
                credentials: [{ type: "cookie", name: this.cookie, attributes: ATTRIBUTES }],
                ...this.instructions,
            };
            const headers = { ...this.setCookie(`${session.id}.${++session.tokens}`, this.maxAge), ...this.challenge(session) };
            respond(200, headers, JSON.stringify(instructions));
        } else if (path === "/renew") {
            const session = this.sessions.get(id);
            if (session.isOver) return respond(200, {}, JSON.stringify({ session_identifier: id, continue: false }));
            if (!proof || !isGood(proof, () => session.key, session.challenge)) return respond(403, this.challenge(session));
            respond(200, { ...this.setCookie(`${id}.${++session.tokens}`, this.maxAge), ...this.challenge(session) });
        } else {
            respond(200, HTML, BLANK + (token ?? ""));
        }
    }
}

function isGood(proof, keyOf, challenge) {
    const [head, claims, signature] = proof.split(".");
    const read = (part) => JSON.parse(Buffer.from(part, "base64url"));
    const key = createPublicKey({ key: keyOf(read(head)), format: "jwk" });
    const how = { key, dsaEncoding: "ieee-p1363" };
    return read(claims).jti === challenge && verify("sha256", `${head}.${claims}`, how, Buffer.from(signature, "base64url"));
}

const [key, cert] = ["key.pem", "certificate.pem"].map((file) => readFileSync(file));
const server = createServer({ key, cert }, (request, response) => {
    const respond = (status, headers = {}, body = "") => {
        response.writeHead(status, { "cache-control": "no-store", ...headers });
        response.end(body);
    };
    sites.get(request.headers.host.split(":")[0]).handle(request, respond);
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));

// Opens a browser with the profile in this folder.
export async function open(folder) {
    const spki = new X509Certificate(cert).publicKey.export({ type: "spki", format: "der" });
    const context = await chromium.launchPersistentContext(folder, {
        executablePath: "/usr/bin/chromium",
        args: [
            "--no-sandbox",
            "--host-resolver-rules=MAP *.test 127.0.0.1",
            `--ignore-certificate-errors-spki-list=${createHash("sha256").update(spki).digest("base64")}`,
            "--enable-features=DeviceBoundSessions:RefreshQuota/false,EnableBoundSessionCredentialsSoftwareKeysForManualTesting",
        ],
        timeout: 120_000,
    });
    const page = await context.newPage();
    page.setDefaultTimeout(120_000);
    const devtools = await context.newCDPSession(page);
    await devtools.send("Network.enable");
    await devtools.send("Network.enableDeviceBoundSessions", { enable: true });
    let report;
    devtools.on("Network.deviceBoundSessionEventOccurred", (event) => event.creationEventDetails && report(event));
    return {
        context,
        page,
        visit: (site, path = "/") => page.goto(site.url(path)),
        // Logs in, and says what the browser makes of the registration.
        async bind(site) {
            const reported = new Promise((done) => (report = done));
            await page.goto(site.url("/login"));
            const { succeeded, creationEventDetails } = await reported;
            return succeeded ? "bound" : creationEventDetails.fetchResult;
        },
        // What happens when the cookie's time is over.
        lose: (site) => devtools.send("Network.deleteCookies", { name: site.cookie, url: site.url("/") }),
        close: () => context.close(),
    };
}

export function end() {
    server.closeAllConnections();
    server.close();
}
