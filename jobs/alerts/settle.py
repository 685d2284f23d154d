"""What stands against what was told: a trouble that has stood for a while is told once, and once when it has been gone
for as long. Both are written down with their messages in one transaction, so that no restart tells one twice."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from jobs.ledger.leases import database_now
from jobs.models import Alert, AlertChannel, AlertMessage

from .standing import Look, Standing
from .words import clean, words

logger = logging.getLogger(__name__)

#: So many troubles are known at a time, the worst first.
MOST_KNOWN = 500
#: Where nobody could look for so long, waiting for a trouble to begin or to be over starts anew.
UNSEEN = timedelta(seconds=60)
LONGEST_KEY = 255


def take_up(names: Iterable[str]) -> bool:
    """Let the channels be exactly those of the settings; whether there are any.

    With none left what was told is forgotten: whoever sets one up again is told of what stands then.
    """
    wanted = set(names)
    with transaction.atomic():
        gone = AlertChannel.objects.exclude(name__in=wanted)
        for message in AlertMessage.objects.filter(channel__in=gone):
            logger.warning("Alert to %s given up, it is set up no more: %s", _kind(message.channel_id), message.subject)
        gone.delete()
        AlertChannel.objects.bulk_create([AlertChannel(name=name) for name in sorted(wanted)], ignore_conflicts=True)
        if not wanted:
            Alert.objects.all().delete()
    return bool(wanted)


def settle(look: Look, *, after: float) -> int:
    """Take down what one look has found; write the messages of what is due, one for each channel.

    Args:
        after: so many seconds a trouble must have stood to be told, and be gone to be over; there is no more than one
            message in that time either.

    Returns:
        How many troubles were told as begun or as solved.
    """
    if not look.standing and not Alert.objects.exists():
        return 0
    with transaction.atomic():
        # The lock that makes a second recorder wait until this one has told.
        channels = list(AlertChannel.objects.select_for_update().order_by("name"))
        now = database_now()
        standing: dict[str, Standing] = {}
        for one in look.standing:
            standing.setdefault(clean(one.key, LONGEST_KEY), one)
        seen = _compare(look, standing, now)
        wait = timedelta(seconds=after)
        if any(one.made_at is not None and now - one.made_at < wait for one in channels):
            return 0
        begun = [_describe(one, standing[one.key]) for one in seen if one.told_at is None and now - one.since >= wait]
        over = [one for one in seen if one.told_at and one.gone_since and now - one.gone_since >= wait]
        if begun or over:
            _tell(channels, begun, over, now)
    return len(begun) + len(over)


def _compare(look: Look, standing: dict[str, Standing], now: datetime) -> list[Alert]:
    """Bring the rows up to what was seen; those of which something could be seen, but for the new ones."""
    known = list(Alert.objects.order_by("pk"))
    seen, flaps = [], []
    changed: dict[tuple[str, datetime | None], list[int]] = defaultdict(list)
    for alert in known:
        unseen = now - alert.looked_at > UNSEEN
        if alert.key not in standing and look.is_unknown(alert.key):
            continue
        if alert.told_at is None and alert.key not in standing:
            flaps.append(alert.pk)
            continue
        if alert.told_at is None and unseen:
            alert.since = now
            changed["since", now].append(alert.pk)
        elif alert.key in standing and alert.gone_since is not None:
            alert.gone_since = None
            changed["gone_since", None].append(alert.pk)
        elif alert.key not in standing and (alert.gone_since is None or unseen):
            alert.gone_since = now
            changed["gone_since", now].append(alert.pk)
        seen.append(alert)
    Alert.objects.filter(pk__in=flaps).delete()
    Alert.objects.filter(pk__in=[one.pk for one in seen]).update(looked_at=now)
    for (name, moment), pks in changed.items():
        Alert.objects.filter(pk__in=pks).update(**{name: moment})
    keys = {one.key for one in known}
    fresh = [key for key in standing if key not in keys][: max(MOST_KNOWN - len(known) + len(flaps), 0)]
    new = [_describe(Alert(key=key, since=now, looked_at=now), standing[key]) for key in fresh]
    Alert.objects.bulk_create(new, ignore_conflicts=True)
    return seen


def _describe(alert: Alert, found: Standing) -> Alert:
    alert.tone, alert.fact, alert.more, alert.href = found.tone, clean(found.fact), clean(found.more), found.href
    return alert


def _tell(channels: Sequence[AlertChannel], begun: list[Alert], over: list[Alert], now: datetime) -> None:
    begun.sort(key=lambda one: (one.tone != "bad", one.pk))
    told = words(begun, over, place=settings.ENVIRONMENT_LABEL, console=settings.CONSOLE_URL, at=now)
    AlertMessage.objects.bulk_create(
        AlertMessage(channel=channel, subject=told.subject, text=told.text, payload=told.payload, made_at=now)
        for channel in channels
    )
    AlertChannel.objects.filter(pk__in=[channel.pk for channel in channels]).update(made_at=now)
    for one in begun:
        one.told_at = now
    Alert.objects.bulk_update(begun, ["told_at", "tone", "fact", "more", "href"], 100)
    Alert.objects.filter(pk__in=[one.pk for one in over]).delete()


def _kind(name: str) -> str:
    return "the webhook" if name == AlertChannel.WEBHOOK else name.removeprefix(AlertChannel.MAIL)
