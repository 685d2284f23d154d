"""Django's templates, whose pages can always be sent: the one place where the text of a page becomes safe."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.template.backends import django as stock
from django.utils.safestring import SafeString

from jobs.text import safe_text


class _Template(stock.Template):
    def render(self, context: dict[str, Any] | None = None, request: HttpRequest | None = None) -> SafeString:
        return SafeString(safe_text(super().render(context, request)))


class DjangoTemplates(stock.DjangoTemplates):
    """Django's own engine; in what it renders stands a question mark for each half of a surrogate pair, and no NUL.

    Rows hold these for good (audit events are append-only), and a page with one would be an error 500.
    """

    def from_string(self, template_code: str) -> _Template:
        return _Template(super().from_string(template_code).template, self)

    def get_template(self, template_name: str) -> _Template:
        return _Template(super().get_template(template_name).template, self)
