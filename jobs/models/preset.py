"""Presets: values for a job's form, kept under a name for everybody who may run the job."""

from django.db import models
from django.db.models.functions import Now

from .json_object import JSONObjectField


class Preset(models.Model):
    """Saved values of one job's form. Secrets are never part of it."""

    job = models.CharField(max_length=255)
    name = models.CharField(max_length=100)
    #: By parameter name, as plain JSON.
    values = JSONObjectField()
    #: The key as text.
    owner_id = models.CharField(max_length=255, null=True)
    owner_label = models.CharField(max_length=255)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["name"]
        default_permissions = ()
        constraints = [models.UniqueConstraint("job", "name", name="preset_name_once")]

    def __str__(self) -> str:
        return self.name
