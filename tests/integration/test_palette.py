"""The command palette: what it finds, for whom, and how often it asks."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from admin_ext import palette
from jobs.models import FailureGroup, Run
from jobs.states import State
from tests import jobs_under_test as under_test
from tests.integration.schedule_rows import row

SEARCH = "/admin/search/"


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    """Unfold keeps what it found for five minutes."""
    cache.clear()


def found(user: User, text: str) -> list[tuple[str, str]]:
    """Kind and address of each find, as the palette's own request gets them."""
    client = Client()
    client.force_login(user)
    response = client.get(SEARCH, {"s": text, "extended": "1"})
    assert response.status_code == 200
    context = response.context
    results = context["results"] if context is not None else []
    return [(one.description.split(" · ")[0], str(one.link)) for one in results]


def run(task_id: str) -> Run:
    return Run.objects.create(task_id=task_id, task_name=under_test.add.name, state=State.FAILED)


ID = "abcd1234-0000-4000-8000-000000000000"


def test_jobs_runs_schedules_and_queues_are_found(operator: User) -> None:
    run(ID)
    made = row("Nightly sum")
    assert ("Job", f"/admin/jobs/run/catalog/{under_test.add.name}/start/") in found(operator, "ADD")
    for text in (ID, "abcd1", "ABCD1234"):
        assert found(operator, text)[:-1] == [("Run", f"/admin/jobs/run/{ID}/change/")], text
    assert ("Schedule", f"/admin/django_celery_beat/periodictask/{made.pk}/change/") in found(operator, "nightly")
    assert ("Queue", "/admin/jobs/run/queues/queue/?name=default") in found(operator, "defau")


def test_where_nothing_bears_the_name_it_leads_to_the_search_in_all_runs(operator: User) -> None:
    assert found(operator, "acme & <b>") == [("Ids, arguments and errors", "/admin/jobs/run/?q=acme+%26+%3Cb%3E")]


def test_pages_are_found_by_their_titles_before_anything_else(operator: User) -> None:
    assert found(operator, "queues")[0] == ("Page", "/admin/jobs/run/queues/")
    assert ("Page", "/admin/") in found(operator, "overv")
    assert "Page" not in {kind for kind, _ in found(operator, "users")}, "which an operator may not open"
    ana = User.objects.create_superuser("ana")
    assert [href for _, href in found(ana, "users")].count("/admin/auth/user/") == 1


@pytest.mark.parametrize(
    ("text", "href"),
    [
        ("retry", "/admin/jobs/failuregroup/"),
        ("cancel run", "/admin/jobs/run/?state=running"),
        ("purge", "/admin/jobs/run/queues/"),
        ("password", "/admin/password_change/"),
    ],
)
def test_acts_are_found_by_who_may_do_them(operator: User, viewer: User, text: str, href: str) -> None:
    assert found(operator, text)[0] == ("Act", href)
    assert (("Act", href) in found(viewer, text)) == (text == "password")


def test_a_new_schedule_and_a_new_user_are_found(db: None) -> None:
    ana = User.objects.create_superuser("ana")
    assert ("Act", "/admin/django_celery_beat/periodictask/add/") in found(ana, "new schedule")
    assert ("Act", "/admin/auth/user/add/") in found(ana, "invite colleague")


def test_a_failure_is_found_by_what_its_page_says(operator: User) -> None:
    values = {"first_seen": timezone.now(), "last_seen": timezone.now(), "error_type": "ValueError"}
    shown = FailureGroup.objects.create(
        fingerprint="a", task_name=under_test.add.name, title="no lines", sample_message="no lines in 7", **values
    )
    guarded = under_test.tell_guarded.name
    FailureGroup.objects.create(fingerprint="b", task_name=guarded, title="no lines", **values)
    FailureGroup.objects.create(fingerprint="c", task_name="c", sample_message="password=hunter22 no", **values)
    href = f"/admin/jobs/failuregroup/{shown.pk}/change/"
    for text in ("no lines", "valueerror in add", "in 7"):
        assert [link for kind, link in found(operator, text) if kind == "Failure"] == [href], text
    assert [kind for kind, _ in found(operator, "hunter22")] == ["Ids, arguments and errors"]


def test_a_colleague_is_found_by_who_may_see_accounts_or_the_audit_trail(operator: User, viewer: User) -> None:
    jonas = User.objects.create_user("jo", "jonas@example.com", is_staff=True, first_name="Jonas", last_name="Okafor")
    User.objects.create_user("customer", first_name="Jonas")
    ana = User.objects.create_superuser("ana")
    for text in ("jonas ok", "jonas@", "JO"):
        assert ("Person", f"/admin/auth/user/{jonas.pk}/change/") in found(ana, text), text
    assert len([kind for kind, _ in found(ana, "jonas")]) == 2, "Jonas, and the search in all runs"
    auditor = User.objects.create_user("auditor", is_staff=True)
    auditor.user_permissions.add(Permission.objects.get(codename="view_auditevent"))
    assert found(auditor, "okafor") == [("Person", f"/admin/jobs/auditevent/?who={jonas.pk}")]
    assert "Person" not in {kind for kind, _ in found(viewer, "okafor")}


def test_what_a_person_may_not_see_is_not_found(db: None) -> None:
    run(ID)
    row("Nightly sum")
    nobody = User.objects.create_user("new", is_staff=True)
    for text in ("add", "abcd1", "nightly", "defau", "w@"):
        assert found(nobody, text) == [], text


def test_a_viewer_finds_no_job_to_start(viewer: User) -> None:
    run(ID)
    assert [kind for kind, _ in found(viewer, "abcd1")] == ["Run", "Ids, arguments and errors"]
    assert "Job" not in {kind for kind, _ in found(viewer, "add")}


def test_few_are_found_in_few_statements(operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        run(f"abcd{number:04}-0000-4000-8000-000000000000")
        row(f"abcd {number:02}")
    client = Client()
    client.force_login(operator)
    client.get("/admin/jobs/run/catalog/")
    with CaptureQueriesContext(connection) as queries:
        results = client.get(SEARCH, {"s": "abcd", "extended": "1"}).context["results"]
    assert len(results) == 2 * palette.EACH + 1
    asked = [query["sql"] for query in queries if "jobs_run" in query["sql"] or "periodictask" in query["sql"]]
    assert len(asked) == 2 and all("LIMIT" in sql for sql in asked)
    assert len(queries) <= 7, "session, user, permissions, leases, failures"


@pytest.mark.parametrize("text", ["%", "a'b\"c", "\x00", "_" * 300, "a b c d", "<b>abc"])
def test_any_text_is_only_text(operator: User, text: str) -> None:
    run(ID)
    assert [kind for kind, _ in found(operator, text) if kind == "Run"] == []


def test_the_page_offers_it(operator: User) -> None:
    client = Client()
    client.force_login(operator)
    text = client.get("/admin/jobs/run/catalog/").content.decode()
    assert "Find jobs, runs, queues…" in text and "search-input-command" in text
