#!/usr/bin/env bash
# Debian chromium 156.0.8078.108; npm playwright-core 1.65.1
#
# Expected: who logs in again, perhaps as another user, gets a new session in the place of the old one, because the cookie is one.
#   Once it is bound to the device, the new session is renewed. At least both are, one after the other.
#
# Seen: Chromium keeps both bindings of the one cookie. When the cookie's time is over, it renews the older one alone, and is
#   content: the user is the former user again. Only when the server ends the older one is the newer renewed, in the same
#   breath. So a log-in has to end the session that the browser had before, on the server.
#
#   s1, then s2: bound, bound
#   the cookie is s2.1
#   its time is over: /renew of s1 with no cookie; / with s1.2
#   once more: /renew of s1 with no cookie; / with s1.3
#   the first has ended: /renew of s1 with no cookie; /renew of s2 with no cookie; / with s2.2
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"
prepare_bound

cat >browser.mjs <<'JAVASCRIPT'
import { end, open, Site } from "./bound.mjs";

const browser = await open("profile");
const site = new Site("site.test");
console.log(`s1, then s2: ${await browser.bind(site)}, ${await browser.bind(site)}`);
await browser.visit(site);
console.log(`the cookie is ${await browser.page.textContent("body")}`);
const show = async (when) => {
    site.take();
    await browser.lose(site);
    await browser.visit(site);
    console.log(`${when}: ${site.take().join("; ")}`);
};
await show("its time is over");
await show("once more");
site.sessions.get("s1").isOver = true;
await show("the first has ended");
await browser.close();
end();
JAVASCRIPT

expect 's1, then s2: bound, bound
the cookie is s2.1
its time is over: /renew of s1 with no cookie; / with s1.2
once more: /renew of s1 with no cookie; / with s1.3
the first has ended: /renew of s1 with no cookie; /renew of s2 with no cookie; / with s2.2' "$(node browser.mjs)"
