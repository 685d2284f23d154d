"""`manage.py test_alert`: one message to every address and the webhook, now, and what became of each."""

import uuid
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils import timezone

from jobs.alerts.delivery import channels_of_settings, send
from jobs.alerts.mail import is_sent_nowhere
from jobs.alerts.words import words_of_test
from jobs.ledger.audit import Actor, Subject, record
from jobs.models import AlertChannel


class Command(BaseCommand):
    """Sends from this process, by its own settings; the recorder must have the same."""

    help = "Send a test alert to every address of ALERT_MAIL_TO and to ALERT_WEBHOOK."

    def handle(self, *args: Any, **options: Any) -> None:
        channels = channels_of_settings()
        if not channels:
            raise CommandError("Nobody is told: set ALERT_MAIL_TO or ALERT_WEBHOOK.")
        told = words_of_test(place=settings.ENVIRONMENT_LABEL, console=settings.CONSOLE_URL, at=timezone.now())
        failed = 0
        for channel in channels:
            name = "the webhook" if channel == AlertChannel.WEBHOOK else channel.removeprefix(AlertChannel.MAIL)
            error = send(channel, told, uuid.uuid4())
            failed += bool(error)
            try:
                # Each by itself and at once: what has left cannot be taken back with a transaction.
                record(
                    "test_alert",
                    Actor(label="command line", via="command"),
                    Subject("alert", channel, name),
                    details={"refused": error} if error else {},
                )
            except DatabaseError as problem:
                raise CommandError(f"{name}: {error or 'taken'} Not written down: {problem}.") from None
            printed = channel != AlertChannel.WEBHOOK and is_sent_nowhere()
            self.stdout.write(
                f"{name}: {error or ('not sent: EMAIL_URL names no mail server' if printed else 'taken')}"
            )
        if failed:
            raise CommandError(f"{failed} of {len(channels)} did not take it. LOG_LEVEL=DEBUG shows more.")
