#!/usr/bin/env bash
# MariaDB 10.11.19 (Debian mariadb-server-core 1:10.11.19-0+deb12u1), MySQL 9.7.4 (Debian mysql-server-core 9.7.4-2),
# PyMySQL 1.2.4; the server's zone is New York's, and the connection's is the server's, as it is by default
#
# Expected: a TIMESTAMP is an instant, whatever the zone, and so is NOW(). When the clocks are set back, `e > NOW()` and
#   `e <= NOW()` go on splitting the sessions into those that live and those that are over. If not, an index has no part
#   in it.
#
# Seen: both servers compare wall clocks row by row, so that in the first of the two hours a session can be over early, and
#   in the second one that is over lives again. A range of an index is of instants, and what it finds MariaDB then compares
#   by the wall clock once more. So adding an index changes who is logged in, and by an index a session of MariaDB's can be
#   neither alive nor over. Comparing UNIX_TIMESTAMP(e) with UNIX_TIMESTAMP() is right in both; UNIX_TIMESTAMP(NOW()) is an
#   hour off. What is written depends on the way, too: the column's DEFAULT is right, NOW() in the first hour is not in
#   MySQL, and NOW() + INTERVAL 15 MINUTE is an hour late in both.
#
#   sessions 1, 2, 3 end at 05:45, 06:15 and 06:45 UTC, that is 01:45 -4, 01:15 -5 and 01:45 -5
#   MariaDB
#   at 05:20 UTC: by rows alive 1 3, over 2; by the index alive 1 3, over none
#   at 05:50 UTC: by rows alive none, over 1 2 3; by the index alive none, over 1
#   at 06:10 UTC: by rows alive 1 2 3, over none; by the index alive 2 3, over none
#   at 06:30 UTC: by rows alive 1 3, over 2; by the index alive 3, over 2
#   UNIX_TIMESTAMP(e) > UNIX_TIMESTAMP(), from 05:20 to 06:30: 1 2 3 / 2 3 / 2 3 / 3
#   written at 05:30: DEFAULT 05:30, NOW() 05:30, NOW() + INTERVAL 15 MINUTE 06:45; UNIX_TIMESTAMP(NOW()) is off by 3600
#   written at 06:30: DEFAULT 06:30, NOW() 06:30, NOW() + INTERVAL 15 MINUTE 06:45; UNIX_TIMESTAMP(NOW()) is off by 0
#   MySQL
#   at 05:20 UTC: by rows alive 1 3, over 2; by the index alive 3, over 2
#   at 05:50 UTC: by rows alive none, over 1 2 3; by the index alive none, over 1 2 3
#   at 06:10 UTC: by rows alive 1 2 3, over none; by the index alive 2 3, over none
#   at 06:30 UTC: by rows alive 1 3, over 2; by the index alive 3, over 2
#   UNIX_TIMESTAMP(e) > UNIX_TIMESTAMP(), from 05:20 to 06:30: 1 2 3 / 2 3 / 2 3 / 3
#   written at 05:30: DEFAULT 05:30, NOW() 06:30, NOW() + INTERVAL 15 MINUTE 06:45; UNIX_TIMESTAMP(NOW()) is off by 3600
#   written at 06:30: DEFAULT 06:30, NOW() 06:30, NOW() + INTERVAL 15 MINUTE 06:45; UNIX_TIMESTAMP(NOW()) is off by 0
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

export TZ=EST5EDT,M3.2.0,M11.1.0
start_mariadb 1:10.11.19-0+deb12u1
start_mysql 9.7.4-2
pip_install PyMySQL==1.2.4 cryptography==50.0.2
export MARIADB_PORT=$mariadb_port MYSQL_PORT=$mysql_port

seen='sessions 1, 2, 3 end at 05:45, 06:15 and 06:45 UTC, that is 01:45 -4, 01:15 -5 and 01:45 -5
MariaDB
at 05:20 UTC: by rows alive 1 3, over 2; by the index alive 1 3, over none
at 05:50 UTC: by rows alive none, over 1 2 3; by the index alive none, over 1
at 06:10 UTC: by rows alive 1 2 3, over none; by the index alive 2 3, over none
at 06:30 UTC: by rows alive 1 3, over 2; by the index alive 3, over 2
UNIX_TIMESTAMP(e) > UNIX_TIMESTAMP(), from 05:20 to 06:30: 1 2 3 / 2 3 / 2 3 / 3
written at 05:30: DEFAULT 05:30, NOW() 05:30, NOW() + INTERVAL 15 MINUTE 06:45; UNIX_TIMESTAMP(NOW()) is off by 3600
written at 06:30: DEFAULT 06:30, NOW() 06:30, NOW() + INTERVAL 15 MINUTE 06:45; UNIX_TIMESTAMP(NOW()) is off by 0
MySQL
at 05:20 UTC: by rows alive 1 3, over 2; by the index alive 3, over 2
at 05:50 UTC: by rows alive none, over 1 2 3; by the index alive none, over 1 2 3
at 06:10 UTC: by rows alive 1 2 3, over none; by the index alive 2 3, over none
at 06:30 UTC: by rows alive 1 3, over 2; by the index alive 3, over 2
UNIX_TIMESTAMP(e) > UNIX_TIMESTAMP(), from 05:20 to 06:30: 1 2 3 / 2 3 / 2 3 / 3
written at 05:30: DEFAULT 05:30, NOW() 06:30, NOW() + INTERVAL 15 MINUTE 06:45; UNIX_TIMESTAMP(NOW()) is off by 3600
written at 06:30: DEFAULT 06:30, NOW() 06:30, NOW() + INTERVAL 15 MINUTE 06:45; UNIX_TIMESTAMP(NOW()) is off by 0'

expect "$seen" "$(
    python3 <<'PYTHON'
import os
from datetime import datetime
import pymysql

def epoch(time):
    return int(datetime.fromisoformat(f"2026-11-01T{time}:00+00:00").timestamp())

print("sessions 1, 2, 3 end at 05:45, 06:15 and 06:45 UTC, that is 01:45 -4, 01:15 -5 and 01:45 -5")
for name in ("MariaDB", "MySQL"):
    print(name)
    port = int(os.environ[name.upper() + "_PORT"])
    connection = pymysql.connect(host="127.0.0.1", port=port, user="root", database="test", autocommit=True)
    cursor = connection.cursor()

    def ids(query):
        cursor.execute(query)
        return " ".join(str(id) for (id,) in cursor.fetchall()) or "none"

    cursor.execute("CREATE TABLE sessions (id int PRIMARY KEY, e timestamp NULL, INDEX ends (e))")
    cursor.execute("SET time_zone = '+00:00'")
    cursor.execute("INSERT INTO sessions VALUES (1, '2026-11-01 05:45:00'), (2, '2026-11-01 06:15:00'), (3, '2026-11-01 06:45:00')")
    cursor.execute("SET time_zone = 'SYSTEM'")
    right = []
    for time in ("05:20", "05:50", "06:10", "06:30"):
        cursor.execute(f"SET timestamp = {epoch(time)}")
        answers = []
        for hint in ("IGNORE", "FORCE"):
            query = f"SELECT id FROM sessions {hint} INDEX (ends) WHERE e"
            answers.append(f"alive {ids(f'{query} > NOW() ORDER BY id')}, over {ids(f'{query} <= NOW() ORDER BY id')}")
        print(f"at {time} UTC: by rows {answers[0]}; by the index {answers[1]}")
        right.append(ids("SELECT id FROM sessions WHERE UNIX_TIMESTAMP(e) > UNIX_TIMESTAMP() ORDER BY id"))
    print("UNIX_TIMESTAMP(e) > UNIX_TIMESTAMP(), from 05:20 to 06:30:", " / ".join(right))

    cursor.execute("CREATE TABLE written (d timestamp DEFAULT CURRENT_TIMESTAMP, n timestamp NULL, e timestamp NULL)")
    for time in ("05:30", "06:30"):
        cursor.execute("SET time_zone = 'SYSTEM'")
        cursor.execute(f"SET timestamp = {epoch(time)}")
        cursor.execute("DELETE FROM written")
        cursor.execute("INSERT INTO written (n, e) VALUES (NOW(), NOW() + INTERVAL 15 MINUTE)")
        cursor.execute("SELECT UNIX_TIMESTAMP(NOW()) - UNIX_TIMESTAMP()")
        [(off,)] = cursor.fetchall()
        cursor.execute("SET time_zone = '+00:00'")
        cursor.execute("SELECT d, n, e FROM written")
        default, now, later = (f"{instant:%H:%M}" for instant in cursor.fetchone())
        print(f"written at {time}: DEFAULT {default}, NOW() {now}, NOW() + INTERVAL 15 MINUTE {later}; "
              f"UNIX_TIMESTAMP(NOW()) is off by {off}")
PYTHON
)"
