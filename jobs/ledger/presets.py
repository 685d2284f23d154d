"""Presets: the verbs that keep and remove values of a job's form under a name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from jobs.catalog.carried import is_json
from jobs.catalog.registry import Job
from jobs.errors import InvalidArguments, JobsError, UnknownJob
from jobs.models import Preset

from .audit import Actor, Subject, record
from .redaction import redact
from .verbs import DELETE_PRESET, SAVE_PRESET, require


class PresetTaken(JobsError):
    """The name is that of somebody else's preset, and nobody has said that this very one is to be replaced."""

    def __init__(self, preset: Preset) -> None:
        super().__init__(
            f"The preset {preset.name} of {preset.owner_label} exists. Save under another name, or replace it."
        )
        self.preset = preset


def save_preset(job: Job, name: str, arguments: Mapping[str, Any], *, actor: Actor, replace: str = "") -> Preset:
    """Keep checked values of the job's form under `name`; the actor's own earlier preset of that name is replaced.

    Args:
        replace: the version (`version_of`) of somebody else's preset that the actor has seen and wants to replace.

    Raises:
        NotPermitted: the actor may not run the job.
        InvalidArguments: the values do not fit, or the name is empty or longer than 100 characters.
        PresetTaken: somebody else has one of that name, and it is not the one that was seen.
    """
    require(SAVE_PRESET, actor, Subject("job", job.name, job.title), job.permission)
    name = name.strip()
    if not 0 < len(name) <= 100:
        raise InvalidArguments({"preset": "Give the preset a name of at most 100 characters."})
    if job.parameters is None:
        raise UnknownJob(f"{job.title} has no form, so there is nothing to keep.")
    secrets = job.parameters.secrets
    call = job.parameters.to_json(arguments)
    values = {
        name: value
        for name, value in job.parameters.bind(call.args, call.kwargs).items()
        # Everybody who may run the job reads presets, and pages hide what sounds like a secret.
        if name not in secrets and redact({name: value}) == {name: value}
    }
    if odd := [name for name, value in values.items() if not is_json(value)]:
        raise InvalidArguments(dict.fromkeys(odd, "A preset cannot keep this value; change it, or clear the field."))
    kept = {"values": values, "owner_id": actor.id, "owner_label": actor.label, "created_at": timezone.now()}
    try:
        return _keep(job, name, kept, actor, replace)
    except IntegrityError:  # somebody has saved one of that name at this moment
        return _keep(job, name, kept, actor, replace)


def _keep(job: Job, name: str, kept: dict[str, Any], actor: Actor, replace: str) -> Preset:
    with transaction.atomic():
        preset = Preset.objects.select_for_update().filter(job=job.name, name=name).first()
        details = {}
        if preset is None:
            preset = Preset.objects.create(job=job.name, name=name, **kept)
        else:
            if not _is_own(preset, actor) and replace != version_of(preset):
                raise PresetTaken(preset)
            details = {"replaced": preset.owner_label}
            for field, value in kept.items():
                setattr(preset, field, value)
            preset.save()
        record(SAVE_PRESET.name, actor, Subject("preset", str(preset.pk), f"{job.title}: {name}"), details=details)
    return preset


def _is_own(preset: Preset, actor: Actor) -> bool:
    # Whom no account names is told apart by nothing: theirs are everybody else's.
    return actor.id is not None and preset.owner_id == actor.id


def version_of(preset: Preset) -> str:
    """Changes whenever somebody saves under the preset's name."""
    return f"{preset.pk}:{preset.created_at.isoformat()}"


def delete_preset(preset: Preset, job: Job, *, actor: Actor) -> None:
    """Remove a preset for everybody; raises NotPermitted."""
    require(DELETE_PRESET, actor, Subject("job", job.name, job.title), job.permission)
    with transaction.atomic():
        record(DELETE_PRESET.name, actor, Subject("preset", str(preset.pk), f"{job.title}: {preset.name}"))
        preset.delete()
