"""What can be done with facts that were set aside: each act shows what it brings about, and asks."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from admin_ext.frame.machinery import RECORDER, read_machinery
from admin_ext.parts.access import person
from admin_ext.parts.asking import Consequence
from admin_ext.parts.words import plural
from jobs.fleet.dead_letters import Which, count, is_entry_id, look
from jobs.ledger.dead_letters import Settled, discard_facts, reread_facts
from jobs.ledger.verbs import DISCARD_FACTS, REREAD_FACTS

from .asked import EVERY, GONE, NOT_KNOWN, AskSetAside
from .listing import KINDS, LIST, TITLE


class AskFacts(AskSetAside):
    """About the facts that the address names."""

    elsewhere = LIST
    which: Which

    def find(self, **kwargs: Any) -> str:
        one, kind, until = (self.asked.get(name, "") for name in ("id", "kind", "until"))
        if kind not in KINDS or any(text and not is_entry_id(text) for text in (one, until)):
            return "Nothing was done: the address names no fact of this list."
        self.which = Which.one(one) if one else Which(newer=KINDS[kind][0], until=until)
        return ""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        # Of any kind: only how far it reaches counts, and the newest of one kind may lie far down.
        newest = look(Which(since=self.which.since, until=self.which.until), most=1)
        if newest is None:
            messages.error(request, NOT_KNOWN)
            return redirect(LIST)
        if not newest.letters:
            messages.info(request, GONE)
            return redirect(LIST)
        self.which = replace(self.which, until=newest.letters[0].id)
        return self.ask()

    def act(self) -> HttpResponse:
        return super().act() if self.which.until else redirect(LIST)

    @property
    def is_one(self) -> bool:
        return bool(self.which.since)

    @property
    def expected(self) -> str:
        """What is typed where they are several and cannot be brought back."""
        return "" if self.is_one or not self.red else EVERY if self.number is None else str(self.number)

    @cached_property
    def number(self) -> int | None:
        """None where they are too many or too large to count."""
        return 1 if self.is_one else count(self.which)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        kind = {None: "", True: "newer", False: "damaged"}[self.which.newer]
        words = plural(self.number, "fact") if self.number is not None else "all facts"
        context = {
            "crumbs": [(TITLE, reverse(LIST)), (self.title, "")],
            "heading": f"{self.title} {words}",
            "button": f"{self.title} {words}",
            "sentence": self._sentence("" if self.is_one or not kind else KINDS[kind][1]),
            "hidden": {"id": self.which.since} if self.is_one else {"kind": kind, "until": self.which.until},
            "back": reverse(LIST),
        }
        return super().get_context_data(**context | kwargs)

    def _sentence(self, kind: str) -> str:
        if self.is_one:
            return f"The fact that was set aside as {self.which.since}."
        reach = f"{kind}, up" if kind else "Up"
        return f"{reach} to the newest that you see now; what is set aside from now on is not touched."


class ReadAgain(AskFacts):
    """`…/set-aside/read/`."""

    title = "Read again"
    verb = REREAD_FACTS
    icon_name = "autorenew"

    def settle(self) -> Settled:
        return reread_facts(self.which, actor=person(self.request), reason=self.reason)

    def outcome(self, number: int) -> str:
        was = "was" if number == 1 else "were"
        return f"{plural(number, 'fact')} {was} given back to the recorder. What it still cannot read comes back here."

    def facts(self) -> list[Consequence]:
        it, they = ("it", "it tells") if self.number == 1 else ("them", "they tell")
        facts = [
            Consequence("autorenew", f"The recorder reads {it} again, and records what {they} of runs."),
            Consequence("check_circle", "What is recorded already is not recorded twice."),
            Consequence("sync_problem", "What it still cannot read comes back here, with the reason of that time."),
        ]
        if not read_machinery(self.request).alive(RECORDER):
            facts.append(Consequence("history_toggle_off", "No recorder is alive: it waits until one is.", "warn"))
        return facts


class Discard(AskFacts):
    """`…/set-aside/discard/`; of several the number is typed."""

    title = "Discard"
    verb = DISCARD_FACTS
    icon_name = "delete"
    red = True

    def settle(self) -> Settled:
        return discard_facts(self.which, actor=person(self.request), reason=self.reason)

    def outcome(self, number: int) -> str:
        return f"{plural(number, 'fact')} {'is' if number == 1 else 'are'} discarded. The audit trail says so."

    def facts(self) -> list[Consequence]:
        they = "it tells" if self.number == 1 else "they tell"
        return [
            Consequence(
                "delete_forever",
                f"What {they} of runs is lost: a run whose end is told here may stay as it is shown, and an observed "
                "run that nothing else tells of never appears.",
                "bad",
            ),
            Consequence("history", "What is recorded already stays. The audit trail keeps how many, who and why."),
            Consequence("block", "Cannot be undone. To try once more, choose Read again."),
        ]
