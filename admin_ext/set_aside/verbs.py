"""What can be done with facts that were set aside: each act shows what it brings about, and asks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.views.generic import TemplateView
from unfold.views import UnfoldModelAdminViewMixin

from admin_ext.frame.machinery import RECORDER, read_machinery
from admin_ext.parts.access import person, refuse_unless
from admin_ext.parts.words import plural
from admin_ext.start.sheet import LONGEST_REASON
from admin_ext.start.will_happen import Consequence
from jobs.errors import JobsError, NotPermitted
from jobs.fleet.dead_letters import Which, count, is_entry_id, look
from jobs.ledger.dead_letters import Settled, discard_facts, reread_facts
from jobs.ledger.verbs import DISCARD_FACTS, REREAD_FACTS, Verb

from .listing import KINDS, LIST, TITLE

#: What is typed where they are too many or too large to count.
EVERY = "all"


class AskView(UnfoldModelAdminViewMixin, TemplateView):
    """GET shows what will happen to the facts that the address names, POST does it."""

    template_name = "admin_ext/dead_letters/ask.html"
    http_method_names = ["get", "post", "head", "options"]
    verb: Verb
    #: The button's word and symbol.
    act = ""
    icon = ""
    which: Which
    #: How many they are; None where that was not counted.
    number: int | None

    def has_permission(self) -> bool:
        return True  # GET asks for the verb's own permission; a refused POST is recorded

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method != "POST":
            refuse_unless(request, REREAD_FACTS.permission, REREAD_FACTS.sentence)
        asked = request.POST if request.method == "POST" else request.GET
        one, kind, until = (asked.get(name, "") for name in ("id", "kind", "until"))
        if kind not in KINDS or any(text and not is_entry_id(text) for text in (one, until)):
            messages.warning(request, "Nothing was done: the address names no fact of this list.")
            return redirect(LIST)
        self.which = Which.one(one) if one else Which(newer=KINDS[kind][0], until=until)
        return super().dispatch(request, *args, **kwargs)

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        refuse_unless(request, self.verb.permission, self.verb.sentence)
        # Of any kind: only how far it reaches counts, and the newest of one kind may lie far down.
        newest = look(Which(since=self.which.since, until=self.which.until), most=1)
        if newest is None:
            messages.error(request, "Redis does not answer, so what was set aside is not known. Try again later.")
            return redirect(LIST)
        if not newest.letters:
            messages.info(request, "What you asked for is not set aside any more.")
            return redirect(LIST)
        self.which = replace(self.which, until=newest.letters[0].id)
        return self.ask()

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not self.which.until:
            return redirect(LIST)
        refusal = self.why_not_confirmed()
        if refusal and request.user.has_perm(self.verb.permission):
            return self.ask(refusal=refusal)
        try:
            settled = self.settle(request)
        except NotPermitted as error:
            raise PermissionDenied(str(error)) from None
        except JobsError as error:
            messages.error(request, str(error))
        else:
            tell = messages.warning if settled.rest else messages.success
            tell(request, f"{self.outcome(settled.count)} {settled.rest}".strip())
        return redirect(LIST)

    def why_not_confirmed(self) -> str:
        """Why what was typed does not do; "" when it does or nothing is to be typed."""
        return ""

    def settle(self, request: HttpRequest) -> Settled:
        raise NotImplementedError

    def outcome(self, number: int) -> str:
        raise NotImplementedError

    def facts(self) -> list[Consequence]:
        raise NotImplementedError

    @property
    def reason(self) -> str:
        return self.request.POST.get("reason", "").strip()[:LONGEST_REASON]

    @property
    def is_one(self) -> bool:
        return bool(self.which.since)

    @property
    def words(self) -> str:
        """`1 fact`, `12 facts`, `all facts`."""
        return plural(self.number, "fact") if self.number is not None else "all facts"

    def ask(self, **more: Any) -> HttpResponse:
        self.number = 1 if self.is_one else count(self.which)
        return self.render_to_response(self.get_context_data(**more))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        kind = {None: "", True: "newer", False: "damaged"}[self.which.newer]
        title = f"{self.act} {self.words}"
        context = {
            "crumbs": [(TITLE, reverse(LIST)), (self.act, "")],
            "heading": title,
            "sentence": self._sentence("" if self.is_one or not kind else KINDS[kind][1]),
            "hidden": {"id": self.which.since} if self.is_one else {"kind": kind, "until": self.which.until},
            "facts": self.facts(),
            "number": self.number,
            "reason": self.reason,
            "longest_reason": LONGEST_REASON,
            "button": title,
            "button_icon": self.icon,
            "back": reverse(LIST),
        }
        return super().get_context_data(**context | kwargs)

    def _sentence(self, kind: str) -> str:
        if self.is_one:
            return f"The fact that was set aside as {self.which.since}."
        reach = f"{kind}, up" if kind else "Up"
        return f"{reach} to the newest that you see now; what is set aside from now on is not touched."


class ReadAgain(AskView):
    """`…/set-aside/read/`."""

    title = "Read again"
    verb = REREAD_FACTS
    act = "Read again"
    icon = "autorenew"

    def settle(self, request: HttpRequest) -> Settled:
        return reread_facts(self.which, actor=person(request), reason=self.reason)

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


class Discard(AskView):
    """`…/set-aside/discard/`; of several the number is typed."""

    title = "Discard"
    verb = DISCARD_FACTS
    act = "Discard"
    icon = "delete"

    def why_not_confirmed(self) -> str:
        if self.is_one:
            return ""
        self.number = count(self.which)
        expected = EVERY if self.number is None else str(self.number)
        typed = self.request.POST.get("typed", "").strip().replace(",", "")
        return "" if typed == expected else f"Nothing was discarded: type {expected} to confirm."

    def settle(self, request: HttpRequest) -> Settled:
        return discard_facts(self.which, actor=person(request), reason=self.reason)

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

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        expected = "" if self.is_one else EVERY if self.number is None else str(self.number)
        return super().get_context_data(**{"red": True, "expected": expected} | kwargs)
