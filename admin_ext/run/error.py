"""An error as staff read it: the message, the project's own frames first, the libraries' folded."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.urls import reverse

from admin_ext.parts.words import clock, plural
from jobs.ledger.frames import Frame, Raised, read_traceback
from jobs.ledger.run_page import Outcome
from jobs.models import Run

#: A recursion has more; the whole traceback has them all.
OWN_SHOWN = 12
LIBRARY_SHOWN = 40
CHAIN_SHOWN = 8
#: A message may be a whole document.
LONGEST_MESSAGE = 1500


@dataclass(frozen=True, slots=True)
class Call:
    """One frame: `note` says where it was raised, or how often it came again."""

    file: str
    path: str
    line: int
    function: str
    source: tuple[str, ...]
    note: str
    package: str


@dataclass(frozen=True, slots=True)
class Link:
    """One exception of the chain.

    Attributes:
        heading: how it is connected to the one above; "" for the first.
        more_own, more_library: how many frames are left out here; "" for none.
        libraries: whose frames they are, by name.
    """

    heading: str
    message: str
    own: tuple[Call, ...]
    library: tuple[Call, ...]
    library_words: str
    libraries: str
    more_own: str
    more_library: str
    cut: bool


@dataclass(frozen=True, slots=True)
class ErrorCard:
    """What the error card says.

    Attributes:
        where: "In your own code, rates/client.py line 88"; "" where no frame tells.
        more: how many further exceptions the chain has that are not shown.
        truncated: the traceback was too long to be kept whole.
    """

    title: str
    where: str
    chain: tuple[Link, ...]
    more: str
    traceback: str
    truncated: bool


def error_card(outcome: Outcome) -> ErrorCard | None:
    """The error in words; None where there is none."""
    if not outcome.is_error:
        return None
    chain = read_traceback(outcome.traceback)
    title = ": ".join(part for part in (outcome.error_type, outcome.error_message) if part)
    if not title:
        title = _cut(chain[0].message) if chain and chain[0].message else "It ended with an error"
    return ErrorCard(
        title=title,
        where=_where(chain[0]) if chain else "",
        chain=tuple(_link(raised, first=number == 0) for number, raised in enumerate(chain[:CHAIN_SHOWN])),
        more=plural(len(chain) - CHAIN_SHOWN, "earlier exception") if len(chain) > CHAIN_SHOWN else "",
        traceback=outcome.traceback,
        truncated=any(raised.cut for raised in chain),
    )


def like_words(run: Run) -> tuple[str, str]:
    """`312 like this since Tue 14:02, 3 still hurting`, and the address of their group; "" where there is none."""
    group = run.failure_group
    if group is None:
        return "", ""
    words = "The only one like this"
    if group.total > 1:
        words = f"One of {group.total:,} like this since {clock(group.first_seen)}"
    hurting = f"{group.hurting:,} still hurting" if group.hurting else "healed"
    return f"{words}, {hurting}", reverse("admin:jobs_failuregroup_change", args=[group.pk])


#: Modules of the console's own jobs, wherever it is installed.
_SHIPPED = re.compile(r"[/\\]jobs[/\\]library[/\\]\w+\.py$")


def _where(raised: Raised) -> str:
    own = raised.own
    if not own:
        return "No frame is in your own code: libraries only."
    place = f"{own[0].file} line {own[0].line}"
    if _SHIPPED.search(own[0].path):
        return f"{'Raised in' if raised.raised_in_own else 'Called from'} a job that ships with the console, {place}."
    return f"Raised in your own code, {place}." if raised.raised_in_own else f"Called from your own code, {place}."


def _link(raised: Raised, *, first: bool) -> Link:
    own, library = raised.own, raised.library
    names = list(dict.fromkeys(frame.package for frame in library if frame.package))
    return Link(
        heading="" if first else raised.link or "Before that",
        message=_cut(raised.message) if not first else "",
        own=tuple(_call(f, raised, innermost=n == 0) for n, f in enumerate(own[:OWN_SHOWN])),
        library=tuple(_call(frame, raised, innermost=False) for frame in library[:LIBRARY_SHOWN]),
        library_words=plural(len(library), "frame of libraries", "frames of libraries") if library else "",
        libraries=", ".join(names[:4]),
        more_own=plural(len(own) - OWN_SHOWN, "more frame of your own", "more frames of your own")
        if len(own) > OWN_SHOWN
        else "",
        more_library=plural(len(library) - LIBRARY_SHOWN, "more") if len(library) > LIBRARY_SHOWN else "",
        cut=raised.cut,
    )


def _call(frame: Frame, raised: Raised, *, innermost: bool) -> Call:
    note = "raised here" if innermost and raised.raised_in_own else ""
    if frame.repeated:
        note = f"and {plural(frame.repeated, 'more time')}"
    return Call(frame.file, frame.path, frame.line, frame.function, tuple(frame.source[:6]), note, frame.package)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_MESSAGE else text[:LONGEST_MESSAGE] + "…"
