"""What a task raised, where Celery hands on something that can be pickled in its place.

An exception that cannot be made again from its own `args`, as many client libraries have them, reaches a backend as the
nearest of its ancestors that can, else as `UnpickleableExceptionWrapper` (celery/utils/serialization.py,
`get_pickleable_exception`). Celery stores and raises that one, and so does it here; runs, attempts and groups of
failures tell of the exception itself.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from traceback import format_exception
from typing import Any

from celery import states as celery_states
from celery.exceptions import ChordError
from celery.utils.serialization import UnpickleableExceptionWrapper

from .facts import MAX_TRACEBACK, Fact, cut
from .live import masked

#: How far the way from what is being handled to what led to it is followed.
_LONGEST_WAY = 50
_ARGS: Callable[[BaseException], tuple[Any, ...]] = vars(BaseException)["args"].__get__


def name_error(fact: Fact, stored: BaseException, describe: Callable[[BaseException], dict[str, Any]]) -> None:
    """Let the fact of an error tell of the exception itself, where Celery stores one that can be pickled in its place.

    Args:
        stored: what Celery stores.
        describe: Celery's description of an exception, without the run's secrets.
    """
    raised = original(stored)
    fact.fingerprint = told_fingerprint(raised)
    if raised is stored and fact.error_type:
        return
    fact.error_type, fact.error_message = error_words(describe(raised))
    if (
        raised is not stored and fact.state != celery_states.RETRY and fact.traceback
    ):  # of a retry it is the traceback of Celery's `Retry`
        fact.meta["traceback"] = fact.traceback
        fact.traceback, _ = cut(_traceback_of(raised, fact.traceback), MAX_TRACEBACK)


def error_words(described: dict[str, Any]) -> tuple[str, str]:
    """The class and the message of an error as Celery describes it, cut to what a run keeps."""
    parts = message_parts(described)
    return str(described.get("exc_type", ""))[:255], " ".join(part[:500] for part in parts[:100])[:500]


def message_parts(described: dict[str, Any]) -> list[str]:
    """The arguments of an error as Celery describes it, each as text."""
    message = described.get("exc_message", "")
    return [str(part) for part in (message if isinstance(message, (list, tuple)) else [message])]


def told_fingerprint(error: Any) -> str:
    """What an exception says it is, by its attribute `fingerprint`: failures that say the same are one group."""
    try:
        told = getattr(error, "fingerprint", "")
    except Exception:  # noqa: BLE001 - a property of somebody's exception must not hide the failure itself
        return ""
    return str(masked(told))[:200] if isinstance(told, str) else ""


def _traceback_of(raised: BaseException, stored: str) -> str:
    """The traceback of the exception itself; of one that is out of reach what is stored, under the true name."""
    text = str(masked("".join(format_exception(raised))))
    if raised.__traceback__ is not None:
        return text
    return "".join(stored.rstrip("\n").splitlines(keepends=True)[:-1]) + text


def original(stand_in: BaseException) -> BaseException:
    """The exception that `stand_in` stands for, the one that is being handled where it is that; else itself.

    Of a wrapper whose exception is out of reach, as of one that comes out of Redis, an exception of the same name,
    module and `args`.
    """
    cause = stand_in.__cause__
    if isinstance(stand_in, ChordError) and isinstance(cause, UnpickleableExceptionWrapper):
        # Its message has the wrapper's `repr`, where people look for what the header raised.
        plain = ChordError(str(stand_in).replace(repr(cause), str(vars(cause).get("text"))))
        plain.__cause__ = _restored(cause)
        return plain.with_traceback(stand_in.__traceback__)
    for raised in _being_handled():
        if raised is stand_in or _stands_for(stand_in, raised):
            return raised
    return _restored(stand_in) if isinstance(stand_in, UnpickleableExceptionWrapper) else stand_in


def _being_handled() -> Iterator[BaseException]:
    """What this thread handles just now, then what led to it: a task that retries itself handles Celery's `Retry`."""
    raised = sys.exc_info()[1]
    for _ in range(_LONGEST_WAY):
        if raised is None:
            return
        yield raised
        raised = raised.__cause__ or raised.__context__


def _stands_for(stand_in: BaseException, raised: BaseException) -> bool:
    kind = type(raised)
    if isinstance(stand_in, UnpickleableExceptionWrapper):
        return (stand_in.exc_module, stand_in.exc_cls_name) == (kind.__module__, kind.__name__)
    if type(stand_in) not in kind.__mro__[1:]:
        return False
    # Made from the very same: what stands in the attribute `args` may be anybody's own.
    mine, its = (_ARGS(one) for one in (stand_in, raised))
    return len(mine) == len(its) and all(one is other for one, other in zip(mine, its, strict=True))


def _restored(wrapper: UnpickleableExceptionWrapper) -> BaseException:
    try:
        return wrapper.restore()
    except Exception:  # noqa: BLE001 - out of Redis, where its name may be no name
        return wrapper
