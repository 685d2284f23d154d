"""Facts that could not be read, as tests put them aside, and the page that shows them."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.test import Client

from jobs.fleet import broker
from jobs.fleet.broker import DEAD_KEY
from jobs.pipeline.facts import Fact, Kind
from tests import jobs_under_test as under_test

PAGE = "/admin/jobs/run/set-aside/"
READ, DISCARD = PAGE + "read/", PAGE + "discard/"
NEWER = "a fact of version 2; this release reads up to 1"


def ended(task_id: str, **more: Any) -> dict[str, str]:
    """What a worker appends for an observed run that succeeded."""
    values: dict[str, Any] = {"task": under_test.add.name, "state": "SUCCESS", "result": "3", "n": None}
    return Fact(Kind.ENDED, task_id, time.time(), **{**values, **more}).entry()


def set_aside(redis: Any, fields: dict[Any, Any], why: str = "unreadable fact: broken", at: str = "*") -> str:
    return str(redis.xadd(DEAD_KEY, {**fields, "id": "1-1", "why": why}, id=at))


def text_of(client: Client, query: str = "") -> str:
    response = client.get(PAGE + query)
    assert response.status_code == 200
    return str(response.content.decode())


def round_trips(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry for each time that a page's client takes its connection."""
    pool = broker.page_client().connection_pool
    trips: list[str] = []
    take = pool.get_connection

    def counted(*args: Any, **kwargs: Any) -> Any:
        trips.append("")
        return take(*args, **kwargs)

    monkeypatch.setattr(pool, "get_connection", counted)
    return trips
