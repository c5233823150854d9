#!/usr/bin/env bash
# npm cookie 1.1.1; PyPI Werkzeug 3.1.9, Django 5.2.19, starlette 1.10.0, aiohttp 3.14.5; Python's http.cookies
#
# Expected: of two cookies of one name in one header, which a browser sends where they differ in path or domain,
#   libraries take the first: browsers put the one with the longer path first, and RFC 6265 says no more.
#
# Seen: it is as common to take the last. Two services behind one host read two sessions out of the same request.
#
#   cookie: special
#   Werkzeug: special
#   Django: general
#   starlette: general
#   aiohttp: general
#   http.cookies: general
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

npm_install cookie@1.1.1
pip_install Werkzeug==3.1.9 Django==5.2.19 starlette==1.10.0 aiohttp==3.14.5

cat >node.mjs <<'JAVASCRIPT'
import { parseCookie } from "cookie";
console.log(`cookie: ${parseCookie("session=special; session=general").session}`);
JAVASCRIPT

seen='cookie: special
Werkzeug: special
Django: general
starlette: general
aiohttp: general
http.cookies: general'

expect "$seen" "$(
    node node.mjs
    python3 - <<'PYTHON'
from http.cookies import SimpleCookie
from aiohttp.test_utils import make_mocked_request
from django.http.cookie import parse_cookie
from starlette.requests import cookie_parser
from werkzeug.http import parse_cookie as parse_in_werkzeug

SENT = "session=special; session=general"
print("Werkzeug:", parse_in_werkzeug(SENT).get("session"))
print("Django:", parse_cookie(SENT)["session"])
print("starlette:", cookie_parser(SENT)["session"])
print("aiohttp:", make_mocked_request("GET", "/", headers={"Cookie": SENT}).cookies["session"])
print("http.cookies:", SimpleCookie(SENT)["session"].value)
PYTHON
)"
