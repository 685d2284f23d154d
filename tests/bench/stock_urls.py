"""The admin of django-celery-results as it ships, mounted for the bench only."""

from django.contrib import admin
from django.urls import path

urlpatterns = [path("admin/", admin.site.urls)]
