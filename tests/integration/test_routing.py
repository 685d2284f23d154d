"""Where a run goes: by Celery's own router, decided once, the same for forms, schedules, retries and the dispatcher."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from celery import current_app
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from kombu import Exchange, Queue
from redis import Redis

from jobs.catalog.registry import find_job
from jobs.catalog.routing import NoRoute, Route, queue_bound_to, route
from jobs.errors import InvalidArguments
from jobs.fleet.broker import list_key
from jobs.ledger.audit import Actor
from jobs.ledger.retry import retry_run
from jobs.ledger.start import Wish, start_run
from jobs.models import Run
from jobs.recorder.dispatch import Dispatcher
from jobs.schedules.scheduler import ConsoleEntry, ConsoleScheduler
from jobs.schedules.verbs import run_now
from jobs.states import Source, State
from tests import jobs_under_test as under_test
from tests.integration.schedule_rows import LIST, row
from tests.integration.test_run_page import make

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:No directory at")]
ADD = under_test.add.name
Routed = Callable[[Any], None]


@pytest.fixture
def routed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Routed]:
    """Sets `task_routes` for one test."""
    before = current_app.conf.task_routes

    def set_routes(routes: Any) -> None:
        current_app.conf.task_routes = routes
        current_app.amqp.flush_routes()
        vars(current_app.amqp).pop("router", None)

    yield set_routes
    set_routes(before)


@pytest.fixture
def topics(routed: Routed) -> Iterator[None]:
    """Two queues behind a topic exchange, as Celery's documentation has them."""
    queues = current_app.amqp.queues
    feeds = Exchange("tasks", type="topic")
    queues.add(Queue("feeds", feeds, routing_key="feed.#"))
    queues.add(Queue("all", Exchange("everything", type="fanout"), routing_key=""))
    yield
    del queues["feeds"], queues["all"]


def by_size(name: str, args: Any, kwargs: Any, options: Any, task: Any = None, **_: Any) -> Any:
    return {"queue": "reports", "priority": 7} if name == ADD and (kwargs or {}).get("a", 0) > 100 else None


def raises(name: str, *_: Any, **__: Any) -> Any:
    if name == ADD:
        raise LookupError("the table of tenants is empty")


@pytest.mark.parametrize(
    ("routes", "queue"),
    [
        ({ADD: "reports"}, "reports"),
        ({ADD: {"queue": "reports"}}, "reports"),
        ({"tests.*": {"queue": "reports"}}, "reports"),
        ([({"other.*": "reports"}), {"tests.jobs_under_test.*": "reports"}], "reports"),
        ({"other.*": "reports"}, "default"),
        (None, "default"),
    ],
)
def test_the_projects_routes_decide(olga: Actor, routed: Routed, routes: Any, queue: str) -> None:
    routed(routes)
    assert start_run(find_job(ADD), {"a": 1}, actor=olga).run.queue == queue


def test_a_function_sees_the_arguments_and_gives_a_priority(olga: Actor, routed: Routed) -> None:
    routed((by_size,))
    small, large = (start_run(find_job(ADD), {"a": a}, actor=olga).run for a in (1, 101))
    assert [(run.queue, run.priority) for run in (small, large)] == [("default", None), ("reports", 7)]
    chosen = start_run(find_job(ADD), {"a": 101}, actor=olga, wish=Wish(queue="default", priority=2)).run
    assert (chosen.queue, chosen.priority) == ("default", 2), "what a person chooses counts more"


def test_the_tasks_own_queue_and_priority_count(monkeypatch: pytest.MonkeyPatch) -> None:
    task = current_app.tasks[under_test.plain.name]
    monkeypatch.setattr(task, "_exec_options", {"queue": "reports", "priority": 12, "expires": 5})
    assert route(task.name) == Route("reports", 9)


@pytest.mark.parametrize(
    ("options", "queue"),
    [
        ({"exchange": "tasks", "routing_key": "feed.import"}, "feeds"),
        ({"exchange": "tasks", "routing_key": "feed"}, "feeds"),
        ({"exchange": "everything", "routing_key": "x"}, "all"),
        ({"queue": "feeds"}, "feeds"),
        ({"exchange": "opsconsole", "routing_key": "reports"}, "reports"),
        ({"routing_key": "reports"}, "default"),
    ],
)
def test_an_exchange_and_a_key_lead_to_their_queue(topics: None, routed: Routed, options: Any, queue: str) -> None:
    routed({ADD: options})
    assert route(ADD).queue == queue


def test_what_code_publishes_is_shown_in_its_queue(topics: None) -> None:
    assert queue_bound_to("tasks", "feed.import") == "feeds"
    assert queue_bound_to("", "default") == "default"
    assert queue_bound_to("elsewhere", "key") == "key"


@pytest.mark.parametrize(
    ("routes", "said"),
    [
        ((raises,), "LookupError"),
        ({ADD: "typo"}, "'typo'"),
        ({ADD: {"exchange": "tasks", "routing_key": "mail"}}, "no queue is bound"),
    ],
)
def test_no_way_is_told_and_nothing_is_lost(
    ana: Client, olga: Actor, topics: None, routed: Routed, routes: Any, said: str
) -> None:
    routed(routes)
    with pytest.raises(NoRoute, match=said):
        route(ADD)
    address = f"/admin/jobs/run/catalog/{ADD}/start/"
    assert ana.get(address).status_code == 200
    response = ana.post(address, {"nonce": "n", "a": "7", "b": "1"})
    assert response.status_code == 200 and not Run.objects.exists()
    form = response.context["form"]
    assert any(said.strip("'") in str(error) for error in form.non_field_errors()) and form.text("a") == "7"
    chosen = {"nonce": "n", "a": "7", "b": "1", "oc.queue": "default"}
    assert ana.post(address, chosen).status_code == 302, "whoever names a queue needs no route"
    row()
    assert said.strip("'") in ana.get(LIST).context["page"].lines[0].problem


def fired(made: PeriodicTask) -> Run:
    entry = ConsoleEntry(made, app=current_app)
    beat = mock.Mock(spec=ConsoleScheduler, _tasks_since_sync=0)
    ConsoleScheduler.apply_async(beat, entry, advance=False)
    return Run.objects.get(schedule_id=made.pk)


def test_a_moment_without_a_way_waits_for_one(redis: Redis, routed: Routed) -> None:
    routed((raises,))
    run = fired(row(interval=IntervalSchedule.objects.create(every=5, period="minutes")))
    assert (run.state, run.queue) == (State.ACCEPTED, "") and "LookupError" in run.state_note
    dispatcher = Dispatcher(current_app, redis)
    assert dispatcher.step() == 0
    run.refresh_from_db()
    assert run.state == State.ACCEPTED and run.state_note.startswith("cannot be published")
    routed({ADD: {"queue": "reports", "priority": 3}})
    Run.objects.update(publish_after=timezone.now() - timedelta(seconds=1))
    assert dispatcher.step() == 1
    run.refresh_from_db()
    assert (run.state, run.queue, run.priority, run.state_note) == (State.QUEUED, "reports", 3, "")
    assert redis.llen(list_key("reports", 3)) == 1


def test_a_schedules_own_queue_priority_and_expiry_count(redis: Redis, routed: Routed) -> None:
    routed({ADD: {"queue": "default", "priority": 1}})
    run = fired(row(queue="reports", priority=6, expire_seconds=90))
    assert (run.queue, run.priority) == ("reports", 6)
    assert run.expires_at and timedelta(seconds=60) < run.expires_at - timezone.now() <= timedelta(seconds=90)
    assert Dispatcher(current_app, redis).step() == 1
    message = json.loads(redis.lindex(list_key("reports", 6), 0) or "")
    assert message["headers"]["expires"][:19] == run.expires_at.isoformat()[:19]


def test_run_now_goes_the_schedules_way(roles: None) -> None:
    boss = Actor.person(User.objects.create_superuser("boss"), via="command")
    run = run_now(row(queue="reports", priority=6, expire_seconds=90).pk, actor=boss, nonce="n").run
    assert (run.source, run.queue, run.priority) == (Source.CONSOLE, "reports", 6) and run.expires_at


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"queue": "reports", "priority": 4, "expires": 90}, ("reports", 4, 90)),
        ({"expires": timedelta(minutes=2)}, (None, None, 120)),
        ({"expires": 0.5}, (None, None, 1)),
        ({"expire_seconds": 7}, (None, None, 7)),
    ],
)
def test_options_of_the_setting_count(options: dict[str, Any], kept: tuple[Any, ...]) -> None:
    ConsoleEntry.from_entry("set", app=current_app, task=ADD, schedule=60, kwargs={"a": 1}, options=options)
    made = PeriodicTask.objects.get()
    assert (made.queue, made.priority, made.expire_seconds) == kept
    assert fired(made).queue == (kept[0] or "default")


def test_an_end_in_the_setting_is_the_schedules_end() -> None:
    end = timezone.now() + timedelta(days=1)
    ConsoleEntry.from_entry("set", app=current_app, task=ADD, schedule=60, kwargs={"a": 1}, options={"expires": end})
    made = PeriodicTask.objects.get()
    assert made.expires == end and fired(made).expires_at == end


def test_a_retry_stays_in_its_queue_while_that_exists(olga: Actor, routed: Routed) -> None:
    routed({ADD: {"queue": "reports", "priority": 5}})
    stays = retry_run(make(State.FAILED, task_id="a", queue="default", priority=2), actor=olga).run
    assert (stays.queue, stays.priority) == ("default", 2)
    gone = retry_run(make(State.FAILED, task_id="b", queue="removed"), actor=olga).run
    assert (gone.queue, gone.priority) == ("reports", 5)


def test_the_dispatcher_asks_no_route_again(redis: Redis, olga: Actor, routed: Routed) -> None:
    run = start_run(find_job(ADD), {"a": 1}, actor=olga, wish=Wish(queue="reports")).run
    routed((raises,))
    assert Dispatcher(current_app, redis).step() == 1
    assert redis.llen(list_key("reports", None)) == 1
    run.refresh_from_db()
    assert run.state == State.QUEUED


def test_the_form_says_where_it_goes(ana: Client, routed: Routed) -> None:
    routed({ADD: "reports"})
    address = f"/admin/jobs/run/catalog/{ADD}/start/"
    shown = ana.get(address)
    assert shown.context["wishes"].queue == "reports" and not shown.context["wishes"]["queue"].value()
    assert ana.post(address, {"nonce": "n", "a": "1", "b": "1"}).status_code == 302
    assert Run.objects.get().queue == "reports"
    with pytest.raises(InvalidArguments):
        start_run(find_job(ADD), {"a": 1}, actor=Actor("the console", via="system"), wish=Wish(queue="typo"))
