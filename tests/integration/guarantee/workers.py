"""The stand-in for workers: they take messages, claim, work, tell how it ended, or die; the backend is the real one."""

from __future__ import annotations

import json
import time
from typing import Any

import redis
from billiard.exceptions import WorkerLostError
from celery import current_app
from celery.app.task import Context
from celery.exceptions import Ignore, Retry

from jobs.fleet.beacon import beacon_key
from jobs.fleet.broker import BEACONS_KEY
from jobs.fleet.headers import ATTEMPT_HEADER, PUBLISHED_HEADER
from jobs.pipeline.claim import claim_or_ignore
from jobs.pipeline.execution import execution_of

from .model import QUEUE, RETRIES, Books, Execution

WORKERS = ("one@here", "two@there")


class Workers:
    """Two of them, and the messages on their way."""

    def __init__(self, client: redis.Redis, books: Books) -> None:
        self._client: Any = client
        self._books = books
        #: Every message ever seen, and those that a worker has taken from the queue and not yet begun.
        self.seen: list[dict[str, Any]] = []
        self.taken: list[dict[str, Any]] = []
        self._beats = dict.fromkeys(WORKERS, 0)
        self._boots = dict.fromkeys(WORKERS, 0)
        self._unheard: set[str] = set()

    # --- Messages ---
    def begin_all(self) -> None:
        """The ordinary way, without a fault: all that waits is taken and begun."""
        while self.take_a_message():
            pass
        while self.taken:
            self._claim(self.taken.pop(), WORKERS[len(self.taken) % len(WORKERS)])

    def take_a_message(self) -> bool:
        if (text := self._client.rpop(QUEUE)) is None:
            return False
        message = json.loads(text)
        self.seen.append(message)
        self.taken.append(message)
        return True

    def claim(self, which: int, worker: str) -> None:
        if self.taken:
            self._claim(self.taken.pop(which % len(self.taken)), worker)

    def drop_a_message(self) -> None:
        self._client.rpop(QUEUE)

    def deliver_again(self, which: int, times: int) -> None:
        """A copy of any message that ever was, also of yesterday's."""
        for _ in range(times if self.seen else 0):
            self._client.lpush(QUEUE, json.dumps(self.seen[which % len(self.seen)]))

    # --- Work ---
    def finish(self, which: int, well: bool) -> None:
        if (one := self._books.working(which)) is not None:
            self._finish(one, well=well)

    def finish_all(self) -> None:
        for one in self._books.at_work():
            self._finish(one, well=True)

    def retry_automatically(self, which: int, published: bool) -> None:
        """Celery publishes the same id with one retry more; the publish may be lost on the way."""
        if (one := self._books.working(which, RETRIES)) is not None:
            self._retry(one, published=published)

    def pool_child_is_killed(self, one: Execution | None) -> None:
        """Its parent process tells, with the number from the message."""
        if one is None:
            return
        one.end = "lost"
        current_app.backend.mark_as_failure(one.task_id, WorkerLostError("signal 9"), request=self._request(one))

    def remote_control_says_revoked(self, which: int) -> None:
        """Told without a request while the body goes on: only a rumour."""
        if (one := self._books.working(which)) is None:
            return
        self._books.accepted[one.task_id].revoked = True
        current_app.backend.mark_as_revoked(one.task_id, "revoked", request=None)

    # --- Life and death ---
    def is_killed(self, worker: str) -> None:
        for one in self._books.at_work():
            if one.worker == worker:
                one.silent, one.end = True, "crash"
        self._client.delete(beacon_key(worker))
        self._boots[worker] += 1
        self._beats[worker] = 0

    def is_cut_off(self, worker: str) -> None:
        """It works on, and its beacon goes out: declared lost, it may still end well."""
        self._unheard.add(worker)
        self._client.delete(beacon_key(worker))

    def is_heard_again(self, worker: str) -> None:
        self._unheard.discard(worker)

    def beat(self) -> None:
        """Both workers describe themselves, as far as they are heard."""
        for worker in WORKERS:
            if worker in self._unheard:
                continue
            self._beats[worker] += 1
            beacon = {
                "worker": worker,
                "boot": f"boot-{self._boots[worker]}",
                "beat": self._beats[worker],
                "at": time.time(),
                "pid": 1,
                "release": "",
                "pool": "prefork",
                "concurrency": 2,
                "queues": [QUEUE],
                "running": {one.task_id: one.n for one in self._books.at_work() if one.worker == worker},
            }
            self._client.set(beacon_key(worker), json.dumps(beacon), ex=60)
            self._client.zadd(BEACONS_KEY, {worker: time.time()})

    # --- How ---
    def _claim(self, message: dict[str, Any], worker: str) -> None:
        headers = message["headers"]
        retries = headers["retries"] or 0
        n = headers[ATTEMPT_HEADER] + retries
        one = self._books.accepted[headers["id"]]
        try:
            claim_or_ignore(one.task_id, n, worker=worker, retries=retries)
        except Ignore:
            return
        assert not one.cancelled, "cancelled means that no further execution begins"
        self._books.started[one.task_id, n] += 1
        one.executions.append(Execution(one.task_id, n, retries, worker))

    def _finish(self, one: Execution, *, well: bool) -> None:
        one.end = "success" if well else "failure"
        if well:
            current_app.backend.mark_as_done(one.task_id, 42, request=self._request(one))
        else:
            current_app.backend.mark_as_failure(one.task_id, ValueError("no"), "trace", request=self._request(one))

    def _retry(self, one: Execution, *, published: bool) -> None:
        one.end = "retry"
        if published:
            tag = next(m for m in self.seen if m["headers"]["id"] == one.task_id)
            headers = {
                **tag["headers"],
                "retries": one.retries + 1,
                ATTEMPT_HEADER: one.n - one.retries,
                PUBLISHED_HEADER: time.time(),
            }
            self._client.lpush(QUEUE, json.dumps({**tag, "headers": headers}))
        current_app.backend.mark_as_retry(one.task_id, Retry("later"), "trace", request=self._request(one))

    def _request(self, one: Execution) -> Context:
        request = Context(
            id=one.task_id,
            task=self._books.accepted[one.task_id].job,
            hostname=one.worker,
            retries=one.retries,
            delivery_info={"routing_key": QUEUE},
            **{ATTEMPT_HEADER: one.n - one.retries},
        )
        execution_of(request).started_at = time.time()
        return request
