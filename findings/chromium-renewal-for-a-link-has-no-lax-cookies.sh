#!/usr/bin/env bash
# Debian chromium 156.0.8078.108; npm playwright-core 1.65.1
#
# Expected: the renewal of a bound session is the browser's own request to the application: it says `Sec-Fetch-Site: same-origin` and
#   has the application's `Origin`. So it carries all cookies of that path, whatever their `SameSite`, also if a link on a site
#   of `allowed_refresh_initiators` has begun it.
#
# Seen: it says so, and carries no cookies of `SameSite=Strict` and `SameSite=Lax` then. Without `SameSite` they go for two minutes
#   after they were set. A second cookie that says which session is to be renewed has to be `SameSite=None`, else the renewal
#   fails just when the user follows a link.
#
#   SameSite=Strict: from a link same-origin, none; from a page same-origin, which=1
#   SameSite=Lax: from a link same-origin, none; from a page same-origin, which=1
#   SameSite=None: from a link same-origin, which=1; from a page same-origin, which=1
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"
prepare_bound

cat >browser.mjs <<'JAVASCRIPT'
import { end, open, Site } from "./bound.mjs";

const browser = await open("profile");
let to = "";
const other = new Site("other.test", {
    async answer({ respond }) {
        respond(200, { "content-type": "text/html" }, `<!doctype html><link rel=icon href=data:,><a href="${to}">there</a>`);
        return true;
    },
});
for (const value of ["Strict", "Lax", "None"]) {
    let seen;
    const site = new Site(`${value.toLowerCase()}.test`, {
        instructions: { allowed_refresh_initiators: ["other.test"] },
        async answer({ path, respond, request }) {
            const cookie = `which=1; Max-Age=600; Path=/renew; Secure; HttpOnly; SameSite=${value}`;
            if (path === "/second") respond(200, { "content-type": "text/html", "set-cookie": cookie }, "<link rel=icon href=data:,>");
            if (path === "/renew") seen = `${request.headers["sec-fetch-site"]}, ${request.headers.cookie ?? "none"}`;
            return path === "/second";
        },
    });
    await browser.bind(site);
    await browser.visit(site, "/second");
    to = site.url("/");
    await browser.visit(other);
    await browser.lose(site);
    await browser.page.click("a");
    await browser.page.waitForURL(to);
    const link = seen;
    await browser.lose(site);
    await browser.visit(site);
    console.log(`SameSite=${value}: from a link ${link}; from a page ${seen}`);
}
await browser.close();
end();
JAVASCRIPT

expect 'SameSite=Strict: from a link same-origin, none; from a page same-origin, which=1
SameSite=Lax: from a link same-origin, none; from a page same-origin, which=1
SameSite=None: from a link same-origin, which=1; from a page same-origin, which=1' "$(node browser.mjs)"
