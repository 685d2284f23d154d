"""URLs: the admin is the console."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("admin_ext.health")),
    # Short addresses that one can type.
    path("queues/", RedirectView.as_view(pattern_name="admin:jobs_queues")),
    path("queues/<path:name>/", RedirectView.as_view(pattern_name="admin:jobs_queue_named")),
    path("workers/", RedirectView.as_view(pattern_name="admin:jobs_workers")),
    path("workers/<path:name>/", RedirectView.as_view(pattern_name="admin:jobs_worker_named")),
    path("", RedirectView.as_view(pattern_name="admin:index")),
]

handler400 = "admin_ext.errors.not_understood"
handler403 = "admin_ext.errors.refused"
handler404 = "admin_ext.errors.not_found"
