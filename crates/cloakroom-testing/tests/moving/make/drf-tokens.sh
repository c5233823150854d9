#!/usr/bin/env bash
# PyPI djangorestframework 3.18.3 with TokenAuthentication, Django 5.2.19: tokens, and the rows that it keeps of them
#
# As expected: the token is the key of its row. A user has one at most, without an expiry; `created` is UTC without
# saying so. A user who is not active is refused, which only the table of users tells.
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/../../../../../findings/support.sh"

pip_install Django==5.2.19 djangorestframework==3.18.3 freezegun==1.5.5
vectors_option "$@"

cat >drf_tokens.py <<'PYTHON'
import datetime

import moving
import moving_django
from django.urls import path
from freezegun import freeze_time
from moving_django import iso

CREATED = datetime.datetime(2026, 11, 20, 9, 30, 0, 100, tzinfo=datetime.timezone.utc)
AT = CREATED.replace(day=28, hour=12, microsecond=0)


def urls():
    from rest_framework.authentication import TokenAuthentication
    from rest_framework.permissions import IsAuthenticated

    classes = {"authentication_classes": [TokenAuthentication], "permission_classes": [IsAuthenticated]}
    return [path("", moving_django.protected(**classes))]


moving_django.set_up("drf.sqlite", ["rest_framework", "rest_framework.authtoken"], urls)
from rest_framework.authtoken.models import Token

tokens, expected = [], []
with freeze_time(CREATED):
    users = moving_django.users("u_1", "u_2", "u_3", "u_4")
for user, created in zip(users, [CREATED, CREATED.replace(microsecond=0), CREATED.replace(year=2020), CREATED]):
    with freeze_time(created):
        tokens.append(Token.objects.create(user=user).key)
    expected.append({"owner": str(user.pk), "inserted_at": iso(created), "expires_at": None})
users[3].is_active = False
users[3].save()
expected[3]["left_out"] = "its user is not active"

vector = moving.tables("drf.sqlite", "auth_user", "authtoken_token")
with freeze_time(AT):
    presented = [moving_django.presented("Token", token, row) for row, token in enumerate(tokens)]
    presented.append(moving_django.presented("Token", moving.altered(tokens[0]), None))
admitted = [one["authenticates"] for one in presented]
print("admitted:", *admitted)
moving.write(
    "drf-tokens",
    made_by=moving.made_by("djangorestframework", "Django"),
    query="DRF tokens",
    stored={"table": "authtoken_token", "column": "key", "hash": None},
    secret=None,
    at=iso(AT),
    presented=presented,
    expected=expected,
    exported=moving.exported("drf.sqlite", "DRF tokens, SQLite"),
    **vector,
)
PYTHON

expect 'admitted: True True True False False' "$(python3 drf_tokens.py)"
