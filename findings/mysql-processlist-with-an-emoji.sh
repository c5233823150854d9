#!/usr/bin/env bash
# MySQL 9.7.4 (Debian mysql-server-core 9.7.4-2)
#
# Expected: information_schema.processlist lists the connections, whatever statements they run, as SHOW PROCESSLIST does.
#
# Seen: while any connection runs a statement whose text has a character beyond U+FFFF, or the bytes of a binary
#   parameter, every query on that table fails, also one that does not ask for the statements. SHOW PROCESSLIST and
#   performance_schema.processlist work.
#
#   information_schema: ERROR 3854 (HY000): Cannot convert string '...' from utf8mb4 to utf8mb3
#   performance_schema: 1
#   SHOW PROCESSLIST: 1
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

start_mysql 9.7.4-2

seen="information_schema: ERROR 3854 (HY000): Cannot convert string '...' from utf8mb4 to utf8mb3
performance_schema: 1
SHOW PROCESSLIST: 1"

"${mysql[@]}" --execute="SELECT SLEEP(5), '😀'" >/dev/null &
sleep 1
expect "$seen" "$(
    count="SELECT COUNT(*) > 0 FROM"
    printf 'information_schema: '
    { "${mysql[@]}" --execute="$count information_schema.processlist" 2>&1 || true; } |
        sed "s/ at line 1//; s/string '.*' from/string '...' from/"
    printf 'performance_schema: %s\n' "$("${mysql[@]}" --execute="$count performance_schema.processlist")"
    printf 'SHOW PROCESSLIST: %s\n' "$("${mysql[@]}" --execute='SHOW FULL PROCESSLIST' | grep --count SLEEP)"
)"
wait $!
