"""Who acts, on what, and the writing of the audit trail."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser

from jobs.models import AuditEvent
from jobs.text import safe_text

from .people import key_of, name_of


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks for something, and from where.

    Attributes:
        user: the person; None for the console itself and for a schedule, which may do what their makers may.
        label: what the trail shows, also when the user no longer exists.
        via: "admin", "command", "schedule" or "system".
    """

    label: str
    via: str
    user: AbstractBaseUser | None = None
    ip: str | None = None

    @classmethod
    def person(cls, user: AbstractBaseUser | AnonymousUser, *, via: str, ip: str | None = None) -> Actor:
        """The actor of a signed-in user."""
        if not isinstance(user, AbstractBaseUser):
            return cls(label="nobody", via=via, ip=ip, user=None)
        return cls(label=name_of(user), via=via, user=user, ip=ip)

    @property
    def id(self) -> str | None:
        return key_of(self.user) if self.user is not None else None

    def may(self, permission: str) -> bool:
        """Whether the actor holds `app.codename`."""
        if self.user is None:
            return self.via in {"schedule", "system"}
        user: Any = self.user
        return bool(user.is_active and user.has_perm(permission))


@dataclass(frozen=True, slots=True)
class Subject:
    """What a verb is applied to."""

    type: str
    id: str
    label: str


def record(
    verb: str,
    actor: Actor,
    subject: Subject,
    *,
    reason: str = "",
    outcome: AuditEvent.Outcome = AuditEvent.Outcome.DONE,
    details: dict[str, Any] | None = None,
) -> AuditEvent:
    """Append one event; call it inside the transaction of the act, so that neither exists without the other."""
    return AuditEvent.objects.create(
        actor_id=actor.id,
        actor_label=safe_text(actor.label)[:255],
        via=actor.via,
        ip=actor.ip,
        verb=verb,
        object_type=subject.type,
        object_id=safe_text(subject.id)[:255],
        object_label=safe_text(subject.label)[:255],
        reason=safe_text(reason),
        outcome=outcome,
        details=details or {},
    )


def record_many(verb: str, actor: Actor, told: Iterable[tuple[Subject, dict[str, Any]]]) -> None:
    """Append an event for each subject with its details, as `record` does."""
    AuditEvent.objects.bulk_create(
        [
            AuditEvent(
                actor_id=actor.id,
                actor_label=actor.label,
                via=actor.via,
                ip=actor.ip,
                verb=verb,
                object_type=subject.type,
                object_id=subject.id,
                object_label=subject.label[:255],
                details=details,
            )
            for subject, details in told
        ],
        batch_size=500,
    )
