#!/usr/bin/env bash
# Debian chromium 156.0.8078.108; npm playwright-core 1.65.1
#
# Expected: bound sessions and their keys outlive a restart of the browser, and so does what Chromium does with them: a bound cookie in its
#   last two minutes is renewed beside the requests, so that none has to wait; and the challenge that the server gave ahead
#   is used.
#
# Seen: after a restart nothing is renewed beside the requests until the cookie was missing once. That renewal is waited for, and it
#   takes two requests, since the challenge is forgotten. Then all is as before.
#
#   before: / with s1.1; /renew of s1 with s1.1
#   before: / with s1.2; /renew of s1 with s1.2
#   after: / with s1.3
#   after: / with s1.3
#   the cookie is gone: /renew of s1 with no cookie; /renew of s1 with no cookie; / with s1.4; /renew of s1 with s1.4
#   after that: / with s1.5; /renew of s1 with s1.5
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"
prepare_bound

cat >browser.mjs <<'JAVASCRIPT'
import { end, open, Site, sleep } from "./bound.mjs";

const site = new Site("site.test", { maxAge: 100 });
let browser = await open("profile");
const show = async (when) => {
    site.take();
    await browser.visit(site);
    await sleep(1_000);
    // A page and the renewal beside it come in either order.
    const requests = site.take();
    const at = requests.findIndex((request) => request.startsWith("/ "));
    if (requests[at - 1]?.split(" with ")[1] === requests[at].split(" with ")[1]) requests.push(requests.splice(at - 1, 1)[0]);
    console.log(`${when}: ${requests.join("; ")}`);
};
await browser.bind(site);
await show("before");
await show("before");
await browser.close();
browser = await open("profile");
await show("after");
await show("after");
await browser.lose(site);
await show("the cookie is gone");
await show("after that");
await browser.close();
end();
JAVASCRIPT

expect 'before: / with s1.1; /renew of s1 with s1.1
before: / with s1.2; /renew of s1 with s1.2
after: / with s1.3
after: / with s1.3
the cookie is gone: /renew of s1 with no cookie; /renew of s1 with no cookie; / with s1.4; /renew of s1 with s1.4
after that: / with s1.5; /renew of s1 with s1.5' "$(node browser.mjs)"
