"""What every page that asks first has in common: GET shows what the act brings about, POST does it or says why not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect

from admin_ext.parts.access import ConsoleView
from jobs.errors import NotPermitted

from .access import SEE_RUNS_REFUSED, VIEW_RUN, refuse_unless
from .not_taken import NOT_CHANGED, taken

#: The field that asks for a typed confirmation.
CONFIRM = "oc.confirm"
LONGEST_REASON = 500
LONGEST_NONCE = 64
NOT_WHOLE = "Nothing was started: this form was not whole. Press the button once more."


@dataclass(frozen=True, slots=True)
class Consequence:
    """One line of "Will happen": a symbol in a tone, and a sentence."""

    icon: str
    text: str
    tone: str = ""


def posted(request: HttpRequest, name: str) -> str:
    """A line of text from the form; NUL is no text for a database."""
    return request.POST.get(name, "").replace("\x00", "").strip()[:LONGEST_REASON]


def posted_nonce(request: HttpRequest) -> str:
    """The form's own nonce; "" where it came without one, or with none of ours."""
    nonce = request.POST.get("nonce", "")
    return nonce if len(nonce) <= LONGEST_NONCE else ""


class AskView(ConsoleView):
    """Whoever may look reads the page; the verb itself refuses, and notes, a POST of somebody who may not act.

    Attributes:
        elsewhere: where one is sent whose object does not exist.
        no_writes: what the page says where the database takes no writes.
        verb_refuses: a POST of somebody who may not look goes to the verb all the same, so that the trail has it.
    """

    http_method_names = ["get", "post", "head", "options"]
    elsewhere: str
    no_writes = NOT_CHANGED
    verb_refuses = False

    def has_permission(self) -> bool:
        return True

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method != "POST" or not self.verb_refuses:
            self.look()
        if missing := self.find(**kwargs):
            messages.warning(request, missing)
            return redirect(self.elsewhere)
        return super().dispatch(request, *args, **kwargs)

    def look(self) -> None:
        """Raise PermissionDenied for who may not see this page."""
        refuse_unless(self.request, VIEW_RUN, SEE_RUNS_REFUSED)

    def find(self, **kwargs: Any) -> str:
        """Read what the act is on; why it cannot be found, "" when it is."""
        raise NotImplementedError

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.ask()

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return taken(self.act, self._once_more)
        except NotPermitted as error:
            raise PermissionDenied(str(error)) from None

    def act(self) -> HttpResponse:
        """Do what was asked for; raises NotPermitted."""
        raise NotImplementedError

    def _once_more(self) -> HttpResponse:
        self.look()  # where the trail took no refusal, the verb has refused nobody
        return self.not_taken()

    def not_taken(self) -> HttpResponse:
        """The page once more where the database did not take the act."""
        return self.ask(refusal=self.no_writes)

    def ask(self, **more: Any) -> HttpResponse:
        """The page, with `more` in its context."""
        return self.render_to_response(self.get_context_data(**more))

    @property
    def reason(self) -> str:
        return posted(self.request, "reason")

    @property
    def typed(self) -> str:
        """What was typed to confirm."""
        return posted(self.request, CONFIRM)

    @property
    def nonce(self) -> str:
        return posted_nonce(self.request)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        common = {"reason": self.reason, "longest_reason": LONGEST_REASON, "confirm_name": CONFIRM}
        return super().get_context_data(**common | kwargs)
