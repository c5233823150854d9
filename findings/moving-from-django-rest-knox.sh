#!/usr/bin/env bash
# PyPI django-rest-knox 4.2.0 and 5.1.0, Django 5.2.19, djangorestframework 3.18.3; moving its tokens elsewhere
#
# Expected: a digest is the hash of the token, in both versions; the prefix of 5 is there for secret scanners and is
#   cut off before the hash. A token of 4 goes on working after the upgrade to 5 and `migrate`, or its row goes. An
#   expired token is refused and its row stays. Which tokens are accepted is seen in knox's table.
#
# Seen: 4 hashes the 32 bytes that the digits stand for, 5 hashes the digits themselves, with the prefix. The rows of 4
#   survive the upgrade and look like the others, but their tokens are refused: only the length of `token_key`, 8 and
#   not 15, tells them. If they are moved under the reading of 4, the dead tokens live again. An expired token is
#   deleted when it, or another token of the same user, is presented. A user who is not active is refused, which only
#   the table of users tells. A null expiry is a token that never expires. `created` is UTC without saying so.
#
#   4.2.0: digest is the sha512 of the text: False, of the decoded bytes: True; token_key has 8 characters
#   5.1.0: digest is the sha512 of the text: True, of the decoded bytes: False; token_key has 15 characters
#   5.1.0 with a prefix: of the text with it: True, without: False; token_key has 15 characters
#   4.2.0, a token of 4.2.0: admitted
#   5.1.0, the same database after migrate: refused, its row is there
#   a user who is not active: refused, the row is there
#   never expires: None, admitted in ten years
#   expired: refused, the row is gone, and so is the user's other expired one, which nobody presented
#   created: text of the form 2026-11-20 09:30:00.000100
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

pip_install Django==5.2.19 djangorestframework==3.18.3 django-rest-knox==5.1.0 freezegun==1.5.5
vectors_option "$@"
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps \
    --target "$scratch/four" django-rest-knox==4.2.0
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-warn-conflicts \
    --target "$scratch/four" cryptography==50.0.2

cat >knox_tokens.py <<'PYTHON'
import binascii
import datetime
import hashlib
import json
import shutil
import sqlite3
import sys
from datetime import timedelta

import moving
import moving_django
from django.urls import path
from freezegun import freeze_time
from moving_django import iso

CREATED = datetime.datetime(2026, 11, 20, 9, 30, 0, 100, tzinfo=datetime.timezone.utc)
AT = CREATED.replace(day=28, hour=12, microsecond=0)
release = sys.argv[1]
database = sys.argv[2]


def urls():
    from knox.auth import TokenAuthentication
    from rest_framework.permissions import IsAuthenticated

    return [
        path(
            "",
            moving_django.protected(authentication_classes=[TokenAuthentication], permission_classes=[IsAuthenticated]),
        )
    ]


moving_django.set_up(database, ["rest_framework", "knox"], urls)
from knox.models import AuthToken

with freeze_time(CREATED):
    u_1, u_2, u_3 = moving_django.users("u_1", "u_2", "u_3")


def made(user, created, **arguments):
    with freeze_time(created):
        instance, token = AuthToken.objects.create(user, **arguments)
    expiry = arguments.get("expiry", timedelta(hours=10))
    meant = {"owner": str(user.pk), "inserted_at": iso(created), "expires_at": expiry and iso(created + expiry)}
    return instance, token, meant


def admitted(token, at=AT):
    with freeze_time(at):
        return moving_django.is_admitted(f"Token {token}")


def is_there(instance):
    return "is there" if AuthToken.objects.filter(pk=instance.pk).exists() else "is gone"


def verdict(token, at=AT):
    return "admitted" if admitted(token, at) else "refused"


def readings(token):
    return [hashlib.sha512(form).hexdigest() for form in (token.encode(), binascii.unhexlify(token))]


if release == "upgraded":
    token, key = json.load(open("of-four.json"))
    text, decoded = readings(token)
    instance = AuthToken.objects.get(token_key=key)
    print(f"5.1.0, the same database after migrate: {verdict(token)}, its row {is_there(instance)}")
    exported = moving.exported(database, "django-rest-knox 5, SQLite")
    assert instance.digest not in [line["digest"] for line in exported]
    sys.exit()

instance, token, _ = made(u_1, CREATED)
text, decoded = readings(token)
print(
    f"{release}: digest is the sha512 of the text: {text == instance.digest}, of the decoded bytes: "
    f"{decoded == instance.digest}; token_key has {len(instance.token_key)} characters"
)
assert token.startswith(instance.token_key)
instance.delete()

if release == "4.2.0":
    # A token of 4, and the database that 5 will take over.
    instance, token, _ = made(u_1, CREATED, expiry=None)
    print(f"4.2.0, a token of 4.2.0: {verdict(token)}")
    from django.db import connection

    connection.close()
    shutil.copy(database, "upgraded.sqlite")
    json.dump([token, instance.token_key], open("of-four.json", "w"))
    instance.delete()
else:
    instance, token, _ = made(u_1, CREATED, prefix="acme_")
    with_it, without = (hashlib.sha512(form.encode()).hexdigest() for form in (token, token[5:]))
    print(
        f"5.1.0 with a prefix: of the text with it: {with_it == instance.digest}, without: "
        f"{without == instance.digest}; token_key has {len(instance.token_key)} characters"
    )
    assert token.startswith(instance.token_key)
    instance.delete()

    instance, token, _ = made(u_3, CREATED, expiry=None)
    u_3.is_active = False
    u_3.save()
    print(f"a user who is not active: {verdict(token)}, the row {is_there(instance)}")
    u_3.is_active = True
    u_3.save()
    later = verdict(token, AT + timedelta(days=3653))
    print(f"never expires: {instance.expiry}, {later} in ten years")
    instance.delete()

    one, token, _ = made(u_3, CREATED)
    other, _, _ = made(u_3, CREATED)
    refused = verdict(token)
    assert is_there(other) == "is gone"
    print(
        f"expired: {refused}, the row {is_there(one)}, and so is the user's other expired one, which nobody presented"
    )
    instance, _, _ = made(u_1, CREATED)
    with sqlite3.connect(database) as connection:
        created = connection.execute("SELECT created FROM knox_authtoken WHERE digest = ?", [instance.digest])
        print(f"created: text of the form {created.fetchone()[0]}")
    instance.delete()

# The vectors. The tokens are looked at by knox in the end only, since it deletes those that have expired.
prefixed = {} if release == "4.2.0" else {"prefix": "acme_"}
tokens = [
    made(u_1, CREATED, expiry=None),
    made(u_1, CREATED + timedelta(days=8), expiry=timedelta(days=30)),
    made(u_2, CREATED.replace(microsecond=0), expiry=timedelta(days=14), **prefixed),
    made(u_2, CREATED, expiry=timedelta(hours=10)),
]
u_3.is_active = False
u_3.save()
inactive = made(u_3, CREATED, expiry=None)
major = release[0]
vector = moving.tables(database, "auth_user", "knox_authtoken")
exported = moving.exported(database, f"django-rest-knox {major}, SQLite")
with freeze_time(AT):
    presented = [moving_django.presented("Token", token, row) for row, (_, token, _) in enumerate([*tokens, inactive])]
    presented.append(moving_django.presented("Token", moving.altered(tokens[0][1]), None))
moving.write(
    f"django-rest-knox-{major}",
    made_by=moving.made_by("django-rest-knox", "Django", "djangorestframework"),
    query=f"django-rest-knox {major}",
    stored={
        "table": "knox_authtoken",
        "column": "digest",
        "hash": "sha512",
        "reading": "whole" if major == "5" else "decoded_hex",
        "encoding": "hex",
    },
    secret=None,
    at=iso(AT),
    presented=presented,
    expected=[meant for _, _, meant in tokens] + [inactive[2] | {"left_out": "its user is not active"}],
    exported=exported,
    **vector,
)
PYTHON

seen='4.2.0: digest is the sha512 of the text: False, of the decoded bytes: True; token_key has 8 characters
4.2.0, a token of 4.2.0: admitted
5.1.0: digest is the sha512 of the text: True, of the decoded bytes: False; token_key has 15 characters
5.1.0 with a prefix: of the text with it: True, without: False; token_key has 15 characters
a user who is not active: refused, the row is there
never expires: None, admitted in ten years
expired: refused, the row is gone, and so is the user'"'"'s other expired one, which nobody presented
created: text of the form 2026-11-20 09:30:00.000100
5.1.0, the same database after migrate: refused, its row is there'

expect "$seen" "$(
    PYTHONPATH=$scratch/four:$PYTHONPATH python3 knox_tokens.py 4.2.0 four.sqlite
    python3 knox_tokens.py 5.1.0 five.sqlite
    python3 knox_tokens.py upgraded upgraded.sqlite
)"
