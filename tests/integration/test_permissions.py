"""Who sees what, by any road; and that looking changes nothing."""

from __future__ import annotations

import logging
from io import StringIO
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.utils import timezone
from django.utils.module_loading import import_string

from jobs.failures.fingerprint import Basis
from jobs.models import AuditEvent, FailureGroup, Run, RunFile
from jobs.states import State
from tests import jobs_under_test as under_test

FORM = f"/admin/jobs/run/catalog/{under_test.add.name}/start/"
PAGES = {
    "overview": "/admin/",
    "jobs": "/admin/jobs/run/catalog/",
    "form": FORM,
    "runs": "/admin/jobs/run/",
    "run": "/admin/jobs/run/abcd/change/",
    "live": "/admin/jobs/run/abcd/live/",
    "file": "/admin/jobs/run/abcd/files/{file}/",
    "log": "/admin/jobs/run/abcd/log/",
    "log as text": "/admin/jobs/run/abcd/log.txt",
    "compare": "/admin/jobs/run/abcd/compare/",
    "cancel": "/admin/jobs/run/abcd/cancel/",
    "retry": "/admin/jobs/run/abcd/retry/",
    "failures": "/admin/jobs/failuregroup/",
    "failure": "/admin/jobs/failuregroup/1/change/",
    "retry all": "/admin/jobs/failuregroup/1/retry/",
    "queues": "/admin/jobs/run/queues/",
    "queue": "/admin/jobs/run/queues/queue/?name=default",
    "purge": "/admin/jobs/run/queues/queue/purge/?name=default",
    "workers": "/admin/jobs/run/workers/",
    "facts set aside": "/admin/jobs/run/set-aside/",
    "schedules": "/admin/django_celery_beat/periodictask/",
    "results": "/admin/django_celery_results/taskresult/",
    "audit": "/admin/jobs/auditevent/",
    "users": "/admin/auth/user/",
    "roles": "/admin/auth/group/",
}
IN_THE_SIDEBAR = ("jobs", "runs", "failures", "queues", "workers", "schedules", "audit", "users", "roles")
#: For superusers, and for the roles that say so.
GUARDED = {"form", "purge", "facts set aside", "audit", "users", "roles"}
SEES = {
    "nobody": {"overview"},
    # The pages that ask before an act are for everybody who sees runs: in place of the button they say who may.
    "Viewer": set(PAGES) - GUARDED,
    "Operator": set(PAGES) - GUARDED | {"form", "purge", "facts set aside"},
    "Auditor": set(PAGES) - GUARDED | {"audit"},
    "superuser": set(PAGES),
}


@pytest.fixture
def file(roles: None) -> RunFile:
    """A file of the run abcd; there is a group of failures as well."""
    run = Run.objects.create(task_id="abcd", task_name=under_test.add.name, state=State.SUCCEEDED, actor_label="Ana")
    path = default_storage.save("runs/abcd/a.csv", ContentFile(b"a"))
    moments = {"first_seen": timezone.now(), "last_seen": timezone.now()}
    FailureGroup.objects.create(
        pk=1, fingerprint="f", basis=Basis.TYPE, task_name=run.task_name, last_run="abcd", **moments
    )
    return RunFile.objects.create(run=run, name="a.csv", path=path, content_type="text/csv", size=1)


def client_of(role: str) -> Client:
    user = User.objects.create_user("somebody", is_staff=True, is_superuser=role == "superuser")
    if role not in ("nobody", "superuser"):
        user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize("role", SEES)
def test_each_role_sees_its_pages_and_403_elsewhere(role: str, file: RunFile) -> None:
    client = client_of(role)
    answers = {page: client.get(address.format(file=file.pk)) for page, address in PAGES.items()}
    assert {page for page, answer in answers.items() if answer.status_code == 200} == SEES[role]
    for page in set(PAGES) - SEES[role]:
        assert answers[page].status_code == 403 and "You may not" in answers[page].content.decode(), page
    answers["file"].close()


@pytest.mark.parametrize("guest", [False, True], ids=["nobody at all", "no staff"])
def test_who_is_not_signed_in_is_asked_to(guest: bool, file: RunFile) -> None:
    client = _guest() if guest else Client()
    for page, address in PAGES.items():
        response = client.get(address.format(file=file.pk))
        assert response.status_code == 302 and "/admin/login/" in response.headers["Location"], page


def _guest() -> Client:
    guest = Client()
    guest.force_login(User.objects.create_user("guest"))
    return guest


@pytest.mark.parametrize("role", ["nobody", "Viewer", "Auditor"])
def test_who_may_not_run_gets_403_and_the_trail_says_so(role: str, file: RunFile) -> None:
    client = client_of(role)
    assert client.post(FORM, {"a": "1", "nonce": "n"}).status_code == 403
    assert client.post(FORM, {"a": "wrong"}).status_code == 403, "also with values that do not fit"
    assert Run.objects.count() == 1
    assert [e.outcome for e in AuditEvent.objects.all()] == ["denied", "denied"]


@pytest.mark.parametrize("role", ["nobody", "Viewer", "Auditor"])
def test_who_may_not_run_sees_no_button(role: str, file: RunFile) -> None:
    client = client_of(role)
    for page in ("overview", "jobs", "run"):
        if page in SEES[role]:
            assert "/start/" not in client.get(PAGES[page]).content.decode()


def test_who_may_run_sees_the_buttons(file: RunFile) -> None:
    client = client_of("Operator")
    assert FORM in client.get(PAGES["jobs"]).content.decode()
    assert FORM in client.get(PAGES["run"]).content.decode()


def test_a_refused_download_is_recorded(file: RunFile) -> None:
    client_of("nobody").get(PAGES["file"].format(file=file.pk))
    event = AuditEvent.objects.get()
    assert (event.verb, event.outcome, event.details) == ("open_file", "denied", {"missing": "jobs.view_run"})


@pytest.mark.parametrize("role", SEES)
def test_the_sidebar_shows_what_one_may_see(role: str, file: RunFile) -> None:
    text = client_of(role).get("/admin/").content.decode()
    for page in IN_THE_SIDEBAR:
        assert (f'href="{PAGES[page]}"' in text) == (page in SEES[role]), page


def test_looking_changes_nothing(file: RunFile) -> None:
    client = client_of("superuser")
    client.get("/admin/")  # what a session writes is written now
    before = _counts()
    states = list(Run.objects.values())
    for name, page in PAGES.items():
        if name != "file":  # opening a file is an act, and recorded
            assert client.get(page).status_code == 200
    for nowhere in ("/admin/jobs/run/none/change/", "/admin/jobs/run/none/live/", "/admin/nowhere/"):
        client.get(nowhere)
    assert _counts() == before and list(Run.objects.values()) == states


def _counts() -> dict[str, int]:
    return {model._meta.label: model._default_manager.count() for model in apps.get_models()}


@pytest.mark.parametrize("method", ["put", "patch", "delete", "post"])
@pytest.mark.parametrize("page", ["jobs", "run", "live", "file", "queues", "workers", "facts set aside"])
def test_pages_that_only_show_take_no_other_method(page: str, method: str, file: RunFile) -> None:
    response = getattr(client_of("superuser"), method)(PAGES[page].format(file=file.pk))
    assert response.status_code == 405


@pytest.mark.parametrize("rest", ["add/", "abcd/delete/", "abcd/history/"])
def test_runs_cannot_be_added_or_deleted_by_hand(rest: str, file: RunFile) -> None:
    assert client_of("superuser").get(f"/admin/jobs/run/{rest}").status_code == 404


def test_the_stock_admins_of_schedules_and_results_are_off() -> None:
    for label in ("django_celery_beat", "django_celery_results"):
        ours = [m for m in apps.get_app_config(label).get_models() if admin.site.is_registered(m)]
        assert not [m for m in ours if not type(admin.site.get_model_admin(m)).__module__.startswith("admin_ext.")]


def test_a_refusal_is_one_line_in_the_log(client: Client, viewer: User) -> None:
    stream, log = StringIO(), logging.getLogger("django.request")
    ours: dict[str, Any] = settings.LOGGING
    made = logging.StreamHandler(stream)
    for name in ours["handlers"]["console"]["filters"]:
        made.addFilter(import_string(ours["filters"][name]["()"])())
    log.addHandler(made)
    try:
        client.force_login(viewer)
        assert client.get(FORM).status_code == 403
    finally:
        log.removeHandler(made)
    assert stream.getvalue() == f"Forbidden (Permission denied): {FORM}\n"
