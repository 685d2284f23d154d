"""What can be done with a worker: a page that shows what follows, asks for a reason, and tells the outcome honestly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse

from admin_ext.frame.machinery import read_machinery
from admin_ext.parts.access import may, needed_role, person, refuse_unless
from admin_ext.parts.asking import AskView, Consequence
from admin_ext.parts.not_taken import NOT_ALL_CHANGED
from admin_ext.parts.words import plural
from jobs.errors import JobsError, NotPermitted
from jobs.fleet.beacon import Beacon
from jobs.fleet.commands import Answers
from jobs.fleet.conditions import Condition, Judged, shared_names
from jobs.fleet.queues import configured
from jobs.ledger.verbs import GROW_POOL, SHRINK_POOL, SHUT_DOWN, START_CONSUMING, STOP_CONSUMING, Verb
from jobs.ledger.worker_verbs import (
    MOST_SLOTS,
    RESIZABLE,
    grow_pool,
    shrink_pool,
    shut_down,
    start_consuming,
    stop_consuming,
)

from .lines import process_words, worker_href

LONGEST_NAME = 500
ASK = "admin:jobs_worker_ask"
_LASTS = Consequence("restart_alt", "It lasts until the worker restarts; what it does for good stands in its command.")


@dataclass(frozen=True, slots=True)
class Ask:
    """One verb as the page asks for it.

    Attributes:
        title: completed by the worker's name.
        button: what pressing it does.
        red: it stops something.
    """

    verb: Verb
    title: str
    button: str
    icon: str
    red: bool = False
    asks_slots: bool = False
    asks_queue: bool = False

    @property
    def crumb(self) -> str:
        return self.title.removesuffix(" at").removesuffix(" to")


ASKS: dict[str, Ask] = {
    "grow": Ask(GROW_POOL, "Grow", "Add the slots", "add", asks_slots=True),
    "shrink": Ask(SHRINK_POOL, "Shrink", "Take the slots", "remove", asks_slots=True),
    "start": Ask(START_CONSUMING, "Add a queue to", "Take from the queue", "add", asks_queue=True),
    "stop": Ask(STOP_CONSUMING, "Stop a queue at", "Stop taking from the queue", "bedtime", red=True, asks_queue=True),
    "shutdown": Ask(SHUT_DOWN, "Shut down", "Shut down", "power_settings_new", red=True),
}


@dataclass(frozen=True, slots=True)
class VerbLink:
    """A verb on the worker's page; `why_not` says why it is off, "" when it can be asked for."""

    word: str
    icon: str
    href: str
    why_not: str = ""


def ask_href(name: str, verb: str, queue: str = "") -> str:
    """The address of the page that asks."""
    return f"{reverse(ASK)}?{urlencode({'name': name, 'verb': verb, **({'queue': queue} if queue else {})})}"


def verb_links(request: HttpRequest, judged: Judged, *, live: bool) -> tuple[tuple[VerbLink, ...], str]:
    """The verbs of a worker's page, and what the viewer lacks for all of them; "" when nothing."""
    if not may(request, GROW_POOL.permission):
        return (), needed_role(GROW_POOL.permission)
    beacon = judged.beacon
    why = "" if live and judged.alive else "It cannot be reached." if live else "Redis does not answer."
    fixed = why or ("" if beacon.pool in RESIZABLE else f"A {beacon.pool} pool cannot be resized.")
    last = fixed or ("" if beacon.concurrency > 1 else "One slot must be left.")
    words = (("shrink", "Shrink…", last), ("grow", "Grow…", fixed))
    links = [VerbLink(word, ASKS[verb].icon, ask_href(beacon.worker, verb), no) for verb, word, no in words]
    leaving = why or ("It is stopping." if judged.condition is Condition.STOPPING else "")
    links.append(VerbLink("Shut down warm…", "power_settings_new", ask_href(beacon.worker, "shutdown"), leaving))
    return tuple(links), ""


class _Unreachable(Exception):
    """Whether the worker lives cannot be known now."""


class AskWorker(AskView):
    """`…/workers/worker/ask/?name=&verb=`, with `queue`: GET shows and asks, POST sends."""

    title = "Command a worker"
    template_name = "admin_ext/workers/ask.html"
    no_writes = NOT_ALL_CHANGED
    verb_refuses = True

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return super().dispatch(request, *args, **kwargs)
        except _Unreachable as error:
            messages.warning(request, str(error))
            return redirect(worker_href(self.name))

    @property
    def name(self) -> str:
        return self.request.GET.get("name", "")[:LONGEST_NAME]

    @property
    def asked(self) -> Ask:
        found = ASKS.get(self.request.GET.get("verb", ""))
        if found is None:
            raise Http404("There is nothing of this name that can be done with a worker.")
        return found

    def look(self) -> None:
        super().look()
        refuse_unless(self.request, self.asked.verb.permission, self.asked.verb.sentence)

    def find(self, **kwargs: Any) -> str:
        return ""  # whether it lives its beacon says, if Redis answers

    def act(self) -> HttpResponse:
        try:
            answers = self._sent()
        except NotPermitted:
            raise
        except JobsError as error:
            return self.ask(refusal=str(error))
        tell = messages.success if answers.shown == answers.asked else messages.warning
        tell(self.request, outcome_words(answers, self.asked.verb is not SHUT_DOWN))
        return redirect(worker_href(self.name))

    def _sent(self) -> Answers:
        reason = self.reason
        asked, actor = self.asked, person(self.request)
        worker, slots = self._beacon(), self.request.POST.get("slots", "")
        count = int(slots) if slots.isascii() and slots.isdigit() and len(slots) < 5 else 0
        queue = self.request.POST.get("queue", "")[:LONGEST_NAME]
        acts: dict[str, Callable[[], Answers]] = {
            GROW_POOL.name: lambda: grow_pool(worker, count, actor=actor, reason=reason),
            SHRINK_POOL.name: lambda: shrink_pool(worker, count, actor=actor, reason=reason),
            START_CONSUMING.name: lambda: start_consuming(
                self._addressed(queue not in worker.queues), self._known(queue), actor=actor, reason=reason
            ),
            STOP_CONSUMING.name: lambda: stop_consuming(self._consumers(queue), queue, actor=actor, reason=reason),
            SHUT_DOWN.name: lambda: shut_down(worker, actor=actor, reason=reason),
        }
        return acts[asked.verb.name]()

    def _beacon(self) -> Beacon:
        machinery = read_machinery(self.request)
        found = next((one for one in machinery.fleet.beacons if one.worker == self.name), None)
        if found is None and not machinery.live:
            why = "Redis takes no writes" if machinery.fleet.known else "Redis does not answer"
            raise _Unreachable(f"{why}; nothing can be sent.")
        if found is None:
            raise Http404("No worker of this name is heard, so nothing can be sent to it.")
        return found

    def _addressed(self, sensible: bool) -> list[str]:
        return [self.name] if sensible else []

    def _known(self, queue: str) -> str:
        if queue not in configured():
            raise Http404("No setting names this queue.")
        return queue

    def _consumers(self, queue: str) -> list[str]:
        """Whom a stop is addressed to: this worker, or all that are heard on the queue."""
        beacons = read_machinery(self.request).fleet.beacons
        everybody = self.request.POST.get("everybody") == "on"
        taking = (one.worker for one in beacons if queue in one.queues)
        # A name is addressed once, however many bear it.
        return [name for name in dict.fromkeys(taking) if everybody or name == self.name]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        asked, worker = self.asked, self._beacon()
        queue = self.request.GET.get("queue", "")
        beacons = read_machinery(self.request).fleet.beacons
        others = [one.worker for one in beacons if queue in one.queues and one.worker != self.name]
        free = [name for name in configured() if name not in worker.queues]
        href = worker_href(self.name)
        context = {
            "crumbs": [("Workers", reverse("admin:jobs_workers")), (self.name, href), (asked.crumb, "")],
            "ask": asked,
            "name": self.name,
            "worker": worker,
            "queue": queue,
            "choices": [queue] if asked.verb is STOP_CONSUMING and queue else self._choices(asked, worker, free),
            "others": plural(len(others), "other worker") if asked.verb is STOP_CONSUMING and others else "",
            "facts": [*self._obeys(), *_facts(asked, worker, queue, len(others), beacons)],
            "most_slots": MOST_SLOTS if asked.verb is GROW_POOL else max(worker.concurrency - 1, 0),
            "back": href,
        }
        return {**super().get_context_data(**context | kwargs), "title": f"{asked.title} {self.name}"}

    def _obeys(self) -> list[Consequence]:
        """Who else does what is asked of this worker: a command goes to a name."""
        those = shared_names(read_machinery(self.request).fleet.beacons).get(self.name, ())
        if not those:
            return []
        which = ", ".join(process_words(one) for one in those)
        both = "Both" if len(those) == 2 else f"All {len(those):,}"
        return [Consequence("group", f"{both} processes of this name will obey: {which}.", "bad")]

    def _choices(self, asked: Ask, worker: Beacon, free: list[str]) -> list[str]:
        return list(worker.queues) if asked.verb is STOP_CONSUMING else free


def outcome_words(answers: Answers, answering: bool = True) -> str:
    """`Answered by 3 of 4 workers; …`: who said yes, who refused, who was silent, and what is seen already."""
    count = len(answers.asked)
    if not answering:
        if answers.shown:
            return f"{answers.asked[0]} is stopping: it takes nothing new, ends what it runs, and goes."
        return f"Sent to {answers.asked[0]}; it does not show yet that it stops. It may be at work in its main process."
    parts = [f"Answered by {len(answers.answered):,} of {plural(count, 'worker')}"]
    if answers.refused:
        name, words = next(iter(answers.refused.items()))
        parts.append(f"{name} refused: {words}")
    if answers.silent:
        more = f" and {len(answers.silent) - 1:,} more" if len(answers.silent) > 1 else ""
        parts.append(f"{answers.silent[0]}{more} gave no answer and may do it later, when its work lets it")
    parts.append(f"{len(answers.shown):,} of {count:,} show it already")
    return f"{'; '.join(parts)}."


def _facts(asked: Ask, worker: Beacon, queue: str, others: int, beacons: Sequence[Beacon]) -> list[Consequence]:
    if asked.verb is GROW_POOL:
        return [
            Consequence("add", f"It has {plural(worker.concurrency, 'slot')} now; each new one takes memory at once."),
            Consequence("inbox", "It also takes more messages ahead."),
            _LASTS,
        ]
    if asked.verb is SHRINK_POOL:
        return [
            Consequence("remove", f"It has {plural(worker.concurrency, 'slot')} now; one is always left."),
            Consequence("progress_activity", f"{plural(worker.at_once, 'run')} at work now: none is broken off."),
            _LASTS,
        ]
    if asked.verb is START_CONSUMING:
        return [
            Consequence(
                "inbox", f"It takes from {plural(len(worker.queues), 'queue')} now; the new one shares its slots."
            ),
            Consequence("difference", "It must know the tasks of that queue: what it does not know it drops.", "warn"),
            Consequence("restart_alt", "It lasts until the worker restarts, also when it loses Redis in between."),
        ]
    if asked.verb is STOP_CONSUMING:
        alone = Consequence("person_off", "No other worker takes from it: its messages wait until one does.", "bad")
        rest = Consequence("group", f"{plural(others, 'other worker')} still take from it.")
        return [
            Consequence("bedtime", "It takes nothing more from this queue. What it has received it still runs."),
            *([rest if others else alone] if queue else []),
            _LASTS,
        ]
    busy = plural(worker.at_once, "run")
    return [
        Consequence("hourglass_bottom", f"It takes nothing new, ends what it runs ({busy} now), and goes."),
        Consequence("inbox", f"What it has received and not begun ({worker.reserved:,}) goes back to its queue."),
        *_left_alone(worker, beacons),
        Consequence(
            "power_settings_new",
            "No page can start it again. What started it does, where it watches over it, as make up and systemd do.",
            "warn",
        ),
    ]


def _left_alone(worker: Beacon, beacons: Sequence[Beacon]) -> list[Consequence]:
    """The queues from which nobody takes once it is gone."""
    others = {queue for one in beacons if one.worker != worker.worker and not one.stopping for queue in one.queues}
    alone = [queue for queue in worker.queues if queue not in others]
    if not alone:
        return [Consequence("group", "Other workers take from each of its queues.")]
    names = ", ".join(alone[:5]) + (f" and {len(alone) - 5:,} more" if len(alone) > 5 else "")
    what = "its messages wait" if len(alone) == 1 else "their messages wait"
    return [Consequence("person_off", f"Nobody else takes from {names}: {what} until a worker does.", "bad")]
