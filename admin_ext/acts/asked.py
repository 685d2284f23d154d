"""What every page that asks first has in common: GET shows what the act brings about, POST does it or says why not."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.views.generic import TemplateView
from unfold.views import UnfoldModelAdminViewMixin

from admin_ext.parts.access import SEE_RUNS_REFUSED, VIEW_RUN, may, needed_role, refuse_unless
from admin_ext.parts.not_taken import NOT_CHANGED, taken
from admin_ext.start.page import LONGEST_NONCE
from admin_ext.start.sheet import CONFIRM, LONGEST_REASON
from jobs.errors import NotPermitted
from jobs.ledger.verbs import Verb


class AskView(UnfoldModelAdminViewMixin, TemplateView):
    """Whoever sees runs may read the page; who may not act is told so beside the button, and the verb notes a POST.

    Attributes:
        elsewhere: where one is sent whose object does not exist.
    """

    http_method_names = ["get", "post", "head", "options"]
    elsewhere: str

    def has_permission(self) -> bool:
        return True

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        refuse_unless(request, VIEW_RUN, SEE_RUNS_REFUSED)
        if missing := self.find(**kwargs):
            messages.warning(request, missing)
            return redirect(self.elsewhere)
        return super().dispatch(request, *args, **kwargs)

    def find(self, **kwargs: Any) -> str:
        """Read what the act is on; why it cannot be found, "" when it is."""
        raise NotImplementedError

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.ask()

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return taken(self.act, self.not_taken)
        except NotPermitted as error:
            raise PermissionDenied(str(error)) from None

    def act(self) -> HttpResponse:
        """Do what was asked for; raises NotPermitted."""
        raise NotImplementedError

    def not_taken(self) -> HttpResponse:
        """The page once more where the database did not take the act."""
        return self.ask(refusal=NOT_CHANGED)

    def ask(self, **more: Any) -> HttpResponse:
        """The page, with `more` in its context."""
        return self.render_to_response(self.get_context_data(**more))

    @property
    def reason(self) -> str:
        return self.posted("reason")

    @property
    def typed(self) -> str:
        """What was typed to confirm."""
        return self.posted(CONFIRM)

    @property
    def nonce(self) -> str:
        """The form's own; "" where it came without one, or with none of ours."""
        nonce = self.request.POST.get("nonce", "")
        return nonce if len(nonce) <= LONGEST_NONCE else ""

    def posted(self, name: str) -> str:
        """A line of text from the form; NUL is no text for a database."""
        return self.request.POST.get(name, "").replace("\x00", "").strip()[:LONGEST_REASON]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        common = {"reason": self.reason, "longest_reason": LONGEST_REASON, "confirm_name": CONFIRM}
        return super().get_context_data(**common | kwargs)


def lacking(request: HttpRequest, verb: Verb, *permissions: str) -> str:
    """What the person lacks for `verb` on an object that asks for `permissions` besides; "" for nothing."""
    if not may(request, verb.permission):
        return verb.sentence
    return next((f"{needed_role(permission)}." for permission in permissions if not may(request, permission)), "")
