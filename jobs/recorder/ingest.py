"""Ingest: read a batch of facts, merge them into the ledger in one transaction, acknowledge, trim."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis
from celery import states as celery_states
from django.db import DataError, IntegrityError

from jobs.fleet.broker import DEAD_KEPT, DEAD_KEY, FACTS_GROUP, FACTS_KEY, key_of
from jobs.fleet.entries import ANOTHER_TYPE, is_of_another_type, note_unreadable
from jobs.pipeline.facts import Fact, Kind, read_entry
from jobs.pipeline.told import Told, log_key, progress_key, read_told

from .record import record_facts

logger = logging.getLogger(__name__)

#: Entries of one transaction, at most; fewer while they are large, so that about so many bytes are in memory.
BATCH = 200
BATCH_BYTES = 8_000_000
#: Entries of the first read, when nobody knows how large they are.
_FIRST = 20
#: One consumer name for whoever leads: a successor finds what its predecessor read and did not acknowledge.
_CONSUMER = "leader"
#: What a fact can do to us by what it says. All else is an outage, or an error of ours that must be seen.
_REFUSED = (DataError, IntegrityError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry of the stream as it came."""

    id: bytes
    fields: Mapping[bytes, bytes]

    def fact(self) -> Fact:
        """What it says.

        Raises:
            ValueError: it cannot be read.
        """
        text = self.fields.get(b"f")
        return read_entry({} if text is None else {"f": text.decode()})


class Ingest:
    """The way up. One instance a process; `step` is called again and again by the recorder's thread."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._catching_up = True
        self._count = _FIRST

    def step(self, *, wait: float) -> int:
        """Record at most BATCH facts, waiting up to `wait` seconds for the first; the number of entries read.

        What a predecessor had read without acknowledging comes first. Everything here may be repeated: a crash
        between commit and acknowledgement merges the same facts once more, to no effect. What cannot be read, and what
        the database refuses by itself, is set aside and holds nothing else up.

        Raises:
            RedisError, DatabaseError: nothing is acknowledged; the next step reads the same batch.
        """
        entries = self._read(wait)
        if not entries:
            return 0
        facts: list[tuple[_Entry, Fact]] = []
        dead: list[tuple[_Entry, Exception]] = []
        for entry in entries:
            try:
                facts.append((entry, entry.fact()))
            except _REFUSED as error:
                dead.append((entry, error))
        told = read_told({fact.task_id for _, fact in facts if _may_have_told(fact)}, self._client)
        dead += self._record(facts, told)
        if dead:
            self._make_room()
        pipe = self._client.pipeline(transaction=True)
        for entry, reason in dead:
            why = (str(reason) or type(reason).__name__)[:2000]
            logger.error("Fact %s is set aside: %s", entry.id.decode(), why)
            kept: dict[Any, Any] = {**entry.fields, b"id": entry.id, b"why": why}
            pipe.xadd(key_of(DEAD_KEY), kept, maxlen=DEAD_KEPT)
        ids = [entry.id for entry in entries]
        pipe.xack(key_of(FACTS_KEY), FACTS_GROUP, *ids)
        pipe.xdel(key_of(FACTS_KEY), *ids)
        for _, fact in facts:
            if _may_have_told(fact) and fact.state != celery_states.RETRY:
                pipe.delete(log_key(fact.task_id), progress_key(fact.task_id))
        pipe.execute()
        return len(entries)

    def _record(self, facts: Sequence[tuple[_Entry, Fact]], told: Mapping[str, Told]) -> list[tuple[_Entry, Exception]]:
        """Record them together; where that is refused, in halves, down to the entries that are to blame."""
        try:
            record_facts([fact for _, fact in facts], told)
        except _REFUSED as error:
            if len(facts) == 1:
                return [(facts[0][0], error)]
            half = len(facts) // 2
            return self._record(facts[:half], told) + self._record(facts[half:], told)
        return []

    def _read(self, wait: float) -> list[_Entry]:
        start = "0" if self._catching_up else ">"
        block = [] if self._catching_up else ["BLOCK", max(1, int(wait * 1000))]
        try:
            # In bytes: an entry that is no text must not be what ends us.
            answer: Any = self._client.execute_command(  # type: ignore[no-untyped-call]
                "XREADGROUP", "GROUP", FACTS_GROUP, _CONSUMER, "COUNT", self._count, *block,
                "STREAMS", key_of(FACTS_KEY), start, NEVER_DECODE=True,
            )  # fmt: skip
        except redis.ResponseError as error:
            if is_of_another_type(error):
                note_unreadable(key_of(FACTS_KEY), ANOTHER_TYPE)
            if "NOGROUP" not in str(error):
                raise
            # A new or emptied Redis: from the beginning, so that nothing already there is skipped.
            self._client.xgroup_create(key_of(FACTS_KEY), FACTS_GROUP, id="0", mkstream=True)
            return []
        # One stream was asked for: [[its name, [(id, fields), …]]], or nothing.
        entries = [_Entry(entry_id, fields or {}) for entry_id, fields in (next(iter(answer))[1] if answer else [])]
        if entries:
            size = sum(len(text) for entry in entries for text in entry.fields.values())
            self._count = max(1, min(BATCH, len(entries) * BATCH_BYTES // max(size, 1)))
        elif self._catching_up:
            self._catching_up = False
        return entries

    def _make_room(self) -> None:
        """Where something else than a stream lies under DEAD_KEY: it is renamed, so that nothing is lost of either."""
        if self._client.type(key_of(DEAD_KEY)) not in {"stream", "none"}:
            logger.error("%s is no stream: renamed to %s:odd.", key_of(DEAD_KEY), key_of(DEAD_KEY))
            self._client.rename(key_of(DEAD_KEY), f"{key_of(DEAD_KEY)}:odd")

    def catch_up(self) -> None:
        """Begin with what is read but not acknowledged; call it after an error and on becoming leader."""
        self._catching_up = True


def _may_have_told(fact: Fact) -> bool:
    """Whether lines or progress of it wait in Redis; of a child that was killed its parent cannot know."""
    return fact.kind is Kind.ENDED and (fact.told or fact.started_at is None)
