#!/usr/bin/env bash
# PyPI django-oauth-toolkit 3.4.1, Django 5.2.19; moving its access tokens elsewhere
#
# Expected: an access token is the `token` of its row, in clear, unless COMPLIANT_BCP_RFC9700_TOKEN_STORAGE is set, and
#   then its hash is. Every token has a user. A user who is not active is refused, as by the other packages. A revoked
#   token is marked, as the revoked refresh tokens are.
#
# Seen: with the setting `token` is empty; without it, it is the token. Either way `token_checksum` is the sha256 in
#   hex, and it alone is looked up: rows of before and after the setting are accepted alike. A token by client
#   credentials has no user: its owner is its application. A token of a user who is not active goes on working, and
#   so do its user's others. The row of a revoked access token is gone, at once. Scopes are one text, with blanks.
#
#   before the setting: token is the token, token_checksum is the sha256: True
#   with the setting: token is '', token_checksum is the sha256: True
#   a token of before, with the setting: admitted
#   client credentials: user_id is None, application_id is 1
#   a user who is not active: admitted
#   revoked: refused, the row is gone
#   expired: refused, the row is there
#   scope: 'read write'
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

pip_install Django==5.2.19 djangorestframework==3.18.3 django-oauth-toolkit==3.4.1 freezegun==1.5.5
vectors_option "$@"

cat >oauth_tokens.py <<'PYTHON'
import base64
import datetime
import hashlib
import secrets
from urllib.parse import parse_qs, urlsplit

import moving
import moving_django
from django.test import Client
from django.test.utils import override_settings
from django.urls import include, path
from freezegun import freeze_time
from moving_django import iso

CREATED = datetime.datetime(2026, 11, 20, 9, 30, 0, 100, tzinfo=datetime.timezone.utc)
AT = CREATED.replace(day=28, hour=12, microsecond=0)
DAYS = 30
OPTIONS = {"SCOPES": {"read": "Read", "write": "Write"}, "ACCESS_TOKEN_EXPIRE_SECONDS": DAYS * 86_400}


def urls():
    from oauth2_provider.contrib.rest_framework import OAuth2Authentication
    from rest_framework.permissions import BasePermission

    class WithToken(BasePermission):
        def has_permission(self, request, view):
            return bool(request.auth)

    view = moving_django.protected(authentication_classes=[OAuth2Authentication], permission_classes=[WithToken])
    return [path("", view), path("o/", include("oauth2_provider.urls", namespace="oauth2_provider"))]


moving_django.set_up("oauth.sqlite", ["rest_framework", "oauth2_provider"], urls, OAUTH2_PROVIDER=OPTIONS)
from oauth2_provider.models import AccessToken, Application

with freeze_time(CREATED):
    u_1, u_2, u_3 = moving_django.users("u_1", "u_2", "u_3")
    machine = Application.objects.create(
        name="machine", client_type="confidential", authorization_grant_type="client-credentials", client_secret="shh"
    )
    web = Application.objects.create(
        name="web",
        client_type="public",
        authorization_grant_type="authorization-code",
        redirect_uris="https://app.example/back",
        skip_authorization=True,
    )


def asked(created, **parameters):
    with freeze_time(created):
        answer = Client().post("/o/token/", parameters).json()
    return answer["access_token"]


def of_machine(created=CREATED, scope="read"):
    return asked(
        created, grant_type="client_credentials", client_id=machine.client_id, client_secret="shh", scope=scope
    )


def of_user(user, created=CREATED, scope="read write"):
    """By a code, with PKCE."""
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    back = {"client_id": web.client_id, "redirect_uri": "https://app.example/back"}
    with freeze_time(created):
        browser = Client()
        browser.force_login(user)
        parameters = back | {"response_type": "code", "scope": scope}
        parameters |= {"code_challenge": challenge, "code_challenge_method": "S256"}
        location = browser.get("/o/authorize/", parameters)["Location"]
    code = parse_qs(urlsplit(location).query)["code"][0]
    return asked(created, grant_type="authorization_code", code=code, code_verifier=verifier, **back)


def row(token):
    return AccessToken.objects.filter(token_checksum=hashlib.sha256(token.encode()).hexdigest()).first()


def verdict(token, at=AT):
    with freeze_time(at):
        return "admitted" if moving_django.is_admitted(f"Bearer {token}") else "refused"


def is_there(token):
    return "the row is there" if row(token) else "the row is gone"


def meant(token_row, owner, created, scopes):
    return {
        "owner": owner,
        "application": str(token_row.application_id),
        "scopes": scopes,
        "inserted_at": iso(created),
        "expires_at": iso(created + datetime.timedelta(days=DAYS)),
    }


tokens, expected = [], []


def keep(token, owner, created, scopes):
    tokens.append(token)
    expected.append(meant(row(token), owner, created, scopes))


one = of_user(u_1)
stored = row(one)
print(
    f"before the setting: token is {'the token' if stored.token == one else repr(stored.token)}, "
    f"token_checksum is the sha256: {bool(stored)}"
)
keep(one, "1", CREATED, "read write")

with override_settings(OAUTH2_PROVIDER=OPTIONS | {"COMPLIANT_BCP_RFC9700_TOKEN_STORAGE": True}):
    later = CREATED.replace(day=21, microsecond=0)
    two = of_user(u_2, later, "read")
    print(f"with the setting: token is {row(two).token!r}, token_checksum is the sha256: {bool(row(two))}")
    print(f"a token of before, with the setting: {verdict(one)}")
    keep(two, "2", later, "read")
    three = of_machine(scope="read")
    print(f"client credentials: user_id is {row(three).user_id}, application_id is {row(three).application_id}")
    keep(three, None, CREATED, "read")
    assert verdict(two) == verdict(three) == "admitted"

    four = of_user(u_3)
    u_3.is_active = False
    u_3.save()
    print(f"a user who is not active: {verdict(four)}")
    keep(four, "3", CREATED, "read write")
    expected[-1]["left_out"] = "its user is not active"

    five = of_user(u_1)
    with freeze_time(AT):
        Client().post("/o/revoke_token/", {"token": five, "client_id": web.client_id})
    print(f"revoked: {verdict(five)}, {is_there(five)}")

    long_ago = CREATED.replace(month=9)
    six = of_user(u_1, long_ago)
    print(f"expired: {verdict(six)}, {is_there(six)}")
    keep(six, "1", long_ago, "read write")
    print(f"scope: {row(one).scope!r}")

    vector = moving.tables("oauth.sqlite", "auth_user", "oauth2_provider_accesstoken")
    with freeze_time(AT):
        presented = [moving_django.presented("Bearer", token, number) for number, token in enumerate(tokens)]
        presented.append(moving_django.presented("Bearer", five, None))
        presented.append(moving_django.presented("Bearer", moving.altered(one), None))
    moving.write(
        "django-oauth-toolkit",
        made_by=moving.made_by("django-oauth-toolkit", "Django", "djangorestframework"),
        query="django-oauth-toolkit",
        stored={
            "table": "oauth2_provider_accesstoken",
            "column": "token_checksum",
            "hash": "sha256",
            "reading": "whole",
            "encoding": "hex",
        },
        secret=None,
        at=iso(AT),
        presented=presented,
        expected=expected,
        exported=moving.exported("oauth.sqlite", "django-oauth-toolkit, SQLite"),
        **vector,
    )
PYTHON

seen="before the setting: token is the token, token_checksum is the sha256: True
with the setting: token is '', token_checksum is the sha256: True
a token of before, with the setting: admitted
client credentials: user_id is None, application_id is 1
a user who is not active: admitted
revoked: refused, the row is gone
expired: refused, the row is there
scope: 'read write'"

expect "$seen" "$(python3 oauth_tokens.py)"
