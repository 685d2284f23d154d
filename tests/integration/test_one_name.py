"""Several worker processes under one node name: what is claimed, judged, told and shown is of a process."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from redis import Redis

from jobs.fleet.beacon import beacon_key, begin_process, entry_of, last_key, read_beacons
from jobs.fleet.beat import _FOLLOW
from jobs.fleet.broker import BEACONS_KEY, steady_client
from jobs.fleet.commands import Answers
from jobs.fleet.conditions import not_followed, read_gone, shared_names
from jobs.ledger.leases import hold
from jobs.models import Run
from jobs.pipeline.claim import claim_or_ignore
from jobs.pipeline.facts import Fact, Kind
from jobs.recorder.reap import CLAIM_GRACE, PROBE_STEADY, Reaper
from jobs.recorder.record import record_facts
from jobs.recorder.watch import Watch
from jobs.states import State
from tests.integration.test_workers_pages import told

pytestmark = pytest.mark.django_db

NAME = "celery@host"
ONE, TWO = "1" * 32, "2" * 32


def put(client: Redis, boot: str, *, burning: bool = True, name: str = NAME, **values: Any) -> None:
    """A process as it tells of itself in this release."""
    text = json.dumps(told(name, **{"boot": boot, **values}))
    if burning:
        client.set(beacon_key(name, boot), text)
    client.set(last_key(name, boot), text)
    client.zadd(BEACONS_KEY, {entry_of(name, boot): values.get("at", time.time())})


def put_old(client: Redis, **values: Any) -> None:
    """One as it tells of itself in the release before, by its name alone."""
    text = json.dumps(told(NAME, **values))
    client.set(beacon_key(NAME), text)
    client.set(last_key(NAME), text)
    client.zadd(BEACONS_KEY, {NAME: time.time()})


def running(task_id: str, process: str, **values: Any) -> Run:
    claimed = timezone.now() - timedelta(seconds=CLAIM_GRACE + 60)
    given = {"task_name": "x", "guaranteed": True, "state": State.RUNNING, "attempt": 1, "worker": NAME}
    by = f"{process}:nonce" if process else "a" * 32
    return Run.objects.create(task_id=task_id, claimed_at=claimed, claimed_by=by, **given | values)


def judged(*, between: Callable[[int], None] = lambda _: None) -> dict[str, str]:
    """What the reaper makes of the runs, after three looks, and what happens before each."""
    reaper = Reaper(steady_client())
    reaper.step()
    reaper._probed_since = time.monotonic() - 2 * PROBE_STEADY
    for look in range(3):
        time.sleep(0.002)  # two looks at a beacon that is gone are told apart by the millisecond
        between(look)
        reaper.step()
    return dict(Run.objects.values_list("task_id", "state"))


def test_each_keeps_its_own_runs(redis: Redis) -> None:
    running("a", ONE)
    running("b", TWO)
    put(redis, ONE, running={"a": 1})
    put(redis, TWO, running={"b": 1})
    assert judged() == {"a": State.RUNNING, "b": State.RUNNING}


def test_one_is_gone_and_only_its_run_is_lost(redis: Redis) -> None:
    running("a", ONE)
    running("b", TWO)
    put(redis, ONE, burning=False, running={"a": 1})
    put(redis, TWO, running={"b": 1})
    assert judged() == {"a": State.LOST, "b": State.RUNNING}


def test_what_the_other_lists_is_not_the_ones(redis: Redis) -> None:
    """An execution is with the process that claimed it, whatever another of its name has reserved."""
    running("a", ONE)
    put(redis, TWO, running={"a": 1})
    assert judged() == {"a": State.LOST}


def test_a_claim_of_an_older_release_is_judged_by_the_name(redis: Redis) -> None:
    running("of the old one", "")
    running("of the new one", ONE)
    put_old(redis, running={"of the old one": 1})
    put(redis, ONE, running={"of the new one": 1})
    assert judged() == {"of the old one": State.RUNNING, "of the new one": State.RUNNING}
    redis.delete(beacon_key(NAME))
    assert judged(between=lambda look: put(redis, ONE, running={"of the new one": 1}, beat=200 + look)) == {
        "of the old one": State.LOST,
        "of the new one": State.RUNNING,
    }


def test_an_unreadable_beacon_is_of_one_process(redis: Redis) -> None:
    for boot, task_id in ((ONE, "unknown"), (TWO, "gone")):
        running(task_id, boot)
        redis.zadd(BEACONS_KEY, {entry_of(NAME, boot): time.time()})
    redis.set(beacon_key(NAME, ONE), "{}")
    assert judged() == {"unknown": State.RUNNING, "gone": State.LOST}


def test_a_claim_names_the_process(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSCONSOLE_WORKER_PROCESS", "")
    run = running("c", "", state=State.QUEUED, attempt=0)
    process = begin_process()
    claim_or_ignore("c", 1, worker=NAME, retries=0)
    run.refresh_from_db()
    assert run.process == process and len(run.claimed_by) <= 64
    assert running("d", "").process == ""


def test_an_observed_run_is_with_the_process_that_was_seen_at_it(redis: Redis) -> None:
    record_facts([Fact(Kind.PUBLISHED, "seen", time.time(), task="x")])
    put(redis, TWO, running={"seen": None}, started={"seen": [time.time(), 0]})
    Watch(steady_client()).step()
    run = Run.objects.get(task_id="seen")
    assert (run.state, run.worker, run.process) == (State.RUNNING, NAME, TWO)


def test_side_by_side_is_shared_and_one_after_the_other_is_not(redis: Redis) -> None:
    now = time.time()
    put(redis, ONE, up=600.0, at=now)
    put(redis, TWO, up=60.0, at=now)
    assert list(shared_names(read_beacons(steady_client()).beacons)) == [NAME]
    # Killed five seconds ago and started again: its beacon still burns.
    put(redis, ONE, up=600.0, at=now - 5)
    put(redis, TWO, up=3.0, at=now)
    assert not shared_names(read_beacons(steady_client()).beacons)


def test_who_is_gone_beside_a_living_one_of_its_name_is_told_and_who_was_followed_is_not(redis: Redis) -> None:
    now = time.time()
    put(redis, ONE, burning=False, at=now - 300, up=900.0)
    put(redis, TWO, up=1000.0)
    client = steady_client()
    assert [one.boot for one in not_followed(read_gone(client), read_beacons(client).beacons)] == [ONE]
    put(redis, TWO, up=200.0)
    assert not not_followed(read_gone(client), read_beacons(client).beacons)


def test_a_large_worker_that_is_gone_is_told(redis: Redis) -> None:
    """One of a thousand greenlets that had taken ten thousand messages ahead."""
    held = {f"{number:032x}": 1 for number in range(10_000)}
    put(redis, ONE, burning=False, running=held)
    assert [len(one.running) for one in read_gone(steady_client())] == [10_000]


def test_who_is_started_again_takes_the_place_of_those_of_its_name_that_beat_no_more(redis: Redis) -> None:
    three, another = "3" * 32, "other@host"
    put(redis, ONE, burning=False)
    put(redis, TWO)
    put(redis, "4" * 32, burning=False, name=another)
    put_old(redis)
    redis.delete(beacon_key(NAME))
    redis.eval(_FOLLOW, 1, BEACONS_KEY, entry_of(NAME, three), NAME, beacon_key(""), last_key(""))
    assert not redis.exists(last_key(NAME, ONE), last_key(NAME))
    assert redis.exists(last_key(NAME, TWO), last_key(another, "4" * 32)) == 2
    assert set(steady_client().zrange(BEACONS_KEY, 0, -1)) == {
        entry_of(NAME, TWO), entry_of(another, "4" * 32)
    }  # fmt: skip


def test_pages_show_both_and_say_so(redis: Redis, ana: Client) -> None:
    put(redis, ONE, pid=4001, up=600.0)
    put(redis, TWO, pid=4002, up=600.0)
    assert "names:shared" in ana.get("/admin/").content.decode()
    page = ana.get("/admin/jobs/run/workers/", {"only": "look"}).context["page"]
    assert [(line.key, line.process) for line in page.lines] == [
        ("shared", "process 4001 on web-1"), ("shared", "process 4002 on web-1")
    ]  # fmt: skip
    first, second = (ana.get(line.href).context["page"] for line in page.lines)
    assert [href for _, href in first.others] == [page.lines[1].href]
    assert [href for _, href in second.others] == [page.lines[0].href]
    for verb in ("shutdown", "grow"):
        asked = ana.get("/admin/jobs/run/workers/worker/ask/", {"name": NAME, "verb": verb})
        fact = asked.context["facts"][0]
        assert fact.tone == "bad" and "4001" in fact.text and "4002" in fact.text
    put(redis, TWO, pid=4002, up=6.0)
    address = "/admin/jobs/run/workers/worker/"
    for process in ("", "one that is gone"):
        newest = ana.get(address, {"name": NAME, "process": process}).context["page"]
        assert newest.line.process == "process 4002 on web-1"


def test_a_command_is_addressed_to_a_name_once(redis: Redis, ana: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    put(redis, ONE)
    put(redis, TWO)
    sent: list[Any] = []

    def stop(names: list[str], *_: Any, **__: Any) -> Answers:
        sent.append(names)
        return Answers(())

    monkeypatch.setattr("admin_ext.workers.verbs.stop_consuming", stop)
    address = f"/admin/jobs/run/workers/worker/ask/?{urlencode({'name': NAME, 'verb': 'stop'})}"
    ana.post(address, {"queue": "default", "reason": "night"})
    assert sent == [[NAME]]


def test_one_name_for_one_process_says_nothing(redis: Redis, ana: Client) -> None:
    put(redis, ONE)
    assert "names:shared" not in ana.get("/admin/").content.decode()
    (line,) = ana.get("/admin/jobs/run/workers/").context["page"].lines
    assert (line.key, line.process) == ("ready", "") and "process=" not in line.href
    asked = ana.get("/admin/jobs/run/workers/worker/ask/", {"name": NAME, "verb": "shutdown"})
    assert all(fact.icon != "group" for fact in asked.context["facts"])


def test_the_proof_of_a_start_names_the_remedy(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    hold("recorder", "r")
    put(redis, ONE)
    put(redis, TWO)
    monkeypatch.setattr(
        "jobs.management.commands.self_check._await_run",
        lambda *_: (running("proof", ONE, state=State.SUCCEEDED), 0.1),
    )
    out = StringIO()
    call_command("self_check", timeout=5, stdout=out)
    assert f"2 workers bear the name {NAME}" in out.getvalue() and "-n <name>@%h" in out.getvalue()
