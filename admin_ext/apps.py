"""The staff's pages as a Django application."""

from importlib import import_module

from django.apps import AppConfig


class AdminExtConfig(AppConfig):
    """Loaded after the domain; its `admin` module registers the pages."""

    name = "admin_ext"
    verbose_name = "Operations console"

    def ready(self) -> None:
        """Register the system checks; every application has made its admin sites by now."""
        import_module("admin_ext.checks")
        import_module("admin_ext.looks").dress_others()
