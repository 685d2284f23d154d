"""What the address of the runs list asks for: read, checked, put into words, and written again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from admin_ext.parts.chips import run_chip
from admin_ext.parts.keyset import link
from admin_ext.parts.words import clock
from jobs.catalog.registry import job_title
from jobs.ledger.people import key_from
from jobs.ledger.readable import Withheld
from jobs.ledger.run_errors import failed_with
from jobs.ledger.run_query import RunQuery
from jobs.states import Source, State

from .choices import PRESETS, SOURCES, Named

SHORTEST_ID, SHORTEST_WORDS = 4, 3
#: The parameters of the address, in the order in which it is written.
NAMES = ("q", "state", "job", "queue", "worker", "schedule", "by", "source", "group", "batch", "since", "until")
#: Digits and the letters a to f, some of each: how the id of a run begins.
_LIKE_AN_ID = re.compile(r"(?=[^g-z]*[0-9])(?=[^g-z]*[a-f])[0-9a-f][0-9a-f-]{3,35}")
_BATCH = re.compile(r"(?:[0-9A-Za-z:-]{1,100})?")
_ID = "id:"
_LENGTHS = {"1h": timedelta(hours=1), "24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}
_YEARS = range(1971, 9999)


@dataclass(frozen=True, slots=True)
class Asked:
    """The parameters of the address, as given.

    Attributes:
        problems: one sentence for each parameter that makes no sense, by its name; "" for the position in the list.
    """

    q: str = ""
    state: str = ""
    job: str = ""
    queue: str = ""
    worker: str = ""
    schedule: str = ""
    by: str = ""
    source: str = ""
    group: str = ""
    batch: str = ""
    since: str = ""
    until: str = ""
    problems: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Asked:
        """Read and check them; `from` is another name of `since`, and wins: the form has a field for either."""
        given: dict[str, Any] = {name: _text(parameters.get(name)) for name in NAMES}
        asked = cls(**given)
        if beginning := _text(parameters.get("from")):
            asked = replace(asked, since=beginning)
        checks = {
            "q": asked._wrong_box(),
            "state": "" if asked.state in ("", *State) else f"No state is called “{asked.state}”.",
            "schedule": "" if _is_row_id(asked.schedule) else "A schedule is asked for by its number.",
            "group": "" if _is_row_id(asked.group) else "A group of failures is asked for by its number.",
            "batch": "" if _BATCH.fullmatch(asked.batch) else "No runs were started together under that name.",
            "source": "" if asked.source in ("", *Source) else f"“{asked.source}” starts no runs here.",
            "since": _wrong_time(asked.since),
            "until": "Give a date and a clock time." if asked.until in PRESETS else _wrong_time(asked.until),
        }
        problems = {name: problem for name, problem in checks.items() if problem}
        if not problems and asked.until and asked.since and asked._since(timezone.now()) >= _time(asked.until):
            problems["until"] = "The end is not after the beginning."
        return replace(asked, problems=problems)

    @property
    def id_prefix(self) -> str:
        """What the box holds, where that is the beginning of an id."""
        if self.q.lower().startswith(_ID):
            return self.q[len(_ID) :].strip()
        return self.q.lower() if _LIKE_AN_ID.fullmatch(self.q.lower()) else ""

    @property
    def words(self) -> str:
        """What the box holds, where that is looked for in arguments and errors, without quotation marks around."""
        if self.id_prefix or self.q.lower().startswith(_ID):
            return ""
        return self.q[1:-1] if len(self.q) > 2 and self.q[0] == self.q[-1] == '"' else self.q

    def _wrong_box(self) -> str:
        if self.q.lower().startswith(_ID) and len(self.id_prefix) < SHORTEST_ID:
            return f"Type at least {SHORTEST_ID} characters of the id; “{self.id_prefix}” could be too many runs."
        if self.words and len(self.words) < SHORTEST_WORDS:
            return f"Type at least {SHORTEST_WORDS} characters; “{self.words}” could be anything."
        return ""

    @property
    def other_meaning(self) -> tuple[str, str] | None:
        """What else the box could mean, and the address that asks for that."""
        if self.id_prefix and not self.q.lower().startswith(_ID):
            return f"Search arguments and errors for “{self.q}”", self.link(q=f'"{self.q}"')
        if len(self.words) >= SHORTEST_ID and " " not in self.words:
            return f"Look for ids that begin with “{self.words}”", self.link(q=_ID + self.words)
        return None

    def query(self, viewer_key: str | None, withheld: Withheld) -> RunQuery:
        """What to read, but for what the viewer may not; only when there is no problem. A query where it is words."""
        by = viewer_key if self.by == "me" else key_from(self.by) if self.by else None
        return RunQuery(
            state=State(self.state) if self.state else None,
            task_name=self.job,
            actor_id=by,
            id_prefix=self.id_prefix,
            queue=self.queue,
            worker=self.worker,
            schedule_id=_number(self.schedule),
            failure_group_id=_number(self.group),
            batch=self.batch,
            source=Source(self.source) if self.source else None,
            since=self._since(timezone.now()) if self.since else None,
            until=_time(self.until) if self.until else None,
            words=self.words,
            failed_with=failed_with(self.words, withheld) if self.words else (),
            withheld=withheld,
        )

    def _since(self, now: datetime) -> datetime:
        if self.since == "today":
            return timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
        return now - _LENGTHS[self.since] if self.since in _LENGTHS else _time(self.since)

    @property
    def parameters(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in NAMES}

    def link(self, **changes: str) -> str:
        """The address of this view with some parameters changed, from its top."""
        return link(**(self.parameters | changes))

    def words_of(self, named: Named) -> dict[str, str]:
        """Each parameter that is set, in words, by its name."""
        known = [
            (
                "q",
                f"id {self.id_prefix}…"
                if self.id_prefix
                else f"arguments or error with “{self.words}”"
                if self.q
                else "",
            ),
            ("state", f"state {run_chip(self.state).word}" if self.state else ""),
            ("job", f"job {job_title(self.job)}" if self.job else ""),
            ("queue", f"queue {self.queue}" if self.queue else ""),
            ("worker", f"worker {self.worker}" if self.worker else ""),
            ("schedule", f"schedule {_schedule(named, self.schedule)}" if self.schedule else ""),
            (
                "by",
                "by me" if self.by == "me" else f"by {named.people.get(key_from(self.by), self.by)}" if self.by else "",
            ),
            ("source", f"started by: {SOURCES.get(self.source, self.source)}" if self.source else ""),
            ("group", f"failure group {self.group}" if self.group else ""),
            ("batch", "started together" if self.batch else ""),
            ("since", self._time_words("since", self.since) if self.since else ""),
            ("until", self._time_words("until", self.until) if self.until else ""),
        ]
        return {name: words for name, words in known if words}

    def _time_words(self, name: str, text: str) -> str:
        if text in PRESETS:
            return PRESETS[text][0].lower() + PRESETS[text][1:]
        return f"{name} {text}" if _wrong_time(text) else f"{name} {clock(_time(text))}"


def field_time(text: str) -> str:
    """A time of the address as a browser's field for date and clock wants it; as given where it is none."""
    if not text or text in PRESETS or _wrong_time(text):
        return text
    return timezone.localtime(_time(text)).replace(tzinfo=None).isoformat(timespec="seconds")


def _text(given: Any) -> str:
    # NUL is no text for a database.
    return str(given or "").replace("\x00", "").strip()[:255]


def _is_row_id(text: str) -> bool:
    return not text or (text.isascii() and text.isdigit() and len(text) <= 18)


def _number(text: str) -> int | None:
    return int(text) if text else None


def _person(named: Named, key: str) -> str:
    return "me" if key == "me" else named.people.get(key_from(key), key)


def _schedule(named: Named, number: str) -> str:
    return named.schedules.get(int(number), number) if number.isdigit() and len(number) <= 18 else number


def _wrong_time(text: str) -> str:
    if not text or text in PRESETS:
        return ""
    try:
        _time(text)
    except (ValueError, OverflowError):
        return f"“{text}” is not a date and clock time, such as 2026-09-30 14:05."
    return ""


def _time(text: str) -> datetime:
    """The moment that the text names in the current zone; raises ValueError."""
    moment = parse_datetime(text)
    if moment is None:
        day = parse_date(text)
        if day is None:
            raise ValueError(text)
        moment = datetime(day.year, day.month, day.day)
    if moment.year not in _YEARS:
        raise ValueError(text)
    return timezone.make_aware(moment) if timezone.is_naive(moment) else moment
