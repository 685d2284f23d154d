"""The state of the machinery for every page: whether recorder and beat work, and what Redis and the workers say."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime

from celery import current_app
from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from admin_ext.parts.trouble import Part, Trouble
from admin_ext.parts.words import duration, plural
from jobs.fleet.breaker import Away
from jobs.fleet.broker import address_setting
from jobs.fleet.conditions import shared_names
from jobs.fleet.stream import Stream, read_stream
from jobs.fleet.workers import Fleet, read_fleet
from jobs.ledger.leases import Holding, holdings
from jobs.storage import storage_mark

from .backlog import redis_fills, stream_grows, with_backlog
from .hazards import clashes, messages_set_aside, unsafe

RECORDER, BEAT = "recorder", "beat"


@dataclass(frozen=True, slots=True)
class Machinery:
    """What was read for one page: beacons, leases, how long the database took to tell, and the stream of facts."""

    fleet: Fleet
    leases: dict[str, Holding]
    database_seconds: float
    read_at: datetime
    stream: Stream = field(default_factory=Stream)

    @property
    def live(self) -> bool:
        """Whether the numbers of this page are of now."""
        return self.fleet.known and not self.fleet.refuses

    @property
    def read_words(self) -> str:
        """When Redis was last read: completes "Live · …"."""
        if self.fleet.refuses:
            return "Redis takes no writes"
        if self.fleet.known:
            return "read now"
        return f"read {duration(self.fleet.silent_for)} ago" if self.fleet.silent_for is not None else "never read"

    def alive(self, name: str) -> bool:
        """Whether somebody holds the lease `name`."""
        return name in self.leases and self.leases[name].alive

    def last_seen(self, name: str) -> str:
        """When the holder of the lease `name` last renewed it, in words."""
        if name not in self.leases:
            return "never seen"
        ago = self.leases[name].renewed_ago
        return "last seen before a clock was set back" if ago is None else f"last seen {duration(ago)} ago"

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """What is wrong with the machinery, worst first."""
        clash = clashes(self.leases)
        found = [
            clash,
            None if clash else self._recorder_gone(),
            self._redis_away(),
            self._redis_full(),
            # Where no recorder is alive, that banner names the remedy already.
            stream_grows(self.stream) if self.alive(RECORDER) else None,
            redis_fills(self.stream) if not self.fleet.refuses else None,
            self._no_worker(),
            self._beat_gone(),
            self._names_shared(),
            self._files_apart(),
            *unsafe(self.fleet),
            messages_set_aside(self.fleet),
        ]
        return tuple(trouble for trouble in found if trouble is not None)

    @property
    def banners(self) -> tuple[Trouble, ...]:
        """What every page must say."""
        return tuple(trouble for trouble in self.troubles if trouble.on_every_page)

    def _recorder_gone(self) -> Trouble | None:
        if self.alive(RECORDER):
            return None
        return Trouble(
            tone="bad",
            icon="history_toggle_off",
            fact=f"No recorder is alive ({self.last_seen(RECORDER)}).",
            consequence="What you start now is accepted and waits; what workers finish is not shown yet.",
            remedy="Start it with: python manage.py recorder",
            key="recorder",
            still_works="Starting jobs, looking, searching and downloads work. Workers finish what they have. Nothing "
            "is lost: when a recorder is back, it publishes what waits and catches up with what happened.",
            on_every_page=True,
        )

    def _redis_away(self) -> Trouble | None:
        if self.fleet.known:
            return None
        fact, remedy = _outage(self.fleet.away)
        return Trouble(
            tone="bad",
            icon="cloud_off",
            fact=fact,
            consequence="What you start now is accepted and runs when it is back.",
            remedy=remedy,
            key="redis:away",
            still_works="Starting jobs, looking, searching and downloads work. What runs and waits is shown as it was "
            "last recorded; what only Redis knows, such as the workers, as unknown.",
            on_every_page=True,
        )

    def _redis_full(self) -> Trouble | None:
        if not self.fleet.refuses:
            return None
        fact, remedy = _refusal(self.fleet.refuses)
        return Trouble(
            tone="bad",
            icon="cloud_off",
            fact=fact,
            consequence="What you start now is accepted and runs when it takes writes again.",
            remedy=remedy,
            key="redis:full",
            still_works="Starting jobs, looking, searching and downloads work. Workers cannot tell what they do: what "
            "runs and waits is shown as it was last recorded.",
            on_every_page=True,
        )

    def _no_worker(self) -> Trouble | None:
        # A worker that cannot write its beacon may well be alive.
        if not self.live or self.fleet.beacons:
            return None
        return Trouble(
            tone="bad",
            icon="person_off",
            fact="No worker has been heard.",
            consequence="Nothing will run.",
            remedy=f"Start one with: celery -A {current_app.main} worker",
            key="workers:none",
        )

    def _beat_gone(self) -> Trouble | None:
        if self.alive(BEAT):
            return None
        return Trouble(
            tone="warn",
            icon="event_busy",
            fact=f"No beat is alive ({self.last_seen(BEAT)}).",
            consequence="Schedules do not fire; what you start by hand runs.",
            remedy=f"Start it with: celery -A {current_app.main} beat",
            key="beat",
        )

    def _names_shared(self) -> Trouble | None:
        shared = shared_names(self.fleet.beacons)
        if not shared:
            return None
        name, those = next(iter(shared.items()))
        more = f" So do those of {plural(len(shared) - 1, 'other name')}." if len(shared) > 1 else ""
        return Trouble(
            tone="warn",
            icon="group",
            fact=f"{len(those):,} workers bear the name {name}.{more}",
            consequence="A remote command to that name reaches each of them. Their runs are kept apart.",
            remedy=f"Give each a name of its own: celery -A {current_app.main} worker -n <name>@%h",
            key="names:shared",
            ways=((reverse("admin:jobs_workers"), "Workers"),),
        )

    def _files_apart(self) -> Trouble | None:
        here = storage_mark.text()
        apart = [beacon.worker for beacon in self.fleet.beacons if here and beacon.files and beacon.files != here]
        if not apart:
            return None
        who = apart[0] if len(apart) == 1 else f"{apart[0]} and {plural(len(apart) - 1, 'other worker')}"
        keep = "keeps" if len(apart) == 1 else "keep"
        return Trouble(
            tone="warn",
            icon="folder_off",
            fact=f"{who} {keep} files elsewhere than these pages.",
            consequence="What is uploaded here cannot be read there, and what is attached there cannot be opened here.",
            remedy="Let FILES_DIR name a folder that all hosts share, or use a storage on the network.",
            key="files:apart",
        )

    @property
    def parts(self) -> tuple[Part, ...]:
        """The machinery line of the Overview."""
        return (
            _part("Web", True, f"answers now, release {settings.RELEASE}"),
            self._redis_part(),
            _part("Database", True, f"answered now, in {max(self.database_seconds * 1000, 1):.0f} ms"),
            with_backlog(self._lease_part("Recorder", RECORDER), self.stream),
            self._lease_part("Beat", BEAT),
            self._workers_part(),
        )

    def _redis_part(self) -> Part:
        if self.fleet.refuses:
            return _part("Redis", False, "answered now, takes no writes")
        return _part("Redis", self.fleet.known, "answered now" if self.fleet.known else self.read_words)

    def _lease_part(self, title: str, name: str) -> Part:
        if self.alive(name):
            return _part(title, True, f"seen {duration(self.leases[name].renewed_ago)} ago")
        return _part(title, False, self.last_seen(name))

    def _workers_part(self) -> Part:
        fleet = self.fleet
        if not fleet.known or (fleet.refuses and not fleet.beacons):
            return Part("Workers", "unknown", "question_mark", "unknown")
        if not fleet.beacons:
            return _part("Workers", False, "none heard")
        heard = f"{len(fleet.beacons):,} heard, last {duration(max(fleet.oldest_beat, 0.0))} ago"
        return _part("Workers", True, f"{heard}, {fleet.busy:,} of {plural(fleet.slots, 'slot')} in use")


def _outage(away: Away | None) -> tuple[str, str]:
    """That Redis fails these pages, and what to do. Counted from the first question that failed: before it nobody had
    asked."""
    if away is not None and away.unknown:
        name = address_setting()
        return f"Redis refuses the password of {name}.", f"Correct it in {name}, and start the processes again."
    since = f" for {duration(away.seconds)}" if away is not None and away.seconds >= 1 else ""
    return f"Redis has not answered{since}.", f"See that Redis runs and that {address_setting()} names it."


def _refusal(words: str) -> tuple[str, str]:
    """What Redis' own refusal of a write means, and what to do."""
    if "'maxmemory'" in words:
        return "Redis is full: it takes no writes.", "Raise its maxmemory, or free memory in it."
    if "read only replica" in words:
        return "Redis takes no writes: it is a read-only replica.", f"Let {address_setting()} name the primary."
    if "MISCONF" in words:
        return "Redis takes no writes: it cannot save to its disk.", "See Redis' log, and the space on its disk."
    return f"Redis takes no writes: {words[:200]}", f"See Redis' log and the rights of the user in {address_setting()}."


def _part(name: str, well: bool, text: str) -> Part:
    return Part(name, "ok" if well else "bad", "check_circle" if well else "error", text)


def read_machinery(request: HttpRequest) -> Machinery:
    """The machinery's state, read once a request."""
    known: Machinery | None = getattr(request, "_oc_machinery", None)
    if known is None:
        known = request._oc_machinery = look_at_machinery()  # type: ignore[attr-defined]
    return known


def look_at_machinery() -> Machinery:
    """The machinery's state now: the leases from the database, beacons and stream in bounded time."""
    before = time.perf_counter()
    leases = holdings()
    seconds = time.perf_counter() - before
    return Machinery(read_fleet(), leases, seconds, timezone.now(), read_stream())


def machinery(request: HttpRequest) -> dict[str, object]:
    """Context processor: `machinery` for signed-in staff, read only when a template uses it."""
    user = getattr(request, "user", None)
    if user is None or not (user.is_authenticated and user.is_staff):
        return {}
    return {"machinery": SimpleLazyObject(lambda: read_machinery(request))}
