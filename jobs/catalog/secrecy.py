"""What nobody may see: names that sound like a secret, passwords in addresses, and the secret parameters of a task.

A parameter is secret where its job says so (the hint `SecretStr`, or a name in `secrets=`), and is shown to nobody
where its name sounds like one, too. Code gives values by position: which of them are secret, the signature tells.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, get_args, get_type_hints

from celery import current_app
from pydantic import SecretBytes, SecretStr

from jobs.compat import has_django
from jobs.errors import UnknownJob

from .applications import task_of
from .hints import SECRET_PREFIX, decrypted, encrypted
from .registry import Job, find_job

HIDDEN = "•••"
#: Looked for in a name of small letters with `_` between its words, however it is written.
_SOUNDS = re.compile(
    r"""
    pass(?:word|wd|phrase) | secret | token | authorization | cookie | credential | pwd
    | (?:api|private|access|encryption|signing)_?keys?(?![a-z])
    | session_?(?:id|key)s?(?![a-z])
    | (?<![a-z])(?:bearer|dsn)(?![a-z])
    | (?<![a-z])signature$
    | (?<![a-z])auth(?![a-z])(?!_(?:user|group|permission|method|type|kind|mode|provider|backend|url|uri|domain|required
      |enabled|level|state|status|at|date|time)(?![a-z]))
    """,
    re.VERBOSE,
)
#: `accessKey`, `APIKey`: where a word begins.
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[^A-Za-z0-9]+")
#: A name, its password and the host. `host:8000/page?to=a@b` is none: a port ends before the path.
_PASSWORD = re.compile(r"""([A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s/?#:@"'<>]{0,200}):(?!\d{1,5}[/?#])[^\s"'<>]{1,500}@""")


@lru_cache(maxsize=20_000)
def sounds_secret(name: str) -> bool:
    """Whether what is called so is a secret: `password`, `accessKey`, `x-auth`; not `author`, not `signature_date`."""
    return _SOUNDS.search(_WORD.sub("_", name[:300]).lower()) is not None


def without_passwords(text: str) -> str:
    """`redis://:***@host/0`: the text with no password in its addresses."""
    return _PASSWORD.sub(r"\1:***@", text) if "://" in text and "@" in text else text


@dataclass(frozen=True, slots=True)
class Secrecy:
    """Which arguments of a task are secret.

    Attributes:
        positions: of each parameter that takes a value by position.
        beyond: of what comes after them. A call that does not fit a task with secrets may have shifted one there.
        names: parameters that are.
        takes: all parameters.
        rest: of named values that no parameter takes.
    """

    positions: tuple[bool, ...] = ()
    beyond: bool = False
    names: frozenset[str] = frozenset()
    takes: frozenset[str] = frozenset()
    rest: bool = False

    @property
    def nothing(self) -> bool:
        return not (self.names or self.beyond or self.rest)

    def at(self, place: int) -> bool:
        """Whether the value at this position is secret."""
        return self.positions[place] if place < len(self.positions) else self.beyond

    def of(self, name: str) -> bool:
        """Whether the value of this name is secret."""
        return name in self.names or (self.rest and name not in self.takes)

    def among(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Iterator[Any]:
        """The secret ones of these values."""
        yield from (value for place, value in enumerate(args) if self.at(place))
        yield from (value for name, value in kwargs.items() if self.of(name))

    def replaced(
        self, args: Iterable[Any], kwargs: Mapping[str, Any], instead: Callable[[Any], Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """The arguments with another value for each secret one."""
        return (
            [instead(value) if self.at(place) else value for place, value in enumerate(args)],
            {name: instead(value) if self.of(name) else value for name, value in kwargs.items()},
        )


_NOTHING = Secrecy()
#: Celery's own tasks that call another one again and again in one run; its name and its values are their arguments.
CALLS_OF_MANY = frozenset({"celery.map", "celery.starmap", "celery.chunks"})
#: By task name: the entry that it was read from, what the job says, and what is not shown.
_known: dict[str, tuple[Job, Secrecy, Secrecy]] = {}
#: Names that nobody here knows, and how many tasks there were then: to be refused costs more than all else.
_strange: dict[str, int] = {}


def declared_secrecy(task_name: str) -> Secrecy:
    """What the task's own declaration calls secret; nothing for a task that is not registered here."""
    return _both(task_name)[0]


def has_secrets(task_name: str) -> bool:
    """Whether the task's own declaration calls any of its parameters secret."""
    return not declared_secrecy(task_name).nothing


def shown_secrecy(task_name: str) -> Secrecy:
    """What no page shows: what is declared, and what sounds like it."""
    return _both(task_name)[1]


def told_secrecy(task_name: str) -> Secrecy:
    """What the console is not told at all.

    It hides what sounds like a secret by the task's signature, which it cannot see where the task is of a program
    without Django: there that is hidden before it is told.
    """
    return declared_secrecy(task_name) if has_django() else shown_secrecy(task_name)


def called_within(task_name: str, args: Any, kwargs: Any) -> tuple[str, Sequence[Any]] | None:
    """Of one of CALLS_OF_MANY: the task that it calls, and what with each time; None of any other and of odd ones."""
    if task_name not in CALLS_OF_MANY or not isinstance(args, (list, tuple)) or not isinstance(kwargs, dict):
        return None
    given = {**dict(zip(("task", "it"), args, strict=False)), **kwargs}
    task, rows = given.get("task"), given.get("it")
    if not isinstance(task, dict) or not isinstance(rows, (list, tuple)):
        return None
    return str(task.get("task") or ""), rows


def call_has_secrets(
    task_name: str, args: Any, kwargs: Any, secrecy_of: Callable[[str], Secrecy] = declared_secrecy
) -> bool:
    """Whether any of these arguments may be secret: by what the task says, or the one that it calls."""
    within = called_within(task_name, args, kwargs)
    return not secrecy_of(task_name if within is None else within[0]).nothing


def replaced_in_call(
    task_name: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    instead: Callable[[Any], Any],
    secrecy_of: Callable[[str], Secrecy] = declared_secrecy,
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments with another value for each secret one, also where they hold those of another task."""
    if (within := called_within(task_name, args, kwargs)) is None:
        return secrecy_of(task_name).replaced(args, kwargs, instead)
    secrecy, spread = secrecy_of(within[0]), task_name != "celery.map"
    rows = []
    for row in within[1]:
        many = spread and isinstance(row, (list, tuple))
        values, _ = secrecy.replaced(row if many else [row], {}, instead)
        rows.append(values if many else values[0])
    if "it" in kwargs:
        return list(args), {**kwargs, "it": rows}
    return [args[0], rows, *args[2:]], dict(kwargs)


def sealed(task_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]] | None:
    """The arguments with each declared secret encrypted, as a form keeps them; None where none is in plain text."""
    if not any(_is_plain(text) for text in _leaves(_secrets_in(task_name, args, kwargs))):
        return None
    return replaced_in_call(task_name, args, kwargs, _sealed)


def plain_texts(task_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[str]:
    """What the declared secrets among a message's arguments say."""
    return [decrypted(str(leaf)) for leaf in _leaves(_secrets_in(task_name, args, kwargs))]


def _secrets_in(task_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
    found: list[Any] = []
    if call_has_secrets(task_name, args, kwargs):
        replaced_in_call(task_name, args, kwargs, found.append)
    return found


def _leaves(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, dict):
            yield from _leaves(value.values())
        elif isinstance(value, (list, tuple)):
            yield from _leaves(value)
        elif value is not None and not isinstance(value, bool):
            yield value


def _is_plain(leaf: Any) -> bool:
    return not (isinstance(leaf, str) and (not leaf or leaf.startswith(SECRET_PREFIX)))


def _sealed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sealed(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_sealed(one) for one in value]
    if value is None or isinstance(value, bool) or not _is_plain(value):
        return value
    return encrypted(value.get_secret_value() if isinstance(value, SecretStr) else str(value))


def _both(task_name: str) -> tuple[Secrecy, Secrecy]:
    if not task_name or (task_name in _strange and _strange[task_name] == len(current_app.tasks)):
        return _NOTHING, _NOTHING
    try:
        job = find_job(task_name)
    except (UnknownJob, ValueError, TypeError):
        if len(_strange) > 10_000:  # names come from whoever publishes
            _strange.clear()
        _strange[task_name] = len(current_app.tasks)
        return _NOTHING, _NOTHING
    found = _known.get(task_name)
    if found is None or found[0] is not job:
        found = _known[task_name] = (job, *_read(job))
    return found[1], found[2]


def _read(job: Job) -> tuple[Secrecy, Secrecy]:
    run = getattr(task_of(job.name), "run", None)
    try:
        parameters = list(inspect.signature(run).parameters.values()) if run is not None else []
    except (ValueError, TypeError):
        parameters = []
    said = set(job.secrets) | (job.parameters.secrets if job.parameters else set())
    said |= {one.name for one in parameters if _is_secret(_hints(run).get(one.name, one.annotation))}
    shown = said | {one.name for one in parameters if sounds_secret(one.name)}
    return _secrecy(parameters, said), _secrecy(parameters, shown)


def _secrecy(parameters: Sequence[inspect.Parameter], secret: set[str]) -> Secrecy:
    by_position = [p for p in parameters if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}]
    spread = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None)
    rest = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), None)
    return Secrecy(
        positions=tuple(p.name in secret for p in by_position),
        beyond=bool(secret) if spread is None else spread in secret,
        names=frozenset(secret),
        takes=frozenset(p.name for p in parameters),
        rest=rest in secret,
    )


def _hints(run: Any) -> dict[str, Any]:
    try:
        return get_type_hints(inspect.unwrap(getattr(run, "__func__", run)), include_extras=True)
    except Exception:  # noqa: BLE001 - a hint is any expression; the annotation as it is written tells enough
        return {}


def _is_secret(hint: Any) -> bool:
    if isinstance(hint, str):
        return "SecretStr" in hint or "SecretBytes" in hint
    if isinstance(hint, type):
        return issubclass(hint, (SecretStr, SecretBytes))
    return any(_is_secret(part) for part in get_args(hint))
