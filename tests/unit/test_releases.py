"""What older and newer releases of Django and kombu do otherwise; `make matrix` has the real ones."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from django.core.mail import EmailMessage

from jobs import compat
from jobs.alerts.mail import is_sent_nowhere, mail
from jobs.recorder.dispatch import _together


class Mailer:
    """Of Django 6.1."""

    sent: list[EmailMessage]

    def __init__(self) -> None:
        self.sent = []

    def send_messages(self, messages: list[EmailMessage]) -> int:
        self.sent += messages
        return len(messages)


def test_mail_goes_by_the_mailers_of_a_project_that_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    mailer = Mailer()
    monkeypatch.setattr(compat, "mail", SimpleNamespace(mailers={"default": mailer}))
    assert mail("ana@example.com", "Subject", "Text", UUID(int=1)) == ""
    assert [message.to for message in mailer.sent] == [["ana@example.com"]]
    assert not is_sent_nowhere()


def test_mail_that_is_printed_is_not_sent(settings: Any) -> None:
    assert not is_sent_nowhere(), "Django's tests keep it"
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    assert is_sent_nowhere()


def test_a_kombu_without_batches_publishes_message_by_message() -> None:
    assert isinstance(_together(SimpleNamespace()), nullcontext)
    batch = object()
    assert _together(SimpleNamespace(batch=lambda max_size: batch)) is batch
