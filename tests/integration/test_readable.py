"""A job's own permission guards what its runs are given and say, on every address; what kind of run it is, stays."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from django_celery_results.models import TaskResult
from redis import Redis

from jobs import File
from jobs.catalog.registry import find_job
from jobs.failures.fingerprint import Basis
from jobs.fleet.broker import DEAD_KEY
from jobs.fleet.queues import lists_of
from jobs.ledger.audit import Actor, Subject, record
from jobs.ledger.files import open_file
from jobs.ledger.start import Wish, start_run
from jobs.models import Attempt, AuditEvent, FailureGroup, Preset, Run, RunFile, RunLog
from jobs.pipeline.facts import Fact, Kind
from jobs.pipeline.quarantine import Quarantine
from jobs.pipeline.told import log_key, progress_key
from jobs.states import State
from tests import jobs_under_test as under_test
from tests.integration import schedule_rows
from tests.integration.own_redis import message
from tests.integration.test_workers_pages import at_work, put

JOB = under_test.tell_guarded.name
GUARD = "view_session"
#: It is in everything that a run of the guarded job was given or says, and nowhere else.
MARK = "kestrel"
PROGRESS = {
    "done": 1,
    "total": 2,
    "noun": "kestrels",
    "note": "kestrel-note",
    "meta": "kestrel",
    "began": 1.0,
    "at": 2.0,
}
pytestmark = pytest.mark.filterwarnings("ignore:No directory at")
#: Addresses of Django's own, which know nothing of runs, and those that only take a person elsewhere.
FOREIGN = {
    *("login", "logout", "password_change", "password_change_done", "autocomplete", "jsi18n", "view_on_site"),
    *("app_list", "livez", "readyz", None),
    *(f"auth_{model}_{page}" for model in ("user", "group") for page in ("add", "history", "delete", "changelist")),
    *("auth_group_change", "auth_user_password_change", "django_celery_beat_periodictask_moments"),
}
#: Where somebody with the permission reads the mark: the test looks where it is.
SAYS = {
    *("index", "jobs_overview_live", "jobs_auditevent_changelist", "jobs_run_changelist", "jobs_run_export"),
    *(f"jobs_run_{page}" for page in ("change", "compare", "retry", "live", "log", "log_text", "traceback", "file")),
    *(f"jobs_failuregroup_{page}" for page in ("changelist", "change", "retry", "snooze", "resolve", "reopen")),
    *("jobs_queue", "jobs_queue_live", "jobs_worker", "jobs_worker_live", "jobs_start"),
    *("jobs_facts_set_aside", "jobs_messages_set_aside", "django_celery_results_taskresult_change"),
    *(f"django_celery_beat_periodictask_{page}" for page in ("change", "run", "delete")),
}


def addresses() -> Iterator[tuple[str | None, str]]:
    """Every address of the project, with its name."""

    def walk(of: Any, before: str) -> Iterator[tuple[str | None, str]]:
        for one in of.url_patterns:
            if isinstance(one, URLResolver):
                yield from walk(one, before + str(one.pattern))
            elif isinstance(one, URLPattern):
                yield one.name, f"/{before}{one.pattern}"

    return walk(get_resolver(), "")


ADDRESSES = {name: address for name, address in addresses() if name not in FOREIGN}


@pytest.fixture
def world(redis: Redis, roles: None) -> dict[str, list[Any]]:
    """Runs of a guarded job in every state, and whatever grows around them; the values that addresses take."""
    ana = Actor.person(User.objects.create_superuser("ana"), via="admin")
    person = User.objects.create_user("bird", email="bird@example.org")
    upload = File(default_storage.save("uploads/1/kestrel.csv", ContentFile(b"x")), "kestrel.csv", 1)
    values = {"note": "kestrel-argument", "person": person, "table": upload}
    job = find_job(JOB)
    runs = {
        state: start_run(job, values | {"note": f"kestrel-{state}"}, actor=ana, wish=Wish(nonce=f"n-{state}")).run
        for state in ("failed", "succeeded", "running", "retrying", "queued")
    }
    now = timezone.now()
    group = FailureGroup.objects.create(
        fingerprint="f", basis=Basis.MESSAGE, task_name=JOB, error_type="KestrelError", title="kestrel-title", total=6,
        place="shop/kestrel.py, charge", sample_message="kestrel-message", last_run=runs["failed"].task_id, hurting=6,
        first_seen=now, last_seen=now,
    )  # fmt: skip
    for state, run in runs.items():
        ended = {"finished_at": now} if state in ("failed", "succeeded") else {}
        Run.objects.filter(pk=run.pk).update(
            state=state, started_at=now, claimed_at=now, attempt=1, worker="w@one", progress=PROGRESS, **ended
        )
        RunLog.objects.create(run=run, lines=json.dumps([[1.0, "INFO", 1, "kestrel-line"]]), written=1)
    wrong = {"error_type": "KestrelError", "error_message": "kestrel-message"}
    troubled = [runs["failed"], runs["retrying"]]
    for n in range(6):
        again = start_run(job, values, actor=ana, wish=Wish(nonce=f"again-{n}")).run
        Run.objects.filter(pk=again.pk).update(state=State.FAILED, finished_at=now, attempt=1)
        troubled.append(again)
    for run in troubled:
        Run.objects.filter(pk=run.pk).update(failure_group=group, **wrong)
        Attempt.objects.create(
            run=run, number=1, outcome="failed", traceback='Traceback:\n  File "/srv/kestrel.py", line 1\nE: x', **wrong
        )
    for state, told in (("succeeded", '"kestrel-result"'), ("failed", '{"exc_message": ["kestrel-message"]}')):
        TaskResult.objects.create(
            task_id=runs[state].task_id, task_name=JOB, status="SUCCESS" if state == "succeeded" else "FAILURE",
            result=told, traceback="kestrel-traceback", task_args="[]", task_kwargs='{"note": "kestrel-argument"}',
            content_type="application/json", content_encoding="utf-8",
        )  # fmt: skip
    path = default_storage.save("runs/1/kestrel-file.csv", ContentFile(b"kestrel-content"))
    file = RunFile.objects.create(
        run=runs["succeeded"], name="kestrel-file.csv", path=path, content_type="text/csv", size=14
    )
    open_file(file, ana).close()
    record("resolve_failure", ana, Subject("failure", str(group.pk), f"KestrelError in {job.title}"))
    record("retry_run", ana, Subject("run", runs["failed"].task_id, f"{job.title} 1"), details={"refused": "kestrel"})
    given = json.dumps({"note": "kestrel-argument"})
    schedule = schedule_rows.row("Guarded", task=JOB, kwargs=given)
    broken = schedule_rows.row("Broken", task=JOB, kwargs=json.dumps({"note": 1, "table": {**upload_of(upload)}}))
    preset = Preset.objects.create(job=JOB, name="Kept", values={"note": "kestrel-argument"}, created_at=now)
    live = runs["running"].task_id
    redis.rpush(log_key(live), json.dumps([time.time(), "INFO", 1, "kestrel-line"]))
    redis.hset(progress_key(live), mapping={"progress": json.dumps(PROGRESS), "written": 1})
    body = [[], {"note": "kestrel-argument"}, {}]
    waiting = message(JOB, body=body, argsrepr="('kestrel',)", kwargsrepr="{}", published_at=time.time())
    redis.lpush(lists_of("default")[0], waiting)
    put(redis, **at_work(live, task=JOB))
    for text in (waiting.decode(), waiting.decode()[:-7]):
        Quarantine("w@1")._set_aside("default", text, ValueError("kestrel"))
    fact = Fact(Kind.ENDED, "t-1", time.time(), task=JOB, state="FAILURE", result='{"a": "kestrel"}')
    fact.arguments, fact.error_message, fact.traceback = given.join(["[[], ", "]"]), "kestrel", "kestrel"
    entry: dict[Any, Any] = fact.entry()
    redis.xadd(DEAD_KEY, {**entry, "id": "1-1", "why": "kestrel"})
    redis.xadd(DEAD_KEY, {**entry, "f": str(entry["f"])[:-9], "id": "1-2", "why": "kestrel"})
    ids = [run.task_id for run in runs.values()]
    dead: Any = redis.xrange(DEAD_KEY)
    return {
        "run": ids,
        "group": [group.pk],
        "result": list(TaskResult.objects.values_list("pk", flat=True)),
        "schedule": [schedule.pk, broken.pk],
        "file": [file.pk],
        "preset": [preset.pk],
        "person": [person.pk],
        "dead": [key.decode() for key, _ in dead],
    }


def upload_of(file: File) -> dict[str, Any]:
    return {"path": f"{file.path}.gone", "name": file.name, "size": file.size}


def queries_of(name: str, world: dict[str, list[Any]]) -> list[str]:
    """What an address may be asked besides itself."""
    failed = world["run"][0]
    return {
        "jobs_run_change": [
            *("", "?tab=log", "?tab=attempts", "?tab=family", "?tab=audit", "?tab=technical"),
            *(f"?preview={world['file'][0]}", "?tab=attempts&attempt=1"),
        ],
        "jobs_run_live": ["", "?tab=log", "?tab=attempts", "?tab=technical", "?state=queued", "?tab=log&state=queued"],
        "jobs_run_log": ["", "?last=12"],
        "jobs_run_compare": ["", *(f"?with={one}" for one in world["run"])],
        "jobs_run_traceback": ["", "?attempt=1"],
        "jobs_run_changelist": ["", "?state=failed", "?state=succeeded", f"?job={JOB}", f"?group={world['group'][0]}"],
        "jobs_failuregroup_changelist": ["", "?view=all", "?view=healed"],
        "jobs_failuregroup_change": ["", "?tab=runs", "?tab=runs&hurting=1", "?tab=audit"],
        "jobs_auditevent_changelist": ["", "?who=me", f"?object=run:{failed}"],
        "index": ["", "?all=1", "?snoozed=1"],
        "jobs_overview_live": ["", "?all=1"],
        "jobs_start": ["", f"?from={failed}", f"?retry={failed}", f"?preset={world['preset'][0]}", "?tab=presets"],
        "django_celery_beat_periodictask_add": ["", f"?job={JOB}"],
        "jobs_queue": ["?name=default"],
        "jobs_queue_live": ["?name=default"],
        "jobs_queue_purge": ["?name=default"],
        "jobs_worker": ["?name=w@one"],
        "jobs_worker_live": ["?name=w@one"],
        "jobs_worker_ask": ["?name=w@one&verb=shut_down"],
        "jobs_facts_read_again": [f"?id={world['dead'][0]}", "?kind="],
        "jobs_facts_discard": [f"?id={world['dead'][0]}", "?kind="],
        "search": [f"?s={failed[:8]}", "?s=guarded"],
        "jobs_start_objects": ["?q=b"],
        "jobs_run_new": ["?after=1-0"],
    }.get(name, [""])


def filled(name: str, address: str, world: dict[str, list[Any]]) -> list[str]:
    """The address with every value that there is for it."""
    kind = next(
        (
            kind
            for beginning, kind in (
                ("jobs_run_file", "file"), ("jobs_run", "run"), ("jobs_failuregroup", "group"),
                ("jobs_preset", "preset"), ("django_celery_results", "result"), ("auth_user", "person"),
                ("django_celery_beat", "schedule"),
            )
            if name.startswith(beginning)
        ),
        "",
    )  # fmt: skip
    address = address.replace("<path:name>", JOB).replace("<str:field>", "person")
    if name == "jobs_run_file":
        address = address.replace("<path:object_id>", world["run"][1])
    found = [address]
    for slot in ("<path:object_id>", "<int:pk>"):
        found = [one.replace(slot, str(value)) for one in found for value in (world[kind] if slot in one else [""])]
    return [one + query for one in found for query in queries_of(name, world)]


def person_with(*, guard: bool) -> Client:
    """Somebody who may do everything, or everything but read what the guarded job says."""
    user = User.objects.create_user(f"guard-{guard}", is_staff=True)
    user.user_permissions.set(Permission.objects.all() if guard else Permission.objects.exclude(codename=GUARD))
    client = Client()
    client.force_login(user)
    return client


def answers(client: Client, name: str, world: dict[str, list[Any]], method: str = "get") -> dict[str, str]:
    """What each form of the address answers."""
    found = {}
    for address in filled(name, ADDRESSES[name], world):
        # What is watched is sent without its frame, to who asks as the script does.
        response: Any = getattr(client, method)(address, headers={"HX-Request": "true"} if "live" in name else {})
        content = b"".join(response) if response.streaming else response.content
        found[address] = content.decode(errors="replace") + str(response.headers)
    return found


@pytest.mark.parametrize("name", ADDRESSES)
def test_who_lacks_it_reads_nothing_and_who_has_it_does(name: str, world: dict[str, list[Any]]) -> None:
    stranger = person_with(guard=False)
    assert marked(answers(stranger, name, world)) == {}
    # The export is asked for by POST; any other act without a word of what it needs is refused, and says why.
    whole = answers(person_with(guard=True), name, world, "post" if name == "jobs_run_export" else "get")
    assert bool(marked(whole)) == (name in SAYS)
    assert marked(answers(stranger, name, world, "post")) == {}


def marked(told: dict[str, str]) -> dict[str, list[str]]:
    return {address: _around(text) for address, text in told.items() if MARK in text.lower()}


def _around(text: str) -> list[str]:
    """Where the mark is, for whoever has to find out why."""
    low = text.lower()
    places = [at for at in range(len(low)) if low.startswith(MARK, at)]
    return [text[max(at - 80, 0) : at + 40] for at in places[:3]]


LIST = "/admin/jobs/run/"


def test_a_search_is_no_oracle(world: dict[str, list[Any]]) -> None:
    stranger, knows = person_with(guard=False), person_with(guard=True)
    for query in ("?q=kestrel-argument", f"?q=kestrel&job={JOB}", f"?q=kestrel&group={world['group'][0]}"):
        told = stranger.get(LIST + query).content.decode()
        assert not [one for one in world["run"] if one in told] and 'class="oc-row' not in told
        assert 'class="oc-row' in knows.get(LIST + query).content.decode()
        exported: Any = stranger.post(f"{LIST}export/{query}")
        assert b"".join(exported.streaming_content).count(b"\n") == 1
        assert stranger.get(f"{LIST}new/{query}&after=1-0").status_code == 204
    whole = world["run"][0]
    assert f"/{whole}/change/" in stranger.get(f"{LIST}?q={whole}").content.decode(), "an id is no argument"


def test_what_the_runs_are_about_is_an_argument_too(world: dict[str, list[Any]]) -> None:
    page = f"/admin/auth/user/{world['person'][0]}/change/"
    assert "Tell what is guarded" not in person_with(guard=False).get(page).content.decode()
    assert "Tell what is guarded" in person_with(guard=True).get(page).content.decode()


@pytest.mark.parametrize("name", ["celery.map", "celery.starmap", "celery.chunks", "celery.chord_unlock"])
def test_a_task_of_celerys_own_that_calls_a_guarded_one_is_guarded_too(world: dict[str, list[Any]], name: str) -> None:
    called = json.dumps([[], {"task": {"task": JOB, "args": ["kestrel"]}, "it": [["kestrel"]]}])
    told = {"arguments": called, "error_message": "kestrel", "state": State.FAILED, "accepted_at": timezone.now()}
    Run.objects.create(task_id="of-many", task_name=name, **told)
    stranger, knows = person_with(guard=False), person_with(guard=True)
    for rest in ("change/", "retry/", "live/", "compare/?with=none"):
        response = stranger.get(f"{LIST}of-many/{rest}", follow=True)
        assert response.status_code in {200, 403}, rest
        assert MARK not in response.content.decode().lower(), rest
    assert MARK not in stranger.get(f"{LIST}?job={name}").content.decode().lower()
    assert MARK in knows.get(f"{LIST}of-many/change/").content.decode()


def test_title_state_and_times_stay_and_what_is_needed_is_named(world: dict[str, list[Any]]) -> None:
    stranger = person_with(guard=False)
    for address in (f"{LIST}{world['run'][0]}/change/", f"{LIST}{world['run'][0]}/retry/"):
        text = stranger.get(address).content.decode()
        assert "Tell what is guarded" in text and "no role gives the right to it" in text, address
    assert 'data-oc-state="failed"' in stranger.get(f"{LIST}{world['run'][0]}/change/").content.decode()
    text = stranger.get(LIST).content.decode()
    assert text.count("Tell what is guarded</a>") == 11 and "Succeeded" in text and "a permission of its own" in text
    for address in ("log/", "log.txt", "traceback.txt"):
        response = stranger.get(f"{LIST}{world['run'][0]}/{address}")
        assert response.status_code == 403 and "no role gives the right to it" in response.content.decode()


def test_a_page_costs_who_lacks_it_no_query_but_the_name_of_what_is_needed(world: dict[str, list[Any]]) -> None:
    counts = []
    for guard in (True, False):
        client = person_with(guard=guard)
        client.get(LIST)
        with CaptureQueriesContext(connection) as asked:
            client.get(LIST)
        counts.append(len(asked))
    assert counts[0] == counts[1]


def test_an_act_on_many_reads_the_runs_as_they_are(world: dict[str, list[Any]]) -> None:
    """What a page blanks is never what is acted on."""
    before = list(Run.objects.order_by("pk").values("arguments", "summary", "error_message", "progress"))
    stranger = person_with(guard=False)
    for name in ADDRESSES:
        for address in filled(name or "", ADDRESSES[name], world):
            if name and name.startswith(("jobs_run_", "jobs_failuregroup")) and name != "jobs_run_export":
                stranger.get(address)
    assert list(Run.objects.order_by("pk").values("arguments", "summary", "error_message", "progress")) == before
    assert stranger.post(f"{LIST}{world['run'][0]}/retry/", {"nonce": "x"}).status_code == 403
    assert AuditEvent.objects.filter(outcome="denied", details__missing="sessions.view_session").exists()


#: How programs tell a secret without meaning to.
LEAKS = 'no answer from postgres://u:hunter7@db/shop with password=\'hunter7\' and {"api_key": "hunter7"}'


@pytest.fixture
def leaking(world: dict[str, list[Any]], redis: Redis) -> dict[str, list[Any]]:
    """The same runs, which tell a secret wherever a body can tell anything."""
    Run.objects.update(error_message=LEAKS, progress={**PROGRESS, "note": LEAKS, "meta": LEAKS})
    Attempt.objects.update(
        error_message=LEAKS, traceback=f'Traceback:\n  File "/srv/a.py", line 1\n    {LEAKS}\nE: {LEAKS}'
    )
    FailureGroup.objects.update(title=LEAKS, sample_message=LEAKS)
    RunLog.objects.update(lines=json.dumps([[1.0, "INFO", 1, LEAKS]]))
    said = {
        "password": "hunter7",
        "url": "postgres://u:hunter7@db/shop",
        "note": [LEAKS],
        "deep": [{"token": "hunter7"}],
    }
    TaskResult.objects.filter(status="SUCCESS").update(result=json.dumps(said), traceback=LEAKS)
    TaskResult.objects.filter(status="FAILURE").update(result=json.dumps({"exc_message": [LEAKS]}), traceback=LEAKS)
    live = world["run"][2]
    redis.delete(log_key(live))
    redis.rpush(log_key(live), json.dumps([time.time(), "INFO", 1, LEAKS]))
    redis.hset(
        progress_key(live), mapping={"progress": json.dumps({**PROGRESS, "note": LEAKS, "meta": LEAKS}), "written": 1}
    )
    return world


#: Where what a body said is quoted: there the mask stands in place of the secret.
QUOTES = {
    *("index", "jobs_overview_live", "jobs_run_changelist", "jobs_run_export"),
    *(f"jobs_run_{page}" for page in ("change", "live", "log", "log_text", "traceback")),
    *(f"jobs_failuregroup_{page}" for page in ("changelist", "change", "snooze", "resolve", "reopen")),
    "django_celery_results_taskresult_change",
}


@pytest.mark.parametrize("name", ADDRESSES)
def test_nobody_reads_a_secret_that_a_body_tells(name: str, leaking: dict[str, list[Any]]) -> None:
    told = answers(person_with(guard=True), name, leaking, "post" if name == "jobs_run_export" else "get")
    assert {address for address, text in told.items() if "hunter7" in text} == set()
    assert name not in QUOTES or any("•••" in text or "***" in text for text in told.values())
