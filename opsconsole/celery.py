"""The Celery application of this console: `celery -A opsconsole worker`."""

import os

from celery import Celery

from jobs import integrate

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opsconsole.settings")

app = Celery("opsconsole")
app.config_from_object("django.conf:settings", namespace="CELERY")
integrate(app)
app.autodiscover_tasks()
