"""What is unsafe about this console's configuration, and what its workers could not read: lines of the Overview."""

from __future__ import annotations

from collections.abc import Mapping

from admin_ext.parts.trouble import Trouble
from admin_ext.parts.words import duration, plural
from jobs.fleet.broker import IDENTITY_KEY, key_of
from jobs.fleet.entries import unreadable_lately
from jobs.fleet.hazards import DOCS, Clash, Hazard, of_clash, of_entries, of_settings
from jobs.fleet.quarantined import QUARANTINE_KEPT
from jobs.fleet.workers import Fleet
from jobs.ledger.leases import CLASH, Holding


def unsafe(fleet: Fleet) -> list[Trouble]:
    """What the settings of this process show, and what the recorder found last, worst first."""
    # What this process could not read is told at once; the recorder tells of it every few seconds, and of what it alone
    # reads.
    found: dict[str, Hazard] = {hazard.id: hazard for hazard in fleet.hazards}
    found |= {hazard.id: hazard for hazard in of_entries(unreadable_lately())}
    hazards = sorted([*of_settings(), *found.values()], key=lambda hazard: hazard.tone != "bad")
    return [
        Trouble(hazard.tone, "gpp_maybe", hazard.fact, hazard.consequence, hazard.where, key=f"hazard:{hazard.id}")
        for hazard in hazards
    ]


def clashes(leases: Mapping[str, Holding]) -> Trouble | None:
    """That this Redis serves another database, as the recorder of this one says; None where it does not."""
    told = leases.get(CLASH)
    if told is None or not told.alive:
        return None
    hazard = of_clash(Clash(told.holder), key_of(IDENTITY_KEY))
    return Trouble(
        hazard.tone,
        "gpp_maybe",
        hazard.fact,
        hazard.consequence,
        hazard.where,
        key=f"hazard:{hazard.id}",
        still_works="Starting jobs, looking, searching and downloads work. What you start is accepted and waits.",
        on_every_page=True,
    )


def messages_set_aside(fleet: Fleet) -> Trouble | None:
    """The messages that no worker could read; None where there are none."""
    found = fleet.quarantined
    if found is None:
        return None
    many = "or more " if found.count >= QUARANTINE_KEPT else ""
    ago = duration(max(fleet.read_at - found.at, 0.0))
    kind = found.why.partition(":")[0]  # what stands after it may quote the message, which is not for everybody
    newest = "it came" if found.count == 1 else "the newest came"
    return Trouble(
        "warn",
        "unknown_document",
        f"{plural(found.count, 'message')} {many}could not be read by workers and {_was(found.count)} set aside.",
        f"Something else writes into the queue {found.queue}: {newest} {ago} ago ({kind}).",
        f"See who does, and {DOCS}, “Messages that nobody can read”.",
        key="messages:aside",
    )


def _was(count: int) -> str:
    return "was" if count == 1 else "were"
