#!/usr/bin/env bash
# MySQL 9.7.4 (Debian mysql-server-core 9.7.4-2)
#
# Expected: a row larger than sort_buffer_size (256 KiB by default) is sorted by what is sorted by, as a row with a
#   long text is, and LIMIT 2 needs less memory still.
#
# Seen: if the query reads a column of the type json, be it in a condition alone, and one value is larger than the
#   buffer, the query fails, LIMIT or not. The same text in a longtext is no hindrance, and neither is the json if ids
#   are sorted first and the rows fetched by them.
#
#   json: ERROR 1038 (HY001): Out of sort memory, consider increasing server sort buffer size
#   json, in the condition alone: ERROR 1038 (HY001): Out of sort memory, consider increasing server sort buffer size
#   longtext: 8 9
#   json, by sorted ids: 8 9
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

start_mysql 9.7.4-2

error='ERROR 1038 (HY001): Out of sort memory, consider increasing server sort buffer size'
seen="json: $error
json, in the condition alone: $error
longtext: 8 9
json, by sorted ids: 8 9"

"${mysql[@]}" <<'SQL'
CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL, j json NOT NULL, l longtext NOT NULL);
INSERT INTO t WITH RECURSIVE s (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < 9)
    SELECT n, 100 - n, JSON_OBJECT('a', REPEAT('x', IF(n = 5, 600000, 1))), REPEAT('x', IF(n = 5, 600000, 1)) FROM s;
SQL
ask() { # ask <name> <query>
    { "${mysql[@]}" --execute="$2" 2>&1 || true; } | cut -f1 | sed 's/ at line 1//' | sort | tr '\n' ' ' |
        sed "s/^/$1: /; s/ \$/\n/"
}
expect "$seen" "$(
    ask json 'SELECT id, j FROM t ORDER BY n LIMIT 2'
    ask 'json, in the condition alone' "SELECT id FROM t WHERE j <> CAST('{}' AS JSON) ORDER BY n LIMIT 2"
    ask longtext 'SELECT id, l FROM t ORDER BY n LIMIT 2'
    ask 'json, by sorted ids' 'SELECT t.id, t.j FROM (SELECT id, n FROM t LIMIT 1000) AS chosen
        LEFT JOIN t ON t.id = chosen.id ORDER BY chosen.n LIMIT 2'
)"
