"""Configurations under which a promise cannot be kept: each with what follows, the remedy and where the docs explain.

Three look: `manage.py check` and every worker's start at the settings, the recorder at Redis, the clocks and the
machines (it writes what it finds into Redis), and the Overview shows both.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cache
from importlib import metadata
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, TypeAdapter

from jobs.compat import settings

from .beacon import Beacon
from .broker import PREFIX, SENTINEL, Redis, address, address_setting, key_of
from .entries import Unreadable, names_of

logger = logging.getLogger(__name__)

#: Read from files once: every page asks.
version = cache(metadata.version)

HAZARDS_KEY = PREFIX + "hazards"
#: What the recorder found is believed for so long, in seconds.
BELIEVED = 120
#: Two clocks further apart than this are told, in seconds.
MAX_SKEW = 5.0
#: So many entries of Redis are named.
MOST_NAMED = 3
#: The first releases that the console works with (`make matrix`).
OLDEST = {"celery": (5, 6, 2), "kombu": (5, 6)}
#: The first release in which a worker does not stay silent after Redis was away.
WISE = (5, 7)
DOCS = "docs/guarantees.md"
_Text = Annotated[str, Field(max_length=20_000)]


@dataclass(frozen=True, slots=True)
class Hazard:
    """One unsafe configuration.

    Attributes:
        id: of the system check, too.
        tone: bad where accepted runs may be lost or doubled, warn where recovery is slower or less is promised.
        section: the heading in docs/guarantees.md that explains it.
    """

    id: _Text
    tone: Literal["bad", "warn"]
    fact: _Text
    consequence: _Text
    remedy: _Text
    section: _Text

    @property
    def where(self) -> str:
        """Where one reads more: completes the remedy."""
        return f"{self.remedy} See {DOCS}, “{self.section}”."


_HAZARDS = TypeAdapter(Annotated[tuple[Hazard, ...], Field(max_length=100)])


def of_settings() -> list[Hazard]:
    """What this process can tell by its own settings and packages; asks nobody."""
    found = []
    versions = _versions()
    old = [f"{name} {number}" for name, number in versions.items() if _number(number) < OLDEST[name]]
    unwise = [f"{name} {number}" for name, number in versions.items() if _number(number) < WISE]
    if old:
        found.append(
            Hazard(
                "jobs.E012",
                "bad",
                f"{_are(old)} installed.",
                "The console was never seen to work with that: it extends what only later releases have.",
                "Install celery 5.6.2 and kombu 5.6 or later, best 5.7 of both.",
                "Releases",
            )
        )
    elif unwise:
        found.append(
            Hazard(
                "jobs.W012",
                "warn",
                f"{_are(unwise)} installed.",
                "Workers of that release may stay silent after Redis was away, and queued runs wait for a restart; the "
                "recorder publishes message by message, which takes longer.",
                "Install celery and kombu 5.7 or later.",
                "Releases",
            )
        )
    if settings.DEBUG and settings.ENVIRONMENT_LABEL.casefold() != "local":
        found.append(
            Hazard(
                "jobs.W010",
                "bad",
                f"DEBUG is on in the environment {settings.ENVIRONMENT_LABEL}.",
                "Error pages show settings and arguments to whoever meets them, and the processes' memory grows.",
                "Set DEBUG=off.",
                "Settings",
            )
        )
    if _open_to_all(address()):
        found.append(
            Hazard(
                "jobs.W011",
                "bad",
                f"Redis is on another machine, and {address_setting()} has no password.",
                "Whoever reaches it can put messages into the queues: workers would run them without a record.",
                "Give Redis a password (requirepass or an ACL user) and write redis://user:password@host:6379/0.",
                "Redis",
            )
        )
    return found


def of_redis(client: Redis) -> list[Hazard]:
    """What Redis says of its own memory and disk.

    Raises:
        RedisError: Redis did not answer.
    """
    said = {**client.info("memory"), **client.info("persistence")}
    found = []
    policy = said.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        found.append(
            Hazard(
                "jobs.W020",
                "bad",
                f"Redis throws away keys when its memory is full ({policy}).",
                "Messages and facts vanish without an error: runs are published again late, and ends may be unknown.",
                "Set maxmemory-policy noeviction.",
                "Redis",
            )
        )
    if not said.get("aof_enabled", 1):
        found.append(
            Hazard(
                "jobs.W021",
                "warn",
                "Redis keeps no append-only file.",
                "When it restarts, what workers have finished and nobody has recorded yet is told as lost.",
                "Set appendonly yes and appendfsync everysec.",
                "Redis",
            )
        )
    return found


def of_clocks(ahead: Mapping[str, float]) -> list[Hazard]:
    """Whose clock differs from the database's by more than MAX_SKEW.

    Args:
        ahead: by name, how many seconds that clock is ahead of the database's.
    """
    wrong = {name: seconds for name, seconds in sorted(ahead.items()) if abs(seconds) > MAX_SKEW}
    if not wrong:
        return []
    told = ", ".join(f"{name} {abs(s):,.0f} s {'ahead' if s > 0 else 'behind'}" for name, s in wrong.items())
    return [
        Hazard(
            "jobs.W022",
            "warn",
            f"Clocks differ from the database's: {told}.",
            "Runs still execute once, but times, durations and the pause before an automatic retry are wrong.",
            "Let every machine keep its time by NTP.",
            "Clocks",
        )
    ]


def of_machines(beacons: Iterable[Beacon], own: str) -> list[Hazard]:
    """SQLite with workers on other machines than this one: a file cannot be shared over a network safely."""
    elsewhere = sorted(beacon.worker for beacon in beacons if beacon.machine and beacon.machine != own)
    if not elsewhere or "sqlite" not in settings.DATABASES["default"]["ENGINE"]:
        return []
    return [
        Hazard(
            "jobs.W023",
            "bad",
            f"The database is SQLite, and {', '.join(elsewhere)} is on another machine than the recorder.",
            "Its file is not safe over a network: claims may be lost or made twice, and the file may break.",
            "Move to PostgreSQL (DATABASE_URL), or keep all workers on one machine.",
            "Database",
        )
    ]


def of_entries(unreadable: Sequence[Unreadable]) -> list[Hazard]:
    """What lies in Redis and cannot be read."""
    if not unreadable:
        return []
    some = len(unreadable) != 1
    return [
        Hazard(
            "jobs.W024",
            "warn",
            f"{len(unreadable):,} {'entries' if some else 'entry'} in Redis cannot be read:"
            f" {names_of(unreadable, MOST_NAMED)}.",
            f"What {'they tell' if some else 'it tells'} is left out: workers, runs or queues may be shown without it.",
            "Let all processes be of one release. What none of them has written, remove: redis-cli DEL <key>.",
            "Entries of Redis that cannot be read",
        )
    ]


class Clash(StrEnum):
    """Why a recorder must not work on a Redis: who else does."""

    OTHER = "other"
    COPY = "copy"


def of_clash(clash: Clash, key: str) -> Hazard:
    """That two databases meet on one Redis, as the one says that it does not serve.

    Args:
        key: under which Redis keeps whom it serves.
    """
    apart = "Give this project a Redis of its own: another database number, or a global_keyprefix in its broker's and"
    apart += " result backend's transport options; then start its processes again."
    facts = {
        Clash.OTHER: "This Redis serves the console of another database.",
        Clash.COPY: "This Redis serves the console of a newer copy of this database, of which a recorder is at work.",
    }
    gone = {
        Clash.OTHER: f"Where that database is gone for good: redis-cli DEL {key}.",
        Clash.COPY: "Where this is the one that counts, stop the other recorder and start this one again.",
    }
    return Hazard(
        "jobs.E025",
        "bad",
        facts[clash],
        "Its recorder does not work, as two would take each other's events: nothing starts, and no end is shown.",
        f"{apart} {gone[clash]}",
        "Two databases on one Redis",
    )


def of_other_beats(schedules: Sequence[str]) -> list[Hazard]:
    """Schedules that a beat which is not the console's has published."""
    if not schedules:
        return []
    more = len(schedules) - MOST_NAMED
    names = ", ".join(schedules[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")
    return [
        Hazard(
            "jobs.W026",
            "warn",
            f"A beat that is not the console's publishes schedules: {names}.",
            "Two of them publish each moment twice, and nothing claims those runs.",
            "Start beat without --scheduler, from the application that is joined.",
            "Another beat",
        )
    ]


def tell(hazards: Iterable[Hazard], client: Redis) -> None:
    """Write what was found for the pages."""
    client.set(key_of(HAZARDS_KEY), json.dumps([asdict(hazard) for hazard in hazards]), ex=BELIEVED)


def told(text: str) -> tuple[Hazard, ...]:
    """What `tell` wrote.

    Raises:
        ValueError: nobody of this release wrote it.
    """
    return _HAZARDS.validate_json(text)


def warn_of_settings(**_: object) -> None:
    """Say in the log at a process's start what is unsafe."""
    for hazard in of_settings():
        logger.warning("%s: %s %s %s", hazard.id, hazard.fact, hazard.consequence, hazard.where)


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("celery", "kombu")}


def _number(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:3] if part.isdigit())


def _are(names: list[str]) -> str:
    return " and ".join(names) + (" is" if len(names) == 1 else " are")


def _open_to_all(url: str) -> bool:
    """Whether Redis is reached over a network without a password."""
    if not url.startswith(("redis://", "rediss://", SENTINEL)):
        return False
    parts = urlsplit(url.partition(";")[0])
    return parts.hostname not in {"localhost", "127.0.0.1", "::1", None} and not parts.password
