"""URLs with a second admin site, made and dressed as when Django starts."""

from django.contrib import admin
from django.contrib.auth.models import Group
from django.urls import path

from admin_ext.looks import dress_others
from opsconsole.urls import urlpatterns as console


class SecondSite(admin.AdminSite):
    site_header = "For partners"


second = SecondSite(name="second")
second.register(Group)
dress_others()
urlpatterns = [*console, path("second/", second.urls)]
