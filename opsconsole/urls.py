"""URLs: the admin is the console."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("admin_ext.health")),
    path("", RedirectView.as_view(pattern_name="admin:index")),
]

handler400 = "admin_ext.errors.not_understood"
handler403 = "admin_ext.errors.refused"
handler404 = "admin_ext.errors.not_found"
