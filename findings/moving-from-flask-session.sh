#!/usr/bin/env bash
# PyPI Flask-Session 0.8.0 with Flask-SQLAlchemy 3.1.1, Flask 3.1.3, itsdangerous 2.2.0; moving its sessions elsewhere
#
# Expected: the cookie is signed with SECRET_KEY, as Flask's own is, by SHA-1 or better; the row has the session's id and
#   the data as JSON, from which SQL can take the user.
#
# Seen: the cookie is the id itself, unless SESSION_USE_SIGNER is set (deprecated). Then it is `SID.SIGNATURE`: the
#   signature is base64url without padding of HMAC-SHA1, under a key that is HMAC-SHA1 of the text `flask-session` under
#   SECRET_KEY. The row has `session:` before the id. The data is MessagePack, with the user in it and `_permanent`: SQL
#   cannot read it. Each request moves `expiry`, which is UTC without saying so, by the lifetime, even one that changes
#   nothing. When a session was made stands nowhere. An expired session's row goes when its cookie is presented.
#
#   without the signer: cookie is the sid, 43 of base64url: True
#   session_id: session: and the sid
#   data: MessagePack, {'_permanent': True, 'user_id': 'u_1'}
#   with the signer: SID.SIGNATURE, the signature as described: True
#   expiry: text of the form 2026-12-20 09:30:00.000100
#   a visit that changes nothing, on the next day: expiry moves by 1 day
#   expired: refused, the row is gone
#   with the signer, the signature altered: refused
#   with the signer, the sid alone: refused
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

pip_install Flask==3.1.3 Flask-Session==0.8.0 Flask-SQLAlchemy==3.1.1 itsdangerous==2.2.0 freezegun==1.5.5
vectors_option "$@"

cat >flask_sessions.py <<'PYTHON'
import base64
import datetime
import hmac
import pathlib
import re
import sqlite3
import warnings

import moving
import msgspec
from flask import Flask, session
from flask_session import Session
from flask_sqlalchemy import SQLAlchemy
from freezegun import freeze_time

warnings.simplefilter("ignore")
CREATED = datetime.datetime(2026, 11, 20, 9, 30, 0, 100, tzinfo=datetime.timezone.utc)
AT = CREATED.replace(day=28, hour=12, microsecond=0)
SECRET = "R2d8uVx4pQ7nKz1mWc5tYb9sLh3fGj6a of this test alone"


def application(signed, days=30):
    app = Flask("application")
    app.config.update(
        SECRET_KEY=SECRET,
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{pathlib.Path('flask.sqlite').resolve()}",
        SESSION_TYPE="sqlalchemy",
        SESSION_USE_SIGNER=signed,
        PERMANENT_SESSION_LIFETIME=datetime.timedelta(days=days),
    )
    app.config["SESSION_SQLALCHEMY"] = SQLAlchemy(app)
    Session(app)

    @app.get("/log-in/<user>")
    def log_in(user):
        session["user_id"] = user
        return ""

    @app.get("/")
    def show():
        return session.get("user_id", ""), 200 if "user_id" in session else 401

    return app


plain, signing, short = application(False), application(True), application(False, days=1)


def log_in(app, user, at=CREATED):
    with freeze_time(at):
        client = app.test_client()
        client.get(f"/log-in/{user}")
        return client.get_cookie("session").value


def is_admitted(app, cookie, at=AT):
    with freeze_time(at):
        client = app.test_client()
        client.set_cookie("session", cookie)
        return client.get("/").status_code == 200


def verdict(*arguments):
    return "admitted" if is_admitted(*arguments) else "refused"


def row(cookie):
    with sqlite3.connect("flask.sqlite") as connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute("SELECT * FROM sessions WHERE session_id LIKE ?", [f"%{cookie.split('.')[0]}"])
        return found.fetchone()


def sign(sid):
    key = hmac.digest(SECRET.encode(), b"flask-session", "sha1")
    return base64.urlsafe_b64encode(hmac.digest(key, sid.encode(), "sha1")).decode().rstrip("=")


def iso(instant):
    return instant.isoformat(timespec="microseconds").replace("+00:00", "Z")


one = log_in(plain, "u_1")
sid = row(one)["session_id"].removeprefix("session:")
form = re.compile(r"[\w-]{43}")
print(f"without the signer: cookie is the sid, 43 of base64url: {one == sid and bool(form.fullmatch(one))}")
print(f"session_id: {row(one)['session_id'].replace(one, '')} and the sid")
print(f"data: MessagePack, {dict(sorted(msgspec.msgpack.decode(row(one)['data']).items()))}")
two = log_in(signing, "u_1")
sid, _, signature = two.rpartition(".")
print(f"with the signer: SID.SIGNATURE, the signature as described: {signature == sign(sid)}")
print(f"expiry: text of the form {row(one)['expiry']}")
before = datetime.datetime.fromisoformat(row(one)["expiry"])
is_admitted(plain, one, CREATED + datetime.timedelta(days=1))
moved = datetime.datetime.fromisoformat(row(one)["expiry"]) - before
print(f"a visit that changes nothing, on the next day: expiry moves by {moved.days} day")
ended = log_in(short, "u_1")
print(f"expired: {verdict(plain, ended)}, the row is {'there' if row(ended) else 'gone'}")

with sqlite3.connect("flask.sqlite") as connection:
    connection.execute("DELETE FROM sessions")
month = datetime.timedelta(days=30)
made = [
    (plain, log_in(plain, "1"), "1", CREATED + month),
    (plain, log_in(plain, "2", CREATED.replace(microsecond=0)), "2", CREATED.replace(microsecond=0) + month),
    (signing, log_in(signing, "2"), "2", CREATED + month),
    (plain, log_in(short, "1"), "1", CREATED + datetime.timedelta(days=1)),
]
vector = moving.tables("flask.sqlite", "sessions")
exported = moving.exported("flask.sqlite", "Flask-Session, SQLite")
presented = []


def present(app, what, value, token, number):
    admitted = is_admitted(app, value)
    presented.append(
        {"what": what, "cookie": "session", "value": value, "token": token, "row": number, "authenticates": admitted}
    )
    return "admitted" if admitted else "refused"


for number, (app, cookie, _, _) in enumerate(made):
    present(app, "signed" if app is signing else "not signed", cookie, cookie.split(".")[0], number)
sid, _, signature = made[2][1].rpartition(".")
altered = ("b" if signature[0] == "a" else "a") + signature[1:]
print(f"with the signer, the signature altered: {present(signing, 'signature altered', f'{sid}.{altered}', None, 2)}")
print(f"with the signer, the sid alone: {present(signing, 'the sid alone, with the signer', sid, None, 2)}")
present(plain, "altered", moving.altered(made[0][1]), moving.altered(made[0][1]), None)
moving.write(
    "flask-session",
    made_by=moving.made_by("Flask-Session", "Flask-SQLAlchemy", "Flask"),
    query="Flask-Session",
    stored={"table": "sessions", "column": "session_id", "hash": None, "before": "session:"},
    secret=[SECRET],
    at=iso(AT),
    presented=presented,
    expected=[
        {"owner": None, "owner_in_the_blob": owner, "inserted_at": None, "expires_at": iso(ends)}
        for _, _, owner, ends in made
    ],
    exported=exported,
    **vector,
)
PYTHON

seen="without the signer: cookie is the sid, 43 of base64url: True
session_id: session: and the sid
data: MessagePack, {'_permanent': True, 'user_id': 'u_1'}
with the signer: SID.SIGNATURE, the signature as described: True
expiry: text of the form 2026-12-20 09:30:00.000100
a visit that changes nothing, on the next day: expiry moves by 1 day
expired: refused, the row is gone
with the signer, the signature altered: refused
with the signer, the sid alone: refused"

expect "$seen" "$(python3 -W ignore flask_sessions.py)"
