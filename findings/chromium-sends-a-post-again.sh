#!/usr/bin/env bash
# Debian chromium 156.0.8078.108; npm playwright-core 1.65.1
#
# Expected: a POST whose connection ends without an answer has failed. It is not idempotent, and RFC 9110, section 9.2.2, says that
#   a client should not send it again by itself.
#
# Seen: if the connection had been used before, Chromium sends the same POST again on another, at once: one from a page,
#   and also the registration and the renewal of a bound session, with the same signed proof. So a proof that is good once is
#   presented twice by an honest browser whose answer was lost, and must get its answer.
#
#   a POST of the page: 2 times, answered 200
#   the registration: 2 times, the same proof: true, bound
#   the renewal: 2 times, the same proof: true, / with s1.2
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"
prepare_bound

cat >browser.mjs <<'JAVASCRIPT'
import { end, open, Site } from "./bound.mjs";

const browser = await open("profile");
// The first POST to each path is read and not answered.
const lost = new Set();
const site = new Site("site.test", {
    async answer({ path, respond, request }) {
        if (request.method === "GET" || lost.has(path)) return path === "/form" && (respond(200), true);
        lost.add(path);
        request.resume().on("end", () => request.socket.destroy());
        return true;
    },
});
const count = (path) => {
    const proofs = site.requests.filter((request) => request.path === path).map(({ proof }) => proof);
    return { times: `${proofs.length} times`, same: `the same proof: ${new Set(proofs).size === 1}` };
};
await browser.visit(site);
const status = await browser.page.evaluate(() => fetch("/form", { method: "POST", body: "a=b" }).then(({ status }) => status));
console.log(`a POST of the page: ${count("/form").times}, answered ${status}`);
const outcome = await browser.bind(site);
const { times, same } = count("/register");
console.log(`the registration: ${times}, ${same}, ${outcome}`);
await browser.lose(site);
await browser.visit(site);
const renewal = count("/renew");
console.log(`the renewal: ${renewal.times}, ${renewal.same}, ${site.take().at(-1)}`);
await browser.close();
end();
JAVASCRIPT

expect 'a POST of the page: 2 times, answered 200
the registration: 2 times, the same proof: true, bound
the renewal: 2 times, the same proof: true, / with s1.2' "$(node browser.mjs)"
