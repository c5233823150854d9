#!/usr/bin/env bash
# Debian chromium 156.0.8078.108; npm playwright-core 1.65.1
#
# Expected: a cookie that a response has set, and that later requests have carried, is there after the browser was killed, as
#   what is written to a database is. At worst it is missing, and the user logs in again.
#
# Seen: Chromium writes its cookies down every 30 seconds. If it is killed before that, or the power fails, it comes back with the
#   value before. Where each answer replaces the token, an honest browser then presents one that was replaced and is out of use
#   for long. To end the session for it, as for a stolen token that is used a second time, logs that user out. If the cookie is
#   bound to the device, it is enough to delete it: the next request is renewed.
#
#   set and sent: / with s1.2
#   killed 5 seconds later, and opened again: / with s1.1
#   the cookie is deleted: /renew of s1 with no cookie; /renew of s1 with no cookie; / with s1.3
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"
prepare_bound

cat >browser.mjs <<'JAVASCRIPT'
import { readdirSync, readFileSync } from "node:fs";
import { end, open, Site, sleep } from "./bound.mjs";

const profile = `${process.cwd()}/profile`;
const kill = () => {
    for (const id of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
        try {
            const command = readFileSync(`/proc/${id}/cmdline`, "utf8");
            if (command.includes(`--user-data-dir=${profile}\0`)) process.kill(Number(id), "SIGKILL");
        } catch {
            // It has ended.
        }
    }
};
// Short enough for the cookie to be renewed beside the next page.
const site = new Site("site.test", {
    maxAge: 115,
    async answer({ path, respond, site }) {
        const html = { "content-type": "text/html" };
        if (path === "/delete") respond(200, { ...html, ...site.setCookie("", 0) }, "<link rel=icon href=data:,>");
        return path === "/delete";
    },
});
let browser = await open(profile);
await browser.bind(site);
await sleep(40_000);
site.maxAge = 600;
await browser.visit(site);
await sleep(1_000);
site.take();
await browser.visit(site);
console.log(`set and sent: ${site.take()[0]}`);
await sleep(5_000);
kill();
await sleep(1_000);
browser = await open(profile);
await browser.visit(site);
console.log(`killed 5 seconds later, and opened again: ${site.take().filter((it) => it.startsWith("/ ")).at(-1)}`);
await browser.visit(site, "/delete");
site.take();
await browser.visit(site);
console.log(`the cookie is deleted: ${site.take().join("; ")}`);
await browser.close();
end();
JAVASCRIPT

expect 'set and sent: / with s1.2
killed 5 seconds later, and opened again: / with s1.1
the cookie is deleted: /renew of s1 with no cookie; /renew of s1 with no cookie; / with s1.3' "$(node browser.mjs)"
