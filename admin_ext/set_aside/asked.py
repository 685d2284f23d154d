"""What the acts on facts and on messages that were set aside have in common."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect

from admin_ext.parts.access import may, refuse_unless
from admin_ext.parts.asking import AskView, Consequence
from admin_ext.parts.not_taken import NOT_ALL_CHANGED
from jobs.errors import JobsError, NotPermitted
from jobs.ledger.dead_letters import Settled
from jobs.ledger.verbs import REREAD_FACTS, Verb

#: What is typed where they are too many or too large to count.
EVERY = "all"
NOT_KNOWN = "Redis does not answer, so what was set aside is not known. Try again later."
GONE = "What you asked for is not set aside any more."


class AskSetAside(AskView):
    """GET shows what will happen to what the address names, POST does it.

    Attributes:
        red: it cannot be undone.
    """

    template_name = "admin_ext/dead_letters/ask.html"
    no_writes = NOT_ALL_CHANGED
    verb_refuses = True
    verb: Verb
    icon_name: str
    red = False

    def look(self) -> None:
        refuse_unless(self.request, REREAD_FACTS.permission, REREAD_FACTS.sentence)
        refuse_unless(self.request, self.verb.permission, self.verb.sentence)

    @property
    def asked(self) -> QueryDict:
        """The values that say what is meant."""
        return self.request.POST if self.request.method == "POST" else self.request.GET

    @property
    def expected(self) -> str:
        """What is typed to confirm; "" for nothing."""
        return ""

    def act(self) -> HttpResponse:
        expected = self.expected
        if expected and self.typed.replace(",", "") != expected and may(self.request, self.verb.permission):
            return self.ask(refusal=f"Nothing was done: type {expected} to confirm.")
        try:
            settled = self.settle()
        except NotPermitted:
            raise
        except JobsError as error:
            messages.error(self.request, str(error))
        else:
            tell = messages.warning if settled.rest else messages.success
            tell(self.request, f"{self.outcome(settled.count)} {settled.rest}".strip())
        return redirect(self.elsewhere)

    def not_taken(self) -> HttpResponse:
        messages.error(self.request, self.no_writes)
        return redirect(self.elsewhere)

    def settle(self) -> Settled:
        """Do it; raises JobsError."""
        raise NotImplementedError

    def outcome(self, number: int) -> str:
        """What was done, in words."""
        raise NotImplementedError

    def facts(self) -> list[Consequence]:
        """What it brings about."""
        raise NotImplementedError

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = {
            "facts": self.facts(),
            "expected": self.expected,
            "icon_name": self.icon_name,
            "red": self.red,
        }
        return super().get_context_data(**context | kwargs)
