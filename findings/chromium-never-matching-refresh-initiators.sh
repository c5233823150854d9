#!/usr/bin/env bash
# Debian chromium 156.0.8078.108; npm playwright-core 1.65.1
#
# Expected: `allowed_refresh_initiators`, of which other sites links may find the user logged in although the bound cookie's time
#   is over, takes an origin. If it takes host names alone, a text that is none fails the registration.
#
# Seen: it takes host names alone, and patterns of them. Chromium accepts an origin, a port and capitals, and then never finds a
#   host that matches. Only the empty text fails.
#
#   []: bound; / with no cookie
#   ["other.test"]: bound; /renew of s1 with no cookie; / with s1.2
#   ["*.test"]: bound; /renew of s1 with no cookie; / with s1.2
#   ["*"]: bound; /renew of s1 with no cookie; / with s1.2
#   ["*.other.test"]: bound; / with no cookie
#   ["https://other.test"]: bound; / with no cookie
#   ["other.test:PORT"]: bound; / with no cookie
#   ["https://other.test:PORT"]: bound; / with no cookie
#   ["OTHER.test"]: bound; / with no cookie
#   [""]: RefreshInitiatorInvalidHostPattern
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
const port = new URL(other.url("/")).port;
const lists = [
    [], ["other.test"], ["*.test"], ["*"], ["*.other.test"], ["https://other.test"], ["other.test:PORT"],
    ["https://other.test:PORT"], ["OTHER.test"], [""],
];
for (const [number, list] of lists.entries()) {
    const instructions = { allowed_refresh_initiators: list.map((text) => text.replace("PORT", port)) };
    const site = new Site(`site${number}.test`, { instructions });
    const outcome = await browser.bind(site);
    to = site.url("/");
    await browser.visit(other);
    await browser.lose(site);
    site.take();
    await browser.page.click("a");
    await browser.page.waitForURL(to);
    console.log([`${JSON.stringify(list)}: ${outcome}`, ...(outcome === "bound" ? site.take() : [])].join("; "));
}
await browser.close();
end();
JAVASCRIPT

expect '[]: bound; / with no cookie
["other.test"]: bound; /renew of s1 with no cookie; / with s1.2
["*.test"]: bound; /renew of s1 with no cookie; / with s1.2
["*"]: bound; /renew of s1 with no cookie; / with s1.2
["*.other.test"]: bound; / with no cookie
["https://other.test"]: bound; / with no cookie
["other.test:PORT"]: bound; / with no cookie
["https://other.test:PORT"]: bound; / with no cookie
["OTHER.test"]: bound; / with no cookie
[""]: RefreshInitiatorInvalidHostPattern' "$(node browser.mjs)"
