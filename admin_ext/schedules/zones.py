"""The time zones that a person chooses from."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings

from jobs.schedules.spec import zones

#: What stands before the slash of a place's zone; `US/Central`, `Zulu` and the like are older names of such.
CONTINENTS = frozenset(
    {"Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific"}
)


def known_zone(name: object) -> ZoneInfo:
    """The zone of that name; that of the settings where there is none."""
    return ZoneInfo(str(name) if name in zones() else str(settings.TIME_ZONE))


def zone_choices(*held: str) -> list[tuple[str, Any]]:
    """The zones by continent; `UTC` and those that are held already stand first, whatever they are called."""
    first = list(dict.fromkeys([*held, "UTC"]))
    places: dict[str, list[tuple[str, str]]] = {}
    for name in sorted(zones() - set(first)):
        continent, _, place = name.partition("/")
        if place and continent in CONTINENTS:
            places.setdefault(continent, []).append((name, name.replace("_", " ")))
    return [*((name, name) for name in first), *places.items()]
