"""What a job's form needs of the person who fills it in: files are kept, objects that they may see have names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest
from django.urls import reverse

from admin_ext.parts.access import person
from jobs.catalog.fields import Parameter
from jobs.catalog.hints import File
from jobs.catalog.registry import Job
from jobs.ledger.uploads import keep_upload

from .files_in_json import FilesInJson
from .objects import Namer, names_of
from .upload import UploadField


@dataclass(frozen=True, slots=True)
class Clerk:
    """One person at the form of one job."""

    job: Job
    request: HttpRequest

    def address(self, parameter: Parameter) -> str:
        """Where the objects of the parameter are searched."""
        return reverse("admin:jobs_start_objects", args=[self.job.name, parameter.name])

    def namer(self, parameter: Parameter, known: Mapping[str, str]) -> Namer:
        """What tells the names of keys; `known` are those that a run has kept, also of objects that are gone."""

        def named(keys: Iterable[str]) -> dict[str, str]:
            wanted = list(keys)
            kept = {key: known[key] for key in wanted if key in known}
            return kept | (names_of(self.request, parameter.model, wanted) if parameter.model else {})

        return named

    def upload_field(self, parameter: Parameter, filled: Any) -> UploadField:
        return UploadField(
            parameter, keep=self.keep, user_id=self.request.user.pk, job_name=self.job.name, filled=filled
        )

    @property
    def files_in_json(self) -> FilesInJson:
        return FilesInJson(self.request.user.pk, self.job.name)

    def keep(self, upload: UploadedFile, /) -> File:
        return keep_upload(self.job, upload.name or "", upload.size or 0, upload, actor=person(self.request))
