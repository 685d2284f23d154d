"""What can be done with messages that workers set aside: each act shows what it brings about, and asks."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from admin_ext.frame.machinery import read_machinery
from admin_ext.parts.access import person
from admin_ext.parts.asking import Consequence
from admin_ext.parts.words import plural
from jobs.fleet.quarantined import Meant, SetAside, find_message, look_at_messages
from jobs.ledger.dead_letters import Settled
from jobs.ledger.messages_set_aside import discard_messages, put_back_messages
from jobs.ledger.verbs import DISCARD_MESSAGES, PUT_BACK_MESSAGES

from .asked import EVERY, GONE, NOT_KNOWN, AskSetAside
from .listing import LIST, TITLE
from .messages import MESSAGES, meant_by


class AskMessages(AskSetAside):
    """About the messages that the address names."""

    elsewhere = MESSAGES
    meant: Meant
    #: How many they are, and the one where it is one.
    number: int
    one: SetAside | None = None

    def find(self, **kwargs: Any) -> str:
        meant = meant_by(self.asked)
        if meant is None:
            return "Nothing was done: the address names no message of this list."
        self.meant = meant
        return ""

    def ask(self, **more: Any) -> HttpResponse:
        """The page that asks; where there is nothing to ask about, the list, which says so."""
        looked = look_at_messages(0, 1)
        if looked is None:
            messages.error(self.request, NOT_KNOWN)
            return redirect(MESSAGES)
        self.one = find_message(self.meant.id) if self.meant.id else None
        self.number = 1 if self.meant.id else looked[1]
        if not looked[1] or (self.meant.id and self.one is None):
            messages.info(self.request, GONE)
            return redirect(MESSAGES)
        return super().ask(**more)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        one, title = self.one, f"{self.title} {plural(self.number, 'message')}"
        context = {
            "crumbs": [(TITLE, reverse(LIST)), ("Messages", reverse(MESSAGES)), (self.title, "")],
            "heading": title,
            "sentence": f"From the queue {one.queue or 'that is not known'}, set aside by {one.worker or 'a worker'}."
            if one
            else "All that you see now; what is set aside from now on is not touched.",
            "hidden": {"id": self.meant.id} if self.meant.id else {"until": repr(self.meant.until)},
            "button": title,
            "back": reverse(MESSAGES),
        }
        return super().get_context_data(**context | kwargs)


class PutBack(AskMessages):
    """`…/set-aside/messages/back/`."""

    title = "Put back"
    verb = PUT_BACK_MESSAGES
    icon_name = "undo"

    def settle(self) -> Settled:
        return put_back_messages(self.meant, actor=person(self.request), reason=self.reason)

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
    icon_name = "delete"
    red = True

    @property
    def expected(self) -> str:
        return "" if self.meant.id else EVERY

    def settle(self) -> Settled:
        return discard_messages(self.meant, actor=person(self.request), reason=self.reason)

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
