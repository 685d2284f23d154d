"""The domain as a Django application."""

from django.apps import AppConfig


class JobsConfig(AppConfig):
    """Registers the models of the ledger."""

    name = "jobs"
    verbose_name = "Operations"
    default_auto_field = "django.db.models.BigAutoField"
