"""What the console notes of an execution while it lasts: one object on the task's request.

A message's headers become attributes of the request, under the names that the project chose. Hence one attribute with
a name of ours, and nothing but our own object in it counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_ATTRIBUTE = "opsconsole_execution"


@dataclass(slots=True)
class Execution:
    """Times are epoch seconds by the worker's clock.

    Attributes:
        started_at: when the body began; None in the worker's main process, which does not know.
        started_clock: the same moment on the monotonic clock.
        accepted_at: in the main process: when the pool took it.
        claimed: whether the claim succeeded; None for a run that code published, which needs none.
        replaced: its id goes on with another task (`Task.replace()`).
        retry_eta: when the automatic retry that it asked for is due.
        files: what it attached.
        succeeded: its success has been told; what breaks afterwards changes nothing of it.
    """

    started_at: float | None = None
    started_clock: float | None = None
    accepted_at: float | None = None
    claimed: bool | None = None
    replaced: bool = False
    retry_eta: float | None = None
    files: list[dict[str, Any]] = field(default_factory=list)
    succeeded: bool = False


def execution_of(request: Any) -> Execution:
    """What is noted on the request of a task; kept there from now on."""
    noted = vars(request).get(_ATTRIBUTE)
    if not isinstance(noted, Execution):
        noted = Execution()
        note_execution(request, noted)
    return noted


def note_execution(request: Any, execution: Execution) -> None:
    """Begin anew."""
    request.update({_ATTRIBUTE: execution})
