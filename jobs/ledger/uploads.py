"""The verb *keep an upload*: a file that a person chose in a job's form, before the form starts a run."""

from __future__ import annotations

import uuid
from typing import IO, Any

from django.conf import settings
from django.core.files.base import File as Content
from django.utils.text import get_valid_filename

from jobs.catalog.hints import UPLOADS, File
from jobs.catalog.registry import Job
from jobs.errors import JobsError
from jobs.storage import console_storage

from .audit import Actor, Subject
from .verbs import START_RUN, require

#: Longest name kept, in characters; the folder and the storage's own mark come on top.
LONGEST_NAME = 100


class UploadRefused(JobsError):
    """The file cannot be kept; the text says why."""


def largest_upload() -> int:
    """The most bytes that a file may have: the setting UPLOAD_MAX_MB."""
    return int(getattr(settings, "UPLOAD_MAX_MB", 10)) * 1_000_000


def keep_upload(job: Job, name: str, size: int, content: IO[Any], *, actor: Actor) -> File:
    """Keep a file for a run of `job` under `uploads/<uuid>/<name>`. The run that uses it is its record in the trail.

    Args:
        name: as the person's computer calls it; what is no part of a plain file name is left out.

    Raises:
        NotPermitted: the actor may not run the job.
        UploadRefused: larger than UPLOAD_MAX_MB, without a usable name, or the storage does not take it.
    """
    require(START_RUN, actor, Subject("job", job.name, job.title), job.permission)
    if size > largest_upload():
        raise UploadRefused(f"It has {size / 1e6:.1f} MB; at most {largest_upload() // 1_000_000} MB are taken.")
    try:
        plain = get_valid_filename(name)
    except ValueError:
        raise UploadRefused("It has no usable name; rename it and choose it again.") from None
    stem, dot, ending = plain.rpartition(".")
    plain = f"{stem[: LONGEST_NAME - len(ending) - 1]}{dot}{ending}" if 0 < len(ending) < 20 else plain[:LONGEST_NAME]
    try:
        path = console_storage.save(f"{UPLOADS}{uuid.uuid4()}/{plain}", Content(content))
    except OSError as error:
        raise UploadRefused(f"The storage did not take it ({error.strerror}). Ask an administrator.") from None
    return File(path, plain, size)
