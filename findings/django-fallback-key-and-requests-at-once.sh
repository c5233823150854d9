#!/usr/bin/env bash
# PyPI Django 5.2.19, with sessions in the database
#
# Expected: after a new SECRET_KEY, with the old one among SECRET_KEY_FALLBACKS, all that is logged in stays so. A page
#   whose browser sends two requests at once, with the one cookie that it has, gets two answers for its user.
#
# Seen: the first request after the change is answered with a new session key, and the old one's row is deleted. A second
#   one that was sent with the old cookie is a visitor's, and its answer deletes the cookie, so that the user is
#   logged out if it comes last. While nodes with the old key alone are still running, the new session is a visitor's
#   there, and what such a node then saves in it is the end of it on all nodes.
#
#   new key, two requests with the old cookie: ann, sets a new cookie; visitor, deletes the cookie
#   with the new cookie, a node with the new key: ann
#   with the new cookie, a node with the old key: visitor
#   the node with the old key saves something in it: visitor
#   with the new cookie, a node with the new key: visitor
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

pip_install Django==5.2.19

cat >node.py <<'PYTHON'
"""One request: node.py KEYS PATH COOKIE. It prints the answer's cookie, if there is one, and then what it says."""
import sys
import django
from django.conf import settings

keys, path_of_request, cookie = sys.argv[1:]
newest, *older = keys.split(",")
settings.configure(
    SECRET_KEY=f"{newest}, of this test alone, and long enough for Django",
    SECRET_KEY_FALLBACKS=[f"{key}, of this test alone, and long enough for Django" for key in older],
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF="__main__",
    USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "sessions.sqlite"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware",
                "django.contrib.auth.middleware.AuthenticationMiddleware"],
)
django.setup()

from django.contrib.auth import login
from django.contrib.auth.models import User
from django.core.management import call_command
from django.http import HttpResponse
from django.test import Client
from django.urls import path

def who(request):
    return HttpResponse(request.user.get_username() or "visitor")

def log_in(request):
    call_command("migrate", verbosity=0)
    login(request, User.objects.create_user("ann"))
    return who(request)

def save(request):
    request.session["theme"] = "dark"
    return who(request)

urlpatterns = [path("", who), path("log-in", log_in), path("save", save)]
client = Client()
if cookie:
    client.cookies["sessionid"] = cookie
answer = client.get(f"/{path_of_request}")
print(answer.cookies["sessionid"].value or "deleted" if "sessionid" in answer.cookies else "none")
print(answer.content.decode())
PYTHON

ask() { # ask <keys> <path> <cookie>: sets `cookie` and `user`
    { read -r cookie && read -r user; } < <(python3 node.py "$1" "$2" "$3")
}

run() {
    ask old log-in ''
    local old=$cookie new
    ask new,old '' "$old"
    new=$cookie
    local first="$user, sets a new cookie"
    [ "$new" != none ] && [ "$new" != "$old" ]
    ask new,old '' "$old"
    [ "$cookie" = deleted ]
    echo "new key, two requests with the old cookie: $first; $user, deletes the cookie"
    ask new,old '' "$new"
    echo "with the new cookie, a node with the new key: $user"
    ask old '' "$new"
    echo "with the new cookie, a node with the old key: $user"
    ask old save "$new"
    echo "the node with the old key saves something in it: $user"
    ask new,old '' "$new"
    echo "with the new cookie, a node with the new key: $user"
}

seen='new key, two requests with the old cookie: ann, sets a new cookie; visitor, deletes the cookie
with the new cookie, a node with the new key: ann
with the new cookie, a node with the old key: visitor
the node with the old key saves something in it: visitor
with the new cookie, a node with the new key: visitor'

expect "$seen" "$(run)"
