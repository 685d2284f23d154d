"""Django where a process has it, of any release, and what stands in for it in the worker of a program without Django.

Such a program is only observed: what it publishes, executes and says travels by Redis. It has no ledger, no storage and
no settings but those of its Celery application.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from celery import Celery
from celery import states as celery_states

__all__ = [
    "AnyDatabaseError",
    "ContentFile",
    "DatabaseError",
    "LazyObject",
    "Model",
    "NoDatabase",
    "QuerySet",
    "Storage",
    "StoredFile",
    "SuspiciousFileOperation",
    "ValidationError",
    "close_old_connections",
    "has_django",
    "mail_connection",
    "settings",
    "storages",
]

_INSTALLED = find_spec("django") is not None


def has_django() -> bool:
    """Whether this process has Django with settings, and so the ledger."""
    return _INSTALLED and (django_settings.configured or bool(os.environ.get("DJANGO_SETTINGS_MODULE")))


class NoDatabase:
    """Stands in for `django_celery_results`' backend: nothing is known of what Redis has let go."""

    def __init__(self, app: Celery) -> None:
        pass

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        return {"status": celery_states.PENDING, "result": None}

    def _restore_group(self, group_id: str) -> None:
        return None


class _Settings:
    """Those of Django, or of a program without Django what the code that it runs asks for.

    Asked each time: an application is joined before Django has its settings.
    """

    def __getattr__(self, name: str) -> Any:
        if has_django():
            return getattr(django_settings, name)
        try:
            return _OUTSIDE[name]()
        except KeyError:
            raise AttributeError(f"{name} is a setting of Django, which this program has not") from None


_OUTSIDE: dict[str, Callable[[], str]] = {
    "RELEASE": lambda: os.environ.get("RELEASE", "unknown"),
}

if TYPE_CHECKING or _INSTALLED:
    from django.conf import settings as django_settings
    from django.core import mail
    from django.core.exceptions import SuspiciousFileOperation, ValidationError
    from django.core.files.base import ContentFile
    from django.core.files.base import File as StoredFile
    from django.core.files.storage import Storage, storages
    from django.db import DatabaseError, close_old_connections
    from django.db import Error as AnyDatabaseError
    from django.db.models import Model, QuerySet
    from django.utils.functional import LazyObject
else:

    class SuspiciousFileOperation(Exception):
        pass

    class ValidationError(Exception):
        pass

    class AnyDatabaseError(Exception):
        pass

    class DatabaseError(AnyDatabaseError):
        pass

    class Model:
        pass

    class QuerySet:
        pass

    class LazyObject:
        pass

    def close_old_connections() -> None:
        pass

    ContentFile = StoredFile = Storage = Any
    storages = {}


def mail_connection() -> Any:
    """To the mail server of the project's MAILERS, which Django has from 6.1 on, or of its EMAIL_ settings."""
    return mail.mailers["default"] if hasattr(mail, "mailers") else mail.get_connection()


if TYPE_CHECKING:
    settings = django_settings
else:
    settings = _Settings()
