"""Jobs and tasks that the tests run in real workers. Each writes what it did to a file that nothing else reads."""

import json
import os
import signal
import time
from contextlib import suppress
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

from celery import current_app, current_task, shared_task
from celery.exceptions import SoftTimeLimitExceeded
from django.contrib.auth.models import User
from pydantic import BaseModel, Field, SecretStr

from jobs import File, attach, check_cancelled, job, set_progress
from jobs.catalog.registry import Targets


def note(event: str, **details: Any) -> None:
    """Append one line to the outside book in a single write, whatever becomes of the ledger."""
    request = current_task.request
    line = {"event": event, "id": request.id, "retries": request.retries, "pid": os.getpid(), **details}
    with open(os.environ["OUTSIDE_BOOK"], "ab", buffering=0) as book:
        book.write(json.dumps(line, default=str).encode() + b"\n")


def book(task_id: str, event: str = "start") -> list[dict[str, Any]]:
    """The lines that executions of one run have written."""
    path = Path(os.environ["OUTSIDE_BOOK"])
    lines = path.read_text().splitlines() if path.exists() else []
    return [e for e in map(json.loads, lines) if e["id"] == task_id and e["event"] == event]


def wait_for_flag(flag: str) -> None:
    """Busy until the test creates the file `flag`; at most two minutes."""
    deadline = time.monotonic() + 120
    while not Path(flag).exists() and time.monotonic() < deadline:
        time.sleep(0.05)


@job(title="Add", group="Tests")
def add(a: int, b: Annotated[int, Field(ge=0, le=100)] = 1) -> int:
    """Adds two numbers."""
    note("start")
    return a + b


@job(title="Hold until told", group="Tests")
def hold(flag: str) -> str:
    """Runs until the test creates a file."""
    note("start")
    wait_for_flag(flag)
    note("end")
    return "told"


@job(title="Hold until told, idempotent", group="Tests", idempotent=True)
def hold_again(flag: str) -> str:
    """Runs until the test creates a file; may be started again."""
    note("start")
    wait_for_flag(flag)
    note("end")
    return "told"


@job(title="Fail", group="Tests")
def fail(message: str) -> None:
    """Raises."""
    note("start")
    raise ValueError(message)


@job(title="Fail without a file", group="Tests", runbook="Make the file, then run it again.")
def fail_without(path: str) -> str:
    """Raises until the test has made a file."""
    if not Path(path).exists():
        raise FileNotFoundError(f"{path} is not there yet")
    return "found"


class Away(Exception):
    """Says itself what it is, whatever its message says."""

    fingerprint = "gateway-away"


@job(title="Fail by name", group="Tests")
def fail_by_name(message: str) -> None:
    """Raises what names itself."""
    raise Away(message)


@job(title="Fail twice, then succeed", group="Tests", bind=True, max_retries=3)
def retry_twice(self: Any, day: date, amount: Decimal, mode: Literal["a", "b"]) -> str:
    """Asks for an automatic retry twice, then succeeds; notes the types that it received."""
    note("start", types=[type(day).__name__, type(amount).__name__], values=[str(day), str(amount), mode])
    if self.request.retries < 2:
        raise self.retry(exc=RuntimeError("not yet"), countdown=0.2)
    return "at last"


@job(title="Die", group="Tests")
def die() -> None:
    """Kills its own process, as the kernel does when memory runs out."""
    note("start")
    os.kill(os.getpid(), signal.SIGKILL)


@job(title="Too long", group="Tests", time_limit=2)
def too_long() -> None:
    """Ignores its soft time limit and runs into the hard one."""
    note("start")
    while True:
        with suppress(SoftTimeLimitExceeded):
            wait_for_flag("/nonexistent/flag")


@job(title="Return an object", group="Tests")
def return_an_object() -> object:
    """Succeeds with a value that JSON cannot carry."""
    note("start")
    return object()


class Size(Enum):
    SMALL = 1
    LARGE = 2


@job(title="Echo every type", group="Tests", secrets=["pin"])
def echo_types(
    whole: int | None = None,
    number: float | None = None,
    price: Decimal | None = None,
    switch: bool | None = None,
    text: str | None = None,
    day: date | None = None,
    moment: datetime | None = None,
    lasts: timedelta | None = None,
    key: UUID | None = None,
    size: Size | None = None,
    mode: Literal["a", "b", 3] | None = None,
    numbers: list[int] | None = None,
    days: list[date] | None = None,
    sizes: list[Size] | None = None,
    person: User | None = None,
    people: list[User] | None = None,
    file: File | None = None,
    table: dict[str, list[int]] | None = None,
    anything: Any = None,
    password: SecretStr | None = None,
    pin: str | None = None,
) -> None:
    """Notes what it received, with its types."""
    received = {name: value for name, value in locals().items() if value is not None}
    if password is not None:
        received["password"] = password.get_secret_value()
    if file is not None:
        with file.open() as opened:
            received["file"] = [file.name, opened.read().decode()]
    note("start", received={name: told(value) for name, value in received.items()})


def told(value: Any) -> list[str]:
    """A value as type and text, for comparison across processes."""
    if isinstance(value, list):
        return ["list", *(text for item in value for text in told(item))]
    # pydantic's zones are equal to Python's and look different.
    return [type(value).__name__, value.isoformat() if isinstance(value, datetime) else repr(value)]


@shared_task
def plain(*args: Any, **kwargs: Any) -> list[Any]:
    """A task that declares no job."""
    note("start")
    return [list(args), kwargs]


@shared_task(bind=True)
def bound_plain(self: Any, a: int) -> Any:
    """A bound task that declares no job; what code sends need not be what the hint says."""
    note("start")
    return a + 1 if isinstance(a, int) else f"{a}!"


@shared_task
def unhinted(count=3, name="x"):  # type: ignore[no-untyped-def]
    """A task whose defaults are all that tells its types."""
    note("start")
    return [count, name]


@shared_task
def positional(a: int, b: int = 2, /) -> list[int]:
    """A task whose parameters have no names outside."""
    note("start")
    return [a, b]


@shared_task(bind=True)
def tells_its_message(self: Any, flag: str) -> None:
    """Notes what its message said besides the arguments; fails until the test has made a file."""
    request = self.request
    headers = {name: value for name, value in (request.headers or {}).items() if not name.startswith("opsconsole_")}
    priority = request.delivery_info["priority"]
    note("start", headers=headers, limits=request.timelimit, priority=priority, expires=request.expires)
    if not Path(flag).exists():
        raise FileNotFoundError(flag)


class Thing:
    """A type that no form can ask for."""


@shared_task
def opaque(thing: Thing) -> None:
    """A task that cannot be asked for."""


class ClassBased(current_app.Task):  # type: ignore[name-defined]
    """A task made from a class."""

    name = "tests.class_based"

    def run(self, x: int) -> int:
        note("start")
        return x + 1


class_based: Any = current_app.register_task(ClassBased())


@shared_task(ignore_result=True)
def quiet() -> None:
    """A task whose value nobody keeps."""
    note("start")


@shared_task(bind=True, max_retries=1)
def tell_headers(self: Any) -> dict[str, Any]:
    """Returns the headers of its message, after an automatic retry."""
    if self.request.retries == 0:
        raise self.retry(countdown=0.5)
    return dict(self.request.headers)


@job(title="Hand its headers on", group="Tests", bind=True)
def hand_headers_on(self: Any) -> str:
    """Publishes a child with all headers that it has, as what passes a trace on does."""
    return str(plain.apply_async((1,), headers={**self.request.headers}).id)


@shared_task
def parent() -> str:
    """Publishes a child."""
    note("start")
    return str(plain.delay(1).id)


@job(title="Greet one", group="Tests")
def greet(person: User, times: Annotated[int, Field(ge=1, le=9)] = 1, words: str = "Hello") -> str:
    """Greets one person."""
    note("start")
    return f"{words} {person.get_username()}" * times


@job(title="Greet 100 % of them", group="Tests", danger="danger")
def greet_all(people: list[User], words: str = "Hello") -> str:
    """Greets many people in one run."""
    note("start")
    return f"{words}, {len(people)} people"


@job(title="Greet for good", group="Tests", danger="danger", dry_run="pretend")
def greet_for_good(person: User, words: str = "Hello", pretend: bool = False) -> str:
    """Greets one person, which cannot be undone."""
    note("start")
    return "pretended" if pretend else words


@job(title="Greet by hand", group="Tests", permission="auth.delete_user", listed=False)
def greet_guarded(person: User) -> str:
    """Greets one person, for those who may delete users."""
    note("start")
    return person.get_username()


def accounts_of(prefix: str, **_: Any) -> Targets:
    """The users whose name begins with `prefix`; raises for the prefix "boom"."""
    if prefix == "boom":
        raise RuntimeError("the directory does not answer")
    found = User.objects.filter(username__startswith=prefix).order_by("username")
    return Targets(found.count(), tuple(found.values_list("username", flat=True)[:3]), "accounts")


@job(
    title="Purge accounts",
    group="Tests",
    danger="danger",
    dry_run="dry_run",
    targets=accounts_of,
    runbook="Ask the owner of the directory first.",
)
def purge(prefix: str, limit: Annotated[int, Field(ge=1, le=50)] = 10, dry_run: bool = False) -> str:
    """Pretends to remove accounts."""
    note("start", dry_run=dry_run)
    return f"{'would remove' if dry_run else 'removed'} {prefix}, at most {limit}"


@job(title="Ask for a file", group="Tests", danger="caution")
def ask_for_a_file(table: File, rows: Annotated[int, Field(ge=1)], pin: SecretStr | None = None) -> str:
    """Reads a file that must be given."""
    with table.open() as opened:
        return f"{table.name} {len(opened.read())} {rows} {pin is not None}"


@job(title="Tell what is guarded", group="Tests", permission="sessions.view_session")
def tell_guarded(note: str, person: User | None = None, table: File | None = None) -> str:
    """What it is given and what it says is for few."""
    return note


class Sheet(BaseModel):
    """A value with a file inside."""

    title: str
    table: File


@job(title="Ask for files", group="Tests")
def ask_for_files(
    tables: list[File] | None = None,
    named: dict[str, File] | None = None,
    sheet: Sheet | None = None,
    sheets: tuple[list[dict[str, Sheet]], ...] = (),
) -> str:
    """Reads files that stand inside of other values."""
    deep = [sheet for part in sheets for sheets_named in part for sheet in sheets_named.values()]
    files = [*(tables or ()), *(named or {}).values(), *(s.table for s in [sheet, *deep] if s)]
    return "".join(file.open().read().decode() for file in files)


@job(title="Stop when told", group="Tests")
def stop_when_told() -> str:
    """Works until somebody cancels it, at most a minute, and tidies up."""
    note("start")
    deadline = time.monotonic() + 60
    try:
        while time.monotonic() < deadline:
            check_cancelled()
            time.sleep(0.02)
    finally:
        note("tidied")
    note("end")
    return "not told"


@job(title="Ask for another try in 3 s", group="Tests", bind=True, max_retries=1)
def retry_in_3_s(self: Any) -> str:
    """Asks for an automatic retry, then succeeds."""
    note("start")
    if self.request.retries == 0:
        raise self.retry(exc=RuntimeError("not yet"), countdown=3)
    return "at last"


@job(title="Fail with its secret", group="Tests")
def fail_with_secret(place: str, token: SecretStr, fails: bool = True) -> dict[str, list[str]]:
    """Tells its secret wherever a body can tell anything."""
    said = token.get_secret_value()
    print(f"printed {said}")  # noqa: T201
    set_progress(1, 2, note=f"asks with {said}")
    attach(f"of {said}.txt", "nothing", content_type="text/plain")
    if not fails:
        return {"said": [f"it was {said}"]}
    try:
        raise KeyError(said)
    except KeyError as error:
        raise RuntimeError(f"failed at {place} with {said}", {"deep": [said]}) from error


@job(title="Say its secret", group="Tests")
def say_secret(token: SecretStr) -> None:
    """Fails with what it was given: code that calls it within another task gives it plain text."""
    raise LookupError(f"nobody has {token}")


@shared_task
def sign_in(user: str, password: str, *more: str) -> str:
    """A task that declares no job, with a parameter that sounds like a secret."""
    return user
