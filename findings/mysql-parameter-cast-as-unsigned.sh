#!/usr/bin/env bash
# MySQL 9.7.4 (Debian mysql-server-core 9.7.4-2)
#
# Expected: CAST(? AS UNSIGNED) of a text reads as much as CAST('…' AS UNSIGNED) does: all 64 bits.
#
# Seen: the upper half of them is an error for a parameter in an INSERT ("Truncated incorrect DECIMAL value"), and for a
#   literal it is not. A parameter that is cast to text first is read as the literal is.
#
#   literal: 18446744073709551615
#   parameter: ERROR 1292 (22007)
#   parameter, as text first: 18446744073709551615
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

start_mysql 9.7.4-2

seen='literal: 18446744073709551615
parameter: ERROR 1292 (22007)
parameter, as text first: 18446744073709551615'

insert() { # insert <name> <expression> — of which ? is the number as text
    printf '%s: ' "$1"
    { "${mysql[@]}" 2>&1 || true; } <<SQL | sed 's/ at line.*//'
DROP TABLE IF EXISTS t;
CREATE TABLE t (b bit(64));
SET @p = '18446744073709551615';
PREPARE s FROM "INSERT INTO t VALUES ($2)";
EXECUTE s${3:-} ;
SELECT b + 0 FROM t;
SQL
}
expect "$seen" "$(
    insert literal "CAST('18446744073709551615' AS UNSIGNED)"
    insert parameter 'CAST(? AS UNSIGNED)' ' USING @p'
    insert 'parameter, as text first' 'CAST(CAST(? AS CHAR) AS UNSIGNED)' ' USING @p'
)"
