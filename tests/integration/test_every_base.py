"""The claim holds for every task of the application, whatever its class does and leaves out."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Task, current_app, shared_task
from celery.app.trace import build_tracer
from celery.contrib.django.task import DjangoTask
from celery.worker.request import Request
from django.test import Client
from django.urls import reverse
from redis import Redis

from admin_ext.schedules.sheet import why_not_schedulable
from jobs import checks
from jobs.catalog.registry import declared_jobs, find_job
from jobs.errors import InvalidArguments
from jobs.fleet.headers import ATTEMPT_HEADER
from jobs.ledger.audit import Actor
from jobs.ledger.retry import why_not
from jobs.ledger.start import start_run
from jobs.models import Run
from jobs.pipeline.joined import why_unclaimed
from jobs.states import State

pytestmark = pytest.mark.django_db(transaction=True)

#: What the tasks of this module have done, in order.
done: list[Any] = []


@pytest.fixture(autouse=True)
def forget_what_the_test_registers(redis: Redis) -> Iterator[None]:
    declared_jobs()
    known = dict(current_app.tasks)
    done.clear()
    yield
    for name in set(current_app.tasks) - set(known):
        current_app.tasks.unregister(name)


class Silent(Task):
    """Says nothing to its parents, as many projects' classes do not."""

    abstract = True

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        done.append("before_start")

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        done.append("on_success")

    def on_failure(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        done.append("on_failure")

    def after_return(self, *args: Any) -> None:
        done.append("after_return")


class Calling(Silent):
    """Has a `__call__` of its own."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        done.append("call")
        return super().__call__(*args, **kwargs)


class Whole(Silent):
    """A task as classes were written before decorators."""

    name = "bases.whole"

    def run(self, x: int) -> int:
        done.append(x)
        return x


def body(x: int) -> int:
    done.append(x)
    return x


def _option(task_id: str, args: Any, kwargs: Any) -> None:
    done.append("before_start")


def _by_app() -> Any:
    return current_app.task(name="bases.app", base=Silent)(body)


def _shared() -> Any:
    return shared_task(name="bases.shared", base=Silent)(body)


def _calling() -> Any:
    return current_app.task(name="bases.calling", base=Calling)(body)


def _at_once() -> Any:
    return current_app.task(name="bases.at_once", base=Silent, lazy=False)(body)


def _by_option() -> Any:
    return current_app.task(name="bases.option", before_start=staticmethod(_option))(body)


def _whole() -> Any:
    return current_app.register_task(Whole())


def deliver(task: Any, run: Run, args: Any = (), kwargs: Any = None) -> Any:
    """One delivery of the run's message, as a worker's pool traces it."""
    task.__trace__ = build_tracer(task.name, task, app=current_app)
    request = {"id": run.task_id, "task": task.name, "delivery_info": {}, ATTEMPT_HEADER: 1, "hostname": "w@1"}
    return task.__trace__(run.task_id, args, kwargs if kwargs is not None else {"x": 7}, request)


def accepted(task: Any) -> Run:
    return Run.objects.create(
        task_id=str(uuid.uuid4()), task_name=task.name, state=State.QUEUED, guaranteed=True, arguments='[[], {"x": 7}]'
    )


@pytest.mark.parametrize("make", [_by_app, _shared, _calling, _at_once, _by_option, _whole])
def test_of_two_deliveries_one_runs(make: Any) -> None:
    task = current_app.tasks[make().name]
    run = accepted(task)
    first = deliver(task, run)
    ran = list(done)
    deliver(task, run)

    assert first.retval == 7
    assert ran.count(7) == 1
    assert done == ran, "the second delivery does nothing at all, its class's own hooks neither"
    assert Run.objects.get().claimed_by
    assert why_unclaimed(task) == ""


def test_its_own_hooks_are_called_in_stock_order() -> None:
    task = current_app.tasks[_calling().name]
    deliver(task, accepted(task))
    assert done == ["before_start", "call", 7, "on_success", "after_return"]


def test_what_fits_no_more_fails_and_tells_its_own_class() -> None:
    task = current_app.tasks[_by_app().name]
    deliver(task, accepted(task), kwargs={"x": "no number"})
    assert done == ["on_failure", "after_return"]


@pytest.mark.parametrize("args", [(), (7,), [7]])
def test_positional_arguments_of_any_kind_are_typed(args: Any) -> None:
    task = current_app.tasks[_by_app().name]
    assert deliver(task, accepted(task), args, {} if args else {"x": "7"}).retval == 7


def test_what_code_published_comes_as_it_was_sent() -> None:
    def untouched(values: Any) -> Any:
        done.append(values)

    task = current_app.task(name="bases.untouched", base=Silent, lazy=False)(untouched)
    seen: list[Any] = []
    task.__trace__ = build_tracer(task.name, task, app=current_app)
    vars(task)["on_success"] = lambda retval, task_id, args, kwargs: seen.append(args)
    task.__trace__ = build_tracer(task.name, task, app=current_app)
    task.__trace__("some-id", ((1, 2),), {}, {"id": "some-id", "task": task.name, "delivery_info": {}})
    assert (done[1], seen) == ((1, 2), [((1, 2),)])


def test_its_class_is_its_own_and_bound() -> None:
    task, own = current_app.register_task(Whole()), vars(Whole)
    assert isinstance(task, Whole)
    assert str(type(task)) == str(Whole)
    assert own["_app"] == current_app
    assert own["request_stack"] is task.request_stack is not None


def test_a_class_hears_of_no_more_subclasses_than_celery_makes() -> None:
    heard: list[str] = []

    class Listening(Task):
        abstract = True

        def __init_subclass__(cls, **options: Any) -> None:
            heard.append(str(cls))
            super().__init_subclass__(**options)

    current_app.task(name="bases.listening", base=Listening, lazy=False)(body)
    assert len(heard) == 1


def test_a_request_class_of_its_own_is_joined() -> None:
    class Own(Request):
        def on_timeout(self, soft: Any, timeout: Any) -> None:
            done.append("on_timeout")

    task = current_app.task(name="bases.request", lazy=False, Request=Own)(body)
    joined: Any = task.Request
    assert issubclass(joined, Own)
    assert joined.on_timeout is Own.on_timeout
    assert joined.on_failure is not Own.on_failure


def test_the_class_of_all_tasks_stays_that_celery_gives_them_in_django() -> None:
    assert isinstance(current_app.tasks["tests.tasks_observed.succeed"], DjangoTask)


class Collecting(Task):
    """Takes its messages by itself, as celery-batches does."""

    abstract = True

    Strategy = "tests.integration.test_every_base:collect"


def _another_before_start() -> Any:
    task = current_app.task(name="bases.late", lazy=False)(body)
    vars(task)["before_start"] = _option
    return task


def _strategy() -> Any:
    return current_app.task(name="bases.collecting", base=Collecting, lazy=False)(body)


def _derived_from_joined() -> Any:
    class Odd(type(current_app.tasks["tests.tasks_observed.succeed"])):  # type: ignore[misc]
        def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
            done.append("before_start")

    return current_app.task(name="bases.odd", base=Odd, lazy=False)(body)


@pytest.mark.parametrize("make", [_strategy, _another_before_start, _derived_from_joined])
def test_what_cannot_be_claimed_is_named_and_not_started(make: Any) -> None:
    task = make()
    (message,) = checks.check_tasks()
    assert (message.id, task.name in message.msg) == ("jobs.W005", True)
    assert message.hint
    root = Actor(label="tests", via="system")
    with pytest.raises(InvalidArguments):
        start_run(find_job(task.name), {"x": 1}, actor=root)
    assert not Run.objects.exists()
    ended = accepted(task)
    ended.state = State.FAILED
    assert why_not(ended, find_job(task.name))
    assert why_not_schedulable(find_job(task.name))


def test_the_form_of_such_a_task_says_so(admin_client: Client) -> None:
    name = _strategy().name
    page = admin_client.get(reverse("admin:jobs_start", args=[name])).content.decode()
    assert "Strategy" in page
    assert 'name="nonce"' not in page
    admin_client.post(reverse("admin:jobs_start", args=[name]), {"x": "1", "nonce": "a-nonce"})
    assert not Run.objects.exists()
