#!/usr/bin/env bash
# PyPI fastapi-users 15.0.5 with DatabaseStrategy, fastapi-users-db-sqlalchemy 7.0.0, fastapi 0.165.0, SQLAlchemy 2.0.58,
# aiosqlite 0.22.1; moving its tokens elsewhere
#
# Expected: a token's row says when it ends, as its cookie does. The row of one that has ended goes sometime. A user who
#   is not active is refused.
#
# Seen: the row has `created_at` alone, and `lifetime_seconds` of the running application decides: a shorter one ends
#   tokens that were promised more, a longer one revives those that had ended, and None makes all that there ever were
#   valid for ever, since no row goes except by log-out. A user who is not active is refused only if the route asks for
#   `current_user(active=True)`. `created_at` is UTC, on SQLite without saying so. `user_id` is a UUID with its dashes.
#
#   a token: 43 of base64url, stored as it is
#   columns: created_at, token, user_id
#   after eight days, with a lifetime of thirty: admitted
#   with a lifetime of seven: refused, the row is there
#   with None: admitted
#   after log-out: refused, the row is gone
#   a user who is not active, current_user(active=True): refused
#   a user who is not active, current_user(): admitted
#   created_at: text of the form 2026-11-20 09:30:00.000100
#   user_id: text with dashes
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

pip_install fastapi-users==15.0.5 fastapi-users-db-sqlalchemy==7.0.0 fastapi==0.165.0 SQLAlchemy==2.0.58 \
    aiosqlite==0.22.1 httpx==0.28.1 freezegun==1.5.5
vectors_option "$@"

cat >fastapi_tokens.py <<'PYTHON'
import asyncio
import datetime
import re
import sqlite3
import uuid

import httpx
import moving
from fastapi import Depends, FastAPI
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin, schemas
from fastapi_users.authentication import AuthenticationBackend, CookieTransport
from fastapi_users.authentication.strategy.db import DatabaseStrategy
from fastapi_users_db_sqlalchemy import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from fastapi_users_db_sqlalchemy.access_token import SQLAlchemyAccessTokenDatabase, SQLAlchemyBaseAccessTokenTableUUID
from freezegun import freeze_time
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

CREATED = datetime.datetime(2026, 11, 20, 9, 30, 0, 100, tzinfo=datetime.timezone.utc)
AT = CREATED.replace(day=28, hour=12, microsecond=0)
DAY = 86_400
PASSWORD = "of this test alone"


class Base(DeclarativeBase):
    pass


class User(SQLAlchemyBaseUserTableUUID, Base):
    pass


class AccessToken(SQLAlchemyBaseAccessTokenTableUUID, Base):
    pass


engine = create_async_engine("sqlite+aiosqlite:///fastapi.sqlite")
session_maker = async_sessionmaker(engine, expire_on_commit=False)


class Users(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):
    pass


async def session():
    async with session_maker() as opened:
        yield opened


async def users(opened=Depends(session)):
    yield Users(SQLAlchemyUserDatabase(opened, User))


def application(lifetime):
    async def strategy(opened=Depends(session)):
        return DatabaseStrategy(SQLAlchemyAccessTokenDatabase(opened, AccessToken), lifetime_seconds=lifetime)

    backend = AuthenticationBackend("cookie", CookieTransport(cookie_max_age=30 * DAY), strategy)
    fastapi_users = FastAPIUsers[User, uuid.UUID](users, [backend])
    app = FastAPI()
    app.include_router(fastapi_users.get_auth_router(backend))
    app.include_router(fastapi_users.get_register_router(schemas.BaseUser[uuid.UUID], schemas.BaseUserCreate))

    @app.get("/")
    async def active(user=Depends(fastapi_users.current_user(active=True))):
        return None

    @app.get("/any")
    async def anybody(user=Depends(fastapi_users.current_user())):
        return None

    return app


def client(app, token=None):
    cookies = {"fastapiusersauth": token} if token else {}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://app.example", cookies=cookies)


async def log_in(app, name):
    async with client(app) as browser:
        answer = await browser.post("/login", data={"username": f"{name}@app.example", "password": PASSWORD})
        return answer.cookies["fastapiusersauth"]


async def verdict(app, token, path="/"):
    async with client(app, token) as browser:
        status = (await browser.get(path)).status_code
        assert status in (200, 401), status
        return "admitted" if status == 200 else "refused"


def row(token):
    with sqlite3.connect("fastapi.sqlite") as connection:
        connection.row_factory = sqlite3.Row
        return connection.execute("SELECT * FROM accesstoken WHERE token = ?", [token]).fetchone()


def is_there(token):
    return "the row is there" if row(token) else "the row is gone"


def deactivate(user):
    with sqlite3.connect("fastapi.sqlite") as connection:
        connection.execute("UPDATE user SET is_active = 0 WHERE id = ?", [user])


def iso(instant):
    return instant.isoformat(timespec="microseconds").replace("+00:00", "Z")


async def main():
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    month, week, ever = application(30 * DAY), application(7 * DAY), application(None)
    ids = {}
    async with client(month) as browser:
        for name in ("u_1", "u_2", "u_3"):
            body = {"email": f"{name}@app.example", "password": PASSWORD}
            ids[name] = (await browser.post("/register", json=body)).json()["id"]

    with freeze_time(CREATED):
        one = await log_in(month, "u_1")
        out = await log_in(month, "u_1")
    with freeze_time(AT):
        assert re.fullmatch(r"[\w-]{43}", one) and row(one)
        print("a token: 43 of base64url, stored as it is")
        print(f"columns: {', '.join(sorted(row(one).keys()))}")
        print(f"after eight days, with a lifetime of thirty: {await verdict(month, one)}")
        print(f"with a lifetime of seven: {await verdict(week, one)}, {is_there(one)}")
        print(f"with None: {await verdict(ever, one)}")
        async with client(month, out) as browser:
            await browser.post("/logout")
        print(f"after log-out: {await verdict(month, out)}, {is_there(out)}")

    tokens, expected = [], []
    for name, created in [
        ("u_1", CREATED),
        ("u_1", CREATED.replace(microsecond=0)),
        ("u_2", CREATED.replace(day=27)),
        ("u_2", CREATED.replace(month=9)),
        ("u_3", CREATED),
    ]:
        with freeze_time(created):
            tokens.append(await log_in(month, name))
        ends = created + datetime.timedelta(days=30)
        expected.append({"owner": ids[name], "inserted_at": iso(created), "expires_at": iso(ends)})
    expected[4]["left_out"] = "its user is not active"
    deactivate(ids["u_3"])
    with freeze_time(AT):
        print(f"a user who is not active, current_user(active=True): {await verdict(month, tokens[4])}")
        print(f"a user who is not active, current_user(): {await verdict(month, tokens[4], '/any')}")
    print(f"created_at: text of the form {row(one)['created_at']}")
    print(f"user_id: text with{'' if '-' in row(one)['user_id'] else 'out'} dashes")

    with sqlite3.connect("fastapi.sqlite") as connection:
        connection.execute("DELETE FROM accesstoken WHERE token = ?", [one])
    presented = []
    with freeze_time(AT):
        for number, token in [*enumerate(tokens), (None, moving.altered(tokens[0]))]:
            admitted = await verdict(month, token) == "admitted"
            presented.append(
                {"cookie": "fastapiusersauth", "value": token, "token": token, "row": number, "authenticates": admitted}
            )
    moving.write(
        "fastapi-users",
        made_by=moving.made_by("fastapi-users", "fastapi-users-db-sqlalchemy", "SQLAlchemy"),
        query="fastapi-users",
        stored={"table": "accesstoken", "column": "token", "hash": None},
        secret=None,
        at=iso(AT),
        presented=presented,
        expected=expected,
        exported=moving.exported("fastapi.sqlite", "fastapi-users, SQLite"),
        **moving.tables("fastapi.sqlite", "user", "accesstoken"),
    )


asyncio.run(main())
PYTHON

seen='a token: 43 of base64url, stored as it is
columns: created_at, token, user_id
after eight days, with a lifetime of thirty: admitted
with a lifetime of seven: refused, the row is there
with None: admitted
after log-out: refused, the row is gone
a user who is not active, current_user(active=True): refused
a user who is not active, current_user(): admitted
created_at: text of the form 2026-11-20 09:30:00.000100
user_id: text with dashes'

expect "$seen" "$(python3 fastapi_tokens.py)"
