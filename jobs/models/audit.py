"""The audit trail: who did what to which object, when, from where, why. Append-only."""

from __future__ import annotations

from typing import Any, NoReturn

from django.db import models
from django.db.models.functions import Now

from jobs.errors import ImmutableRow

from .json_object import JSONObjectField

_REFUSAL = "Audit events are append-only: they cannot be changed or deleted."


class AppendOnlyQuerySet(models.QuerySet["AuditEvent"]):
    """Refuses what would change or remove rows in bulk."""

    def update(self, **kwargs: Any) -> NoReturn:
        raise ImmutableRow(_REFUSAL)

    def delete(self) -> NoReturn:
        raise ImmutableRow(_REFUSAL)

    def bulk_update(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise ImmutableRow(_REFUSAL)

    def bulk_create(self, objs: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("update_conflicts") or kwargs.get("ignore_conflicts"):
            raise ImmutableRow(_REFUSAL)
        return super().bulk_create(objs, *args, **kwargs)


class AuditEvent(models.Model):
    """One act, done or refused. Written in the transaction of the act itself."""

    class Outcome(models.TextChoices):
        DONE = "done"
        DENIED = "denied"

    at = models.DateTimeField(db_default=Now())
    #: The key as text. No foreign key and a label beside it: the trail outlives the user.
    actor_id = models.CharField(max_length=255, null=True)
    actor_label = models.CharField(max_length=255)
    #: admin, command, schedule, system
    via = models.CharField(max_length=16)
    ip = models.GenericIPAddressField(null=True)
    #: A name of `jobs.ledger.verbs.VERBS`.
    verb = models.CharField(max_length=64)
    object_type = models.CharField(max_length=32)
    object_id = models.CharField(max_length=255)
    object_label = models.CharField(max_length=255)
    reason = models.TextField(blank=True)
    outcome = models.CharField(max_length=16, choices=Outcome, default=Outcome.DONE)
    details = JSONObjectField(default=dict)
    #: One of the many of an act that has an event of its own: lists of everything leave it out.
    part = models.BooleanField(db_default=False)

    objects = AppendOnlyQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["object_type", "object_id", "-id"], name="audit_by_object"),
            models.Index(fields=["actor_id", "-id"], name="audit_by_actor"),
            models.Index(fields=["verb", "-id"], name="audit_by_verb"),
            models.Index(fields=["at"], name="audit_by_time"),
            models.Index(fields=["at"], name="audit_whole_by_time", condition=models.Q(part=False)),
        ]

    def __str__(self) -> str:
        return f"{self.actor_label} {self.verb} {self.object_label}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise ImmutableRow(_REFUSAL)
        super().save(*args, **{**kwargs, "force_insert": True})

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise ImmutableRow(_REFUSAL)
