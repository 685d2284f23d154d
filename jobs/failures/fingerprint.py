"""What failed runs have in common: one key, equal for failures that are alike. Pure, from what a fact holds.

The first of these that is known decides, always together with the job:

1. **explicit**: the attribute `fingerprint` of the exception, else `@job(fingerprint=…)`;
2. **type**: the exception alone, where it strikes at whatever the run is doing, as time limits do;
3. **place**: the exception and the innermost frame of the project's own code, module and function, never the line;
4. **message**: the exception and its message without numbers, ids, quotes, paths, addresses and dates.

Of a chain, the exception that ended the run decides; where it was raised *from* another (its direct cause), the first
cause and its place do too: a wrapper that catches everything must not put everything into one group. What was merely
being handled at the time says nothing. An exception group is the set of what it holds.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from jobs.ledger.frames import DIRECT_CAUSE, Frame, Raised, read_traceback
from jobs.pipeline.facts import MAX_TRACEBACK, cut
from jobs.text import safe_text

from .normal import comparable, normalise

#: The `fingerprint` of an exception that only tells a person what to correct: a file that they gave was refused. The
#: run failed; it belongs to no group, and nobody is alerted.
NO_FAILURE = "-"
#: Part of every key: another way of making them is another number, and old groups stay what they were.
VERSION = "1"
#: They strike wherever the run happens to be; the place says nothing.
_ANYWHERE = {"SoftTimeLimitExceeded", "TimeLimitExceeded", "WorkerVanished", "MemoryError", "KeyboardInterrupt"}
_LONGEST_GIVEN = 200
#: Of a recursion the innermost frame is chance; frames that come at least so often are the ring itself.
_RING = 5
_MEMBERS = 12
_KIND = re.compile(r"([\w.]{1,300})(?::|\s|$)")
_INNER = {"<lambda>", "<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"}
#: The console's own part of every run, which is never why it failed.
_CONSOLE = re.compile(r"[/\\]jobs[/\\]pipeline[/\\]\w+\.py$")


class Basis(StrEnum):
    """What a fingerprint was made of."""

    EXPLICIT = "explicit"
    PLACE = "place"
    TYPE = "type"
    MESSAGE = "message"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The key of a group, and what it is called.

    Attributes:
        key: 32 hexadecimal digits.
        title: the message without what changes from run to run.
        place: "shop/gateway.py, charge"; "" where no own frame is known.
        message_key: 16 hexadecimal digits, equal for messages that are alike.
    """

    key: str
    basis: Basis
    error_type: str
    title: str
    place: str
    message_key: str


def fingerprint(
    task_name: str, *, error_type: str = "", error_message: str = "", traceback: str = "", given: str = ""
) -> Fingerprint:
    """The fingerprint of a failure; any text whatever is taken.

    Args:
        given: what the exception or the job says it is; "" where neither says anything.
    """
    chain = read_traceback(cut(traceback, MAX_TRACEBACK)[0]) if traceback else ()
    kind = _text(error_type, 255) or (_kind(chain[0]) if chain else "")
    frame = _frame(chain, kind)
    title = _text(normalise(error_message), 255)
    if given := _text(given, _LONGEST_GIVEN):
        basis, parts = Basis.EXPLICIT, [given]
    elif kind in _ANYWHERE:
        basis, parts = Basis.TYPE, [kind]
    elif (places := _places(chain, kind)) is not None:
        basis, parts = Basis.PLACE, [kind, *places]
    else:
        basis, parts = Basis.MESSAGE, [kind, comparable(title)]
    text = "\x1f".join([VERSION, task_name, basis, *parts])
    key = hashlib.blake2b(text.encode(errors="replace"), digest_size=16).hexdigest()
    place = f"{_file(frame)}, {frame.function}" if frame and basis is not Basis.TYPE else ""
    alike = hashlib.blake2b(comparable(title).encode(errors="replace"), digest_size=8).hexdigest()
    return Fingerprint(key, basis, kind, title, _text(place, 255), alike)


def _text(text: str, longest: int) -> str:
    """What a database takes."""
    return safe_text(text[: longest * 2])[:longest].strip()


def _places(chain: Sequence[Raised], kind: str) -> list[str] | None:
    """The exceptions that decide, with the own frames that they were raised in; None where there is no own frame."""
    if not any(_own(raised) for raised in chain):
        return None
    if kind == "RecursionError":
        return _ring(chain[0]) or [_name(_own(chain[0]))]
    if _is_group(chain):
        return sorted({f"{_kind(raised)} {_name(_own(raised))}" for raised in chain})[:_MEMBERS]
    deciding = _with_causes(chain)
    return [_kind(deciding[-1]) if len(deciding) > 1 else "", _name(_first_own(deciding))]


def _frame(chain: Sequence[Raised], kind: str) -> Frame | None:
    """The frame that tells people where."""
    if not chain:
        return None
    return _first_own(chain if _is_group(chain) else _with_causes(chain))


def _is_group(chain: Sequence[Raised]) -> bool:
    return any(_kind(raised) in {"ExceptionGroup", "BaseExceptionGroup"} for raised in chain)


def _with_causes(chain: Sequence[Raised]) -> list[Raised]:
    """The exception that ended the run, then each direct cause."""
    found = [chain[0]]
    for raised in chain[1:]:
        if raised.link != DIRECT_CAUSE:
            break
        found.append(raised)
    return found


def _first_own(deciding: Sequence[Raised]) -> Frame | None:
    """The innermost own frame of the first cause; of what it led to where only libraries were in it."""
    return next((frame for raised in reversed(deciding) if (frame := _own(raised))), None)


def _own(raised: Raised) -> Frame | None:
    """The innermost own frame. One after the other from within: a library may have called hundreds on the way."""
    own = (frame for frame in reversed(raised.frames) if frame.is_own and not _CONSOLE.search(frame.path))
    first = next(own, None)
    if first is None or first.function not in _INNER:
        return first
    # Python 3.12 has no frames for comprehensions any more: the function around them is the place.
    return next((frame for frame in own if frame.function not in _INNER and frame.path == first.path), first)


def _ring(raised: Raised) -> list[str]:
    often: Counter[str] = Counter()
    for frame in raised.own:
        often[_name(frame)] += 1 + frame.repeated
    return sorted(name for name, times in often.items() if times >= _RING)[:_MEMBERS]


def _kind(raised: Raised) -> str:
    """The class as the traceback's last line names it, without its module."""
    found = _KIND.match(raised.text[0]) if raised.text else None
    return found[1].rpartition(".")[2] if found else ""


def _name(frame: Frame | None) -> str:
    return f"{_file(frame)}:{frame.function}" if frame else ""


def _file(frame: Frame) -> str:
    """The file with its package: where a release is unpacked tells nothing about the failure."""
    *folders, file = re.split(r"[/\\]", frame.path)
    return f"{folders[-1]}/{file}" if folders and folders[-1].isidentifier() else file
