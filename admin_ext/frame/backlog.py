"""What waits for the recorder, in words, and when every page must say that it grows."""

from __future__ import annotations

from dataclasses import replace

from admin_ext.parts.trouble import Part, Trouble
from admin_ext.parts.words import duration, plural
from jobs.fleet.stream import Stream

#: From here on every page says that the recorder is behind: seconds, facts, and how full Redis is.
ALARM_LAG, ALARM_LENGTH, ALARM_MEMORY = 60.0, 500_000, 0.8
#: Less than this far behind, the recorder is up to date: it reads a batch at a time.
UP_TO_DATE = 5.0


def stream_grows(stream: Stream) -> Trouble | None:
    """The alarm of a recorder that lives and does not keep up."""
    lag, length = stream.lag or 0.0, stream.length or 0
    if lag <= ALARM_LAG and length <= ALARM_LENGTH:
        return None
    wait = "waits" if length == 1 else "wait"
    return Trouble(
        tone="warn",
        icon="trending_up",
        fact=f"The recorder is {duration(lag)} behind: {plural(length, 'fact')} {wait}.",
        consequence="What workers start and finish is shown late.",
        remedy="See the recorder's log: most often the database is slow or locked, or the recorder's host is too busy.",
        still_works="Everything works, and nothing is lost while Redis has memory.",
        key="recorder:behind",
        on_every_page=True,
    )


def redis_fills(stream: Stream) -> Trouble | None:
    """The alarm of a Redis that is about to be full; None also where it has no limit."""
    share = stream.memory_share
    if share is None or share <= ALARM_MEMORY:
        return None
    return Trouble(
        tone="warn",
        icon="trending_up",
        fact=f"Redis has used {share:.0%} of the memory that it may use.",
        consequence="When it is full, workers can neither take jobs nor tell what they finish.",
        remedy="Raise its maxmemory, or free memory in it.",
        still_works="Everything works so far.",
        key="redis:fills",
        on_every_page=True,
    )


def with_backlog(recorder: Part, stream: Stream) -> Part:
    """The recorder's part of the machinery line, with what waits for it and what it could not read."""
    behind = (stream.lag or 0.0) > UP_TO_DATE
    if behind and recorder.tone == "ok":
        recorder = replace(recorder, tone="warn", icon="trending_up")
    aside = f"{plural(stream.dead, 'fact')} could not be read" if stream.dead else ""
    return replace(recorder, text=f"{recorder.text}, {_backlog(stream, behind)}", aside=aside)


def _backlog(stream: Stream, behind: bool) -> str:
    """`up to date, 0 facts waiting, read now`, `12,300 facts waiting, 40 s behind, read now`."""
    if stream.length is None or stream.lag is None:
        return "what waits for it is not known"
    waiting = f"{plural(stream.length, 'fact')} waiting"
    if behind:
        return f"{waiting}, {duration(stream.lag)} behind, read now"
    return f"up to date, {waiting}, read now"
