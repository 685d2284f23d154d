"""What of a canvas never starts: Celery stores a failure of it, although nobody ever published it.

Where a run fails, its backend stores the same failure for the rest of its chain, and one for what was to follow its
chord: the body, each member of a body that is a group, and what comes behind. All of it passes in one call of
`mark_as_failure` or `chord_error_from_stack`; what that call is about is noted here, by thread.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from celery import current_task
from celery.app.task import Context

from .arguments import encode, kept_arguments
from .facts import Fact

CHAIN_BROKEN = "not started: an earlier run of its chain failed"
CHORD_BROKEN = "not started: a run of its chord's header failed"
CHORD_UNSENT = "not started: its chord could not publish it"
#: Notes of runs that Celery tells the end of and that were never published.
NOT_STARTED = frozenset({CHAIN_BROKEN, CHORD_BROKEN, CHORD_UNSENT})
#: Stands among the arguments of such a run for what Celery would have put before them.
RESULT_TO_COME = "(the result of what was to run before)"
#: Signatures that hold others. Celery has tasks of these names, and stores results under the ids of groups.
_HOLDERS = {"celery.chain", "celery.chord", "celery.group"}
#: How Celery's backends tell which run of a chord's header failed, and that publishing the body did.
_CULPRIT = re.compile(r"Dependency (\S{1,255}) raised ")
_UNSENT = ("Callback error:", "chord_unlock could not be retried:")


class _Failing(threading.local):
    """What Celery is failing in this thread.

    Attributes:
        request: of the run that failed.
        body: the signature of what was to follow a chord.
        error: why it does not.
    """

    request: Any = None
    body: Any = None
    error: Any = None


_failing = _Failing()


@contextmanager
def while_failing(**what: Any) -> Iterator[None]:
    """Note the attributes of what Celery fails within the block; None says nothing new."""
    before = vars(_failing).copy()
    vars(_failing).update({name: value for name, value in what.items() if value is not None})
    try:
        yield
    finally:
        vars(_failing).clear()
        vars(_failing).update(before)


@dataclass(frozen=True, slots=True)
class Unstarted:
    """A run that never starts.

    Attributes:
        request: what its signature says, as Celery describes it to a backend.
        note: why.
        parent_id, root_id: as if the run that kept it from starting had published it.
    """

    request: Context
    note: str
    parent_id: str
    root_id: str

    def describe(self, fact: Fact) -> None:
        """Let the fact of its failure say what it would have been."""
        fact.note, fact.parent_id, fact.root_id = self.note, self.parent_id, self.root_id
        if self.request.get("task") in _HOLDERS:
            fact.makes_run = False
            return
        missing = results_to_come(self.request)
        text, whole = encode([RESULT_TO_COME] * missing + list(self.request.args or ()), self.request.kwargs)
        fact.arguments = kept_arguments(fact.task, text)
        fact.arguments_exact = whole and not missing


def unstarted(task_id: str, request: Any) -> Unstarted | None:
    """What the result that Celery stores just now is of, where that is a run which never starts.

    Args:
        request: what the backend was given for it; none for the body of a chord.
    """
    if request is None:
        signature = _find(_failing.body, task_id) if _failing.body is not None else None
        if signature is None:
            return None
        asked = _as_request(signature, task_id)
        note = CHORD_UNSENT if str(_failing.error).startswith(_UNSENT) else CHORD_BROKEN
        return Unstarted(asked, note, *_family_of_chord(asked))
    if not isinstance(request, Context) or request.hostname:
        return None  # it was published, or is called within another run
    if _failing.body is not None:
        return Unstarted(request, CHAIN_BROKEN, *_family_of_chord(request))
    failed = _failing.request
    if isinstance(failed, Context) and failed.id != task_id:
        return Unstarted(request, CHAIN_BROKEN, str(failed.id), _root_of(failed))
    return None


def results_to_come(request: Any) -> int:
    """How many values Celery would have put before the arguments of the signature that this request is made of.

    None is missing in those of a message.
    """
    return 0 if getattr(request, "hostname", None) or getattr(request, "immutable", True) else 1


def _find(body: Mapping[str, Any], task_id: str) -> Mapping[str, Any] | None:
    """The task in a chord's body whose result has this id; the id of a group is that of none."""
    if body.get("task") == "celery.group":
        found = (_find(member, task_id) for member in body["kwargs"].get("tasks") or ())
        return next((member for member in found if member is not None), None)
    last = _last_of(body)
    return last if task_id in {_id_of(body), _id_of(last)} else None


def _last_of(signature: Mapping[str, Any]) -> Mapping[str, Any]:
    """The task whose result is that of the whole signature."""
    kwargs = signature.get("kwargs") or {}
    if signature.get("task") == "celery.chain" and kwargs.get("tasks"):
        return _last_of(kwargs["tasks"][-1])
    if signature.get("task") == "celery.chord" and kwargs.get("body"):
        return _last_of(kwargs["body"])
    return signature


def _id_of(signature: Mapping[str, Any]) -> Any:
    return (signature.get("options") or {}).get("task_id")


def _as_request(signature: Mapping[str, Any], task_id: str) -> Context:
    """As Celery describes the rest of a chain to a backend."""
    options = dict(signature.get("options") or {})
    return Context({**signature, **options, "id": task_id, "group": options.get("group_id")})


def _family_of_chord(asked: Context) -> tuple[str, str]:
    """Parent and root of what was to follow a chord: it follows the run of the header that failed.

    That one may have a root of its own, which only the ledger knows; the recorder looks there.
    """
    if (named := _CULPRIT.match(str(_failing.error))) is not None:
        return named[1], str(asked.root_id or named[1])
    last = _failing.request or (current_task.request if current_task else None)
    return ("", "") if last is None else (str(last.id), str(asked.root_id or _root_of(last)))


def _root_of(request: Any) -> str:
    return str(request.root_id or request.id)
