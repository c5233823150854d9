#!/usr/bin/env bash
# PyPI granian 2.8.9 and hypercorn 0.18.0 with Django 5.2.19, starlette 1.10.0, quart 0.22.0, falcon 4.4.0, litestar 2.25.0
#
# Expected: an application does not feel whether its server speaks HTTP/1.1 or HTTP/2. Browsers send each cookie as a field
#   of its own there, and RFC 9113 has the server put them together with "; " before it hands them on.
#
# Seen: hypercorn puts them together, granian hands them on one by one, and the frameworks make of it what they make of any
#   repeated field. Django joins them with a comma, so that the first cookie swallows the others; falcon keeps the last
#   and litestar the first. So a user whose browser has one more cookie than that of the session is logged out, over
#   HTTP/2 alone, and for Django the CSRF cookie is such a one. starlette and quart see all, and so does Django by WSGI.
#   Chromium 156 sends what is sent here.
#
#   hypercorn, Django: theme=dark session=abc
#   hypercorn, starlette: theme=dark session=abc
#   hypercorn, quart: theme=dark session=abc
#   hypercorn, falcon: theme=dark session=abc
#   hypercorn, litestar: theme=dark session=abc
#   granian, Django: theme=dark,session=abc
#   granian, starlette: theme=dark session=abc
#   granian, quart: theme=dark session=abc
#   granian, falcon: session=abc
#   granian, litestar: theme=dark
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

pip_install granian==2.8.9 hypercorn==0.18.0 Django==5.2.19 starlette==1.10.0 quart==0.22.0 falcon==4.4.0 litestar==2.25.0

cat >applications.py <<'PYTHON'
import django, falcon.asgi, litestar, quart
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

def show(cookies):
    return " ".join(f"{name}={value}" for name, value in cookies.items())

settings.configure(SECRET_KEY="of this test alone", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__)
django.setup()
urlpatterns = [path("", lambda request: HttpResponse(show(request.COOKIES)))]
Django = get_asgi_application()

async def starlette_view(request):
    return PlainTextResponse(show(request.cookies))
starlette = Starlette(routes=[Route("/", starlette_view)])

quart_application = quart.Quart(__name__)
@quart_application.route("/")
async def quart_view():
    return show(quart.request.cookies)

class Resource:
    async def on_get(self, request, response):
        response.content_type = "text/plain"
        response.text = show(request.cookies)
falcon_application = falcon.asgi.App()
falcon_application.add_route("/", Resource())

@litestar.get("/", media_type="text/plain")
async def litestar_view(request: litestar.Request) -> str:
    return show(request.cookies)
litestar_application = litestar.Litestar([litestar_view])

BY_HOST = {"django": Django, "starlette": starlette, "quart": quart_application, "falcon": falcon_application,
           "litestar": litestar_application}

async def application(scope, receive, send):
    """All of them at once, told apart by the request's path."""
    if scope["type"] != "http":
        return
    which = scope["path"].strip("/")
    await BY_HOST[which]({**scope, "path": "/", "raw_path": b"/"}, receive, send)
PYTHON

cat >client.mjs <<'JAVASCRIPT'
import { connect } from "node:http2";

const session = connect(`http://127.0.0.1:${process.argv[2]}`);
for (const name of ["Django", "starlette", "quart", "falcon", "litestar"]) {
    const request = session.request({ ":path": `/${name.toLowerCase()}`, cookie: ["theme=dark", "session=abc"] });
    let body = "";
    for await (const part of request.setEncoding("utf8")) body += part;
    console.log(`${process.argv[3]}, ${name}: ${body}`);
}
session.close();
JAVASCRIPT

hypercorn_port=$(free_port)
python3 -m hypercorn --bind "127.0.0.1:$hypercorn_port" applications:application >hypercorn.log 2>&1 &
started+=($!)
granian_port=$(free_port)
python3 -m granian --interface asgi --http 2 --host 127.0.0.1 --port "$granian_port" applications:application \
    >granian.log 2>&1 &
started+=($!)
wait_for_port "$hypercorn_port"
wait_for_port "$granian_port"

seen='hypercorn, Django: theme=dark session=abc
hypercorn, starlette: theme=dark session=abc
hypercorn, quart: theme=dark session=abc
hypercorn, falcon: theme=dark session=abc
hypercorn, litestar: theme=dark session=abc
granian, Django: theme=dark,session=abc
granian, starlette: theme=dark session=abc
granian, quart: theme=dark session=abc
granian, falcon: session=abc
granian, litestar: theme=dark'

run() {
    timeout 60 node client.mjs "$hypercorn_port" hypercorn
    timeout 60 node client.mjs "$granian_port" granian
}
expect "$seen" "$(run)"
