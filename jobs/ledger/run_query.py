"""What a list of runs asks for, and how that is read at a cost that does not grow with the history.

One condition leads: an index holds its runs by time. Whatever else is asked is compared with at most WINDOW of them, so
that a filter that hardly ever matches looks through a bounded part of the history and says how far it came.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import CharField, DateTimeField, Exists, F, Func, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce
from django.db.models.lookups import GreaterThan, LessThan

from jobs.models import Run
from jobs.states import Source, State

from .readable import NOTHING, Withheld
from .slices import begins_with, only

#: Runs that are looked at when no index answers the whole question.
WINDOW = 10_000
#: Runs of the newest whose arguments are searched where no index of their words exists: another one holds them by time.
#: What a filter leads to is spread over the table, and its arguments with it, so that no more than WINDOW are read.
SEARCHED = 100_000

NEWEST_FIRST = ("-accepted_at", "-id")
OLDEST_FIRST = ("accepted_at", "id")
#: The migration makes it where PostgreSQL lets it.
SEARCH_INDEX = "run_summary_search"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run stands in the list: its time, and its row where times are equal."""

    at: datetime
    pk: int


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that narrows a list.

    Attributes:
        name: the field of RunQuery that asks for it.
        lead: what an index by time serves; None where none does.
        rest: what is still to be compared with each run of `lead`; empty where nothing is.
        wanted: the value of the field `name`; None where it is not one value of one field.
    """

    name: str
    lead: Q | None
    rest: Q = field(default_factory=Q)
    wanted: str | int | None = None


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Which runs a list shows; each part that is set narrows it.

    Attributes:
        since, until: when it was asked for; the end does not belong to it.
        id_prefix: how its id begins.
        words: text of its arguments, in any case, or its whole id.
        failed_with: rows that `words` finds besides, by their errors (`jobs.ledger.run_errors`).
        failure_group_id: the failures that it is like.
        batch: the name of what was started together with it (`jobs.ledger.batches`).
        withheld: the tasks whose runs the viewer may not read: their arguments are not searched, and not shown.
    """

    state: State | None = None
    task_name: str = ""
    actor_id: str | None = None
    id_prefix: str = ""
    queue: str = ""
    worker: str = ""
    schedule_id: int | None = None
    failure_group_id: int | None = None
    source: Source | None = None
    since: datetime | None = None
    until: datetime | None = None
    words: str = ""
    failed_with: tuple[int, ...] = ()
    batch: str = ""
    withheld: Withheld = NOTHING

    @property
    def period(self) -> Q:
        """The time alone; every index by time serves it."""
        found = Q()
        if self.since is not None:
            found &= Q(accepted_at__gte=self.since)
        if self.until is not None:
            found &= Q(accepted_at__lt=self.until)
        return found

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What narrows it besides time and id; the one that leads is first: usually the one with the fewest runs."""
        common_state = self.state == State.SUCCEEDED
        found = (
            _equal("failure_group_id", self.failure_group_id),
            _equal("schedule_id", self.schedule_id),
            _equal("actor_id", self.actor_id),
            None if common_state else _equal("state", self.state),
            _of_source(self.source),
            _equal("worker", self.worker or None),
            _equal("task_name", self.task_name or None),
            _equal("queue", self.queue or None),
            _equal("state", self.state) if common_state else None,
        )
        last = [Condition("words", None, _words(self))] if self.words else []
        known = [*(one for one in found if one is not None), *last]
        return tuple(sorted(known, key=lambda one: one.lead is None))

    @property
    def is_narrowed(self) -> bool:
        """Whether anything but the time is asked for."""
        return bool(self.conditions or self.id_prefix or self.batch)

    def without_state(self) -> RunQuery:
        return replace(self, state=None)


def _equal(name: str, wanted: str | int | None) -> Condition | None:
    return None if wanted is None else Condition(name, Q(**{name: wanted}), wanted=wanted)


def _of_source(source: Source | None) -> Condition | None:
    """People and schedules have indexes of their own; what they started is a small part of what code publishes."""
    if source is None:
        return None
    lead = None
    if source in {Source.CONSOLE, Source.RETRY}:
        lead = Q(actor_id__isnull=False)
    elif source == Source.SCHEDULE:
        lead = Q(schedule_id__isnull=False)
    return Condition("source", lead, Q(source=source))


@dataclass(frozen=True, slots=True)
class Pool:
    """Runs among which a list is looked for.

    Attributes:
        lead: the name of the condition that leads; "" for all runs.
        runs: in no order, unbounded.
        rest: what is to be compared with each; empty where every run of the pool matches.
        size: at most so many are looked at.
        by_time: `runs` are read by time, from a place on; otherwise the first `size` in any order are all there are.
        order: what stands before the time in the order, equal for all runs of the pool; "" where nothing does.
    """

    lead: str
    runs: QuerySet[Run]
    rest: Q
    size: int
    by_time: bool = True
    order: str = ""

    @property
    def is_answer(self) -> bool:
        """Every run of it matches, so that reading it in order is reading the list."""
        return self.by_time and not self.rest

    def ordering(self, *, backwards: bool) -> tuple[str, ...]:
        first = (f"-{self.order}" if backwards else self.order,) if self.order else ()
        return (*first, *(OLDEST_FIRST if backwards else NEWEST_FIRST))

    def from_place(self, place: Place | None, *, backwards: bool = False) -> QuerySet[Run]:
        """Its runs older than `place`, newest first; newer than it, oldest first, where `backwards`."""
        runs = self.runs if place is None else self.runs.filter(beyond(place, backwards=backwards))
        return runs.order_by(*self.ordering(backwards=backwards))

    def bounded(self, columns: tuple[str, ...], place: Place | None, *, backwards: bool) -> QuerySet[Run, Any]:
        """At most `size` of its runs, from `place` on."""
        runs = self.from_place(place, backwards=backwards) if self.by_time else self.runs.order_by()
        bounded: QuerySet[Run, Any] = runs.values(*columns)[: self.size]
        return bounded


def pool_of(query: RunQuery) -> Pool:
    """The runs that `query` is looked for among."""
    conditions = query.conditions
    if query.id_prefix:
        runs = Run.objects.filter(begins_with("task_id", query.id_prefix))
        rest = query.period & begins_with("nonce", f"{query.batch}:") if query.batch else query.period
        return Pool("id_prefix", runs, _all(rest, conditions), WINDOW, by_time=False)
    if query.batch:
        runs = Run.objects.filter(begins_with("nonce", f"{query.batch}:"))
        return Pool("batch", runs, _all(query.period, conditions), WINDOW, by_time=False)
    runs = Run.objects.filter(query.period)
    if not conditions or (first := conditions[0]).lead is None:
        size = SEARCHED if query.words and not search_is_indexed() else WINDOW
        return Pool("", runs, _all(Q(), conditions), size)
    rest = _all(first.rest, conditions[1:])
    if first.wanted is None:
        return Pool(first.name, runs.filter(first.lead), rest, WINDOW)
    return Pool(first.name, runs.filter(only(first.name, first.wanted)), rest, WINDOW, order=first.name)


def for_counting(pool: Pool) -> Pool:
    """The same runs, but no more than WINDOW of them: a page is looked for farther than its figures are."""
    return replace(pool, size=min(pool.size, WINDOW))


def found_by_index(query: RunQuery) -> Pool:
    """The runs whose arguments hold the words of `query`, however old, as the index of words gives them."""
    others = tuple(condition for condition in query.conditions if condition.name != "words")
    return Pool(
        "words",
        Run.objects.filter(_words(query)),
        _all(query.period, others),
        WINDOW + 1,
        by_time=False,
    )


def _all(rest: Q, conditions: tuple[Condition, ...]) -> Q:
    for condition in conditions:
        rest &= (condition.lead or Q()) & condition.rest
    return rest


def _words(query: RunQuery) -> Q:
    words = query.words
    found = Q(summary__icontains=words)
    if query.withheld:
        # Looked up for what matches only, so that the index that holds the words is still all that is walked through.
        found &= ~Q(Exists(Run.objects.filter(pk=OuterRef("pk"), task_name__in=query.withheld)))
    if query.failed_with:
        # Their rows, and no subquery: an index of words would not be asked beside one.
        found |= Q(pk__in=query.failed_with)
    if " " in words:  # no id
        return found
    if search_is_indexed():
        return found | Q(task_id=words)
    # Looked up once: the ids of the runs stand in the table, their arguments in the index that is walked through.
    return found | Q(pk=Run.objects.filter(task_id=words).order_by().values("pk")[:1])


def beyond(place: Place, *, backwards: bool) -> Combinable:
    """Whether a run is older than `place`, or newer where `backwards`: one comparison of pairs, which indexes serve.

    The time is that of the row itself while it exists: SQLite keeps times as text, and 12:00:00.5 may be written in
    two ways there.
    """
    written = Subquery(Run.objects.filter(pk=place.pk).order_by().values("accepted_at")[:1])
    at = Coalesce(written, Value(place.at, output_field=DateTimeField()))
    of_run, of_place = _Pair(F("accepted_at"), F("id")), _Pair(at, Value(place.pk))
    lookup: Combinable = (GreaterThan if backwards else LessThan)(of_run, of_place)
    return lookup


class _Pair(Func):
    """`(a, b)`, compared as one."""

    template = "(%(expressions)s)"
    arity = 2
    output_field = CharField()


_indexed: dict[str, bool] = {}


def search_is_indexed() -> bool:
    """Whether the database has an index of the words of arguments; asked once in the life of a process."""
    name = str(connection.settings_dict["NAME"])
    if name not in _indexed:
        _indexed[name] = connection.vendor == "postgresql" and _index_exists()
    return _indexed[name]


def _index_exists() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [SEARCH_INDEX])
        (exists,) = cursor.fetchone()
    return bool(exists)
