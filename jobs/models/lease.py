"""Leases: one recorder and one beat work at a time; the others stand by."""

from django.db import models


class Lease(models.Model):
    """Who works under a name, and until when, on the clock of the database. Verbs: `jobs.ledger.leases`."""

    name = models.CharField(max_length=32, primary_key=True)
    holder = models.CharField(max_length=128)
    #: Since when this holder has held it without a break.
    since = models.DateTimeField()
    renewed_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.name} held by {self.holder}"
