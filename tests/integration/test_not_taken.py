"""A database that can be read and takes no writes: forms say so, keep their nonce, and the next press starts once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.http import HttpResponse
from django.test import Client

from admin_ext.parts.asking import CONFIRM
from admin_ext.parts.not_taken import NOT_ALL_CHANGED, NOT_ALL_STARTED, NOT_CHANGED, NOT_STARTED, taken
from jobs.fleet.broker import DEAD_KEY
from jobs.fleet.quarantined import QUARANTINE_KEY
from jobs.models import AuditEvent, Preset, Run
from jobs.states import State
from tests import jobs_under_test as under_test
from tests.integration.facts_aside import DISCARD, READ
from tests.integration.failure_facts import failed, group_of, record, run_of
from tests.integration.own_redis import fresh, message, own_redis
from tests.integration.schedule_rows import LIST, row
from tests.integration.test_messages_set_aside import BACK as MESSAGES_BACK
from tests.integration.test_messages_set_aside import DISCARD as MESSAGES_DISCARD
from tests.integration.test_messages_set_aside import set_aside as message_aside
from tests.integration.test_object_actions import GREET, USERS, fields_of
from tests.integration.test_run_page import address, make
from tests.integration.test_workers_pages import put

PURGE = "/admin/jobs/run/queues/queue/purge/?name=default"
WORKER = "/admin/jobs/run/workers/worker/ask/?name=w@one"
START = f"/admin/jobs/run/catalog/{under_test.echo_types.name}/start/"


@pytest.fixture
def ana(transactional_db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("ana"))
    return client


@contextmanager
def held() -> Iterator[None]:
    """Somebody else holds the lock that every write needs, and nobody waits long for it."""
    sqlite = connection.vendor == "sqlite"
    other = connection.copy()
    with connection.cursor() as mine, other.cursor() as theirs:
        mine.execute("PRAGMA busy_timeout = 50" if sqlite else "SET lock_timeout = '50ms'")
        theirs.execute("BEGIN IMMEDIATE" if sqlite else "BEGIN")
        if not sqlite:
            theirs.execute("LOCK TABLE jobs_run, jobs_auditevent, jobs_failuregroup IN EXCLUSIVE MODE")
            theirs.execute("LOCK TABLE django_celery_beat_periodictask, jobs_preset IN EXCLUSIVE MODE")
        try:
            yield
        finally:
            theirs.execute("ROLLBACK")
            mine.execute("PRAGMA busy_timeout = 20000" if sqlite else "SET lock_timeout = 0")
    other.close()


def said(response: Any, words: str) -> bool:
    return response.status_code == 503 and words in re.sub(r"\s+", " ", response.content.decode())


def test_a_form_keeps_its_nonce_and_starts_once(ana: Client) -> None:
    values = {"nonce": "n-1", "oc.act": "run", "whole": "3"}
    with held():
        refused = ana.post(START, values)
    assert said(refused, NOT_STARTED) and 'value="n-1"' in refused.content.decode()
    assert not Run.objects.exists()
    assert [ana.post(START, values).status_code for _ in range(2)] == [302, 302]
    assert Run.objects.count() == 1


def test_every_other_verb_says_so_too(ana: Client) -> None:
    old, waits, made = make(State.FAILED), make(State.QUEUED), row()
    broken = run_of(under_test.add.name, arguments='[[], {"a": 1}]')
    record(failed(broken))
    group = group_of(broken)
    review, events = f"/admin/jobs/failuregroup/{group.pk}/", AuditEvent.objects.count()
    upto = "2100-01-01T00:00:00+00:00"
    with held():
        again = ana.post(address(old, "retry/"), {"nonce": "n-2", "oc.queue": "default"})
        assert said(again, NOT_STARTED) and 'value="n-2"' in again.content.decode()
        assert said(ana.post(address(waits, "cancel/"), {"reason": "r"}), NOT_ALL_CHANGED)
        assert said(ana.post(f"{review}resolve/", {"seen": str(group.version)}), NOT_CHANGED)
        assert said(ana.post(f"{review}retry/", {"nonce": "n-3", "upto": upto, "pace": "0"}), NOT_ALL_STARTED)
        assert said(ana.post(f"{LIST}{made.pk}/run/", {"nonce": "n-4"}), NOT_STARTED)
        assert said(ana.post(f"{LIST}{made.pk}/delete/"), NOT_CHANGED)
        switched = ana.post(f"{LIST}{made.pk}/switch/", {"to": "off"}, follow=True)
        assert NOT_CHANGED in switched.content.decode()
    made.refresh_from_db()
    assert made.enabled and AuditEvent.objects.count() == events and Run.objects.count() == 3


def test_a_preset_and_a_selection_are_kept_for_the_next_press(ana: Client) -> None:
    sent = ana.post(f"{START}preset/", {"oc.preset": "Old", "whole": "3"})
    assert sent.status_code == 302
    preset, user = Preset.objects.get(), User.objects.get()
    values = {"action": GREET, "_selected_action": str(user.pk)}
    sure = {**fields_of(ana.post(USERS, values).content.decode()), "act": "run"}
    with held():
        assert said(ana.post(f"{START}preset/", {"oc.preset": "New", "whole": "4"}), NOT_CHANGED)
        kept = ana.post(f"{START}preset/{preset.pk}/delete/", follow=True)
        assert NOT_CHANGED in kept.content.decode()
        assert said(ana.post(USERS, sure), NOT_ALL_STARTED)
    assert Preset.objects.get() == preset and not Run.objects.exists()
    assert ana.post(USERS, sure).status_code == 302 and Run.objects.count() == 1


def test_nothing_leaves_redis_without_its_line_in_the_trail(ana: Client, root: Path) -> None:
    with own_redis(root) as redis:
        fresh(redis)
        redis.lpush("default", message())
        redis.xadd(DEAD_KEY, {"f": "1"}, id="1-1")
        settled = {DISCARD: {"id": "1-1"}, READ: {"id": "1-1"}}
        broken = message_aside("not a message")
        settled |= {MESSAGES_DISCARD: {"id": broken}, MESSAGES_BACK: {"id": broken}}
        put(redis)
        nobody = Client()
        nobody.force_login(User.objects.create_user("nobody", is_staff=True))
        with held():
            purge = ana.post(PURGE, {CONFIRM: "default", "reason": "r"})
            assert said(purge, NOT_ALL_CHANGED)
            assert 'value="default"' in purge.content.decode(), "what was typed is kept"
            for address, meant in settled.items():
                assert NOT_ALL_CHANGED in ana.post(address, meant, follow=True).content.decode(), address
            for address, meant in {**settled, PURGE: {}, f"{WORKER}&verb=grow": {}, f"{WORKER}&verb=stop": {}}.items():
                assert nobody.post(address, meant).status_code == 403, address
        assert redis.llen("default") == 1 and redis.xlen(DEAD_KEY) == 1 and redis.llen(QUARANTINE_KEY) == 1
    assert not AuditEvent.objects.exists()


@pytest.mark.django_db
def test_where_a_request_is_one_transaction_the_page_can_still_be_read(client: Client) -> None:
    """As with ATOMIC_REQUESTS: what fails inside has broken the transaction."""
    client.force_login(User.objects.create_superuser("ana"))

    def breaks(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith('INSERT INTO "jobs_run"'):
            return execute("SELECT 1 FROM nowhere", (), False, context)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(breaks):
        assert said(client.post(START, {"nonce": "n-1", "oc.act": "run", "whole": "3"}), NOT_STARTED)
    assert not Run.objects.exists() and not AuditEvent.objects.exists()


@pytest.mark.django_db
def test_what_was_done_before_it_failed_is_undone() -> None:
    def halfway() -> HttpResponse:
        with transaction.atomic(savepoint=False), connection.cursor() as cursor:
            User.objects.create_user("half")
            cursor.execute("SELECT 1 FROM nowhere")
        return HttpResponse("done")

    answer = taken(halfway, lambda: HttpResponse(str(User.objects.count())))
    assert (answer.status_code, answer.content) == (503, b"0")
