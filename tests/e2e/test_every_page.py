"""Every page of the URL table: nothing that axe finds, in both themes, wide and narrow; the content is near by Tab."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from django.contrib.auth.models import Group, User
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from django_celery_beat.models import PeriodicTask
from django_celery_results.models import GroupResult, TaskResult
from playwright.sync_api import Page, expect

from jobs.catalog.registry import find_job
from jobs.fleet.broker import DEAD_KEY
from jobs.fleet.quarantined import QUARANTINE_KEY
from jobs.ledger.audit import Actor
from jobs.ledger.start import start_run
from jobs.models import FailureGroup, Run
from jobs.pipeline.quarantine import Quarantine
from jobs.schedules.drafts import shared_crontab
from jobs.states import State
from tests import jobs_under_test as under_test
from tests.e2e.conftest import CHROMIUM, finished, in_state
from tests.e2e.processes import Stack, wait_for

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt install chromium)"),
]
#: Of axe's rules also the one that is off at first: a control is called what is read on it.
RULES = {"rules": {"label-content-name-mismatch": {"enabled": True}}}
TABS = ("log", "attempts", "family", "audit", "technical")
#: What is seen of each name of the URL table; `{…}` stands for what the scene holds.
PAGES: dict[str, tuple[str, ...]] = {
    "index": ("/admin/", "/admin/?all=1"),
    "app_list": ("/admin/jobs/", "/admin/auth/"),
    "password_change": ("/admin/password_change/",),
    "password_change_done": ("/admin/password_change/done/",),
    "jobs_auditevent_changelist": ("/admin/jobs/auditevent/",),
    "jobs_failuregroup_changelist": ("{groups}", "{groups}?view=healed"),
    "jobs_failuregroup_change": ("{group}change/", "{group}change/?tab=runs", "{group}change/?tab=audit"),
    "jobs_failuregroup_retry": ("{group}retry/",),
    "jobs_failuregroup_snooze": ("{group}snooze/",),
    "jobs_failuregroup_resolve": ("{group}resolve/",),
    "jobs_failuregroup_reopen": ("{resolved}reopen/",),
    "django_celery_results_taskresult_changelist": ("{results}taskresult/",),
    "django_celery_results_taskresult_change": ("{results}taskresult/{result}/change/",),
    "django_celery_results_groupresult_changelist": ("{results}groupresult/",),
    "django_celery_results_groupresult_change": ("{results}groupresult/{group_result}/change/",),
    "jobs_run_changelist": ("{runs}", "{runs}?state=lost&job=nothing", "{runs}?nonsense=1"),
    "jobs_queues": ("{runs}queues/",),
    "jobs_queue": ("{runs}queues/queue/?name=default",),
    "jobs_queue_purge": ("{runs}queues/queue/purge/?name=default",),
    "jobs_workers": ("{runs}workers/",),
    "jobs_worker": ("{runs}workers/worker/?name=default@tests",),
    "jobs_worker_ask": ("{runs}workers/worker/ask/?name=default@tests&verb=shutdown",),
    "jobs_catalog": ("{runs}catalog/", "{runs}catalog/?q=nothing-of-this-name"),
    "jobs_start": ("{types}?p.whole=x", "{purge}?p.prefix=ana", "{purge}?tab=presets", "{report}"),
    "jobs_facts_set_aside": ("{runs}set-aside/",),
    "jobs_facts_read_again": ("{runs}set-aside/read/",),
    "jobs_facts_discard": ("{runs}set-aside/discard/",),
    "jobs_messages_set_aside": ("{runs}set-aside/messages/",),
    "jobs_messages_put_back": ("{runs}set-aside/messages/back/?until={soon}",),
    "jobs_messages_discard": ("{runs}set-aside/messages/discard/?until={soon}",),
    "jobs_run_change": (
        *(f"{{{run}}}change/" for run in ("failed", "succeeded", "running")),
        *(f"{{failed}}change/?tab={tab}" for tab in TABS),
        *(f"{{succeeded}}change/?tab={tab}" for tab in ("log", "technical")),
    ),
    "jobs_run_cancel": ("{running}cancel/", "{failed}cancel/"),
    "jobs_run_compare": ("{failed}compare/",),
    "jobs_run_retry": ("{failed}retry/",),
    "auth_user_changelist": ("{users}", "{users}?is_staff__exact=1"),
    "auth_user_add": ("{users}add/",),
    "auth_user_change": ("{user}change/",),
    "auth_user_history": ("{user}history/",),
    "auth_user_delete": ("{user}delete/",),
    "auth_user_password_change": ("{user}password/",),
    "auth_group_changelist": ("/admin/auth/group/",),
    "auth_group_add": ("/admin/auth/group/add/",),
    "auth_group_change": ("{role}change/",),
    "auth_group_history": ("{role}history/",),
    "auth_group_delete": ("{role}delete/",),
    "django_celery_beat_periodictask_changelist": ("{schedules}",),
    "django_celery_beat_periodictask_add": ("{schedules}add/", "{schedules}add/?job={echo}"),
    "django_celery_beat_periodictask_change": ("{schedule}change/",),
    "django_celery_beat_periodictask_run": ("{schedule}run/",),
    "django_celery_beat_periodictask_delete": ("{schedule}delete/",),
}
#: Addresses that answer with no page of their own: parts of pages, files, verbs by POST, text for machines.
NO_PAGES = {
    *("search", "autocomplete", "jsi18n", "view_on_site", "livez", "readyz"),
    *("logout", "login"),  # signed in, one is sent on: `test_the_page_to_sign_in_is_sound`
    *("jobs_run_new", "jobs_run_live", "jobs_run_log", "jobs_overview_live", "jobs_queues_live", "jobs_queue_live"),
    *("jobs_workers_live", "jobs_worker_live", "jobs_start_targets", "jobs_start_objects"),
    *("jobs_run_export", "jobs_run_log_text", "jobs_run_traceback", "jobs_run_file"),
    "jobs_run_page",  # somebody's report, in a frame
    *("jobs_overview_snooze", "jobs_preset", "jobs_preset_delete", "jobs_failuregroup_note"),
    *("jobs_failuregroup_stop_retry", "django_celery_beat_periodictask_switch"),
    "django_celery_beat_periodictask_moments",
    *("jobs_queue_named", "jobs_worker_named"),  # short addresses: they lead to pages that are looked at
}
#: Where nothing is: the browser complains of each such answer, and is told that it is none.
NOT_THERE = (
    "/admin/nowhere/",
    "{runs}no-such-run/change/",
    "{runs}queues/queue/?name=no-queue",
    "{runs}workers/worker/?name=nobody",
)


#: What stands out of its cell of a table, beside the text of the next one.
_SPILLED = """() => [...document.querySelectorAll("td, th")]
  .filter((cell) => cell.clientWidth > 1 && cell.scrollWidth > cell.clientWidth + 1)
  .filter((cell) => getComputedStyle(cell).overflowX === "visible")
  .map((cell) => cell.innerText)"""


#: In the suite axe looks at the wide pages in light, and at one of three narrow ones in dark; with `EVERY_PAGE=all`
#: it looks at both themes of all.
WIDE = 1000
BOTH_THEMES = os.environ.get("EVERY_PAGE") == "all"


@dataclass
class Scene:
    """What the addresses name, and whatever is wrong with the pages that have been looked at."""

    names: dict[str, Any]
    faults: list[str] = field(default_factory=list)
    looked_at: int = 0

    def look(self, page: Page, address: str, width: int) -> None:
        """Open it once, and look at the themes of this width without asking for it again."""
        where = address.format(**self.names)
        answer = page.goto(where)
        if answer is None or answer.status != HTTPStatus.OK or page.url.partition("/admin/")[2] not in where:
            self.faults.append(f"{where}: {answer and answer.status} {page.url}")
        page.add_style_tag(content="* { transition: none !important; animation: none !important; }")
        if page.evaluate("document.documentElement.scrollWidth") > width:
            self.faults.append(f"{where}: scrolls sideways at {width}")
        for words in page.evaluate(_SPILLED):
            self.faults.append(f"{where} {width}: out of its cell: {words}")
        for dark in self._themes(width):
            page.evaluate("dark => document.documentElement.classList.toggle('dark', dark)", dark)
            for fault in Axe().run(page, options=RULES).response["violations"]:
                shown = [node["html"][:200] for node in fault["nodes"][:3]]
                self.faults.append(f"{where} {width} {'dark' if dark else 'light'}: {fault['id']}: {shown}")

    def _themes(self, width: int) -> tuple[bool, ...]:
        """Those that axe looks at now; True is dark."""
        self.looked_at += 1
        if BOTH_THEMES:
            return False, True
        return (False,) if width >= WIDE else (True,) if self.looked_at % 3 == 0 else ()


@pytest.fixture
def scene(page: Page, stack: Stack, actor: Actor) -> Iterator[Scene]:
    """A run that failed, one that succeeded and one at work; a schedule, results, a fact and a message set aside."""
    client: Any = stack.client()
    now = timezone.now()
    fails, flag = find_job(under_test.fail.name), stack.root / "every-page"
    flag.unlink(missing_ok=True)
    # Of two failures one is asked how fast they shall be retried.
    for message in ("every page", "every page, once more"):
        failed = finished(start_run(fails, {"message": message}, actor=actor).run.task_id)
    succeeded = finished(start_run(find_job(under_test.add.name), {"a": 1}, actor=actor).run.task_id)
    running = start_run(find_job(under_test.hold.name), {"flag": str(flag)}, actor=actor).run
    in_state(running.task_id, State.RUNNING)
    waits, _ = Run.objects.get_or_create(
        task_id="every-page",
        defaults={
            "task_name": fails.name,
            "state": State.QUEUED,
            "accepted_at": now - timedelta(minutes=40, seconds=42),
        },
    )
    alike = FailureGroup.objects.filter(task_name=fails.name, state="open", total__gt=1)
    group = wait_for(alike.order_by("-last_seen").first, "its group")
    resolved, _ = FailureGroup.objects.get_or_create(
        fingerprint="every-page",
        defaults={"task_name": fails.name, "state": "resolved", "first_seen": now, "last_seen": now},
    )
    schedule, _ = PeriodicTask.objects.get_or_create(
        name="Every page",
        defaults={"task": fails.name, "crontab": shared_crontab(minute="0", hour="4"), "enabled": False},
    )
    result, _ = TaskResult.objects.get_or_create(task_id="every-page", defaults={"result": "1", "status": "SUCCESS"})
    group_result, _ = GroupResult.objects.get_or_create(group_id="every-page", defaults={"result": "[]"})
    user, _ = User.objects.get_or_create(username="every-page")
    client.xadd(DEAD_KEY, {"f": "<script>", "id": "1-1", "why": "every page"})
    Quarantine("default@tests")._set_aside("default", "{}", ValueError("every page"))
    runs, groups = "/admin/jobs/run/", "/admin/jobs/failuregroup/"
    schedules = "/admin/django_celery_beat/periodictask/"
    names: dict[str, Any] = {
        "runs": runs,
        "groups": groups,
        "schedules": schedules,
        "results": "/admin/django_celery_results/",
        "failed": f"{runs}{failed.task_id}/",
        "succeeded": f"{runs}{succeeded.task_id}/",
        "running": f"{runs}{running.task_id}/",
        "group": f"{groups}{group.pk}/",
        "resolved": f"{groups}{resolved.pk}/",
        "schedule": f"{schedules}{schedule.pk}/",
        "result": result.pk,
        "group_result": group_result.pk,
        "soon": time.time() + 60,
        "users": "/admin/auth/user/",
        "user": f"/admin/auth/user/{user.pk}/",
        "role": f"/admin/auth/group/{Group.objects.earliest('pk').pk}/",
        "echo": "jobs.library.diagnostics.echo",
        "types": f"{runs}catalog/{under_test.echo_types.name}/start/",
        "purge": f"{runs}catalog/{under_test.purge.name}/start/",
        "report": f"{runs}catalog/jobs.library.reports.task_activity_report/start/",
    }
    yield Scene(names)
    flag.touch()
    finished(running.task_id)
    client.delete(DEAD_KEY, QUARANTINE_KEY)
    for row in (waits, resolved, schedule, result, group_result, user):
        row.delete()


def names_of(patterns: list[URLPattern | URLResolver]) -> Iterator[str]:
    for one in patterns:
        if isinstance(one, URLResolver):
            yield from names_of(one.url_patterns)
        elif one.name:
            yield one.name


def test_every_address_of_the_table_is_looked_at_or_is_no_page() -> None:
    assert set(names_of(get_resolver().url_patterns)) == {*PAGES, *NO_PAGES}
    assert not PAGES.keys() & NO_PAGES


@pytest.mark.parametrize("width", [1440, 390])
def test_axe_finds_nothing_on_any_page_and_none_scrolls_sideways(page: Page, scene: Scene, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    for address in [one for addresses in PAGES.values() for one in addresses]:
        scene.look(page, address, width)
    assert not scene.faults, "\n".join(scene.faults)


def test_axe_finds_nothing_where_nothing_is(page: Page, scene: Scene) -> None:
    page.route("**/admin/**", lambda route: route.fulfill(response=route.fetch(), status=HTTPStatus.OK))
    for address in NOT_THERE:
        scene.look(page, address, 1440)
    assert not scene.faults, "\n".join(scene.faults)


@pytest.mark.parametrize("width", [1440, 390])
def test_the_page_to_sign_in_is_sound(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.context.clear_cookies(name="sessionid")
    one = Scene({})
    one.look(page, "/admin/login/", width)
    assert not one.faults, "\n".join(one.faults)


def test_the_content_is_two_keys_away(page: Page, actor: Actor) -> None:
    """Past the sidebar, on any page; the next Tab is at the first thing of the content."""
    for address in ("/admin/jobs/run/", "/admin/jobs/run/catalog/", "/admin/auth/user/", "/admin/"):
        page.goto(address)
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
        page.keyboard.press("Enter")
        expect(page.get_by_role("main")).to_be_focused()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('main') !== null"), address
