"""A file of a job's form: chosen once, kept at once, and carried on by a signed word while the rest is corrected.

The browser never names a place in the storage. What it sends back is a token that only this console can write, bound
to the person and the job; or the word "filled", and then the server takes the file of the run that it was filled from.
Files inside of a value that is typed as JSON have tokens of their own (`files_in_json`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from django import forms
from django.core import signing
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile

from admin_ext.parts.words import file_size
from jobs.catalog.fields import Parameter
from jobs.catalog.hints import File, is_travelling_file

from .fields import INPUT
from .files_in_json import GONE

#: What the page sends for the file of the run that it was filled from.
FILLED = "filled"
_DAY = 24 * 60 * 60
_SALT = "admin_ext.upload"


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that need not be chosen again: what the page shows of it, and what it sends back."""

    name: str
    size: int
    token: str

    @property
    def shown(self) -> str:
        return f"{self.name}, {file_size(self.size)}"


@dataclass(frozen=True, slots=True)
class Given:
    """What the page sent for one file: a new one, one that is kept, the wish to send none."""

    upload: UploadedFile | None
    token: str
    dropped: bool


class Keeper(Protocol):
    """Keeps a new file; raises JobsError when it may not or cannot."""

    def __call__(self, upload: UploadedFile, /) -> File: ...


def write_token(file: File, user_id: Any, job_name: str) -> str:
    """The word by which this person's form of this job may name the file again, for a day."""
    return signing.dumps([file.path, file.name, file.size, str(user_id), job_name], salt=_SALT)


def read_token(token: str, user_id: Any, job_name: str) -> File:
    """The file of a token; raises ValidationError for one that is forged, old, another person's or another job's."""
    try:
        path, name, size, user, job = signing.loads(token, salt=_SALT, max_age=_DAY)
    except (signing.BadSignature, ValueError):
        raise ValidationError(GONE) from None
    if (user, job) != (str(user_id), job_name):
        raise ValidationError(GONE)
    return File(path, name, size)


class UploadInput(forms.FileInput):
    """The browser's own field, and what the page sends for a file that is kept."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Given:
        return Given(files.get(name), str(data.get(f"oc.kept.{name}", "")), f"oc.drop.{name}" in data)

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return False


class UploadField(forms.Field):
    """Reads what the page sent into a File.

    Args:
        filled: the file of the run or preset that the form was filled from, as plain JSON.

    Attributes:
        kept: what the page shows and sends back; set when it was read.
    """

    def __init__(self, parameter: Parameter, *, keep: Keeper, user_id: Any, job_name: str, filled: Any = None) -> None:
        attrs = {"class": f"{INPUT} oc-full oc-file"}
        super().__init__(required=parameter.required, widget=UploadInput(attrs), initial="")
        self.keep, self.user_id, self.job_name = keep, user_id, job_name
        self.filled = filled if is_travelling_file(filled) else None
        self.kept: Kept | None = None
        if self.filled:
            self.kept = Kept(self.filled["name"], self.filled["size"], FILLED)

    def clean(self, given: Given) -> Any:
        if given.upload is not None:
            file = self.keep(given.upload)
            self.kept = Kept(file.name, file.size, write_token(file, self.user_id, self.job_name))
            return file
        if given.dropped or not given.token:
            self.kept = None if given.dropped or not self.filled else self.kept
            if self.required:
                raise ValidationError("Choose a file.")
            return None
        if given.token == FILLED:
            if self.filled is None:
                raise ValidationError(GONE)
            return self.filled
        self.kept = None
        file = read_token(given.token, self.user_id, self.job_name)
        self.kept = Kept(file.name, file.size, given.token)
        return file
