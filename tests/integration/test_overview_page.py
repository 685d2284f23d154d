"""The Overview, the Jobs page, the audit list, and what every page says when the machinery is away."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from admin_ext import jobs_page, machinery, overview
from admin_ext.overview import Number, OverviewPage
from jobs.catalog.registry import listed_jobs
from jobs.fleet.beacon import Beacon
from jobs.fleet.workers import Fleet
from jobs.ledger.audit import Actor, Subject, record
from jobs.ledger.leases import hold
from jobs.models import AuditEvent, Lease, Run
from jobs.states import State
from tests import jobs_under_test as under_test
from tests.integration.plans import cost, statements

CATALOG = "/admin/jobs/run/catalog/"


@pytest.fixture
def client(client: Client, operator: User) -> Client:
    client.force_login(operator)
    return client


@pytest.fixture
def all_well(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    """A recorder, a beat and one worker of two slots."""
    beacon = Beacon("default@a", "boot", 1, 100.0, 1, "1.0", "prefork", 2, ("default", "reports"), {})
    monkeypatch.setattr(
        machinery, "read_fleet", lambda: Fleet(known=True, beacons=(beacon,), read_at=101.0, silent_for=0)
    )
    hold("recorder", "r")
    hold("beat", "b")


def make(number: int, state: State, **values: object) -> Run:
    return Run.objects.create(task_id=f"{number:08d}", task_name=under_test.add.name, state=state, **values)


def test_all_is_well_with_its_proof(client: Client, all_well: None) -> None:
    text = client.get("/admin/").content.decode()
    assert "All is well." in text and "No run failed or was lost today" in text
    assert "1 heard" in text and "0 of 2 slots in use" in text and "Live" in text
    assert "<title> Overview | Operations</title>" in text


def test_trouble_comes_first_and_is_counted(client: Client, all_well: None) -> None:
    make(1, State.FAILED, finished_at=timezone.now(), error_type="ValueError", error_message="no")
    make(2, State.LOST, finished_at=timezone.now())
    make(3, State.FAILED, accepted_at=timezone.now() - timedelta(days=2), finished_at=timezone.now())
    make(4, State.RUNNING, claimed_at=timezone.now() - timedelta(seconds=70))
    text = client.get("/admin/").content.decode()
    assert "2 things need a look" in text and "(2) Overview" in text
    assert "1 run failed today." in text and "1 run was lost today." in text and "ValueError: no" in text
    assert text.index("1 run failed today.") < text.index("Running now") and "1 min 10 s" in text


def number_of(page: OverviewPage, label: str) -> Number:
    (number,) = [number for number in page.numbers if number.label == label]
    return number


def test_each_number_is_that_of_the_list_it_links_to(client: Client, all_well: None) -> None:
    now = timezone.now()
    rows = [(State.FAILED, 3), (State.LOST, 2), (State.RUNNING, 4), (State.QUEUED, 5), (State.ACCEPTED, 6)]
    for number, state in enumerate(state for state, times in rows for _ in range(times)):
        make(number, state, accepted_at=now, claimed_at=now)
    for number in range(7):
        make(100 + number, State.FAILED, accepted_at=now - timedelta(days=3), claimed_at=now)
    response = client.get("/admin/")
    page, text = response.context["page"], response.content.decode()
    expected = {"Runs, 24 h": "20", "Failed today": "3", "Running now": "4", "Waiting in queues": "5"}
    assert {number.label: number.value for number in page.numbers} == expected
    for number in page.numbers:
        assert client.get(number.href).context["page"].matching == number.value, number
        assert f'href="{number.href.replace("&", "&amp;")}"' in text and not number.stale
    assert number_of(page, "Waiting in queues").note == "and 6 accepted, not yet queued"
    assert "2 lost" in number_of(page, "Failed today").note and number_of(page, "Failed today").tone == "bad"
    assert number_of(page, "Running now").note == "0 of 2 slots in use, heard 1.0 s ago"
    assert [row.run.state for row in page.failed] == ["lost"] * 2 + ["failed"] * 3


def test_counting_stops_at_the_cap(client: Client, all_well: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "COUNT_CAP", 3)
    for number in range(6):
        make(number, State.FAILED)
    text = client.get("/admin/").content.decode()
    assert "3+ runs failed today." in text and "<b>3+</b> runs" in text


@pytest.mark.parametrize("away", ["redis", "writes", "recorder"])
def test_what_nobody_hears_of_now_is_grey(
    client: Client, all_well: None, away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(1, State.RUNNING, claimed_at=timezone.now())
    if away == "recorder":
        Lease.objects.filter(name="recorder").update(expires_at=timezone.now() - timedelta(seconds=60))
    else:
        fleet = Fleet(known=away == "writes", read_at=1.0, silent_for=70, refuses=FULL if away == "writes" else "")
        monkeypatch.setattr(machinery, "read_fleet", lambda: fleet)
    page = client.get("/admin/").context["page"]
    stale = {number.label for number in page.numbers if number.stale}
    assert stale == {"Running now", "Waiting in queues"}
    assert number_of(page, "Running now").value == "1"
    if away != "recorder":
        assert number_of(page, "Running now").note == "slots not known"


FULL = "command not allowed when used memory > 'maxmemory'."


@pytest.mark.parametrize(
    ("words", "fact"),
    [
        (FULL, "Redis is full: it takes no writes."),
        ("You can't write against a read only replica.", "Redis takes no writes: it is a read-only replica."),
        ("MISCONF Redis is configured to save", "Redis takes no writes: it cannot save to its disk."),
        ("NOPERM <b>", "Redis takes no writes: NOPERM &lt;b&gt;"),
    ],
)
def test_a_redis_that_takes_no_writes_is_a_banner_on_every_page(
    client: Client, all_well: None, words: str, fact: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machinery, "read_fleet", lambda: Fleet(known=True, read_at=1.0, silent_for=0, refuses=words))
    for page in ("/admin/", CATALOG, "/admin/jobs/run/", f"{CATALOG}{under_test.add.name}/start/"):
        text = client.get(page).content.decode()
        assert fact in text and "accepted and runs when it takes writes again" in text and "Not live" in text, page
        assert "No worker has been heard." not in text, "its beacon cannot be written"
    assert "answered now, takes no writes" in client.get("/admin/").content.decode()


def test_the_machinery_tells_how_old_each_figure_is(client: Client, all_well: None) -> None:
    text = " ".join(client.get("/admin/").content.decode().split())
    for part, age in (
        ("Web", "answers now, release"),
        ("Redis", "answered now"),
        ("Database", "answered now, in "),
        ("Recorder", "seen "),
        ("Beat", "seen "),
        ("Workers", "1 heard, last 1.0 s ago"),
    ):
        assert f'<b>{part}</b> <span class="oc-quiet">{age}' in text, part


@pytest.mark.parametrize("who", ["operator", "superuser"])
def test_the_overview_asks_at_most_eight_times(client: Client, all_well: None, who: str) -> None:
    """Session, user, two of permissions, leases, figures, runs and acts."""
    if who == "superuser":
        client.force_login(User.objects.create_superuser("root"))
    for number in range(30):
        make(number, State.FAILED if number % 2 else State.RUNNING, claimed_at=timezone.now())
    with CaptureQueriesContext(connection) as queries:
        client.get("/admin/")
    assert len(queries) == (8 if who == "operator" else 6)


def test_the_overview_reads_no_more_as_the_history_grows(client: Client, all_well: None, operator: User) -> None:
    now = timezone.now()
    Run.objects.bulk_create(
        (
            Run(
                task_id=f"{number:08d}",
                task_name=under_test.add.name,
                # What is old failed, what is new did well: an even spread would be a wrong guess.
                state=State.FAILED if number < 5_000 else State.SUCCEEDED,
                accepted_at=now - timedelta(minutes=20_000 - number),
            )
            for number in range(20_000)
        ),
        batch_size=2000,
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE jobs_run")
    with statements() as found:
        client.get("/admin/")
    costs = [cost(sql, values) for sql, values in found]
    assert not [one for one in costs if one.scans], "no table is read from end to end"
    # Of the last day there are 1,440 runs, which are counted.
    assert max(one.work for one in costs) <= 3_000


def test_no_recorder_is_a_banner_on_every_page(client: Client) -> None:
    Lease.objects.create(
        name="recorder",
        holder="gone",
        since=timezone.now(),
        renewed_at=timezone.now() - timedelta(seconds=90),
        expires_at=timezone.now() - timedelta(seconds=80),
    )
    for page in ("/admin/", CATALOG, "/admin/jobs/run/", f"{CATALOG}{under_test.add.name}/start/"):
        text = client.get(page).content.decode()
        assert "No recorder is alive (last seen 1 min 30 s ago)." in text, page
        assert "python manage.py recorder" in text and "What still works" in text, page


def test_redis_away_is_a_banner_and_every_page_answers(client: Client) -> None:
    for page in ("/admin/", CATALOG, "/admin/jobs/run/", f"{CATALOG}{under_test.add.name}/start/"):
        response = client.get(page)
        text = response.content.decode()
        assert response.status_code == 200 and "Redis has not answered" in text and "Not live" in text, page


def test_no_worker_is_trouble_of_the_overview(client: Client, all_well: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machinery, "read_fleet", lambda: Fleet(known=True, read_at=1.0, silent_for=0))
    assert "No worker has been heard." in client.get("/admin/").content.decode()
    assert "oc-banner" not in client.get(CATALOG).content.decode()


def test_nobody_who_is_not_signed_in_learns_of_the_machinery(db: None) -> None:
    text = Client().get("/admin/login/").content.decode()
    assert "recorder" not in text and "Redis" not in text


def test_the_overview_without_the_right_to_see_runs_is_friendly(db: None) -> None:
    make(1, State.FAILED, finished_at=timezone.now(), error_message="secret")
    User.objects.create_user("new", is_staff=True)
    stranger = Client()
    stranger.force_login(User.objects.get(username="new"))
    text = stranger.get("/admin/").content.decode()
    assert "You may not see runs." in text and "the role Viewer" in text and "secret" not in text
    assert "/admin/jobs/run/" not in text, "no link that leads to a refusal"


def test_acts_by_hand_are_ones_own_without_the_role_auditor(client: Client, operator: User, all_well: None) -> None:
    for user in (operator, User.objects.create_user("ben", first_name="Ben")):
        actor = Actor.person(user, via="admin")
        record("start_run", actor, Subject("run", "1", f"Add of {user.username}"), reason="x")
    text = client.get("/admin/").content.decode()
    assert "Done by you today" in text and "Add of olga" in text and "Add of ben" not in text
    operator.user_permissions.add(Permission.objects.get(codename="view_auditevent"))
    text = client.get("/admin/").content.decode()
    assert "Done by hand today" in text and "Add of ben" in text


def test_jobs_are_grouped_searched_and_tell_their_last_run(client: Client) -> None:
    make(1, State.SUCCEEDED, actor_label="Ana Petrova", source="console")
    text = client.get(CATALOG).content.decode()
    assert "Task activity report" in text and "Reports" in text and "Never run" in text and "Ana Petrova" in text
    assert "Self-check" not in text, "not listed"
    found = client.get(f"{CATALOG}?q=durations").content.decode()
    assert "Task activity report" in found and "Adds two numbers" not in found
    assert "Adds two numbers" not in client.get(f"{CATALOG}?group=Reports").content.decode()
    assert "No job matches" in client.get(f"{CATALOG}?q=nothing+like+it").content.decode()


def test_a_job_that_needs_more_says_which_role(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [replace(job, permission="jobs.view_auditevent") for job in listed_jobs() if job.title == "Add"]
    monkeypatch.setattr(jobs_page, "listed_jobs", lambda: jobs)
    text = client.get(CATALOG).content.decode()
    assert "Needs the role Auditor" in text and "/start/" not in text


def test_the_audit_list_is_sentences_and_cannot_be_changed(client: Client, operator: User) -> None:
    operator.user_permissions.add(Permission.objects.get(codename="view_auditevent"))
    actor = Actor.person(operator, via="admin", ip="192.0.2.7")
    record("start_run", actor, Subject("run", "abc", "Add abc"), reason="month end")
    denied = AuditEvent.Outcome.DENIED
    record("start_run", actor, Subject("job", "x", "Add"), outcome=denied, details={"missing": "jobs.run_job"})
    text = client.get("/admin/jobs/auditevent/").content.decode()
    assert "<b>Olga Berg</b> ran" in text and "because “month end”" in text and "from 192.0.2.7" in text
    assert "was refused to start run:" in text and "lacked jobs.run_job" in text and "Refused" in text
    event = AuditEvent.objects.first()
    assert event is not None
    for rest in ("add/", f"{event.pk}/change/", f"{event.pk}/delete/", f"{event.pk}/history/"):
        assert client.get(f"/admin/jobs/auditevent/{rest}").status_code == 404
    client.post("/admin/jobs/auditevent/", {"action": "delete_selected", "_selected_action": [event.pk]})
    assert AuditEvent.objects.count() == 2


def test_the_audit_list_pages_both_ways(client: Client, operator: User) -> None:
    operator.user_permissions.add(Permission.objects.get(codename="view_auditevent"))
    actor = Actor.person(operator, via="admin")
    for number in range(60):
        record("start_run", actor, Subject("run", str(number), f"Number {number}."))
    first = client.get("/admin/jobs/auditevent/")
    second = client.get("/admin/jobs/auditevent/" + first.context["older"])
    assert "Number 59." in first.content.decode() and "Number 9." in second.content.decode()
    back = client.get("/admin/jobs/auditevent/" + second.context["newer"])
    assert "Number 59." in back.content.decode() and not back.context["newer"]
