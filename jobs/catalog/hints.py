"""Type hints of our own: a Django model, a file, a secret; how each is checked, travels, and comes back.

A model object travels as its key, a file as its name in the storage, a secret encrypted. pydantic sees them through the
annotations below, which stand in for the hints that authors write.
"""

from __future__ import annotations

import base64
import hashlib
import posixpath
import types
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin

from cryptography.fernet import Fernet, InvalidToken
from pydantic import AwareDatetime, SecretStr
from pydantic_core import PydanticCustomError, core_schema

from jobs.compat import Model, StoredFile, SuspiciousFileOperation, ValidationError, settings
from jobs.storage import console_storage

SECRET_PREFIX = "encrypted:"  # noqa: S105
MAX_LISTED = 10_000
#: The folder of the storage in which uploads are kept; a file parameter never names anything else.
UPLOADS = "uploads/"


@dataclass(frozen=True, slots=True)
class File:
    """A file that a person uploaded, as the job's body receives it.

    It checks itself wherever it stands in a hint: in a list, in a mapping, in a field of a model.
    """

    path: str
    name: str
    size: int

    def open(self) -> StoredFile:
        """Open it for reading, in binary mode; use it in a `with` block."""
        return console_storage.open(self.path)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            _kept_file,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda file: {"path": file.path, "name": file.name, "size": file.size}
            ),
        )


class ModelHint:
    """Stands in for the hint `SomeModel` or `list[SomeModel]`: accepts objects or keys, travels as keys."""

    def __init__(self, model: type[Model], *, many: bool) -> None:
        self.model = model
        self.many = many

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._objects if self.many else self._object,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value: [o.pk for o in value] if self.many else value.pk
            ),
        )

    def _object(self, value: Any) -> Model:
        return self._objects([value])[0]

    def _objects(self, value: Any) -> list[Model]:
        given = list(value) if isinstance(value, (list, tuple)) or hasattr(value, "iterator") else [value]
        if len(given) > MAX_LISTED:
            raise PydanticCustomError("too_many", "At most 10,000 can be chosen")
        keys = [self._key(item) for item in given]
        found = self.model._default_manager.in_bulk(keys)
        missing = [str(key) for key in keys if key not in found]
        if missing:
            name = str(self.model._meta.verbose_name)
            shown = ", ".join(missing[:5])
            raise PydanticCustomError("gone", f"The {name} {shown} does not exist any more; choose another")
        return [found[key] for key in keys]

    def _key(self, item: Any) -> Any:
        if isinstance(item, Model):
            return item.pk
        try:
            return self.model._meta.pk.to_python(item)
        except (ValidationError, TypeError, ValueError):
            raise PydanticCustomError("no_key", f"Choose a {self.model._meta.verbose_name}") from None


def _kept_file(value: Any) -> File:
    if isinstance(value, File):
        return value
    if not is_travelling_file(value):
        raise PydanticCustomError("no_file", "Choose a file")
    if not _is_kept(value["path"]):
        raise PydanticCustomError("gone", f"The file {value['name']} is not kept any more; upload it again")
    return File(value["path"], value["name"], value["size"])


def is_travelling_file(value: Any) -> bool:
    """Whether `value` is what a File is in a message and in the ledger; whether it is kept, is another question."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("path"), str)
        and isinstance(value.get("name"), str)
        and isinstance(value.get("size"), int)
    )


def without_paths(value: Any) -> Any:
    """What a page shows for `value`: for a file as it travels its name, because where it is kept concerns nobody."""
    if isinstance(value, dict):
        if value.keys() == {"path", "name", "size"} and is_travelling_file(value) and value["path"].startswith(UPLOADS):
            return value["name"]
        return {name: without_paths(item) for name, item in value.items()}
    return [without_paths(item) for item in value] if isinstance(value, list) else value


def _is_kept(path: str) -> bool:
    # What runs produced is opened by its own verb, which asks for a permission: no way leads out of the folder.
    if not path.startswith(UPLOADS) or posixpath.normpath(path) != path or "\\" in path or "\x00" in path:
        return False
    try:
        return console_storage.exists(path)
    except SuspiciousFileOperation:  # outside of the storage
        return False


class SecretHint:
    """Stands in for the hint `SecretStr`: travels and is kept encrypted with a key that is made from SECRET_KEY.

    Args:
        plain: the body receives `str`, for a parameter that only the job's declaration calls secret.
    """

    def __init__(self, *, plain: bool = False) -> None:
        self.plain = plain

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._revealed if self.plain else self._secret,
            serialization=core_schema.plain_serializer_function_ser_schema(_encrypted),
        )

    def _revealed(self, value: Any) -> str:
        return self._secret(value).get_secret_value()

    @staticmethod
    def _secret(value: Any) -> SecretStr:
        if isinstance(value, SecretStr):
            return value
        if not isinstance(value, str) or not value:
            raise PydanticCustomError("no_secret", "Enter the secret")
        if not value.startswith(SECRET_PREFIX):
            return SecretStr(value)
        try:
            return SecretStr(_decrypted(value))
        except InvalidToken:
            raise PydanticCustomError("old_secret", "It was kept under another SECRET_KEY; enter it again") from None


def _encrypted(secret: SecretStr | str) -> str:
    return encrypted(secret if isinstance(secret, str) else secret.get_secret_value())


def encrypted(text: str) -> str:
    """A secret as it travels and is kept."""
    return SECRET_PREFIX + _cipher().encrypt(text.encode(errors="surrogatepass")).decode()


def decrypted(text: str) -> str:
    """What a secret says, also one that came in plain text; "" where it was kept under another SECRET_KEY."""
    try:
        return _decrypted(text) if text.startswith(SECRET_PREFIX) else text
    except (InvalidToken, UnicodeError):
        return ""


def _decrypted(text: str) -> str:
    return _cipher().decrypt(text.removeprefix(SECRET_PREFIX).encode()).decode(errors="surrogatepass")


@cache
def _cipher() -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(b"secrets:" + settings.SECRET_KEY.encode()).digest()))


def understood(hint: Any) -> Any:
    """The hint with ours in place of models and secrets, at any depth of Optional and Annotated."""
    origin = get_origin(hint)
    if origin is Annotated:
        inner, *notes = get_args(hint)
        return Annotated[understood(inner), *notes]
    if origin in (Union, types.UnionType):
        return Union[tuple(understood(member) for member in get_args(hint))]  # noqa: UP007
    if origin is list and (members := get_args(hint)):
        if is_model(members[0]):
            return Annotated[list[Any], ModelHint(members[0], many=True)]
        return list[understood(members[0])]  # type: ignore[misc]
    if is_model(hint):
        return Annotated[Any, ModelHint(hint, many=False)]
    if hint is SecretStr:
        return Annotated[Any, SecretHint()]
    if hint is datetime:
        return AwareDatetime  # a moment without a zone is none
    return hint


def is_model(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Model)
