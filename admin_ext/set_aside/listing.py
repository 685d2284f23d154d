"""Facts set aside: what the recorder could not read, newest first, with what it still tells."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.contrib.admin.utils import quote
from django.http import HttpRequest
from django.urls import reverse

from admin_ext.frame.machinery import read_machinery
from admin_ext.parts.access import VIEW_RUN, ConsoleView, may, withheld_from
from admin_ext.parts.chips import Pill
from admin_ext.parts.keyset import PER_PAGE, link
from admin_ext.parts.words import file_size, plural
from jobs.catalog.registry import job_title
from jobs.fleet.dead_letters import NEWER, DeadLetter, Which, is_entry_id, look
from jobs.ledger.dead_letter_text import Told, told
from jobs.ledger.verbs import DISCARD_FACTS, REREAD_FACTS
from jobs.models import Run

TITLE = "Facts set aside"
LIST, READ, DISCARD = "admin:jobs_facts_set_aside", "admin:jobs_facts_read_again", "admin:jobs_facts_discard"
#: `kind=` in the address, in words.
KINDS: dict[str, tuple[bool | None, str]] = {
    "": (None, "All"),
    "newer": (True, "Of a newer release"),
    "damaged": (False, "Damaged or foreign"),
}
#: Large entries take several round trips; a page that is full of them ends early.
_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Line:
    """One fact: when it was set aside, of which run, why, and its text.

    Attributes:
        title: the job's; "A fact" where no task can be read.
        why: in a sentence; the reader's own words are on the entry.
        href: the run's page; "" where it has none or the viewer may not see it.
        read, discard: where those acts ask.
    """

    letter: DeadLetter
    at: datetime | None
    told: Told
    title: str
    href: str
    why: str
    read: str
    discard: str
    size: str


@dataclass(frozen=True, slots=True)
class Tab:
    """One half of the page; `count` is "" for none and where that is not known."""

    word: str
    href: str
    current: bool
    count: str = ""


def tabs(request: HttpRequest, *, messages: bool = False) -> tuple[Tab, ...]:
    """The two halves: what the recorder could not read, and what workers could not."""
    machinery = read_machinery(request)
    facts, aside = machinery.stream.dead or 0, machinery.fleet.quarantined
    return (
        Tab("Facts", reverse(LIST), not messages, f"{facts:,}" if facts else ""),
        Tab("Messages", reverse("admin:jobs_messages_set_aside"), messages, f"{aside.count:,}" if aside else ""),
    )


@dataclass(frozen=True, slots=True)
class DeadLettersPage:
    """Everything that the page shows.

    Attributes:
        known: False where Redis did not answer: nothing is known then.
        problem: what in the address makes no sense.
        total: how many there are, of all kinds, in words; "" where it is not known.
        further: why the page ended before it was full; "" when it did not.
        read_all, discard_all: where the acts on all of this kind ask; "" where there is nothing or the viewer may not.
    """

    kind: str
    known: bool = True
    problem: str = ""
    total: str = ""
    pills: tuple[Pill, ...] = ()
    lines: tuple[Line, ...] = ()
    newer: str = ""
    older: str = ""
    further: str = ""
    read_all: str = ""
    discard_all: str = ""
    may_discard: bool = False


def dead_letters_page(request: HttpRequest) -> DeadLettersPage:
    """Read the page that the address asks for: one query, and one round trip unless entries are large."""
    kind, before, after = (request.GET.get(name, "") for name in ("kind", "before", "after"))
    pills = tuple(Pill(words, link(kind=name), current=name == kind) for name, (_, words) in KINDS.items())
    if kind not in KINDS or any(text and not is_entry_id(text) for text in (before, after)):
        return DeadLettersPage("", problem="The address asks for something that this list does not have.", pills=pills)
    found = _read(Which(newer=KINDS[kind][0]), before, "" if before else after)
    if found is not None and not found[0] and after and not before:
        found = _read(Which(newer=KINDS[kind][0]), "", "")
        after = ""
    if found is None:
        return DeadLettersPage(kind, known=False, pills=pills)
    letters, further = found
    total = read_machinery(request).stream.dead
    up = bool(after) and not before
    newest, oldest = (letters[0].id, letters[-1].id) if letters else (before, before)
    go_newer = bool(before) or (up and bool(further))
    go_older = up or bool(further)
    may_discard = may(request, DISCARD_FACTS.permission)
    return DeadLettersPage(
        kind=kind,
        total="" if total is None else plural(total, "fact"),
        pills=pills,
        lines=_lines(request, letters),
        newer=link(kind=kind, after=newest) if go_newer and newest else "",
        older=link(kind=kind, before=oldest if letters else further) if go_older else "",
        further=f"Only {plural(len(letters), 'fact')}: they are large or far apart."
        if _ended_early(letters, further)
        else "",
        read_all=reverse(READ) + link(kind=kind) if letters else "",
        discard_all=reverse(DISCARD) + link(kind=kind) if letters and may_discard else "",
        may_discard=may_discard,
    )


def _ended_early(letters: list[DeadLetter], further: str) -> bool:
    return bool(further) and len(letters) < PER_PAGE


def _read(which: Which, before: str, after: str) -> tuple[list[DeadLetter], str] | None:
    """A page of letters, newest first, and where it goes on in the direction asked for; None when Redis is away."""
    ends = time.monotonic() + _SECONDS
    letters: list[DeadLetter] = []
    while True:
        found = look(which, most=PER_PAGE - len(letters), upwards_from=after, downwards_from=before)
        if found is None:
            return None
        letters = [*found.letters, *letters] if after else [*letters, *found.letters]
        if not found.further or len(letters) >= PER_PAGE or time.monotonic() > ends:
            return letters, found.further
        before, after = ("", found.further) if after else (found.further, "")


def _lines(request: HttpRequest, letters: list[DeadLetter]) -> tuple[Line, ...]:
    withheld = withheld_from(request)
    read = [(letter, told(letter, withheld)) for letter in letters]
    hrefs: Mapping[str, str] = {}
    if may(request, VIEW_RUN):
        ids = {one.task_id for _, one in read if one.task_id}
        known = Run.objects.filter(task_id__in=ids).values_list("task_id", flat=True) if ids else ()
        hrefs = {task_id: reverse("admin:jobs_run_change", args=[quote(task_id)]) for task_id in known}
    return tuple(
        Line(
            letter=letter,
            at=set_aside_at(letter.id),
            told=one,
            title=job_title(one.task) if one.task else "A fact of an unknown task",
            href=hrefs.get(one.task_id, ""),
            why=_why(letter),
            read=reverse(READ) + link(id=letter.id),
            discard=reverse(DISCARD) + link(id=letter.id),
            size=file_size(letter.size),
        )
        for letter, one in read
    )


def _why(letter: DeadLetter) -> str:
    if NEWER in letter.why:
        return "A newer release wrote it. Read it again once the recorder has that release."
    if not letter.has_fact:
        return "It holds no fact; something else wrote it."
    return "It is damaged, or something else wrote it."


def set_aside_at(entry_id: str) -> datetime | None:
    """When the entry with this id was set aside, by Redis' clock; None for an id that is no moment."""
    try:
        return datetime.fromtimestamp(int(entry_id.partition("-")[0]) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


class DeadLetters(ConsoleView):
    """`…/set-aside/`."""

    title = TITLE
    template_name = "admin_ext/dead_letters.html"
    permission_required = REREAD_FACTS.permission
    permission_denied_message = REREAD_FACTS.sentence
    http_method_names = ["get", "head", "options"]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = dead_letters_page(self.request)
        context = {"page": page, "tabs": tabs(self.request), "crumbs": [(TITLE, "")]}
        return super().get_context_data(**kwargs, **context)
