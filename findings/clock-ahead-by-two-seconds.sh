#!/usr/bin/env bash
# PyPI Flask 3.1.2, itsdangerous 2.2.0, Django 5.2.19, PyJWT 2.15.1; npm jsonwebtoken 9.0.3, jose 6.2.18
#
# Expected: what a machine whose clock is two seconds ahead has signed is accepted on one whose clock is right: no
#   library asks whether it is too young, RFC 7519 gives `iat` no such meaning, and two seconds are within any leeway.
#
# Seen: Flask's own session is empty on the other machine until its clock has caught up, so that a log-in answered by
#   one node is a visitor to the next, without an error. PyJWT refuses the token, and has no leeway by
#   default. Django's signatures, jsonwebtoken and jose accept; jose refuses once a maximum age is asked for, where
#   jsonwebtoken goes on accepting.
#
#   Flask session: None
#   itsdangerous loads(): accepted
#   itsdangerous loads(max_age=3600): SignatureExpired: Signature age -2 < 0 seconds
#   Django loads(max_age=3600): accepted
#   PyJWT: ImmatureSignatureError: The token is not yet valid (iat)
#   jsonwebtoken: accepted
#   jsonwebtoken, maxAge: accepted
#   jose: accepted
#   jose, maxTokenAge: "iat" claim timestamp check failed (it should be in the past)
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

pip_install Flask==3.1.2 itsdangerous==2.2.0 Django==5.2.19 PyJWT==2.15.1
npm_install jsonwebtoken@9.0.3 jose@6.2.18

cat >node.mjs <<'JAVASCRIPT'
import jwt from "jsonwebtoken";
import { jwtVerify } from "jose";

const key = "k".repeat(32);
const token = jwt.sign({ sub: "ann", iat: Math.floor(Date.now() / 1000) + 2 }, key);
const show = async (name, verify) => {
    const outcome = await Promise.resolve().then(verify).then(() => "accepted", (error) => error.message);
    console.log(`${name}: ${outcome}`);
};
await show("jsonwebtoken", () => jwt.verify(token, key));
await show("jsonwebtoken, maxAge", () => jwt.verify(token, key, { maxAge: "1h" }));
await show("jose", () => jwtVerify(token, Buffer.from(key)));
await show("jose, maxTokenAge", () => jwtVerify(token, Buffer.from(key), { maxTokenAge: "1h" }));
JAVASCRIPT

seen='Flask session: None
itsdangerous loads(): accepted
itsdangerous loads(max_age=3600): SignatureExpired: Signature age -2 < 0 seconds
Django loads(max_age=3600): accepted
PyJWT: ImmatureSignatureError: The token is not yet valid (iat)
jsonwebtoken: accepted
jsonwebtoken, maxAge: accepted
jose: accepted
jose, maxTokenAge: "iat" claim timestamp check failed (it should be in the past)'

expect "$seen" "$(
    python3 - <<'PYTHON'
import time
from datetime import datetime

# Both machines are in this process: `ahead` is what the other one's clock shows.
start = int(time.time())
ahead = 0
time.time = lambda: start + ahead + 0.5

import jwt
from django.conf import settings
from django.core import signing
from flask import Flask, session
from itsdangerous import URLSafeTimedSerializer

KEY = "k" * 32
settings.configure(SECRET_KEY=KEY)
app = Flask(__name__)
app.secret_key = KEY


@app.get("/log-in")
def log_in():
    session["user"] = "ann"
    return ""


@app.get("/")
def who():
    return str(session.get("user"))


def show(name, read):
    try:
        read()
        print(f"{name}: accepted")
    except Exception as error:
        print(f"{name}: {type(error).__name__}: {error}")


serializer = URLSafeTimedSerializer(KEY)
browser = app.test_client()
ahead = 2
browser.get("/log-in")
signed = serializer.dumps("ann")
signed_by_django = signing.dumps("ann")
ahead = 0
print("Flask session:", browser.get("/").text)
show("itsdangerous loads()", lambda: serializer.loads(signed))
show("itsdangerous loads(max_age=3600)", lambda: serializer.loads(signed, max_age=3600))
show("Django loads(max_age=3600)", lambda: signing.loads(signed_by_django, max_age=3600))
# PyJWT asks datetime's clock, which stays as it is.
token = jwt.encode({"sub": "ann", "iat": int(datetime.now().timestamp()) + 2}, KEY, "HS256")
show("PyJWT", lambda: jwt.decode(token, KEY, ["HS256"]))
PYTHON
    node node.mjs
)"
