"""A Django application of one view, for the scripts about packages of Django's."""

import logging
import sys
import types

import django
from django.conf import settings
from django.core.management import call_command

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]


def protected(**classes):
    """A view of Django REST framework that answers authenticated requests alone, as these classes say."""
    from rest_framework.response import Response
    from rest_framework.views import APIView

    def get(self, request):
        return Response()

    return type("View", (APIView,), {"get": get, **classes}).as_view()


def set_up(path, apps, urls=list, **others):
    """Sets Django up with a SQLite file, whose tables it makes, and these URL patterns."""
    settings.configure(
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": path}},
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", *apps],
        MIDDLEWARE=MIDDLEWARE,
        SECRET_KEY="of-this-test",
        USE_TZ=True,
        ALLOWED_HOSTS=["testserver"],
        ROOT_URLCONF="urls",
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        **others,
    )
    django.setup()
    logging.getLogger("django.request").setLevel(logging.CRITICAL)
    sys.modules["urls"] = types.SimpleNamespace(urlpatterns=urls())
    call_command("migrate", verbosity=0)


def users(*names):
    """The users with these names, whose ids are 1, 2, …"""
    from django.contrib.auth.models import User

    return [User.objects.get_or_create(username=name)[0] for name in names]


def is_admitted(authorization):
    """Whether the view at `/` answers a request with this header `Authorization`."""
    from django.test import Client

    status = Client(headers={"authorization": authorization}).get("/").status_code
    assert status in (200, 401, 403), status
    return status == 200


def presented(scheme, token, row):
    """A token as its client presents it, and whether the view admits it."""
    value = f"{scheme} {token}"
    admitted = is_admitted(value)
    return {"header": "Authorization", "value": value, "token": token, "row": row, "authenticates": admitted}


def iso(instant):
    """The instant as the vectors have it."""
    return instant and instant.isoformat(timespec="microseconds").replace("+00:00", "Z")
