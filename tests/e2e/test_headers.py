"""A message's headers belong to whoever sent it; the console reads its own, and only values that they can have."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.catalog.registry import find_job
from jobs.ledger.audit import Actor
from jobs.ledger.start import start_run
from jobs.states import Source, State
from tests import jobs_under_test as under_test
from tests.e2e.conftest import finished
from tests.e2e.processes import Stack

#: Everyday names, with values that none of ours has.
OF_A_PROJECT: dict[str, Any] = {
    "actor_id": "usr_123",
    "actor_label": ["Ulla"],
    "run_attempt": "first",
    "published_at": "yesterday",
    "first_published_at": [1],
    "source": {"crm": 7},
    "started_at": "1999",
    "started_clock": "x",
    "claimed": False,
    "replaced": True,
    "run_files": "a.csv",
    "retry_eta": "never",
}
FORGED: dict[str, Any] = {
    "opsconsole_attempt": "first",
    "opsconsole_actor_id": ["usr_123"],
    "opsconsole_actor_label": {"a": 1},
    "opsconsole_source": ["crm"],
    "opsconsole_execution": {"claimed": False, "replaced": True},
}


@pytest.mark.parametrize("headers", [OF_A_PROJECT, FORGED, OF_A_PROJECT | {"source": "crm", "run_attempt": 7}])
def test_a_projects_headers_stop_nothing_and_attribute_nothing(headers: dict[str, Any], stack: Stack) -> None:
    sent = under_test.tell_headers.apply_async(headers=headers)
    run = finished(sent.id)
    assert (run.state, run.attempt, run.guaranteed) == (State.SUCCEEDED, 2, False)
    assert (run.source, run.actor_id, run.actor_label) == (Source.CODE, None, "")
    assert run.started_at is not None and run.started_at >= run.accepted_at
    if headers is not FORGED:
        assert {name: value for name, value in sent.get(timeout=10).items() if name in headers} == headers


def test_what_says_something_of_a_run_says_nothing_of_its_child(stack: Stack, actor: Actor) -> None:
    run = finished(start_run(find_job(under_test.hand_headers_on.name), {}, actor=actor).run.task_id)
    assert run.state == State.SUCCEEDED
    child = finished(under_test.hand_headers_on.AsyncResult(run.task_id).get(timeout=10))
    assert (child.state, child.guaranteed, child.parent_id) == (State.SUCCEEDED, False, run.task_id)
    assert (child.source, child.actor_id) == (Source.CODE, run.actor_id)
