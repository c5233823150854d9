#!/usr/bin/env bash
# PyPI djangorestframework-simplejwt 5.5.1, djangorestframework 3.18.3, Django 5.2.19
#
# Expected: with CHECK_REVOKE_TOKEN a change of the password ends all tokens of the user: access tokens are refused, and so
#   are refresh tokens, after which the client shows its log-in page.
#
# Seen: the refresh token goes on working. Each use is answered with 200, a new refresh token and an access token that is
#   refused, since the digest of the old password is handed on from token to token. So a client that refreshes at 401
#   never gets to its log-in page, and each of its rounds leaves a row among the outstanding tokens, and one among those
#   that are blacklisted. Blacklisting the user's tokens ends it.
#
#   before: access 200
#   the password is changed: access 401
#   refresh 200, access with what it gave 401, outstanding 2, blacklisted 1
#   refresh 200, access with what it gave 401, outstanding 3, blacklisted 2
#   refresh 200, access with what it gave 401, outstanding 4, blacklisted 3
#   the outstanding tokens are blacklisted: refresh 401
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

pip_install djangorestframework-simplejwt==5.5.1 djangorestframework==3.18.3 Django==5.2.19

seen='before: access 200
the password is changed: access 401
refresh 200, access with what it gave 401, outstanding 2, blacklisted 1
refresh 200, access with what it gave 401, outstanding 3, blacklisted 2
refresh 200, access with what it gave 401, outstanding 4, blacklisted 3
the outstanding tokens are blacklisted: refresh 401'

expect "$seen" "$(
    python3 - <<'PYTHON'
import logging, sys
import django
from django.conf import settings

logging.disable()
settings.configure(
    SECRET_KEY="a secret of this test alone, long enough for SHA-256",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF="__main__",
    USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "rest_framework",
                    "rest_framework_simplejwt.token_blacklist"],
    SIMPLE_JWT={"CHECK_REVOKE_TOKEN": True, "ROTATE_REFRESH_TOKENS": True, "BLACKLIST_AFTER_ROTATION": True},
)
django.setup()

from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import path
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView

class Me(APIView):
    authentication_classes = [JWTAuthentication]

    def get(self, request):
        return Response(request.user.pk)

urlpatterns = [path("log-in", TokenObtainPairView.as_view()), path("refresh", TokenRefreshView.as_view()),
               path("me", Me.as_view())]
call_command("migrate", verbosity=0)
user = User.objects.create_user("ann", password="old")
client = Client()

def access(tokens):
    return client.get("/me", headers={"authorization": f"Bearer {tokens['access']}"}).status_code

tokens = client.post("/log-in", {"username": "ann", "password": "old"}).json()
print("before: access", access(tokens))
user.set_password("new")
user.save()
print("the password is changed: access", access(tokens))
for _ in range(3):
    answer = client.post("/refresh", {"refresh": tokens["refresh"]})
    tokens = answer.json()
    print(f"refresh {answer.status_code}, access with what it gave {access(tokens)}, "
          f"outstanding {OutstandingToken.objects.count()}, blacklisted {BlacklistedToken.objects.count()}")
for outstanding in OutstandingToken.objects.filter(user=user):
    BlacklistedToken.objects.get_or_create(token=outstanding)
answer = client.post("/refresh", {"refresh": tokens["refresh"]})
print("the outstanding tokens are blacklisted: refresh", answer.status_code)
PYTHON
)"
