#!/usr/bin/env bash
# PyPI djangorestframework-api-key 2.3.0 and 3.1.0, Django 5.2.19; moving its keys elsewhere
#
# Expected: of a key PREFIX.SECRET the secret is hashed; after the upgrade from 2 to 3, whose notes speak of a faster
#   hash, all keys have it. `id` is an id.
#
# Seen: the whole key is hashed, prefix and dot included, and stored as `sha512$$` and hex, with an empty salt between
#   the dollars. Keys of 2 stay as they are, PBKDF2 with a salt each, until they are used, and are rewritten then, one
#   by one: a table of 3 has both. `id` is PREFIX.HASH, the hash that the key had when it was made. A revoked key keeps
#   its row, and its expiry as it was.
#
#   3.1.0: sha512 of the key: True, of its secret: False
#   2.3.0: pbkdf2_sha256 with a salt
#   3.1.0, the same database: pbkdf2_sha256 with a salt
#   after the key was used: sha512 of the key; the id has pbkdf2_sha256 still
#   revoked: refused, the row is there, expiry_date is None
#   expired: refused, the row is there
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

pip_install Django==5.2.19 djangorestframework==3.18.3 djangorestframework-api-key==3.1.0 freezegun==1.5.5
vectors_option "$@"
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps \
    --target "$scratch/two" djangorestframework-api-key==2.3.0

cat >api_keys.py <<'PYTHON'
import datetime
import hashlib
import json
import sys

import moving
import moving_django
from django.urls import path
from freezegun import freeze_time
from moving_django import iso

CREATED = datetime.datetime(2026, 11, 20, 9, 30, 0, 100, tzinfo=datetime.timezone.utc)
AT = CREATED.replace(day=28, hour=12, microsecond=0)


def urls():
    from rest_framework_api_key.permissions import HasAPIKey

    return [path("", moving_django.protected(authentication_classes=[], permission_classes=[HasAPIKey]))]


moving_django.set_up("keys.sqlite", ["rest_framework", "rest_framework_api_key"], urls)
from rest_framework_api_key.models import APIKey


def made(name, created=CREATED, **arguments):
    with freeze_time(created):
        row, key = APIKey.objects.create_key(name=name, **arguments)
    meant = {
        "owner": None,
        "name": name,
        "inserted_at": iso(created),
        "expires_at": iso(arguments.get("expiry_date")),
    }
    return row, key, meant


def verdict(key):
    with freeze_time(AT):
        return "admitted" if moving_django.is_admitted(f"Api-Key {key}") else "refused"


def sha512(text):
    return "sha512$$" + hashlib.sha512(text.encode()).hexdigest()


def kind(stored, key):
    algorithm, *others = stored.split("$")
    if algorithm == "pbkdf2_sha256":
        return algorithm + (" with a salt" if others[1] else "")
    return "sha512 of the key" if stored == sha512(key) else algorithm


if sys.argv[1] == "2.3.0":
    row, key, meant = made("of version 2")
    print(f"2.3.0: {kind(row.hashed_key, key)}")
    row, other, other_meant = made("of version 2, used since")
    json.dump([key, meant, other, other_meant], open("of-two.json", "w"))
    sys.exit()

row, key, _ = made("first")
print(f"3.1.0: sha512 of the key: {row.hashed_key == sha512(key)}, of its secret: {row.hashed_key == sha512(key[9:])}")
assert key[8] == "." and row.prefix == key[:8] and row.id == f"{key[:8]}.{row.hashed_key}"
row.delete()

unused, unused_meant, used, used_meant = json.load(open("of-two.json"))
row = APIKey.objects.get(name="of version 2, used since")
print(f"3.1.0, the same database: {kind(row.hashed_key, used)}")
assert verdict(used) == "admitted"
row.refresh_from_db()
print(f"after the key was used: {kind(row.hashed_key, used)}; the id has {row.id[9:].split('$')[0]} still")

revoked, revoked_key, revoked_meant = made("revoked")
revoked.revoked = True
revoked.save()
print(
    f"revoked: {verdict(revoked_key)}, the row is there, expiry_date is {APIKey.objects.get(pk=revoked.pk).expiry_date}"
)
expired = made("expired", expiry_date=CREATED + datetime.timedelta(days=1))
print(f"expired: {verdict(expired[1])}, the row is there" if APIKey.objects.get(pk=expired[0].pk) else "")

keys = [
    (unused, unused_meant | {"left_out": "PBKDF2, with a salt of its own"}),
    (used, used_meant),
    (revoked_key, revoked_meant | {"left_out": "it is revoked"}),
    expired[1:],
    made("never expires", CREATED.replace(microsecond=0))[1:],
    made("until next year", expiry_date=datetime.datetime(2027, 1, 1, tzinfo=datetime.timezone.utc))[1:],
]
vector = moving.tables("keys.sqlite", "rest_framework_api_key_apikey")
exported = moving.exported("keys.sqlite", "djangorestframework-api-key 3, SQLite")
with freeze_time(AT):
    presented = [moving_django.presented("Api-Key", key, row) for row, (key, _) in enumerate(keys)]
    presented.append(moving_django.presented("Api-Key", moving.altered(used), None))
moving.write(
    "djangorestframework-api-key",
    made_by=moving.made_by("djangorestframework-api-key", "Django", "djangorestframework")
    + "; two keys by djangorestframework-api-key 2.3.0",
    query="djangorestframework-api-key 3",
    stored={
        "table": "rest_framework_api_key_apikey",
        "column": "hashed_key",
        "hash": "sha512",
        "reading": "whole",
        "encoding": "hex",
        "before": "sha512$$",
    },
    secret=None,
    at=iso(AT),
    presented=presented,
    expected=[meant for _, meant in keys],
    exported=exported,
    **vector,
)
PYTHON

# shellcheck disable=SC2016
seen='2.3.0: pbkdf2_sha256 with a salt
3.1.0: sha512 of the key: True, of its secret: False
3.1.0, the same database: pbkdf2_sha256 with a salt
after the key was used: sha512 of the key; the id has pbkdf2_sha256 still
revoked: refused, the row is there, expiry_date is None
expired: refused, the row is there'

expect "$seen" "$(
    PYTHONPATH=$scratch/two:$PYTHONPATH python3 api_keys.py 2.3.0
    python3 api_keys.py 3.1.0
)"
