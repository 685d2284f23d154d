"""A CSV file of people, read row by row: what each row says, and why a row is refused. It changes nothing."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from django.contrib.auth.base_user import BaseUserManager
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from jobs import File
from jobs.errors import InvalidArguments, JobsError
from jobs.ledger.people import User

MAX_BYTES = 20_000_000
MAX_ROWS = 100_000
REQUIRED = ("username", "email")
OPTIONAL = ("first_name", "last_name", "is_staff", "roles")
#: Between the roles of one cell: a comma or a semicolon may separate the cells.
BETWEEN_ROLES = "|"
_HEAD_BYTES = 64_000
_YES, _NO = {"1", "true", "yes", "on", "x"}, {"0", "false", "no", "off", ""}
_KNOWN = f"The columns are {', '.join(REQUIRED)}, and if you like {', '.join(OPTIONAL)}."


class FileRefused(JobsError):
    """The file as a whole cannot be read; the text says why."""


@dataclass(slots=True)
class Person:
    """One row. `number` is that of a spreadsheet, where the header is row 1; `why_not` is "" for a good row."""

    number: int
    username: str = ""
    email: str = ""
    first_name: str = ""
    last_name: str = ""
    is_staff: bool = False
    roles: list[str] = field(default_factory=list)
    why_not: str = ""


def fits(file: File, **_: object) -> None:
    """Raises InvalidArguments for a file that is too large, or does not begin with a header that can be understood."""
    if file.size > MAX_BYTES:
        raise InvalidArguments(
            {"file": f"It has {file.size / 1e6:.1f} MB; at most {MAX_BYTES // 1_000_000} MB are read. Split it."}
        )
    with file.open() as stream:
        beginning: bytes = stream.read(_HEAD_BYTES)
    try:
        _header(_decoded(beginning, whole=len(beginning) < _HEAD_BYTES))
    except FileRefused as refused:
        raise InvalidArguments({"file": str(refused)}) from None


def read_people(file: File) -> tuple[int, Iterator[Person]]:
    """How many rows the file has below its header, and the rows; empty rows are left out.

    Raises:
        FileRefused: nothing of it can be used.
    """
    with file.open() as stream:
        text = _decoded(stream.read())
    columns, delimiter = _header(text)
    try:
        table = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise FileRefused(f"The file is no CSV that can be read ({error}). Save it anew as CSV.") from None
    numbered = [(number, cells) for number, cells in enumerate(table, 1) if any(cells)][1:]
    if len(numbered) > MAX_ROWS:
        raise FileRefused(f"The file has {len(numbered):,} rows; at most {MAX_ROWS:,} are read. Split it.")
    return len(numbered), _people(columns, numbered)


def _people(columns: Sequence[str], numbered: Iterable[tuple[int, list[str]]]) -> Iterator[Person]:
    rows_of: dict[str, int] = {}
    for number, cells in numbered:
        person = _person(number, columns, cells)
        if not person.why_not and (first := rows_of.setdefault(person.username, number)) != number:
            person.why_not = f"The same username is in row {first}."
        yield person


def _decoded(data: bytes, *, whole: bool = True) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data:
        raise FileRefused("The file is not UTF-8 text. Save it as “CSV UTF-8” and upload it again.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if not whole and error.start >= len(data) - 3:
            return data[: error.start].decode("utf-8-sig")  # a character was cut in two
        line = data.count(b"\n", 0, error.start) + 1
        raise FileRefused(
            f"Line {line} of the file is not UTF-8; letters such as é would come out wrong. "
            "Save it as “CSV UTF-8” and upload it again."
        ) from None


def _header(text: str) -> tuple[list[str], str]:
    """The columns by name, and what separates them."""
    line = next((line for line in text.splitlines() if line.strip(" ,;\t")), "")
    if not line:
        raise FileRefused(f"The file is empty. {_KNOWN}")
    delimiter = ";" if line.count(";") > line.count(",") else ","
    columns = [cell.strip().lower() for cell in next(csv.reader([line], delimiter=delimiter), [])]
    if missing := [name for name in REQUIRED if name not in columns]:
        raise FileRefused(f"The header lacks {' and '.join(missing)}. {_KNOWN}")
    if unknown := [name or "a column without a name" for name in columns if name not in REQUIRED + OPTIONAL]:
        raise FileRefused(f"The header has {', '.join(unknown[:5])}, which no user has. {_KNOWN}")
    if twice := {name for name in columns if columns.count(name) > 1}:
        raise FileRefused(f"The header has {', '.join(sorted(twice))} twice.")
    return columns, delimiter


def _person(number: int, columns: Sequence[str], cells: list[str]) -> Person:
    cells = [cell.strip() for cell in cells]
    person = Person(number, username=dict(zip(columns, cells, strict=False)).get("username", "")[:150])
    if len(cells) != len(columns):
        person.why_not = f"It has {len(cells)} cells, the header has {len(columns)}."
        return person
    values = dict(zip(columns, cells, strict=True))
    person.why_not = _why_not(values)
    if not person.why_not:
        person.username = User.normalize_username(values["username"])
        person.email = BaseUserManager.normalize_email(values["email"])
        person.first_name, person.last_name = values.get("first_name", ""), values.get("last_name", "")
        person.is_staff = values.get("is_staff", "").lower() in _YES
        roles = (role.strip() for role in values.get("roles", "").split(BETWEEN_ROLES))
        person.roles = [role for role in dict.fromkeys(roles) if role]
    return person


def _why_not(values: dict[str, str]) -> str:
    fields = User._meta
    if not values["username"]:
        return "It has no username."
    for name, value in values.items():
        if any(ord(letter) < 32 or ord(letter) == 127 for letter in value):
            return f"Its {name} has a line break or another control character."
        longest = getattr(fields.get_field(name), "max_length", None) if name not in {"is_staff", "roles"} else None
        if longest and len(value) > longest:
            return f"Its {name} has {len(value)} characters; at most {longest} are kept."
    username = fields.get_field("username")
    try:
        for check in username.validators:
            check(values["username"])
    except ValidationError:
        return "Its username has other characters than letters, digits and @ . + - _"
    try:
        if values["email"]:
            validate_email(values["email"])
    except ValidationError:
        return f"Its email {values['email']} is no address."
    if values.get("is_staff", "").lower() not in _YES | _NO:
        return f"Its is_staff is {values['is_staff']}; write yes or no."
    return ""
