#!/usr/bin/env bash
# SQLite 3.50.4 (apsw 3.50.4.0)
#
# Expected: a connection whose schema another one has changed reads it anew before it runs a statement, as the manual
#   says of SQLITE_SCHEMA. It does so for queries, and for DROP TABLE.
#
# Seen: ALTER TABLE … DROP COLUMN and RENAME COLUMN do not. They look the column up in the schema that their own
#   connection read last, and fail with "no such column", though the column is there. Any query on the table helps: after
#   it the same statement works. CREATE INDEX fails in the same way with "already exists" if the other connection has
#   dropped an index of that name; CREATE INDEX IF NOT EXISTS makes it. So a migration on one connection of a pool can
#   fail on what another connection of the pool did just before.
#
#   DROP COLUMN: no such column: "y"
#   a query of the column: 0
#   DROP COLUMN once more: done
#   RENAME COLUMN: no such column: "w"
#   DROP TABLE of a table that is new to it: done
#   CREATE INDEX: index by_v already exists
#   CREATE INDEX IF NOT EXISTS: done
#   CREATE INDEX IF NOT EXISTS, and what there is then: by_v
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

pip_install 'apsw==3.50.4.0'

seen='DROP COLUMN: no such column: "y"
a query of the column: 0
DROP COLUMN once more: done
RENAME COLUMN: no such column: "w"
DROP TABLE of a table that is new to it: done
CREATE INDEX: index by_v already exists
CREATE INDEX IF NOT EXISTS: done
CREATE INDEX IF NOT EXISTS, and what there is then: by_v'

expect "$seen" "$(
    python3 - <<'PYTHON'
import apsw

one, other = apsw.Connection("sessions.db"), apsw.Connection("sessions.db")


def run(sql):
    try:
        rows = list(other.execute(sql))
        return rows[0][0] if rows else "done"
    except apsw.SQLError as error:
        return error


one.execute("CREATE TABLE sessions (x)")
run("SELECT count(*) FROM sessions")
one.execute("ALTER TABLE sessions ADD COLUMN y")
print("DROP COLUMN:", run("ALTER TABLE sessions DROP COLUMN y"))
print("a query of the column:", run("SELECT count(y) FROM sessions"))
print("DROP COLUMN once more:", run("ALTER TABLE sessions DROP COLUMN y"))
one.execute("ALTER TABLE sessions RENAME COLUMN x TO w")
print("RENAME COLUMN:", run("ALTER TABLE sessions RENAME COLUMN w TO v"))
one.execute("CREATE TABLE others (z)")
print("DROP TABLE of a table that is new to it:", run("DROP TABLE others"))
run("CREATE INDEX by_v ON sessions (w)")
one.execute("DROP INDEX by_v")
print("CREATE INDEX:", run("CREATE INDEX by_v ON sessions (w)"))
print("CREATE INDEX IF NOT EXISTS:", run("CREATE INDEX IF NOT EXISTS by_v ON sessions (w)"))
names = [name for (name,) in one.execute("SELECT name FROM sqlite_schema WHERE type = 'index'")]
print("CREATE INDEX IF NOT EXISTS, and what there is then:", *names)
PYTHON
)"
