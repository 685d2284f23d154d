"""The staff's pages as a Django application."""

from django.apps import AppConfig


class AdminExtConfig(AppConfig):
    """Loaded after the domain; its `admin` module registers the pages."""

    name = "admin_ext"
    verbose_name = "Operations console"
