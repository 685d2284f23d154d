"""The troubles of the Overview: what needs a look in failures, schedules, queues and workers, with a way to help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from django.urls import reverse

from admin_ext.frame.machinery import BEAT, Machinery
from admin_ext.parts.chips import FAILURE, QUEUE, WORKER
from admin_ext.parts.trouble import Trouble
from admin_ext.parts.words import ago, clock, duration, plural
from admin_ext.queues.lines import (
    ALONE,
    CALM,
    GROWING,
    LEFT,
    OLD,
    UNEXPECTED,
    back_words,
    oldest,
    queue_href,
    queue_state,
)
from admin_ext.workers.lines import said, worker_href
from admin_ext.workers.listing import LOOK
from jobs.catalog.registry import job_title
from jobs.failures.lists import NEW
from jobs.fleet.conditions import Condition, Judged
from jobs.fleet.glance import Glance
from jobs.models import FailureGroup
from jobs.schedules.planned import missed
from jobs.schedules.stored import Stored

#: More schedules, queues or workers of one kind of trouble than this are told as one.
EACH = 3
_SCHEDULES = "admin:django_celery_beat_periodictask_changelist"
_SCHEDULE = "admin:django_celery_beat_periodictask_change"


def of_machinery(machinery: Machinery, *, banners: bool, may_reread: bool) -> list[Trouble]:
    """What is wrong with the machinery.

    Args:
        banners: also what every page says.
        may_reread: whoever reads this may see facts that were set aside.
    """
    found = [trouble for trouble in machinery.troubles if banners or not trouble.on_every_page]
    if may_reread:
        way = ((reverse("admin:jobs_messages_set_aside"), "Show them"),)
        found = [replace(trouble, ways=way) if trouble.key == "messages:aside" else trouble for trouble in found]
    dead = machinery.stream.dead
    if dead:
        runs = "The run of which it tells may be" if dead == 1 else "The runs of which they tell may be"
        remedy = "See why, and have it read again." if dead == 1 else "See why, and have them read again."
        found.append(
            Trouble(
                "warn",
                "sync_problem",
                f"{plural(dead, 'fact')} could not be read by the recorder.",
                f"{runs} shown wrongly.",
                remedy,
                key="set-aside",
                ways=((reverse("admin:jobs_facts_set_aside"), "Show them"),) if may_reread else (),
            )
        )
    return found


def of_groups(groups: Sequence[FailureGroup], now: datetime, *, may_retry: bool) -> list[Trouble]:
    """The groups of failures that need action; `may_retry`: so may whoever reads this."""
    found = []
    for group in groups:
        new = group.first_seen > now - NEW
        chip = FAILURE["regressed" if group.regressed_at else "new" if new else "ongoing"]
        title = ": ".join(part for part in (group.error_type, group.message) if part) or "it fails without a message"
        total = f"{plural(group.total, 'failure')} since {clock(group.first_seen, now)}"
        ways = [(reverse("admin:jobs_failuregroup_change", args=[group.pk]), "Open")]
        if may_retry:
            address = reverse("admin:jobs_failuregroup_retry", args=[group.pk])
            ways.insert(0, (address, f"Retry {group.hurting:,}…"))
        found.append(
            Trouble(
                chip.tone,
                "error" if chip.tone == "bad" else chip.icon,
                f"{job_title(group.task_name)} fails: {title[:120]}",
                f"{chip.word}: {total}, {group.hurting:,} still hurting.",
                f"Last {ago(group.last_seen, now)}.",
                key=f"group:{group.pk}:{chip.word}",
                ways=tuple(ways),
                subject=f"group:{group.pk}",
            )
        )
    return found


def of_schedules(
    schedules: Sequence[Stored], wrong: Mapping[int, str], machinery: Machinery, now: datetime, *, each: int = EACH
) -> list[Trouble]:
    """Schedules that cannot do their work, and those whose moment has passed without a run.

    Args:
        wrong: why not, by id.
        each: more of one kind than this are told as one.
    """
    broken = [
        Trouble(
            "bad",
            "heart_broken",
            f"The schedule {one.row.name} will not run.",
            wrong[one.row.pk],
            "",
            key=f"schedule:{one.row.pk}:broken",
            ways=_open(one),
        )
        for one in schedules
        if one.row.pk in wrong
    ]
    silent = "" if machinery.alive(BEAT) else f" No beat is alive ({machinery.last_seen(BEAT)})."
    late = [
        Trouble(
            "bad",
            "event_busy",
            f"{one.stored.row.name} missed {clock(one.due, now)}.",
            f"{job_title(one.stored.row.task)} was due {ago(one.due, now)} and was not started.{silent}",
            "",
            key=f"schedule:{one.stored.row.pk}:missed:{one.due:%Y%m%d%H%M}",
            ways=_open(one.stored),
            subject=f"schedule:{one.stored.row.pk}:missed",
        )
        for one in missed([one for one in schedules if one.row.pk not in wrong], now)
    ]
    all_broken = (f"{reverse(_SCHEDULES)}?state=broken", "Show them")
    return [
        *_or_one(broken, each, "heart_broken", "schedules will not run.", "schedules:broken", all_broken),
        *_or_one(late, each, "event_busy", "schedules missed their last moment.", "schedules:missed", _all_schedules()),
    ]


def _all_schedules() -> tuple[str, str]:
    return reverse(_SCHEDULES), "Schedules"


def _open(stored: Stored) -> tuple[tuple[str, str], ...]:
    return ((reverse(_SCHEDULE, args=[stored.row.pk]), "Open schedule"),)


def _or_one(found: list[Trouble], each: int, icon: str, words: str, key: str, way: tuple[str, str]) -> list[Trouble]:
    """The troubles, or one that sums them up where there are many of a kind."""
    if len(found) <= each:
        return found
    names = "; ".join(trouble.fact.rstrip(".") for trouble in found[:each])
    tone = "bad" if any(trouble.tone == "bad" for trouble in found) else "warn"
    more = len(found) - each
    return [Trouble(tone, icon, f"{len(found):,} {words}", f"{names}; and {more:,} more.", "", key=key, ways=(way,))]


def of_queues(glance: Glance, *, each: int = EACH) -> list[Trouble]:
    """Queues that nobody consumes, that are too old, that grow, or that nobody expects; `each` as above."""
    reading, now = glance.reading, glance.reading.at
    found: dict[str, list[Trouble]] = {ALONE: [], UNEXPECTED: [], OLD: [], GROWING: []}
    for depth in sorted(reading.queues.values(), key=lambda one: (-one.ready, one.queue)):
        state = queue_state(depth, glance.latest, now)
        if state in CALM or state == LEFT:  # what is left behind is told of all queues together
            continue
        waits = f"{depth.ready:,} {'waits' if depth.ready == 1 else 'wait'}"
        fact = {
            ALONE: f"Queue {depth.queue}: {waits} and nobody consumes it.",
            UNEXPECTED: f"Queue {depth.queue}: {waits} in a queue that no setting names.",
            OLD: f"Queue {depth.queue}: {waits}, some for too long.",
            GROWING: f"Queue {depth.queue} grows: {waits}.",
        }[state]
        age = oldest(depth, now)
        who = f"{plural(len(depth.workers), 'worker takes', 'workers take')} from it." if depth.workers else ""
        ways = ((queue_href(depth.queue), "Open queue"), (reverse("admin:jobs_workers"), "Workers"))
        found[state].append(
            Trouble(
                QUEUE[state].tone,
                QUEUE[state].icon,
                fact,
                f"The oldest has waited {age.text}." if depth.oldest is not None else "How long is not known.",
                who,
                key=f"queue:{state}:{depth.queue}"[:255],
                ways=ways,
                subject=f"queue:{depth.queue}",
            )
        )
    way = (f"{reverse('admin:jobs_queues')}?only=look", "Show them")
    words = {
        ALONE: "queues hold messages and nobody consumes them.",
        UNEXPECTED: "queues hold messages and no setting names them.",
        OLD: "queues hold messages that wait for too long.",
        GROWING: "queues grow.",
    }
    return [
        trouble
        for state, those in found.items()
        for trouble in _or_one(those, each, QUEUE[state].icon, words[state], f"queues:{state}", way)
    ] + _left_behind(glance)


def _left_behind(glance: Glance) -> list[Trouble]:
    """Messages of code that workers had received and nobody has now."""
    received = glance.reading.received
    if not received.stranded or received.stranded_back is None:
        return []
    one = received.stranded == 1
    back = back_words(received.stranded_back, glance.reading.at)
    return [
        Trouble(
            QUEUE[LEFT].tone,
            QUEUE[LEFT].icon,
            f"{plural(received.stranded, 'message')} of code {'is' if one else 'are'} with nobody.",
            "The worker that had received it is gone." if one else "The workers that had received them are gone.",
            f"Redis gives {'it' if one else 'them'} to another: {back}.",
            key="queue: left behind",
            ways=((reverse("admin:jobs_queues"), "Queues"), (reverse("admin:jobs_workers"), "Workers")),
        )
    ]


def of_workers(workers: Sequence[Judged], now: datetime, *, each: int = EACH) -> list[Trouble]:
    """Workers that went without a farewell, and those that beat and do not work; `each` as above."""
    found: dict[Condition, list[Trouble]] = {Condition.GONE: [], Condition.WEDGED: []}
    for one in workers:
        if one.condition not in found:
            continue
        # Of several that bear one name each is a trouble of its own.
        name, chip, which = one.beacon.worker, WORKER[one.condition], one.beacon.boot if one.others else ""
        if one.condition is Condition.GONE:
            fact = f"Worker {name} is gone."
            heard = f"It was last heard {ago(now - timedelta(seconds=one.age), now)}, and said no farewell."
        else:
            fact, heard = f"Worker {name} is wedged.", f"It was heard {duration(one.age)} ago."
        found[one.condition].append(
            Trouble(
                chip.tone,
                chip.icon,
                fact,
                heard,
                f"{said(one)}.",
                key=f"worker:{one.condition}:{which and which + ':'}{name}"[:255],
                ways=((worker_href(name, which), "Open worker"),),
                subject=f"worker:{which and which + ':'}{name}",
            )
        )
    way = (f"{reverse('admin:jobs_workers')}?only={LOOK}", "Show them")
    words = {Condition.GONE: "workers are gone.", Condition.WEDGED: "workers are wedged."}
    return [
        trouble
        for condition, those in found.items()
        for trouble in _or_one(those, each, WORKER[condition].icon, words[condition], f"workers:{condition}", way)
    ]


def by_gravity(found: Sequence[Trouble]) -> list[Trouble]:
    """Bad before warn, else in their order."""
    return sorted(found, key=lambda trouble: trouble.tone != "bad")
