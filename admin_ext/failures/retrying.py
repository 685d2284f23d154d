"""What has become of retrying a group's runs, on the group's page; the page that asks before the rest is stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from admin_ext.parts.access import person
from admin_ext.parts.asking import Consequence
from admin_ext.parts.words import ago, clock, local_time, plural
from jobs.failures.verbs import subject_of
from jobs.ledger.batches import Batch, retries_of, stop_rest
from jobs.ledger.verbs import STOP_RETRY
from jobs.models import FailureGroup
from jobs.states import State

from .verbs import AskGroup

_RUNS = "admin:jobs_run_changelist"


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of outcome: "4 failed again", the list of them, and its piece of the bar in per cent."""

    words: str
    href: str
    fill: str
    x: str
    width: str


@dataclass(frozen=True, slots=True)
class Retrying:
    """The card of one batch.

    Attributes:
        begins: "Retrying 1,000 runs", before its parts.
        rest: "684 to go", after them.
        stop: the address that asks before the rest is stopped; "" where nothing is left to stop.
    """

    begins: str
    parts: tuple[Part, ...]
    rest: str
    who: str
    href: str
    stop: str
    moves: bool


def retrying(group: FailureGroup, now: datetime) -> tuple[Retrying, ...]:
    """The last retries of the group's runs. One statement where there was none, else two."""
    return tuple(_card(group, one, now) for one in retries_of(subject_of(group), now))


def _card(group: FailureGroup, one: Batch, now: datetime) -> Retrying:
    because = f" because “{one.reason}”" if one.reason else ""
    who = f"{one.by} {ago(one.begun_at, now)}{because}."
    if one.last_start is not None and one.last_start > now:
        who += f" The last one starts about {minute(one.last_start, now)}, {ago(one.last_start, now)}."
    stop = reverse("admin:jobs_failuregroup_stop_retry", args=[group.pk])
    return Retrying(
        begins=f"{'Retrying' if one.moves else 'Retried'} {plural(one.total, 'run')}",
        parts=_parts(one),
        rest=f"{one.to_go:,} to go" if one.moves else "",
        who=who,
        href=_listed(one),
        stop=f"{stop}?{urlencode({'batch': one.name})}" if one.to_go else "",
        moves=one.moves,
    )


def _parts(one: Batch) -> tuple[Part, ...]:
    counted = (
        (one.done, "done", "ok", State.SUCCEEDED),
        (one.failed, "failed again", "bad", State.FAILED),
        (one.lost, "lost", "warn", State.LOST),
        (one.at_work, "at work", "live", State.RUNNING),
        (one.cancelled, "cancelled", "idle", State.CANCELLED),
    )
    found, before = [], 0
    for count, word, fill, state in counted:
        # How many are done and how many failed is told even where none has.
        if count or fill in {"ok", "bad"}:
            x, width = (f"{100 * part / one.total:.2f}" for part in (before, count))
            found.append(Part(f"{count:,} {word}", _listed(one, state=state.value) if count else "", fill, x, width))
            before += count
    return tuple(found)


def _listed(one: Batch, **more: str) -> str:
    return f"{reverse(_RUNS)}?{urlencode({'batch': one.name, **more})}"


def minute(moment: datetime, now: datetime) -> str:
    """`14:32` today; with its day otherwise."""
    local = local_time(moment)
    return f"{local:%H:%M}" if local.date() == timezone.localtime(now).date() else clock(moment, now)


class StopRetry(AskGroup):
    """`…/retry/stop/?batch=`: cancel what has not begun of a retry of the group's runs."""

    title = "Stop the retry"
    verb = STOP_RETRY
    icon_name = "do_not_disturb_on"
    batch: Batch
    stopped = 0

    def find(self, **kwargs: Any) -> str:
        if missing := super().find(**kwargs):
            return missing
        found = retries_of(subject_of(self.group), timezone.now())
        for one in found:
            if one.name == self.request.GET.get("batch"):
                self.batch = one
                return ""
        return "That retry is not known any more: it ended long ago, or was pruned."

    def change(self) -> FailureGroup:
        self.stopped = stop_rest(
            self.batch.name, actor=person(self.request), subject=subject_of(self.group), reason=self.reason
        )
        return self.group

    def told(self, group: FailureGroup) -> str:
        if not self.stopped:
            return "nothing was left to stop: every run of it has begun."
        return f"{plural(self.stopped, 'run')} that had not begun {'is' if self.stopped == 1 else 'are'} cancelled."

    @property
    def button(self) -> str:  # type: ignore[override]
        return f"Cancel {plural(self.batch.to_go, 'run')}"

    def facts(self) -> list[Consequence]:
        one = self.batch
        facts = [Consequence("check_circle", f"{plural(one.to_go, 'run')} of {one.total:,} will never begin.", "ok")]
        if one.at_work:
            words = f"{plural(one.at_work, 'run')} at work {'goes' if one.at_work == 1 else 'go'} on to the end."
            facts.append(Consequence("progress_activity", words))
        ended = one.done + one.failed + one.lost
        if ended:
            facts.append(Consequence("history", f"The {ended:,} that have ended stay as they are."))
        facts.append(Consequence("replay", "The failed runs stay in the group and can be retried again later."))
        return facts


def shown(request: HttpRequest, cards: Sequence[Retrying]) -> dict[str, Any]:
    """What the group's page needs of them: it asks itself again while one moves."""
    return {"retrying": cards, "retrying_moves": any(card.moves for card in cards), "here": request.get_full_path()}
