"""What can be done with messages that workers set aside: each act shows what it brings about, and asks."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.views.generic import TemplateView
from unfold.views import UnfoldModelAdminViewMixin

from admin_ext.frame.machinery import read_machinery
from admin_ext.parts.access import person, refuse_unless
from admin_ext.parts.words import plural
from admin_ext.start.sheet import LONGEST_REASON
from admin_ext.start.will_happen import Consequence
from jobs.errors import JobsError, NotPermitted
from jobs.fleet.quarantined import Meant, SetAside, find_message, look_at_messages
from jobs.ledger.dead_letters import Settled
from jobs.ledger.messages_set_aside import discard_messages, put_back_messages
from jobs.ledger.verbs import DISCARD_MESSAGES, PUT_BACK_MESSAGES, Verb

from .listing import LIST, TITLE
from .messages import MESSAGES, meant_by
from .verbs import EVERY


class AskMessages(UnfoldModelAdminViewMixin, TemplateView):
    """GET shows what will happen to the messages that the address names, POST does it."""

    template_name = "admin_ext/dead_letters/ask.html"
    http_method_names = ["get", "post", "head", "options"]
    verb: Verb
    #: The button's word and symbol.
    act = ""
    icon = ""
    meant: Meant
    #: How many they are, and the one where it is one.
    number: int
    one: SetAside | None = None

    def has_permission(self) -> bool:
        return True  # GET asks for the verb's own permission; a refused POST is recorded

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method != "POST":
            refuse_unless(request, self.verb.permission, self.verb.sentence)
        meant = meant_by(request.POST if request.method == "POST" else request.GET)
        if meant is None:
            messages.warning(request, "Nothing was done: the address names no message of this list.")
            return redirect(MESSAGES)
        self.meant = meant
        return super().dispatch(request, *args, **kwargs)

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.ask() or redirect(MESSAGES)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        confirmed = request.POST.get("typed", "").strip() == self.expected
        if self.expected and not confirmed and request.user.has_perm(self.verb.permission):
            return self.ask(refusal=f"Nothing was done: type {self.expected} to confirm.") or redirect(MESSAGES)
        try:
            settled = self.settle(request)
        except NotPermitted as error:
            raise PermissionDenied(str(error)) from None
        except JobsError as error:
            messages.error(request, str(error))
        else:
            tell = messages.warning if settled.rest else messages.success
            tell(request, f"{self.outcome(settled.count)} {settled.rest}".strip())
        return redirect(MESSAGES)

    @property
    def expected(self) -> str:
        """What is typed to confirm; "" for nothing."""
        return ""

    @property
    def reason(self) -> str:
        return self.request.POST.get("reason", "").strip()[:LONGEST_REASON]

    def settle(self, request: HttpRequest) -> Settled:
        raise NotImplementedError

    def outcome(self, number: int) -> str:
        raise NotImplementedError

    def facts(self) -> list[Consequence]:
        raise NotImplementedError

    def ask(self, **more: Any) -> HttpResponse | None:
        """The page that asks; None where there is nothing to ask about, which was said then."""
        looked = look_at_messages(0, 1)
        if looked is None:
            messages.error(self.request, "Redis does not answer, so what was set aside is not known. Try again later.")
            return None
        self.one = find_message(self.meant.id) if self.meant.id else None
        self.number = 1 if self.meant.id else looked[1]
        if not looked[1] or (self.meant.id and self.one is None):
            messages.info(self.request, "What you asked for is not set aside any more.")
            return None
        return self.render_to_response(self.get_context_data(**more))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        title = f"{self.act} {plural(self.number, 'message')}"
        one = self.one
        context = {
            "crumbs": [(TITLE, reverse(LIST)), ("Messages", reverse(MESSAGES)), (self.act, "")],
            "heading": title,
            "sentence": f"From the queue {one.queue or 'that is not known'}, set aside by {one.worker or 'a worker'}."
            if one
            else "All that you see now; what is set aside from now on is not touched.",
            "hidden": {"id": self.meant.id} if self.meant.id else {"until": repr(self.meant.until)},
            "facts": self.facts(),
            "reason": self.reason,
            "longest_reason": LONGEST_REASON,
            "button": title,
            "button_icon": self.icon,
            "expected": self.expected,
            "back": reverse(MESSAGES),
        }
        return super().get_context_data(**context | kwargs)


class PutBack(AskMessages):
    """`…/set-aside/messages/back/`."""

    title = "Put back"
    verb = PUT_BACK_MESSAGES
    act = "Put back"
    icon = "undo"

    def settle(self, request: HttpRequest) -> Settled:
        return put_back_messages(self.meant, actor=person(request), reason=self.reason)

    def outcome(self, number: int) -> str:
        went = "went" if number == 1 else "each went"
        return f"{plural(number, 'message')} {went} back to its queue. What no worker can read comes back here."

    def facts(self) -> list[Consequence]:
        where = f"the end of the queue {self.one.queue}" if self.one else "the ends of their queues"
        it = "it" if self.number == 1 else "them"
        facts = [
            Consequence("inbox", f"Goes to {where}, exactly as it was{'' if self.one else ', oldest first'}."),
            Consequence("play_arrow", f"A worker that can read {it} now runs {it}: after a fixed deployment, say."),
            Consequence(
                "unknown_document", "What no worker can read yet comes back here, with the reason of that time."
            ),
            Consequence(
                "check_circle", "A run that the console accepted runs once, even if it was sent again meanwhile."
            ),
        ]
        if not self.one:
            facts.append(Consequence("content_cut", "What is not kept whole stays here; it can only be discarded."))
        queues = {self.one.queue} if self.one else set()
        consumed = {name for beacon in read_machinery(self.request).fleet.beacons for name in beacon.queues}
        if queues - consumed:
            facts.append(
                Consequence("person_off", "No worker takes from this queue now: it waits until one does.", "warn")
            )
        return facts


class DiscardMessages(AskMessages):
    """`…/set-aside/messages/discard/`; of all, `all` is typed."""

    title = "Discard"
    verb = DISCARD_MESSAGES
    act = "Discard"
    icon = "delete"

    @property
    def expected(self) -> str:
        return "" if self.meant.id else EVERY

    def settle(self, request: HttpRequest) -> Settled:
        return discard_messages(self.meant, actor=person(request), reason=self.reason)

    def outcome(self, number: int) -> str:
        return f"{plural(number, 'message')} {'is' if number == 1 else 'are'} discarded. The audit trail says so."

    def facts(self) -> list[Consequence]:
        return [
            Consequence(
                "delete_forever",
                "What code published with it never runs; its run, if it has one, stays shown as queued.",
                "bad",
            ),
            Consequence("verified_user", "A run that the console accepted is not lost by it: it is sent again."),
            Consequence("block", "Cannot be undone. The audit trail keeps how many, who and why."),
        ]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**{"red": True} | kwargs)
