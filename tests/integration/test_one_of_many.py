"""Acts on many rows: one that cannot be done is left out, counted and named, and the rest is done."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from io import StringIO
from unittest import mock

import pytest
from celery import current_app
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from redis import Redis

from jobs.catalog.registry import find_job
from jobs.fleet.broker import FACTS_KEY, list_key
from jobs.fleet.quarantined import Meant, put_messages_back
from jobs.ledger.audit import Actor
from jobs.ledger.export import export_runs
from jobs.ledger.run_query import RunQuery
from jobs.ledger.start import start_run
from jobs.models import Preset, Run
from jobs.pipeline.arguments import encode
from jobs.recorder.dispatch import Dispatcher
from jobs.schedules.scheduler import ConsoleEntry, ConsoleScheduler
from jobs.states import State
from tests import jobs_under_test as under_test
from tests.integration.test_messages_set_aside import good, set_aside
from tests.integration.test_run_page import make

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:No directory at")]


def test_an_export_names_the_run_that_it_cannot_write(roles: None) -> None:
    boss = Actor.person(User.objects.create_superuser("boss"), via="command")
    make(State.FAILED, task_id="fine")
    make(State.FAILED, task_id="late", started_at=datetime(9999, 12, 31, 23, 59, tzinfo=UTC))
    make(State.FAILED, task_id="odd", task_name="odd")
    with timezone.override("Europe/Vilnius"), mock.patch("jobs.ledger.export.job_title", side_effect=_title):
        text = "".join(export_runs(RunQuery(), actor=boss, filters={}))
    rows = {row["id"]: row for row in csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""))}
    assert rows.keys() == {"fine", "late", "odd"} and "OverflowError" in rows["odd"]["job"]
    assert "9999-12-31T23:59:00+00:00" in rows["late"].values(), "no clock of that zone shows it"


def _title(task_name: str) -> str:
    if task_name == "odd":
        raise OverflowError
    return task_name


def test_hiding_secrets_leaves_what_it_cannot_read_and_names_it() -> None:
    old = {"arguments": '[[], {"password": "canary"}]', "summary": "password=canary"}
    for task_id, arguments in (("a", ""), ("odd", "[[1"), ("z", "")):
        make(State.FAILED, task_id=task_id, **(old | ({"arguments": arguments} if arguments else {})))
    Preset.objects.create(job="j", name="odd", values=["no", "names"], owner_label="a", created_at=timezone.now())
    told = StringIO()
    call_command("hide_secrets", stdout=StringIO(), stderr=told)
    assert [run.summary for run in Run.objects.exclude(task_id="odd")] == ["password=•••", "password=•••"]
    assert "run odd" in told.getvalue()


def test_a_message_that_names_no_list_keeps_no_other_from_its_queue(redis: Redis) -> None:
    redis.xadd(FACTS_KEY, {"f": "a stream, no list"})
    for queue in ("default", FACTS_KEY, "default"):
        set_aside(good(), queue=queue)
    moved = put_messages_back(Meant(until=timezone.now().timestamp() + 60))
    assert (moved.count, moved.stuck, moved.refused) == (2, 1, "")
    assert redis.llen(list_key("default", None)) == 2


def test_a_preset_of_what_it_cannot_keep_is_refused_beside_the_field(ana: Client) -> None:
    text, _ = encode([], {"anything": b"\xff\xfe"})
    run = make(State.FAILED, task_name=under_test.echo_types.name, arguments=text)
    address = f"/admin/jobs/run/catalog/{under_test.echo_types.name}/start/"
    shown = ana.get(f"{address}?from={run.task_id}").context["form"].text("anything")
    response = ana.post(f"{address}preset/?from={run.task_id}", {"nonce": "n", "oc.preset": "raw", "anything": shown})
    assert response.status_code == 200 and "anything" in response.context["form"].errors
    assert not Preset.objects.exists()


def test_whatever_one_schedule_raises_beat_goes_on() -> None:
    entry = mock.Mock(spec=ConsoleEntry, schedule=mock.Mock(), last_run_at=timezone.now(), task="t", model=mock.Mock())
    beat = mock.Mock(spec=ConsoleScheduler, _tasks_since_sync=0)
    with mock.patch("jobs.schedules.scheduler.find_job", side_effect=RecursionError("too deep")):
        ConsoleScheduler.apply_async(beat, entry, advance=False)
    beat.should_sync.assert_called_once()


def test_arguments_that_no_message_takes_hold_up_no_other_run(redis: Redis, roles: None) -> None:
    boss = Actor.person(User.objects.create_superuser("boss"), via="command")
    fine = start_run(find_job(under_test.add.name), {"a": 1}, actor=boss).run
    for depth in range(880, 1000):  # somewhere here what can still be read can no longer be written
        make(
            State.ACCEPTED,
            task_id=f"deep-{depth}",
            arguments=f"[[{'[' * depth}{']' * depth}], {{}}]",
            publish_after=timezone.now(),
        )
    Dispatcher(current_app, redis).step()
    fine.refresh_from_db()
    assert fine.state == State.QUEUED
    noted = Run.objects.exclude(state_note="").values_list("state_note", flat=True)
    assert noted and all(note.startswith("cannot be published") for note in noted)
