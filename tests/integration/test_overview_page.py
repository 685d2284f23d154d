"""The Overview, the Jobs page, the audit list, and what every page says when the machinery is away."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule

from admin_ext.frame import machinery
from admin_ext.overview import page as overview
from admin_ext.overview.page import Number, OverviewPage
from admin_ext.start import catalog as jobs_page
from jobs.catalog.registry import listed_jobs
from jobs.fleet.beacon import Beacon
from jobs.fleet.glance import Glance
from jobs.fleet.queues import Depth, Reading
from jobs.fleet.workers import Fleet
from jobs.ledger.audit import Actor, Subject, record
from jobs.ledger.durations import forget_durations
from jobs.ledger.leases import hold
from jobs.models import AlertChannel, AuditEvent, FailureGroup, Lease, Run
from jobs.states import State
from tests import jobs_under_test as under_test
from tests.integration.plans import cost, statements
from tests.integration.schedule_rows import row

CATALOG = "/admin/jobs/run/catalog/"
#: Two messages wait in one queue, the oldest for a minute and a half.
GLANCE = Glance(Reading(101.0, {"default": Depth("default", (2,), oldest=11.0, workers=("w",))}), None, (), {})


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
    # Read once a page, like the beacons; tests/integration/test_overview_troubles.py reads it from a real Redis.
    monkeypatch.setattr(overview, "read_redis", lambda machinery: GLANCE if machinery.live else None)
    hold("recorder", "r")
    hold("beat", "b")


def make(number: int, state: State, **values: object) -> Run:
    return Run.objects.create(task_id=f"{number:08d}", task_name=under_test.add.name, state=state, **values)


def test_all_is_well_with_its_proof(client: Client, all_well: None) -> None:
    make(9, State.SUCCEEDED)
    text = client.get("/admin/").content.decode()
    assert "All is well." in text and "No failure needs action, the longest wait is 1 min 30 s. Redis," in text
    assert "1 heard" in text and "0 of 2 slots in use" in text and "Read now" in text
    assert "<title> Overview | Operations</title>" in text and "Needs attention" not in text


def _steps(client: Client) -> dict[str, bool]:
    page: OverviewPage = client.get("/admin/").context["page"]
    return {step.icon: step.done for step in page.steps}


def test_an_empty_console_shows_the_first_steps_until_each_is_done(client: Client, all_well: None) -> None:
    assert _steps(client) == {"play_circle": False}, "an operator may take one of them"
    root = User.objects.create_superuser("root")
    User.objects.filter(is_superuser=False).update(is_staff=False)
    client.force_login(root)
    text = client.get("/admin/").content.decode()
    assert "All is well." not in text and "First steps" in text
    # The jobs of the tests are jobs of one's own.
    assert _steps(client) == {
        "play_circle": False, "calendar_clock": False, "code": True, "group_add": False, "notifications": False,
    }  # fmt: skip
    row()
    User.objects.update(is_staff=True)
    record("start_run", Actor.person(root, via="admin"), Subject("job", under_test.add.name, "Add"))
    assert [icon for icon, done in _steps(client).items() if not done] == ["notifications"]
    AlertChannel.objects.create(name=f"{AlertChannel.MAIL}ops@example.com")
    assert _steps(client) == {} and "First steps" not in client.get("/admin/").content.decode()


def test_the_first_steps_can_be_put_aside_by_each_for_themselves(client: Client, all_well: None) -> None:
    client.post("/admin/jobs/run/overview/snooze/", {"key": "first-steps", "for": "1w"})
    assert _steps(client) == {}
    client.force_login(User.objects.create_superuser("root"))
    assert _steps(client)


def group(number: int, **values: Any) -> FailureGroup:
    now = timezone.now()
    known = {
        "fingerprint": f"f{number}",
        "basis": "own",
        "task_name": under_test.add.name,
        "error_type": "ValueError",
        "title": f"no {number}",
        "last_run": "x",
        "first_seen": now,
        "last_seen": now,
        "total": 3,
        "hurting": 2,
    }
    return FailureGroup.objects.create(**(known | values))


def test_trouble_comes_first_and_leaves_when_its_cause_is_gone(client: Client, all_well: None) -> None:
    make(4, State.RUNNING, claimed_at=timezone.now() - timedelta(seconds=70))
    old = group(1, first_seen=timezone.now() - timedelta(days=9))
    group(2)
    group(3, hurting=0)
    text = client.get("/admin/").content.decode()
    assert "(2) Overview" in text and "no 3" not in text and "All is well." not in text
    assert text.index("Add fails: ValueError: no 2") < text.index("Add fails: ValueError: no 1"), "new before ongoing"
    assert text.index("no 1") < text.index("Running now") and "1 min 1" in text
    assert f"/admin/jobs/failuregroup/{old.pk}/retry/" in text and "Retry 2…" in text
    FailureGroup.objects.update(hurting=0)
    assert "All is well." in client.get("/admin/").content.decode()


def test_no_more_than_eight_troubles_are_shown_at_once(client: Client, all_well: None) -> None:
    for number in range(11):
        group(number)
    text = client.get("/admin/").content.decode()
    assert text.count("oc-trouble__ways") == 8 and "and 3 more" in text and "(11) Overview" in text
    assert client.get("/admin/?all=1").content.decode().count("oc-trouble__ways") == 11


def test_who_may_not_retry_is_not_sent_there(viewer: User, all_well: None) -> None:
    group(1)
    client = Client()
    client.force_login(viewer)
    text = client.get("/admin/").content.decode()
    assert "Add fails" in text and "/retry/" not in text


def test_a_late_run_comes_first_with_what_is_usual(client: Client, all_well: None) -> None:
    forget_durations()
    now = timezone.now()
    for number in range(4):
        make(number, State.SUCCEEDED, runtime=2.0, finished_at=now)
    make(10, State.RUNNING, started_at=now - timedelta(seconds=300), claimed_at=now, accepted_at=now)
    Run.objects.create(
        task_id="other", task_name=under_test.hold.name, state=State.RUNNING, claimed_at=now - timedelta(seconds=900)
    )
    response = client.get("/admin/")
    assert [row.run.task_id for row in response.context["page"].running] == ["00000010", "other"]
    text = response.content.decode()
    assert "usually 2.0 s" in text and '<b class="oc-num oc-text--warn">' in text
    forget_durations()


def number_of(page: OverviewPage, label: str) -> Number:
    (number,) = [number for number in page.numbers if number.label == label]
    return number


def test_each_number_is_that_of_the_list_it_links_to(client: Client, all_well: None) -> None:
    now = timezone.now()
    rows = [(State.FAILED, 3), (State.LOST, 2), (State.RUNNING, 4), (State.QUEUED, 5), (State.ACCEPTED, 6)]
    for number, state in enumerate(state for state, times in rows for _ in range(times)):
        make(number, state, accepted_at=now - timedelta(minutes=90), claimed_at=now)
    for number in range(7):
        make(100 + number, State.FAILED, accepted_at=now - timedelta(days=3), claimed_at=now)
    group(1, hurting=4)
    group(2, hurting=3)
    page = client.get("/admin/").context["page"]
    assert [number.value for number in page.numbers] == ["20", "7", "1", "0"]
    assert [number.unit for number in page.numbers] == ["runs", "runs", "min 30 s", "of 2"]
    assert client.get(number_of(page, "Runs, 24 h").href).context["page"].matching == "20"
    groups = client.get(number_of(page, "Failed, still hurting").href).context["page"].rows
    assert sum(int(row.hurting) for row in groups) == 7
    assert number_of(page, "Failed, still hurting").note == "in 2 groups, 5 failed or lost in 24 h"
    assert "6 accepted, not yet queued" in number_of(page, "Runs, 24 h").note
    assert number_of(page, "Longest wait now").note == "queue default; 2 wait in all, read now"
    assert number_of(page, "Slots in use").note == "on 1 worker, heard 1.0 s ago"
    for number in page.numbers:
        assert client.get(number.href).status_code == 200 and not number.stale
    spark = number_of(page, "Runs, 24 h").spark
    assert spark is not None and spark.words == "Runs asked for in each of the last 24 hours: at most 20"
    assert page.running_words == "4 runs, most late first"


def test_counting_stops_at_the_cap(client: Client, all_well: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "COUNT_CAP", 3)
    for number in range(6):
        make(number, State.RUNNING, accepted_at=timezone.now() - timedelta(hours=number), claimed_at=timezone.now())
    page = client.get("/admin/").context["page"]
    assert number_of(page, "Runs, 24 h").value == "3+" and page.running_words.startswith("3+ runs")
    spark = number_of(page, "Runs, 24 h").spark
    assert spark is not None and "each of the last 3 hours" in spark.words, "what was not counted is not drawn"


@pytest.mark.parametrize("away", ["redis", "writes"])
def test_what_only_redis_knows_is_grey_and_never_zero(
    client: Client, all_well: None, away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(1, State.RUNNING, claimed_at=timezone.now())
    fleet = Fleet(known=away == "writes", read_at=1.0, silent_for=70, refuses=FULL if away == "writes" else "")
    monkeypatch.setattr(machinery, "read_fleet", lambda: fleet)
    page = client.get("/admin/").context["page"]
    assert {number.label for number in page.numbers if number.stale} == {"Longest wait now", "Slots in use"}
    assert number_of(page, "Slots in use").value == "?" and number_of(page, "Longest wait now").value == "?"
    assert number_of(page, "Slots in use").note == "unknown; 1 running as last recorded"
    assert not page.well and page.running_words == "1 run, as last recorded"


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
    """Session, user, permissions, leases, all that is small, the runs, and how long such runs usually take."""
    forget_durations()
    row()
    row("Every 10 min", crontab=None, interval=IntervalSchedule.objects.create(every=10, period="minutes"))
    group(1)
    if who == "superuser":
        client.force_login(User.objects.create_superuser("root"))
    for number in range(30):
        make(number, State.FAILED if number % 2 else State.RUNNING, claimed_at=timezone.now())
    with CaptureQueriesContext(connection) as queries:
        client.get("/admin/")
    assert len(queries) == (7 if who == "operator" else 6)


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
    # PostgreSQL may read a table of a few rows in one go, whatever indexes it has.
    assert not [one for one in costs if max(one.scans.values(), default=0) > 100], "no table is read from end to end"
    # Of the last day there are 1,440 runs, which are counted by their hours: PostgreSQL hands each on three times.
    assert max(one.work for one in costs) <= 4_500


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
        assert "No recorder is alive (last seen 1 min 3" in text, page
        assert "python manage.py recorder" in text and "What still works" in text, page


def test_a_lease_that_lies_in_the_future_is_held_by_nobody(client: Client) -> None:
    """The clock was set back, and who led is gone: nothing is green, and no age is negative."""
    ahead = timezone.now() + timedelta(minutes=10)
    for name in ("recorder", "beat"):
        Lease.objects.create(name=name, holder="gone", since=ahead, renewed_at=ahead, expires_at=ahead)
    machinery = client.get("/admin/").context["machinery"]
    assert {"recorder", "beat"} <= {trouble.key for trouble in machinery.troubles}
    assert {part.name: part.tone for part in machinery.parts if part.name in {"Recorder", "Beat"}} == {
        "Recorder": "bad",
        "Beat": "bad",
    }
    assert "recorder" in {trouble.key for trouble in client.get(CATALOG).context["machinery"].banners}


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
    assert 'href="/admin/jobs/run/' not in text, "no link that leads to a refusal"


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
    assert "was refused to run:" in text and "lacked jobs.run_job" in text and "Refused" in text
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
