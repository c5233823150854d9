#!/usr/bin/env bash
# crates.io sea-query-sqlx 0.9.1, sea-query 1.0.2, sqlx 0.9.0
#
# Expected: features add up. If one crate of a program turns on sea-query's `with-json`, another that uses sea-query-sqlx
#   without it compiles as before.
#
# Seen: it does not compile. sea-query-sqlx matches on sea-query's values without a rest, and knows a kind only by its own
#   feature. The same holds for time and uuid. So every crate that turns one on in sea-query decides for all that use
#   sea-query-sqlx, SeaORM without its default features among them.
#
#   with-json in neither: compiles
#   with-json in sea-query alone: error[E0004]: non-exhaustive patterns: `sea_query::Value::Json(_)` not covered
#   with-json in both: compiles
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

try() { # try <what> <feature of sea-query> <feature of sea-query-sqlx>
    local printed
    printed=$(
        cargo_run "sea-query = { version = \"=1.0.2\", default-features = false, features = [\"backend-sqlite\"$2] }" \
            "sea-query-sqlx = { version = \"=0.9.1\", default-features = false, features = [\"sqlx-sqlite\", \"runtime-tokio\"$3] }" \
            2>&1 <<'RUST'
fn main() {
    println!("compiles");
}
RUST
    ) || true
    echo "$1: $(grep -m1 -E '^(compiles|error\[)' <<<"$printed")"
}

seen='with-json in neither: compiles
with-json in sea-query alone: error[E0004]: non-exhaustive patterns: `sea_query::Value::Json(_)` not covered
with-json in both: compiles'

expect "$seen" "$(
    try 'with-json in neither' '' ''
    try 'with-json in sea-query alone' ', "with-json"' ''
    try 'with-json in both' ', "with-json"' ', "with-json"'
)"
