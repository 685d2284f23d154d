"""Presets: the verbs that keep and remove values of a job's form under a name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from jobs.catalog.registry import Job
from jobs.errors import InvalidArguments, UnknownJob
from jobs.models import Preset

from .audit import Actor, Subject, record
from .verbs import DELETE_PRESET, SAVE_PRESET, require


def save_preset(job: Job, name: str, arguments: Mapping[str, Any], *, actor: Actor) -> Preset:
    """Keep checked values of the job's form under `name`; an earlier preset of that name is replaced.

    Raises:
        NotPermitted: the actor may not run the job.
        InvalidArguments: the values do not fit, or the name is empty or longer than 100 characters.
    """
    require(SAVE_PRESET, actor, Subject("job", job.name, job.title), job.permission)
    name = name.strip()
    if not 0 < len(name) <= 100:
        raise InvalidArguments({"preset": "Give the preset a name of at most 100 characters."})
    if job.parameters is None:
        raise UnknownJob(f"{job.title} has no form, so there is nothing to keep.")
    secrets = job.parameters.secrets
    call = job.parameters.to_json(arguments)
    values = {n: v for n, v in job.parameters.bind(call.args, call.kwargs).items() if n not in secrets}
    with transaction.atomic():
        preset, _ = Preset.objects.update_or_create(
            job=job.name,
            name=name,
            defaults={"values": values, "owner_id": actor.id, "owner_label": actor.label},
        )
        record(SAVE_PRESET.name, actor, Subject("preset", str(preset.pk), f"{job.title}: {name}"))
    return preset


def delete_preset(preset: Preset, job: Job, *, actor: Actor) -> None:
    """Remove a preset for everybody; raises NotPermitted."""
    require(DELETE_PRESET, actor, Subject("job", job.name, job.title), job.permission)
    with transaction.atomic():
        record(DELETE_PRESET.name, actor, Subject("preset", str(preset.pk), f"{job.title}: {preset.name}"))
        preset.delete()
