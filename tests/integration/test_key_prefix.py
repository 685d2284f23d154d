"""Under the application's `global_keyprefix` every key of ours bears it, and what is written is found again."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import pytest
from celery import current_app
from redis import Redis

from jobs.fleet import broker
from jobs.fleet.dropped import note_dropped, read_dropped
from jobs.fleet.hazards import tell
from jobs.fleet.stream import read_stream
from jobs.fleet.workers import read_fleet
from jobs.models import Run
from jobs.pipeline.facts import Fact, Kind, append
from jobs.pipeline.live import LiveRun
from jobs.recorder.dispatch import Dispatcher
from jobs.recorder.ingest import Ingest
from jobs.recorder.reap import Reaper
from jobs.recorder.sample import Sampler

PREFIX = "team-a:"


@pytest.fixture
def prefixed(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    monkeypatch.setitem(current_app.conf.broker_transport_options, "global_keyprefix", PREFIX)
    broker._transport_options.cache_clear()
    yield redis
    broker._transport_options.cache_clear()


def test_every_key_of_the_recorder_and_the_workers_bears_it(prefixed: Redis) -> None:
    client = broker.steady_client()
    append(client, Fact(Kind.ENDED, "one", time.time(), task="some.task", state="SUCCESS"))
    client.xadd(broker.key_of(broker.FACTS_KEY), {"f": "nobody reads this"})
    note_dropped(client, time.time(), "another", "w@1")
    tell([], client)
    live, pipe = LiveRun("at work", 1), client.pipeline()
    live._watched = True
    live.log(logging.makeLogRecord({"msg": "a line"}))
    live.queue_news(pipe)
    pipe.execute()
    assert read_stream().length == 2

    ingest = Ingest(client)
    while read_stream().length:
        ingest.step(wait=0.01)
    Dispatcher(current_app, client).step()
    Sampler(client).step()
    Reaper(client).step()

    assert Run.objects.get().task_id == "one"
    stream, dropped = read_stream(), read_dropped(time.time())
    assert stream.dead == 1 and dropped is not None and dropped.task_id == "another" and read_fleet().known
    keys = [str(key) for key in client.scan_iter()]
    assert len(keys) > 6 and [key for key in keys if not key.startswith(PREFIX)] == []
