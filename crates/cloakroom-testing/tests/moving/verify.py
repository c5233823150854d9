#!/usr/bin/env python3
"""Checks the vectors by what docs/moving.md says of them, without the systems that made them.

Needs Python's standard library alone. From the tokens that clients present it computes what the tables hold, checks
the signatures of cookies, and runs the page's queries on the rows. `README.md` beside this file says what is where.
"""

import base64
import datetime
import hashlib
import hmac
import json
import pathlib
import re
import sqlite3
import sys
from urllib.parse import unquote

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE / "../../../../findings"))
import moving

READINGS = {"whole": str.encode, "decoded_hex": bytes.fromhex}
ENCODINGS = {
    "hex": bytes.hex,
    "base64url": lambda digest: base64.urlsafe_b64encode(digest).decode().rstrip("="),
}


def stored_for(token, stored):
    """What the column holds for this token."""
    if stored["hash"] is None:
        return stored.get("before", "") + token
    digest = hashlib.new(stored["hash"], READINGS[stored["reading"]](token)).digest()
    return stored.get("before", "") + ENCODINGS[stored["encoding"]](digest)


def express(value, secrets):
    """The sid of express-session's cookie, if one of the secrets has signed it."""
    text = unquote(value)
    if not text.startswith("s:"):
        return None
    sid, _, signature = text[2:].rpartition(".")
    for secret in secrets:
        digest = hmac.digest(secret.encode(), sid.encode(), "sha256")
        if hmac.compare_digest(base64.b64encode(digest).decode().rstrip("="), signature):
            return sid
    return None


def better_auth(value, secrets):
    """The token of better-auth's cookie, if the first secret has signed it."""
    token, _, signature = unquote(value).rpartition(".")
    if len(signature) != 44 or not signature.endswith("="):
        return None
    digest = hmac.digest(secrets[0].encode(), token.encode(), "sha256")
    return token if hmac.compare_digest(digest, base64.b64decode(signature)) else None


def flask(value, secrets):
    """The sid of Flask-Session's signed cookie."""
    sid, _, signature = value.rpartition(".")
    key = hmac.digest(secrets[0].encode(), b"flask-session", "sha1")
    digest = hmac.digest(key, sid.encode(), "sha1")
    return sid if base64.urlsafe_b64encode(digest).decode().rstrip("=") == signature else None


def unwrapped(name, presented, secrets):
    """The token in what a client presents: for signed cookies, None if the signature is wrong."""
    value = presented["value"]
    if name == "connect-pg-simple":
        return express(value, secrets)
    if name == "better-auth-sessions":
        return better_auth(value, secrets)
    if name == "flask-session" and ("sign" in presented["what"]) and presented["what"] != "not signed":
        return flask(value, secrets)
    return value.split(" ")[-1] if presented.get("header") == "Authorization" else value


def instant(text):
    return text and datetime.datetime.fromisoformat(text)


def in_memory(vector):
    """A SQLite database with the vector's tables."""
    connection = sqlite3.connect(":memory:")
    for statement in vector["schema"]:
        connection.execute(statement)
    for table, rows in vector["rows"].items():
        for row in rows:
            values = [bytes.fromhex(value["hex"]) if isinstance(value, dict) else value for value in row.values()]
            names = ", ".join(f'"{name}"' for name in row)
            connection.execute(f'INSERT INTO "{table}" ({names}) VALUES ({", ".join("?" * len(row))})', values)
    return connection


def check(name, vector):
    column = vector["stored"]["column"]
    rows = vector["rows"][vector["stored"]["table"]]
    kept = {number: meant for number, meant in enumerate(vector["expected"]) if "left_out" not in meant}
    at = instant(vector["at"])
    assert len(rows) == len(vector["expected"])

    of_row = {}
    for presented in vector["presented"]:
        token = unwrapped(name, presented, vector["secret"] or [])
        assert token == presented["token"], presented
        number = presented["row"]
        if token is not None and number is not None:
            of_row[number] = token
        if token is not None and number is None:
            form = stored_for(token, vector["stored"])
            assert form not in [row[column] for row in rows], presented
        if number in kept:
            ends = instant(kept[number]["expires_at"])
            good = token is not None and (ends is None or ends > at)
            assert good == presented["authenticates"], presented
        elif number is None:
            assert not presented["authenticates"], presented

    left_out_as_salted = "PBKDF2"
    for number, token in of_row.items():
        if left_out_as_salted not in vector["expected"][number].get("left_out", ""):
            assert stored_for(token, vector["stored"]) == rows[number][column], (name, number)

    if vector["database"] == "sqlite":
        given = moving.lines(text for (text,) in in_memory(vector).execute(moving.query(f"{vector['query']}, SQLite")))
        assert given == vector["exported"], "the page's query gives something else"
    by_secret = {line.get("digest") or line["token"]: line for line in vector["exported"]}
    assert len(by_secret) == len(kept)
    before = vector["stored"].get("before", "")
    for number, meant in kept.items():
        line = by_secret[rows[number][column].removeprefix(before)]
        for key, value in line.items():
            if key in ("inserted_at", "expires_at"):
                assert value is None or re.fullmatch(r"[-0-9]{10}T[:.0-9]{8,}Z", value), line
                assert instant(value) == instant(meant[key]), (line, meant)
        assert meant["inserted_at"] is None or "inserted_at" in line
        assert "expires_at" in line
        owner = line.get("user_id")
        assert meant["owner"] == (None if owner is None else str(owner)), (line, meant)
        for key in ("data", "name", "scopes"):
            if key in line and key in meant:
                assert line[key] == meant[key], (line, meant)
    return len(rows), len(vector["presented"])


def main():
    for path in sorted((HERE / "vectors").glob("*.json")):
        rows, presented = check(path.stem, json.loads(path.read_text()))
        print(f"{path.stem}: {rows} rows and {presented} presented tokens agree")


if __name__ == "__main__":
    main()
