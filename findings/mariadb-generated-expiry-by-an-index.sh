#!/usr/bin/env bash
# MariaDB 10.11.19 (Debian mariadb-server-core 1:10.11.19-0+deb12u1), MySQL 9.7.4 (Debian mysql-server-core 9.7.4-2),
# PyMySQL 1.2.4
#
# Expected: a generated column must depend on its row alone. `created_at + INTERVAL ttl SECOND` of a TIMESTAMP, whose
#   hours are those of the connection's time zone, is refused as PostgreSQL refuses it, at the latest if it is indexed.
#
# Seen: both servers take it without a warning, and an index on it. The index has the hours of the connection that wrote the
#   row, the column those of the one that reads. So what is over depends on whether the index is used, and a connection of
#   New York finds nothing to prune by it, among six rows of which four are over for it without the index. CHECK TABLE
#   is content.
#
#   MariaDB: created; over at 10:00 by the index: none, without it: 1 2 3 4; CHECK TABLE: OK
#   MySQL: created; over at 10:00 by the index: none, without it: 1 2 3 4; CHECK TABLE: OK
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

start_mariadb 1:10.11.19-0+deb12u1
start_mysql 9.7.4-2
pip_install PyMySQL==1.2.4 cryptography==50.0.2
export MARIADB_PORT=$mariadb_port MYSQL_PORT=$mysql_port

seen='MariaDB: created; over at 10:00 by the index: none, without it: 1 2 3 4; CHECK TABLE: OK
MySQL: created; over at 10:00 by the index: none, without it: 1 2 3 4; CHECK TABLE: OK'

expect "$seen" "$(
    python3 <<'PYTHON'
import os
import pymysql

for name in ("MariaDB", "MySQL"):
    port = int(os.environ[name.upper() + "_PORT"])

    def connect(zone):
        return pymysql.connect(host="127.0.0.1", port=port, user="root", database="test", autocommit=True,
                               init_command=f"SET time_zone = '{zone}'").cursor()

    writer, reader = connect("+00:00"), connect("-05:00")
    writer.execute("CREATE TABLE sessions (id int PRIMARY KEY, created_at timestamp NOT NULL, ttl int NOT NULL, "
                   "expires_at datetime AS (created_at + INTERVAL ttl SECOND) VIRTUAL, INDEX ends (expires_at))")
    for id in range(1, 7):
        writer.execute(f"INSERT INTO sessions (id, created_at, ttl) VALUES ({id}, '2026-01-01 {10 + id}:00:00', 3600)")

    def over(hint):
        reader.execute(f"SELECT id FROM sessions {hint} INDEX (ends) WHERE expires_at <= '2026-01-01 10:00:00' ORDER BY id")
        return " ".join(str(id) for (id,) in reader.fetchall()) or "none"

    answers = over("FORCE"), over("IGNORE")
    reader.execute("CHECK TABLE sessions")
    print(f"{name}: created; over at 10:00 by the index: {answers[0]}, without it: {answers[1]}; "
          f"CHECK TABLE: {reader.fetchall()[-1][-1]}")
PYTHON
)"
