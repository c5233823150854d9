#!/usr/bin/env bash
# MariaDB 10.11.19 (Debian mariadb-server-core 1:10.11.19-0+deb12u1), Galera (galera-4 26.4.23-0+deb12u1), PyMySQL 1.2.4
#
# Expected: what ROLLBACK TO SAVEPOINT has undone is in no node when the transaction is committed.
#
# Seen: without a binary log, which is the default, the node of the transaction does not have the row and the other node
#   does, from then on. It takes a connection that has written nothing yet, and a read of a table before the savepoint.
#   It does not happen without that read, with a write before the savepoint or by the connection earlier, or if the
#   transaction begins WITH CONSISTENT SNAPSHOT. (With log_bin on it was not seen in any of these forms.)
#
#   a read before the savepoint: its node 0, the other node 1
#   no read before it: its node 0, the other node 0
#   a write before it: its node 0, the other node 0
#   a connection that has written: its node 0, the other node 0
#   begun with its snapshot: its node 0, the other node 0
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

pip_install 'PyMySQL==1.2.4'
start_galera 1:10.11.19-0+deb12u1 26.4.23-0+deb12u1 'repl.causal_read_timeout=PT5S'

seen='a read before the savepoint: its node 0, the other node 1
no read before it: its node 0, the other node 0
a write before it: its node 0, the other node 0
a connection that has written: its node 0, the other node 0
begun with its snapshot: its node 0, the other node 0'

expect "$seen" "$(
    python3 - "$first_node" "$second_node" <<'PYTHON'
import sys
import pymysql


def connect(port):
    return pymysql.connect(host="127.0.0.1", port=int(port), user="root", autocommit=True).cursor()


def undone(cursor):
    cursor.execute("set session wsrep_sync_wait = 1")
    cursor.execute("select count(*) from notes.notes where text = 'undone'")
    return cursor.fetchone()[0]


first, second = connect(sys.argv[1]), connect(sys.argv[2])
first.execute("create database notes")
first.execute("create table notes.notes (id int auto_increment primary key, text varchar(20))")
read = "select count(*) from notes.notes"
write = "insert into notes.notes (text) values ('kept')"
for name, statements in {
    "a read before the savepoint": ["begin", read],
    "no read before it": ["begin"],
    "a write before it": ["begin", read, write],
    "a connection that has written": [write, "begin", read],
    "begun with its snapshot": ["start transaction with consistent snapshot", read],
}.items():
    fresh = connect(sys.argv[1])
    for statement in statements:
        fresh.execute(statement)
    fresh.execute("savepoint inner_one")
    fresh.execute("insert into notes.notes (text) values ('undone')")
    fresh.execute("rollback to savepoint inner_one")
    fresh.execute("commit")
    print(f"{name}: its node {undone(first)}, the other node {undone(second)}")
    second.execute("delete from notes.notes")
PYTHON
)"
