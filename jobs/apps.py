"""The domain as a Django application."""

from importlib import import_module
from typing import Any

from django.apps import AppConfig
from django.db.backends.signals import connection_created


class JobsConfig(AppConfig):
    """Registers the models of the ledger."""

    name = "jobs"
    verbose_name = "Operations"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks, which need the models, and spare each connection Django's probe for JSON."""
        import_module("jobs.checks")
        connection_created.connect(_knows_json, dispatch_uid="opsconsole.json")


def _knows_json(connection: Any, **_: Any) -> None:
    """Django finds out whether SQLite knows JSON inside of a transaction, and ours take the write lock when they begin.

    The first page of each thread would wait for whoever writes. Every SQLite that Python 3.11 is built with knows JSON.
    """
    if connection.vendor == "sqlite":
        connection.features.supports_json_field = True
