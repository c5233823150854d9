#!/usr/bin/env bash
# Debian chromium 156.0.8078.108; npm playwright-core 1.65.1
#
# Expected: a cookie whose name begins with `__Host-Http-` is one of `__Host-` that only a response can set. It is bound to the
#   device as any other, since the browser itself asks for the response that sets it.
#
# Seen: Chromium keeps the cookie and refuses the binding, in any case of letters. `__Host-` and `__Http-` alone are bound.
#   Nothing on the page tells; only the DevTools protocol has the reason.
#
#   session: bound
#   __Secure-session: bound
#   __Http-session: bound
#   __Host-session: bound
#   __Host-Http-session: InvalidCredentialsCookie
#   __host-http-session: InvalidCredentialsCookie
#   the cookie all the same: s1.1
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"
prepare_bound

cat >browser.mjs <<'JAVASCRIPT'
import { end, open, Site } from "./bound.mjs";

const browser = await open("profile");
let site, count = 0;
const names = ["session", "__Secure-session", "__Http-session", "__Host-session", "__Host-Http-session", "__host-http-session"];
for (const cookie of names) {
    site = new Site(`site${++count}.test`, { cookie });
    console.log(`${cookie}: ${await browser.bind(site)}`);
}
await browser.visit(site);
console.log(`the cookie all the same: ${await browser.page.textContent("body")}`);
await browser.close();
end();
JAVASCRIPT

expect 'session: bound
__Secure-session: bound
__Http-session: bound
__Host-session: bound
__Host-Http-session: InvalidCredentialsCookie
__host-http-session: InvalidCredentialsCookie
the cookie all the same: s1.1' "$(node browser.mjs)"
