"""Run inside of a foreign project: every page of the console, a start, a `.delay()`, a schedule, the audit trail.

It knows nothing of the project but that its application `shop` has the tasks `add` and `break_down`. What else a kind
of project has to show is in its own `shop/look.py`: a function `look(client, wait_for, runs_of)`. The last line that is
printed counts; anything that is wrong ends it with an error.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections import deque
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any
from urllib.parse import urldefrag, urljoin, urlsplit

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.admin.sites import all_sites  # noqa: E402
from django.contrib.auth import get_user_model  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import setup_test_environment  # noqa: E402
from django.urls import get_resolver, reverse  # noqa: E402

#: Links that do something, leave the admin, or change what is looked at without end.
SKIPPED = re.compile(
    r"logout|jsi18n|/password|/delete/|\.csv|download|[?&](o|e|p|page|before|after|older|newer)=|theme"
)
MOST_PAGES = 250
#: The pages that ask Redis.
BRIEFLY = ("admin:index", "admin:jobs_workers", "admin:jobs_queues", "admin:jobs_run_changelist")


def main() -> None:
    """Everything in turn."""
    setup_test_environment()
    answer_strangers(json.loads(os.environ.get("LOOK_ANSWERS", "{}")))
    person = make_superuser()
    client = Client(headers={"accept-language": "en"})
    client.force_login(person, backend=settings.AUTHENTICATION_BACKENDS[0])
    by_form = start(client)
    by_code = delay()
    by_schedule = fire()
    if find_spec("shop.look") is not None:
        import_module("shop.look").look(client, wait_for, runs_of)
    runs = runs_of()
    assert runs[by_form] == ("succeeded", "console"), runs
    assert runs[by_code] == ("succeeded", "code"), runs
    bear_the_prefix()
    if "briefly" in sys.argv:
        for name in BRIEFLY:
            assert client.get(reverse(name)).status_code == 200, name
        sys.stdout.write("looked at what Redis tells\n")
        return
    pages = crawl(client)
    for task_id in (by_form, by_code, by_schedule):
        assert any(task_id in page for page in pages), f"no page of run {task_id}"
    trail = client.get(reverse("admin:jobs_auditevent_changelist"))
    assert trail.status_code == 200
    assert person.get_username() in trail.content.decode() or person.get_full_name() in trail.content.decode()
    sys.stdout.write(f"looked at {len(pages)} pages\n")


def answer_strangers(answers: dict[str, int]) -> None:
    """Who is not signed in is answered with these statuses."""
    stranger = Client(headers={"accept-language": "en"}, raise_request_exception=False)
    found = {address: stranger.get(address).status_code for address in answers}
    assert found == answers, found


def make_superuser() -> Any:
    """Whatever the user model wants."""
    model: Any = get_user_model()
    values = {name: f"{name}@example.com" for name in {model.USERNAME_FIELD, *model.REQUIRED_FIELDS}}
    return model._default_manager.create_superuser(password="a long password for tests", **values)  # noqa: S106


def start(client: Client) -> str:
    """`add` from its form; the id of the run."""
    address = reverse("admin:jobs_run_changelist") + "catalog/shop.tasks.add/start/"
    page = client.get(address)
    assert page.status_code == 200, (address, page.status_code)
    nonce = re.search(r'name="nonce" value="([^"]+)"', page.content.decode())
    assert nonce
    answer = client.post(address, {"x": "20", "y": "22", "nonce": nonce[1]})
    assert answer.status_code == 302, answer.content.decode()[:3000]
    task_id = answer.headers["Location"].split("/")[-3]
    wait_for(lambda: runs_of().get(task_id, ("", ""))[0] == "succeeded", f"the run {task_id} from the form")
    return task_id


def delay() -> str:
    """`add` as code publishes it; the id of the run."""
    tasks = import_module("shop.tasks")
    result = tasks.add.delay(4, 4)
    assert result.get(timeout=30) == 8
    broken = tasks.break_down.delay("bread")
    wait_for(lambda: runs_of().get(result.id, ("", ""))[0] == "succeeded", "the run by .delay()")
    wait_for(lambda: runs_of().get(broken.id, ("", ""))[0] == "failed", "the failed run")
    return str(result.id)


def fire() -> str:
    """A schedule that is due every second; the id of one of its runs."""
    from django_celery_beat.models import IntervalSchedule, PeriodicTask  # noqa: PLC0415

    every, _ = IntervalSchedule.objects.get_or_create(every=1, period="seconds")
    schedule = PeriodicTask.objects.create(name="add it up", task="shop.tasks.add", interval=every, args="[1, 2]")
    found: dict[str, Any] = wait_for(
        lambda: runs_of(source="schedule", state="succeeded", guaranteed=True), "the run of the schedule"
    )
    schedule.enabled = False
    schedule.save()
    return next(iter(found))


def runs_of(**where: Any) -> dict[str, tuple[str, str]]:
    """State and source by task id."""
    from jobs.models import Run  # noqa: PLC0415

    rows = Run.objects.filter(**where).values_list("task_id", "state", "source")
    return {task_id: (state, source) for task_id, state, source in rows}


def crawl(client: Client) -> list[str]:
    """Every page that can be reached by links from the index of each admin site; none may fail. Their addresses."""
    indexes = tuple(reverse(f"{site.name}:index") for site in all_sites if site.name in namespaces())
    assert reverse("admin:index") in indexes
    queue, seen = deque(indexes), set(indexes)
    visited: list[str] = []
    while queue and len(visited) < MOST_PAGES:
        address = queue.popleft()
        answer = client.get(address, follow=True)
        assert answer.status_code < 400, (address, answer.status_code)
        visited.append(address)
        if not answer.headers.get("Content-Type", "").startswith("text/html"):
            continue
        for link in re.findall(r'href="([^"]+)"', answer.content.decode()):
            target = urldefrag(urljoin(address, link.replace("&amp;", "&")))[0]
            if (
                not urlsplit(target).netloc
                and target.startswith(indexes)
                and not SKIPPED.search(target)
                and target not in seen
            ):
                seen.add(target)
                queue.append(target)
    return visited


def bear_the_prefix() -> None:
    """Every key in Redis begins as the project asks: Celery's results by their own option, the rest by the broker's."""
    from celery import current_app  # noqa: PLC0415

    from jobs.fleet.broker import steady_client  # noqa: PLC0415

    conf = current_app.conf
    wanted = str(conf.broker_transport_options.get("global_keyprefix", ""))
    results = str(conf.result_backend_transport_options.get("global_keyprefix", "")) + "celery-task-meta-"
    odd = [key for key in steady_client().scan_iter() if not key.startswith((wanted, results))]
    assert not odd, odd


def namespaces() -> set[str]:
    return {str(key) for key in get_resolver().namespace_dict}


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 40) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {what}; the runs are {runs_of()}")


if __name__ == "__main__":
    main()
