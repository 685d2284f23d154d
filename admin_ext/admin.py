"""What the admin shows: importing these modules registers their pages. What it must not show is taken off."""

from django.apps import apps
from django.contrib import admin

from admin_ext.audit import admin as audit
from admin_ext.failures import admin as failures
from admin_ext.results import admin as results
from admin_ext.schedules import admin as schedules

from . import run_admin as runs
from . import users

#: Their own pages run tasks for people who may only look (architecture.md, section 7, rule 9).
REPLACED = ("django_celery_beat", "django_celery_results")

for label in REPLACED:
    for model in apps.get_app_config(label).get_models():
        stock = admin.site.is_registered(model) and type(admin.site.get_model_admin(model)).__module__.startswith(label)
        if stock:
            admin.site.unregister(model)

schedules.register()

__all__ = ["audit", "failures", "results", "runs", "schedules", "users"]
