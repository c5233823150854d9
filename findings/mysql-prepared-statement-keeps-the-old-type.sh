#!/usr/bin/env bash
# MySQL 9.7.4 (Debian mysql-server-core 9.7.4-2)
#
# Expected: after ALTER TABLE the server prepares a statement anew when it is run next, and a parameter is compared by
#   the rules of the column's new type: text '42' does not equal '042' in a varchar. MariaDB does so.
#
# Seen: the server found out the parameter's type from the column when the statement was first prepared, and keeps it.
#   A parameter that was compared with a bigint stays a number, so '42' equals '042' in the varchar that the column is
#   now, and equals nothing in an enum, of which it is the number of a value. A statement that is prepared afterwards
#   compares text.
#
#   bigint 42 = '42': 1
#   varchar '042' = '42': 1, prepared anew 0
#   enum '42' = '42': 0, prepared anew 1
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

start_mysql 9.7.4-2

seen="bigint 42 = '42': 1
varchar '042' = '42': 1, prepared anew 0
enum '42' = '42': 0, prepared anew 1"

expect "$seen" "$(
    "${mysql[@]}" <<'SQL'
CREATE TABLE t (a bigint);
INSERT INTO t VALUES (42);
SET @p = '42';
PREPARE old FROM 'SELECT COUNT(*) INTO @old FROM t WHERE a = ?';
EXECUTE old USING @p;
SELECT CONCAT("bigint 42 = '42': ", @old);
ALTER TABLE t MODIFY a varchar(30);
UPDATE t SET a = '042';
PREPARE anew FROM 'SELECT COUNT(*) INTO @anew FROM t WHERE a = ?';
EXECUTE old USING @p;
EXECUTE anew USING @p;
SELECT CONCAT("varchar '042' = '42': ", @old, ', prepared anew ', @anew);
UPDATE t SET a = '42';
ALTER TABLE t MODIFY a enum('42');
EXECUTE old USING @p;
PREPARE anew FROM 'SELECT COUNT(*) INTO @anew FROM t WHERE a = ?';
EXECUTE anew USING @p;
SELECT CONCAT("enum '42' = '42': ", @old, ', prepared anew ', @anew);
SQL
)"
