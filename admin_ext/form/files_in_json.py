"""Files inside of a value that is typed as JSON, at whatever depth: a token stands for each, never its place.

Whoever could type a place would have a job read what another run produced or another person uploaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core import signing
from django.core.exceptions import ValidationError

from jobs.catalog.hints import UPLOADS, is_travelling_file

GONE = "The file is not known any more; choose it again."
TYPED = (
    "A file cannot be typed in. Leave the files as they were filled in, take some away, or let the job's author ask "
    "for them one by one."
)
_SALT = "admin_ext.file_in_json"
_TOKEN_KEYS = frozenset({"name", "size", "token"})


@dataclass(frozen=True, slots=True)
class FilesInJson:
    """Files inside of values that one person types as JSON in the form of one job.

    The tokens tell no time, so that what was filled in and is not touched reads the same when it comes back.
    """

    user_id: Any
    job_name: str

    def tokens_for(self, value: Any) -> Any:
        """`value` as the page writes it: a token in place of each file."""
        if _is_upload(value) and value.keys() == {"path", "name", "size"}:
            signed = [value["path"], value["name"], value["size"], str(self.user_id), self.job_name]
            token = signing.Signer(salt=_SALT).sign_object(signed)
            return {"name": value["name"], "size": value["size"], "token": token}
        if isinstance(value, dict):
            return {name: self.tokens_for(one) for name, one in value.items()}
        return [self.tokens_for(one) for one in value] if isinstance(value, (list, tuple)) else value

    def files_for(self, value: Any) -> Any:
        """`value` as it travels: the file in place of each token.

        Raises:
            ValidationError: it names a file by its place, or by a token that is forged, another person's or another
                job's.
        """
        if _is_upload(value):
            raise ValidationError(TYPED)
        if isinstance(value, dict):
            if value.keys() == _TOKEN_KEYS and isinstance(value["token"], str):
                return self._file(value["token"])
            return {name: self.files_for(one) for name, one in value.items()}
        return [self.files_for(one) for one in value] if isinstance(value, list) else value

    def _file(self, token: str) -> dict[str, Any]:
        try:
            path, name, size, user, job = signing.Signer(salt=_SALT).unsign_object(token)
        except (signing.BadSignature, ValueError):
            raise ValidationError(GONE) from None
        if (user, job) != (str(self.user_id), self.job_name):
            raise ValidationError(GONE)
        return {"path": path, "name": name, "size": size}


def _is_upload(value: Any) -> bool:
    return is_travelling_file(value) and value["path"].startswith(UPLOADS)
