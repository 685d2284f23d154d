"""The troubles of the Overview for people outside: what stands wrong, for nobody in particular; how telling them goes.

What leaves the house names jobs, queues, workers and schedules and the kind of an error. It does not repeat messages of
errors, values of arguments, or what Redis and workers said in their own words: those stay behind a sign-in.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from django.urls import reverse
from django.utils import timezone

from admin_ext.frame.machinery import Machinery, look_at_machinery
from admin_ext.parts.trouble import Part, Trouble
from admin_ext.parts.words import ago, duration, plural
from jobs.alerts.standing import Look, Standing
from jobs.catalog.registry import job_title
from jobs.fleet.glance import Glance
from jobs.ledger.readable import readable_group, withheld_tasks
from jobs.models import AlertChannel
from jobs.schedules.problems import problems

from . import troubles
from .read import Outside, read_outside, read_redis

#: None is summed up: what comes and goes must keep its name.
_EACH = sys.maxsize
#: What only Redis can tell, by who is asked for it.
_OF_FLEET = ("redis:full", "messages:aside", "hazard:")
_OF_LIVE = ("workers:none", "names:shared", "files:apart", "queue:", "worker:")
_OF_STREAM = ("recorder:behind", "set-aside")


def look() -> Look:
    """Everything that needs a look now, and what nobody could see. Two statements, and Redis asked as for one page.

    Raises:
        DatabaseError: nothing is known.
    """
    machinery, now = look_at_machinery(), timezone.now()
    read, glance = read_outside(now), read_redis(machinery)
    wrong = problems(read.schedules, now, objects=False)
    found = [_of_machinery(one) for one in troubles.of_machinery(machinery, banners=True, may_reread=True)]
    found += [_of_schedule(one) for one in troubles.of_schedules(read.schedules, wrong, machinery, now, each=_EACH)]
    if glance is not None:
        found += [_standing(one) for one in troubles.of_workers(glance.workers, now, each=_EACH)]
        found += [_standing(one) for one in troubles.of_queues(glance, each=_EACH)]
    # Who is told outside holds no permission: of a guarded job not even the kind of its error is said.
    guarded = withheld_tasks(lambda permission: False)
    groups = [readable_group(group, guarded) for group in read.groups]
    for one, group in zip(troubles.of_groups(groups, now, may_retry=False), groups, strict=True):
        kind = group.error_type.rpartition(".")[2]
        found.append(_standing(replace(one, fact=f"{job_title(group.task_name)} fails{f': {kind}' if kind else ''}.")))
    found.sort(key=lambda one: one.tone != "bad")
    return Look(tuple(found), tuple(_unknown(machinery, glance, read)))


def _standing(trouble: Trouble, more: str | None = None) -> Standing:
    key = trouble.subject or trouble.key
    href = trouble.ways[0][0] if trouble.ways else reverse("admin:index")
    return Standing(key, trouble.tone, trouble.fact, trouble.consequence if more is None else more, href)


def _of_machinery(trouble: Trouble) -> Standing:
    if trouble.key == "redis:full":
        trouble = replace(trouble, fact="Redis takes no writes.")  # not in its own words
    return _standing(trouble, trouble.remedy)


def _of_schedule(trouble: Trouble) -> Standing:
    # Why a schedule is broken may quote its arguments.
    return _standing(trouble, None if trouble.subject else "")


def _unknown(machinery: Machinery, glance: Glance | None, read: Outside) -> list[str]:
    stream = machinery.stream
    found = [*(() if machinery.fleet.known else _OF_FLEET), *(() if glance is not None else _OF_LIVE)]
    found += [*(() if stream.lag is not None and stream.dead is not None else _OF_STREAM)]
    found += [] if stream.memory_used is not None else ["redis:fills"]
    found += ["group:"] if read.more_groups else [f"group:{pk}" for pk in read.put_aside]
    return [*found, "schedule:"] if read.more_schedules else found


def undelivered(channels: Sequence[AlertChannel], now: datetime) -> list[Trouble]:
    """What does not reach people outside; one trouble for mail and one for the webhook."""
    found = []
    for name, told in (("mail", _mails(channels)), ("webhook", _webhooks(channels))):
        failing = [one for one in told if one.error and one.failing_since]
        if not failing:
            continue
        first = min(failing, key=lambda one: one.failing_since or now)
        addresses = f"{len(failing):,} of {plural(len(told), 'address', 'addresses')}"
        whom = "the webhook" if name == "webhook" else addresses
        since = duration(max((now - (first.failing_since or now)).total_seconds(), 0.0))
        found.append(
            Trouble(
                "bad",
                "notifications_off",
                f"Alerts could not be delivered to {whom}: {first.error}",
                f"What is to be told has waited for {since}, and is tried again and again.",
                "See EMAIL_URL and ALERT_MAIL_TO." if name == "mail" else "See ALERT_WEBHOOK.",
                key=f"alerts:{name}",
            )
        )
    return found


def alerts_part(channels: Sequence[AlertChannel], now: datetime, *, recorder: bool) -> Part:
    """The word of the machinery line: to whom alerts go, and when the last went out.

    Args:
        recorder: one is alive; without it nobody sends.
    """
    if not channels:
        return Part("Alerts", "idle", "notifications_off", "nobody is told outside of these pages")
    mails = len(_mails(channels))
    whom = [plural(mails, "address", "addresses")] if mails else []
    whom += ["a webhook"] if _webhooks(channels) else []
    sent = max((one.sent_at for one in channels if one.sent_at), default=None)
    last = f"last sent {ago(sent, now)}" if sent else "none sent yet"
    text = f"go to {' and '.join(whom)}; {last}"
    if not recorder:
        return Part("Alerts", "bad", "error", f"{text}; none is sent while no recorder is alive")
    if any(one.error for one in channels):
        return Part("Alerts", "bad", "error", f"{text}; not all are delivered")
    return Part("Alerts", "ok", "check_circle", text)


def _mails(channels: Sequence[AlertChannel]) -> list[AlertChannel]:
    return [one for one in channels if one.name.startswith(AlertChannel.MAIL)]


def _webhooks(channels: Sequence[AlertChannel]) -> list[AlertChannel]:
    return [one for one in channels if one.name == AlertChannel.WEBHOOK]
