"""The domain as a Django application."""

from importlib import import_module

from django.apps import AppConfig


class JobsConfig(AppConfig):
    """Registers the models of the ledger."""

    name = "jobs"
    verbose_name = "Operations"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks, which need the models."""
        import_module("jobs.checks")
