#!/usr/bin/env bash
# Debian curl 7.88.1-10+deb12u15; PyPI requests 2.34.2, httpx 0.28.1, aiohttp 3.14.5; npm fetch-cookie 3.2.0 with
# tough-cookie 6.1.0
#
# Expected: a test that logs in on http://localhost sees the same whatever client it is written with: no client but a
#   browser sends a Secure cookie back over http, and all of them take Domain=localhost on localhost.
#
# Seen: curl and tough-cookie hold localhost to be secure and send it, as browsers do; Python's three do not, and
#   nothing says so: the user is logged out at the next request. requests and httpx refuse Domain=localhost, also
#   without a word, since the name has no dot.
#
#   curl: plain secure domain
#   requests: plain
#   httpx: plain
#   aiohttp: plain domain
#   tough-cookie: plain secure domain
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

apt_unpack curl=7.88.1-10+deb12u15 libcurl4=7.88.1-10+deb12u15 libnghttp2-14 librtmp1 libssh2-1 libpsl5 libldap-2.5-0 libsasl2-2 libbrotli1
pip_install requests==2.34.2 httpx==0.28.1 aiohttp==3.14.5
npm_install fetch-cookie@3.2.0 tough-cookie@6.1.0
port=$(free_port)

cat >server.py <<'PYTHON'
import http.server
import sys


class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        sent = self.headers.get("Cookie", "").encode()
        self.send_response(200)
        if self.path == "/log-in":
            self.send_header("Set-Cookie", "plain=1; Path=/")
            self.send_header("Set-Cookie", "secure=1; Path=/; Secure")
            self.send_header("Set-Cookie", "domain=1; Path=/; Domain=localhost")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Server).serve_forever()
PYTHON
python3 server.py "$port" &
started+=($!)
wait_for_port "$port"

cat >clients.py <<'PYTHON'
import asyncio
import sys
import aiohttp
import httpx
import requests

URL = f"http://localhost:{sys.argv[1]}"

for name, client in (("requests", requests.Session()), ("httpx", httpx.Client())):
    client.get(URL + "/log-in")
    print(f"{name}: {client.get(URL).text}")


async def with_aiohttp():
    async with aiohttp.ClientSession() as client:
        await client.get(URL + "/log-in")
        return await (await client.get(URL)).text()


print(f"aiohttp: {asyncio.run(with_aiohttp())}")
PYTHON

cat >client.mjs <<'JAVASCRIPT'
import fetchCookie from "fetch-cookie";
import { CookieJar } from "tough-cookie";

const url = `http://localhost:${process.argv[2]}`;
const fetchWithJar = fetchCookie(fetch, new CookieJar());
await fetchWithJar(`${url}/log-in`);
console.log(`tough-cookie: ${await (await fetchWithJar(url)).text()}`);
JAVASCRIPT

seen='curl: plain secure domain
requests: plain
httpx: plain
aiohttp: plain domain
tough-cookie: plain secure domain'

all() {
    env LD_LIBRARY_PATH="$libraries" "$debian/usr/bin/curl" --silent --cookie-jar jar "http://localhost:$port/log-in"
    printf 'curl: %s\n' "$(env LD_LIBRARY_PATH="$libraries" "$debian/usr/bin/curl" --silent --cookie jar "http://localhost:$port/")"
    python3 clients.py "$port"
    node client.mjs "$port"
}

# The names alone, in the order in which they were set.
names() {
    while IFS=: read -r client cookies; do
        line=$client:
        for name in plain secure domain; do
            case $cookies in *"$name=1"*) line="$line $name" ;; esac
        done
        printf '%s\n' "$line"
    done
}

expect "$seen" "$(all | names)"
