"""Messages that no producer of ours would send, pushed into the queue of a real worker: good ones flow after each."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.catalog.registry import find_job
from jobs.fleet.dropped import read_dropped
from jobs.fleet.headers import ATTEMPT_HEADER, recorded_id
from jobs.fleet.quarantined import QUARANTINE_KEY, Meant
from jobs.ledger.audit import Actor
from jobs.ledger.messages_set_aside import put_back_messages
from jobs.ledger.start import start_run
from jobs.models import Run
from jobs.pipeline.quarantine import Quarantine
from jobs.states import State
from tests import jobs_under_test as under_test
from tests.e2e.client import Person
from tests.e2e.conftest import PASSWORD, finished, in_state
from tests.e2e.processes import Stack, wait_for

QUEUE = "default"


def whole(body: Any = ([1], {}, {}), **headers: Any) -> dict[str, Any]:
    """A message as Celery sends it, with other headers or another body."""
    tag = str(uuid.uuid4())
    return {
        "body": base64.b64encode(json.dumps(body).encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": under_test.plain.name, "id": tag, "retries": 0, **headers},
        "properties": {
            "correlation_id": tag,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": QUEUE},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": tag,
        },
    }


def text(message: dict[str, Any], **changes: Any) -> str:
    return json.dumps({**message, **changes})


def without(message: dict[str, Any], part: str, name: str) -> str:
    return json.dumps({**message, part: {key: value for key, value in message[part].items() if key != name}})


def properties(**changes: Any) -> str:
    message = whole()
    return text(message, properties={**message["properties"], **changes})


#: What, and whether it is set aside; what Celery itself drops or fails with a word in its log is not.
POISON: dict[str, tuple[Callable[[], str | bytes], bool]] = {
    "not JSON": (lambda: "not json {", True),
    "bytes that are no text": (lambda: b"\xff\xfe\x00", True),
    "null": (lambda: "null", True),
    "empty": (lambda: "", True),
    "a number": (lambda: "7", True),
    "a list": (lambda: "[1, 2]", True),
    "an odd tagged value": (lambda: '{"a": {"__type__": "uuid", "__value__": "no"}}', True),
    "no properties": (lambda: '{"body": "", "headers": {}}', True),
    "no delivery tag": (lambda: without(whole(), "properties", "delivery_tag"), True),
    "no delivery info": (lambda: without(whole(), "properties", "delivery_info"), True),
    "unknown body encoding": (lambda: properties(body_encoding="zip"), True),
    "body not base64": (lambda: text(whole(), body="%%%"), True),
    "body a number": (lambda: text(whole(), body=7), True),
    "body of another shape": (lambda: text(whole(body=5)), True),
    "body a list of one": (lambda: text(whole(body=[1])), True),
    "body not JSON inside": (lambda: text(whole(), body=base64.b64encode(b"{nope").decode()), False),
    "pickle": (lambda: text(whole(), **{"content-type": "application/x-python-serialize"}), False),
    "headers null": (lambda: text(whole(), headers=None), False),
    "headers a list": (lambda: text(whole(), headers=[1]), True),
    "no id": (lambda: without(whole(), "headers", "id"), True),
    "an id that is a number": (lambda: text(whole(id=7)), False),
    "no task": (lambda: without(whole(), "headers", "task"), False),
    "unknown task": (lambda: text(whole(task="nobody.knows")), False),
    "task a list": (lambda: text(whole(task=["x"])), True),
    "timelimit a word": (lambda: text(whole(timelimit="abc")), True),
    "timelimit of words": (lambda: text(whole(timelimit=["a", "b"])), True),
    "retries a word": (lambda: text(whole(retries="many")), False),
    "attempt a word": (lambda: text(whole(opsconsole_attempt="first")), False),
    "eta a word": (lambda: text(whole(eta="tomorrow")), False),
    "expires a word": (lambda: text(whole(expires="soon")), False),
    "arguments not a list": (lambda: text(whole(body=[5, {}, {}])), False),
    "options not a dict": (lambda: text(whole(body=[[], [], {}])), False),
    "embed not a dict": (lambda: text(whole(body=[[], {}, 5])), False),
    "chord of nonsense": (lambda: text(whole(body=[[], {}, {"callbacks": 5, "chord": 3, "chain": 1}])), False),
    "group a dict": (lambda: text(whole(group={"a": 1})), False),
    "parents that are no text": (lambda: text(whole(root_id=[1], parent_id={})), False),
    "shadow a list": (lambda: text(whole(shadow=["a", "b"])), False),
    "shadow a table": (lambda: text(whole(shadow={"a": 1})), False),
    "source a list": (lambda: text(whole(opsconsole_source=[])), False),
    "retries beyond every number": (lambda: text(whole(retries=10**30)), False),
    "published at no time": (lambda: text(whole(opsconsole_first_published_at=1e300)), False),
    "id of 10,000 characters": (lambda: text(whole(id="x" * 10_000)), False),
}


@pytest.mark.parametrize("what", POISON)
def test_good_messages_flow_after(what: str, stack: Stack, actor: Actor) -> None:
    """One worker and one recorder, never restarted, meet them all, one after the other."""
    make, aside = POISON[what]
    client = stack.client()
    assert stack.worker.process is not None and stack.recorder.process is not None
    processes = stack.worker.process.pid, stack.recorder.process.pid
    before = client.llen(QUARANTINE_KEY)
    client.lpush(QUEUE, make())
    run = start_run(find_job(under_test.add.name), {"a": 1}, actor=actor).run
    assert finished(run.task_id, 15).state == State.SUCCEEDED
    assert client.llen(QUARANTINE_KEY) - before == aside, client.lindex(QUARANTINE_KEY, 0)
    wait_for(lambda: not client.hlen("unacked"), "nothing to be left unacknowledged")
    assert (stack.worker.process.poll(), stack.recorder.process.poll()) == (None, None)
    assert processes == (stack.worker.process.pid, stack.recorder.process.pid)


#: Read and reserved like any other; what a pool makes of them shows when a slot is free.
WHEN_FREE: dict[str, dict[str, Any]] = {
    "three limits": {"timelimit": [1, 2, 3]},
    "a limit of another type": {"timelimit": [None, {"__type__": "uuid", "__value__": {"hex": "0" * 32}}]},
    "a limit beyond every number": {"timelimit": [10**400, None]},
    "three limits, after a while": {"timelimit": [1, 2, 3], "eta": "2026-01-01T00:00:00+00:00"},
}


def test_a_worker_without_a_free_slot_sets_aside(stack: Stack, actor: Actor, tmp_path: Path) -> None:
    client, flag, job = stack.client(), tmp_path / "go on", find_job(under_test.hold.name)
    client.delete(QUARANTINE_KEY)
    assert stack.worker.process is not None
    busy = [start_run(job, {"flag": str(flag)}, actor=actor).run for _ in range(2)]
    for run in busy:
        in_state(run.task_id, State.RUNNING)
    for headers in WHEN_FREE.values():
        client.lpush(QUEUE, text(whole(**headers)))
    wait_for(lambda: client.zcard("unacked_index") or stack.worker.process is None, "the first to be taken")
    flag.touch()
    assert [finished(run.task_id).state for run in busy] == [State.SUCCEEDED] * 2
    run = start_run(find_job(under_test.add.name), {"a": 1}, actor=actor).run
    assert finished(run.task_id).state == State.SUCCEEDED
    # Which of them a stock worker would execute, and so must this one, is what `test_differential` compares.
    wait_for(lambda: client.llen(QUARANTINE_KEY), "one to be set aside")
    assert stack.worker.process.poll() is None
    wait_for(lambda: not client.hlen("unacked"), "nothing to be left unacknowledged")


@pytest.mark.parametrize("task_id", [uuid.uuid4(), "long " * 60, "no\x00text"], ids=["UUID", "300 characters", "NUL"])
def test_whatever_its_id_is_a_task_is_executed_and_recorded(task_id: Any, stack: Stack) -> None:
    sent = under_test.plain.apply_async((1,), task_id=task_id)
    run = finished(recorded_id(task_id))
    assert (run.state, run.error_message, run.task_name) == (State.SUCCEEDED, "", under_test.plain.name)
    assert (run.worker, run.attempt) == ("default@tests", 1)
    # The word of the publishing may come after that of the end.
    wait_for(Run.objects.filter(pk=run.pk, arguments="[[1], {}]").exists, "its arguments to be recorded")
    assert sent.get(timeout=10) == [[1], {}]


@pytest.mark.parametrize("task_id", [None, "", 7, True, "half \ud800"])
def test_an_id_under_which_celery_keeps_no_result_is_recorded_too(task_id: Any, stack: Stack) -> None:
    runs = Run.objects.filter(task_id=recorded_id(task_id))
    # Without a time of publishing, a second message of one id is the first one delivered again.
    runs.delete()
    stack.client().lpush(QUEUE, text(whole(id=task_id)))
    assert wait_for(runs.first, "it to be recorded").state == State.SUCCEEDED


def test_what_is_set_aside_can_be_read(stack: Stack, actor: Actor) -> None:
    client = stack.client()
    client.delete(QUARANTINE_KEY)
    client.lpush(QUEUE, "not json {")
    wait_for(lambda: client.llen(QUARANTINE_KEY), "it to be set aside")
    kept = json.loads(str(client.lindex(QUARANTINE_KEY, 0)))
    assert (kept["queue"], kept["worker"], kept["message"]) == (QUEUE, "default@tests", "not json {")
    assert kept["why"].startswith("JSONDecodeError")
    stack.up(stack.web)
    # Not on the Overview, which names the worst first: other tests leave failures in the database.
    shown = Person(stack.url).sign_in("ana", PASSWORD).get("/admin/jobs/run/set-aside/messages/").text
    assert "not json {" in shown and "JSONDecodeError" in shown


def test_what_was_set_aside_goes_back_to_a_worker(stack: Stack, actor: Actor) -> None:
    """What it can read now runs; what it still cannot read comes back."""
    client, mended = stack.client(), whole(id="mended-after-a-deployment")
    client.delete(QUARANTINE_KEY)
    Quarantine("default@tests")._set_aside(QUEUE, json.dumps(mended), ValueError("of an old release"))
    client.lpush(QUEUE, text(whole(timelimit="abc")))
    wait_for(lambda: client.llen(QUARANTINE_KEY) == 2, "the other one to be set aside")
    assert put_back_messages(Meant(until=time.time()), actor=actor).count == 2
    wait_for(lambda: Run.objects.filter(task_id=mended["headers"]["id"], state=State.SUCCEEDED), "it to run")
    wait_for(lambda: client.llen(QUARANTINE_KEY) == 1, "the other one to come back")
    assert json.loads(str(client.lindex(QUARANTINE_KEY, 0)))["why"] == "ValueError: its time limits are no numbers"


def test_a_message_of_a_run_that_nobody_knows_is_dropped_and_counted(stack: Stack) -> None:
    before = read_dropped(time.time())
    stack.client().lpush(QUEUE, text(whole(id="of-another-console", **{ATTEMPT_HEADER: 1})))
    wait_for(lambda: read_dropped(time.time()) != before, "it to be counted")
    told = read_dropped(time.time())
    assert told is not None and told.count == 1 + (before.count if before else 0)
    assert (told.task_id, told.worker) == ("of-another-console", "default@tests")


def test_a_worker_that_reconnects_still_sets_aside(stack: Stack, actor: Actor) -> None:
    client = stack.client()
    client.client_kill_filter(_type="normal", skipme=True)
    client.lpush(QUEUE, "null")
    run = start_run(find_job(under_test.add.name), {"a": 1}, actor=actor).run
    assert finished(run.task_id, 40).state == State.SUCCEEDED
    assert stack.worker.process is not None and stack.worker.process.poll() is None
    assert json.loads(str(client.lindex(QUARANTINE_KEY, 0)))["message"] == "null"
