"""Sending what was written: oldest first, each channel by itself, outside of any transaction, tried until it is taken.

What happens between the receiver's yes and our note of it nobody can make one: a recorder that is killed just then
sends that one message again, under the same id.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from jobs.ledger.leases import database_now
from jobs.models import AlertChannel, AlertMessage

from .mail import mail
from .webhook import post
from .words import Words

logger = logging.getLogger(__name__)

#: A recorder that sends keeps others off for so long: longer than any one attempt takes.
CLAIM = timedelta(seconds=90)
#: The pause after a failure, doubled with each, up to the longest.
FIRST_PAUSE, LONGEST_PAUSE = 15.0, 600.0
#: So many messages wait for one channel; older ones go into the log.
MOST_WAITING = 100
#: So many are sent to one channel before the next look.
MOST_AT_ONCE = 20


def channels_of_settings() -> list[str]:
    """The names of the channels that this process' settings ask for."""
    names = [f"{AlertChannel.MAIL}{address}" for address in settings.ALERT_MAIL_TO]
    return [*names, AlertChannel.WEBHOOK] if settings.ALERT_WEBHOOK else names


def send(channel: str, words: Words, uid: uuid.UUID) -> str:
    """One attempt over one channel; "" where it was taken, else a sentence that says why not."""
    if channel == AlertChannel.WEBHOOK:
        return post(settings.ALERT_WEBHOOK, {"id": str(uid), **words.payload}, settings.ALERT_WEBHOOK_SECRET)
    return mail(channel.removeprefix(AlertChannel.MAIL), words.subject, words.text, uid)


def deliver(stopped: Callable[[], bool] = lambda: False) -> int:
    """Send what is due, channel by channel; how many messages were taken.

    Args:
        stopped: asked before each message whether to leave the rest to whoever comes next.
    """
    now = database_now()
    due = AlertChannel.objects.filter(Exists(AlertMessage.objects.filter(channel=OuterRef("pk"))))
    due = due.filter(Q(try_after=None) | Q(try_after__lte=now))
    return sum(_deliver(channel, stopped) for channel in due.order_by("name"))


def _deliver(channel: AlertChannel, stopped: Callable[[], bool]) -> int:
    for taken in range(MOST_AT_ONCE):
        if stopped() or (until := _claim(channel.name)) is None:
            return taken
        mine = AlertChannel.objects.filter(name=channel.name, claimed_until=until)
        message = AlertMessage.objects.filter(channel=channel).order_by("pk").first()
        if message is None:
            mine.update(claimed_until=None)
            return taken
        if error := _attempt(message):
            _failed(channel.name, mine, error)
            return taken
        _taken(message, mine)
    return MOST_AT_ONCE


def _attempt(message: AlertMessage) -> str:
    return send(message.channel_id, Words(message.subject, message.text, message.payload), message.uid)


def _claim(name: str) -> datetime | None:
    """Keep other recorders off this channel; None while one of them sends."""
    now = database_now()
    free = Q(claimed_until=None) | Q(claimed_until__lte=now)
    until = now + CLAIM
    return until if AlertChannel.objects.filter(free, name=name).update(claimed_until=until) else None


def _taken(message: AlertMessage, mine: QuerySet[AlertChannel]) -> None:
    with transaction.atomic():
        for channel in _locked(message.channel_id):
            if channel.error:
                logger.info("Alerts to %s are taken again.", channel.name)
            channel.sent_at = database_now()
            channel.error, channel.failing_since, channel.tries, channel.try_after = "", None, 0, None
            channel.save(update_fields=["sent_at", "error", "failing_since", "tries", "try_after"])
        AlertMessage.objects.filter(pk=message.pk).delete()
        mine.update(claimed_until=None)


def _failed(name: str, mine: QuerySet[AlertChannel], error: str) -> None:
    with transaction.atomic():
        for channel in _locked(name):
            if channel.error != error:
                logger.warning("Alerts to %s: %s Tried again until it is taken.", name, error)
            now, pause = database_now(), min(FIRST_PAUSE * 2 ** min(channel.tries, 10), LONGEST_PAUSE)
            channel.error, channel.failing_since = error[:300], channel.failing_since or now
            channel.tries, channel.try_after = channel.tries + 1, now + timedelta(seconds=pause)
            channel.save(update_fields=["error", "failing_since", "tries", "try_after"])
        mine.update(claimed_until=None)
        waiting = AlertMessage.objects.filter(channel=name).order_by("-pk")
        for lost in waiting[MOST_WAITING:]:
            logger.error("Alert to %s given up, %s newer ones wait: %s", name, MOST_WAITING, lost.text)
            lost.delete()


def _locked(name: str) -> QuerySet[AlertChannel]:
    """The channel, or nothing: another recorder may have settings without it by now."""
    return AlertChannel.objects.select_for_update().filter(name=name)
