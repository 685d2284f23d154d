"""Wiring: settings, URLs, the Celery application, the one-command launcher. Nothing imports this package."""

from .celery import app as celery_app

__all__ = ["celery_app"]
