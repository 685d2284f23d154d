"""The recorder, Redis and time: the dispatcher, ingest and the reaper are the real ones, and so is what they lose."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import timedelta
from random import Random
from typing import Any

import redis
from celery import current_app
from django.db import transaction

from jobs.fleet.broker import FACTS_KEY
from jobs.fleet.headers import PUBLISHED_HEADER
from jobs.models import Run
from jobs.pipeline.facts import Fact, read_entry
from jobs.recorder.dispatch import Dispatcher
from jobs.recorder.ingest import Ingest
from jobs.recorder.reap import Reaper

from .model import QUEUE, Books
from .workers import Workers

_MOMENTS = ("publish_after", "published_at", "claimed_at", "started_at", "accepted_at", "finished_at")


class Cutting(redis.UnixDomainSocketConnection):
    """A connection that breaks before the recorder's acknowledgement leaves, when told so."""

    cut = False

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        if Cutting.cut and b"XACK" in b"".join(bytes(part) for part in command):
            raise redis.ConnectionError("cut by the test")
        super().send_packed_command(command, check_health)  # type: ignore[no-untyped-call]


class World:
    """One recorder, one Redis, one clock."""

    def __init__(self, client: redis.Redis, books: Books, workers: Workers) -> None:
        self._client: Any = client
        self._books = books
        self._workers = workers
        #: Facts that are in the ledger and still in the stream.
        self._recorded: list[Any] = []
        client.flushall()
        Cutting.cut = False
        self._recover()

    def _recover(self) -> None:
        """A recorder that begins: nothing is remembered from the one before."""
        self._dispatcher = Dispatcher(current_app, self._client)
        self._ingest = Ingest(self._client)
        self._reaper = Reaper(self._client, steady=0)

    # --- The recorder ---
    def publish(self) -> None:
        self._dispatcher.step()

    def record(self) -> None:
        self._note_facts()
        self._step_until_it_reads()

    def recorder_dies_before_it_acknowledges(self, committed: bool) -> None:
        self._note_facts()
        Cutting.cut = True
        try:
            with transaction.atomic():
                self._step_until_it_reads()
                transaction.set_rollback(not committed)
        except redis.ConnectionError:
            # The block above is undone by the error itself: so the commit needs a try of its own.
            if committed:
                self._ingest.catch_up()
                with suppress(redis.ConnectionError):
                    self._ingest.step(wait=0)
                read = self._being_read()
                entries = self._client.xrange(FACTS_KEY)
                self._recorded += [read_entry(fields).entry() for entry, fields in entries if entry in read]
        finally:
            Cutting.cut = False
        self._recover()

    def reap(self) -> None:
        self._note_facts()
        for _ in range(2):
            self._workers.beat()
            self._reaper.step()

    # --- Redis ---
    def forgets(self) -> None:
        self._note_facts()
        for fact in self._waiting_facts():
            one = self._books.accepted.get(fact.task_id)
            if one is None or fact.entry() in self._recorded:
                continue
            one.facts = [kept for kept in one.facts if kept.entry() != fact.entry()]
            for execution in one.executions:
                if execution.n == fact.n:
                    execution.silent = True
        self._client.flushall()

    def facts_arrive_in_another_order(self, seed: Random) -> None:
        """And some of them twice."""
        self._note_facts()
        being_read = self._being_read()
        entries = [(entry, fields) for entry, fields in self._client.xrange(FACTS_KEY) if entry not in being_read]
        if not entries:
            return
        self._client.xdel(FACTS_KEY, *(entry for entry, _ in entries))
        again = [fields for _, fields in entries] + [entries[seed.randrange(len(entries))][1]]
        seed.shuffle(again)
        for fields in again:
            self._client.xadd(FACTS_KEY, fields)

    # --- Time ---
    def time_passes(self, seconds: int) -> None:
        """All that is written moves into the past; the clocks themselves are the real ones."""
        back = timedelta(seconds=seconds)
        for run in Run.objects.all():
            for name in _MOMENTS:
                if (moment := getattr(run, name)) is not None:
                    setattr(run, name, moment - back)
            run.save(update_fields=_MOMENTS)
        texts = self._client.lrange(QUEUE, 0, -1)
        self._client.delete(QUEUE)
        for text in texts:
            message = json.loads(text)
            message["headers"][PUBLISHED_HEADER] -= seconds
            self._client.rpush(QUEUE, json.dumps(message))

    # --- The stream, seen from outside ---
    def _step_until_it_reads(self) -> None:
        """A recorder that has just begun first makes its group, and looks at what another has left."""
        for _ in range(3 if self._client.exists(FACTS_KEY) else 0):
            if self._ingest.step(wait=0):
                return

    def _being_read(self) -> set[str]:
        try:
            return {entry["message_id"] for entry in self._client.xpending_range(FACTS_KEY, "recorder", "-", "+", 1000)}
        except redis.ResponseError:
            return set()

    def _waiting_facts(self) -> list[Fact]:
        return [read_entry(fields) for _, fields in self._client.xrange(FACTS_KEY)]

    def _note_facts(self) -> None:
        """Keep each fact once, before the recorder takes it."""
        for fact in self._waiting_facts():
            one = self._books.accepted.get(fact.task_id)
            if one is not None and fact.entry() not in [known.entry() for known in one.facts]:
                one.facts.append(fact)
