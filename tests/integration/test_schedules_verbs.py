"""What can be done with a schedule: by POST, by whom, what it says, and that the audit trail knows it."""

from __future__ import annotations

import json
import re
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.test import Client
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from jobs.catalog.registry import find_job
from jobs.ledger.verbs import VERBS
from jobs.models import AuditEvent, Run
from tests import jobs_under_test as under_test

from .schedule_rows import ADD, LIST, form, on_mars, row

pytestmark = pytest.mark.django_db
BEAT = ("view_periodictask", "add_periodictask", "change_periodictask", "delete_periodictask")


def person(*codenames: str, role: str = "", name: str = "petra") -> Client:
    user = User.objects.create_user(name, is_staff=True, first_name="Petra")
    if role:
        user.groups.add(Group.objects.get(name=role))
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def ana() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("ana", first_name="Ana"))
    return client


def text_of(response: Any) -> str:
    return " ".join(response.content.decode().split())


def url(made: PeriodicTask, verb: str) -> str:
    return f"{LIST}{made.pk}/{verb}/"


def nonce_of(response: Any) -> str:
    found = re.search(r'name="nonce" value="([^"]+)"', response.content.decode())
    assert found
    return found[1]


def acts(made: PeriodicTask) -> list[tuple[str, dict[str, str]]]:
    """Every address that changes something, with what a browser sends."""
    return [
        (f"{LIST}add/?job={ADD.name}", form(**{"oc.name": "Another"})),
        (url(made, "change"), form(a="9", **{"oc.seen": made.date_changed.isoformat()})),
        (url(made, "switch"), {"to": "on"}),
        (url(made, "switch"), {"to": "off"}),
        (url(made, "run"), {"nonce": "n"}),
        (url(made, "delete"), {}),
    ]


def state() -> Any:
    return list(PeriodicTask.objects.values_list("name", "kwargs", "enabled")), Run.objects.count()


def test_who_may_only_look_changes_nothing_and_each_attempt_is_recorded(roles: None) -> None:
    made, client = row(), person(role="Viewer")
    before = state()
    attempts = acts(made)
    for address, sent in attempts:
        assert client.post(address, sent).status_code == 403, address
    assert state() == before
    assert [event.outcome for event in AuditEvent.objects.all()] == ["denied"] * len(attempts)


def test_who_may_only_look_sees_it_read_only_with_the_reason(roles: None) -> None:
    made, client = row(kwargs='{"a": 41}'), person(role="Viewer")
    text = text_of(client.get(url(made, "change")))
    assert "You may look at this schedule, and not change it." in text and "Needs the role Scheduler" in text
    assert '<dd class="oc-value">41</dd>' in text and 'name="oc.name"' not in text and "Save schedule" not in text
    listed = text_of(client.get(LIST))
    assert "Needs the role Scheduler" in listed and "/switch/" not in listed
    assert f"{LIST}{made.pk}/run/" not in listed
    assert client.get(url(made, "delete")).status_code == 403
    assert client.get(f"{LIST}add/").status_code == 403


def test_who_may_see_nothing_gets_no_page(roles: None) -> None:
    made, client = row(), person()
    for address in (LIST, f"{LIST}add/", f"{LIST}moments/", *(url(made, v) for v in ("change", "run", "delete"))):
        assert client.get(address).status_code == 403, address
    assert client.post(url(made, "switch"), {"to": "off"}).status_code == 403


def test_who_may_change_schedules_but_run_no_job_may_only_stop_them(roles: None) -> None:
    made, client = row(), person(*BEAT)
    for address, sent in [*acts(made)[:3], acts(made)[4]]:
        assert client.post(address, sent).status_code == 403, address
    assert state() == ([(made.name, '{"a": 1}', True)], 0)
    assert client.post(url(made, "switch"), {"to": "off"}).status_code == 302
    assert client.post(url(made, "delete")).status_code == 302
    assert state() == ([], 0)


def test_a_job_of_its_own_permission_asks_for_it(roles: None) -> None:
    job = find_job("jobs.library.users.sign_out_everywhere")
    user = User.objects.create_user("grete")
    made = row("Sign out", task=job.name, kwargs=f'{{"user": {user.pk}}}', enabled=False)
    client = person(role="Scheduler")
    assert client.post(url(made, "switch"), {"to": "on"}).status_code == 403
    assert client.post(url(made, "run"), {"nonce": "n"}).status_code == 403
    # Neither may a schedule of a job that one may run be turned into one of that job, nor the other way round.
    mine = row("Mine")
    sent = {**form(user=str(user.pk)), "oc.seen": mine.date_changed.isoformat()}
    assert client.post(f"{url(mine, 'change')}?job={job.name}", sent).status_code == 403
    sent = {**form(**{"oc.name": "Sign out"}), "oc.seen": made.date_changed.isoformat()}
    assert client.post(f"{url(made, 'change')}?job={ADD.name}", sent).status_code == 403
    assert "Needs the role User support" in text_of(client.get(LIST))
    assert not Run.objects.exists() and PeriodicTask.objects.filter(enabled=True).count() == 1


def test_a_scheduler_makes_changes_switches_and_runs_but_does_not_delete(roles: None) -> None:
    made, client = row(), person(role="Scheduler")
    answers = [client.post(address, sent).status_code for address, sent in acts(made)]
    assert answers == [302] * 5 + [403]
    done = AuditEvent.objects.filter(outcome="done").order_by("id").values_list("verb", flat=True)
    assert list(done) == ["create_schedule", "change_schedule", "switch_off", "start_run"]
    assert all(name in VERBS for name in done)


def test_nothing_changes_by_get_and_without_the_token(ana: Client) -> None:
    made = row()
    before = state()
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="ana"))
    for address, sent in acts(made):
        assert strict.post(address, sent).status_code == 403, address
        ana.get(address, sent)
    assert ana.get(url(made, "switch")).status_code == 405
    assert state() == before


def test_switching_says_what_follows_and_goes_back(ana: Client) -> None:
    made = row(enabled=False)
    response = ana.post(url(made, "switch"), {"to": "on", "back": f"{LIST}?state=off"}, follow=True)
    assert response.redirect_chain[0][0] == f"{LIST}?state=off"
    assert re.search(r"Nightly sum is on\. It fires next on \w+ \d+ \w+ \d+ at 06:30 EES?T\.", text_of(response))
    assert "is off. Runs that it has started go on." in text_of(
        ana.post(url(made, "switch"), {"to": "off"}, follow=True)
    )
    verbs = list(AuditEvent.objects.order_by("id").values_list("verb", "object_label"))
    assert verbs == [("switch_on", "Nightly sum"), ("switch_off", "Nightly sum")]


@pytest.mark.parametrize("back", ["//evil.example/", "https://evil.example/", "javascript:alert(1)", "/\\evil.example"])
def test_a_verb_leads_nowhere_else(ana: Client, back: str) -> None:
    assert ana.post(url(row(), "switch"), {"to": "off", "back": back}).headers["Location"] == LIST


@pytest.mark.parametrize("fields", [{"task": "gone"}, {"kwargs": '{"a": '}, {"kwargs": '{"a": "x"}'}])
def test_a_broken_one_is_not_switched_on_but_can_be_switched_off_and_deleted(ana: Client, fields: Any) -> None:
    made = row(enabled=False, **fields)
    text = text_of(ana.post(url(made, "switch"), {"to": "on"}, follow=True))
    made.refresh_from_db()
    assert not made.enabled and ("was not switched on" in text or "No job is called gone" in text)
    PeriodicTask.objects.update(enabled=True)
    ana.post(url(made, "switch"), {"to": "off"})
    assert not PeriodicTask.objects.get().enabled
    ana.post(url(made, "delete"))
    assert not PeriodicTask.objects.exists()


def test_one_on_mars_can_be_switched_off_and_deleted(ana: Client) -> None:
    made = on_mars()
    assert ana.post(url(made, "switch"), {"to": "off"}).status_code == 302
    assert list(PeriodicTask.objects.values_list("enabled", flat=True)) == [False]
    assert ana.post(url(made, "delete")).status_code == 302
    assert not PeriodicTask.objects.exists()


def test_deleting_asks_and_the_history_stays(ana: Client) -> None:
    made = row()
    Run.objects.create(task_id="r1", task_name=ADD.name, schedule_id=made.pk, schedule_name=made.name)
    assert "Its runs, their files and the audit trail stay." in text_of(ana.get(url(made, "delete")))
    assert PeriodicTask.objects.exists()
    text = text_of(ana.post(url(made, "delete"), {"reason": "old"}, follow=True))
    assert "The schedule Nightly sum is deleted." in text and Run.objects.count() == 1
    assert AuditEvent.objects.get().reason == "old"
    assert "does not exist any more" in text_of(ana.post(url(made, "delete"), follow=True))


def test_run_now_is_a_run_by_hand_of_this_schedule(ana: Client) -> None:
    made = row(kwargs='{"a": 4}')
    page = ana.get(url(made, "run"))
    assert "Its own moments stay as they are" in text_of(page)
    sent = {"nonce": nonce_of(page), "reason": "at once"}
    first, second = (ana.post(url(made, "run"), sent) for _ in range(2))

    run = Run.objects.get()
    assert first.headers["Location"] == second.headers["Location"] == f"/admin/jobs/run/{run.task_id}/change/"
    assert (run.source, run.actor_label, run.reason) == ("console", "Ana", "at once")
    assert (run.schedule_id, run.schedule_name, run.due_at) == (made.pk, made.name, None)
    event = AuditEvent.objects.get()
    assert (event.verb, event.details["schedule"]) == ("start_run", "Nightly sum")
    made.refresh_from_db()
    assert made.last_run_at is None and made.total_run_count == 0
    assert ana.get(first.headers["Location"]).status_code == 200


@pytest.mark.parametrize("fields", [{"kwargs": '{"a": "x"}'}, {"kwargs": "[1]"}, {"task": "gone"}])
def test_a_broken_one_does_not_run_now_and_says_why(ana: Client, fields: Any) -> None:
    made = row(**fields)
    assert ana.get(url(made, "run")).status_code == 200
    text = text_of(ana.post(url(made, "run"), {"nonce": "n"}))
    assert ("Nothing was started" in text or "No job is called" in text) and not Run.objects.exists()


def test_run_now_of_a_dangerous_job_asks_for_its_title(ana: Client) -> None:
    people = [User.objects.create_user("grete").pk]
    made = row(task=under_test.greet_all.name, kwargs=json.dumps({"people": people}))
    text = text_of(ana.post(url(made, "run"), {"nonce": "n"}))
    assert "Nothing was started. Type Greet 100 % of them to confirm." in text and not Run.objects.exists()
    assert ana.post(url(made, "run"), {"nonce": "n", "oc.confirm": "Greet 100 % of them"}).status_code == 302
    assert Run.objects.count() == 1


def test_run_now_passes_no_dry_run_by(ana: Client) -> None:
    made = row(task=under_test.purge.name, kwargs='{"prefix": "old-", "dry_run": false}')
    text = text_of(ana.post(url(made, "run"), {"nonce": "n", "oc.confirm": "Purge accounts"}))
    assert "No dry run of these values" in text and not Run.objects.exists()


def test_what_ships_is_off_and_works_once_switched_on(ana: Client) -> None:
    mornings = CrontabSchedule.objects.create(minute="5", hour="5")
    call_command("prepare", stdout=StringIO())
    mornings.refresh_from_db()
    assert (mornings.minute, mornings.hour) == ("5", "5"), "somebody else's time is not written over"
    assert not PeriodicTask.objects.filter(enabled=True).exists()
    report = PeriodicTask.objects.get(name="Weekly activity report")
    assert ana.post(url(report, "switch"), {"to": "on"}).status_code == 302
    report.refresh_from_db()
    assert report.enabled
    assert "On Mondays at 07:00, UTC" in text_of(ana.get(LIST))
    assert ana.get(url(report, "change")).status_code == 200


def test_prepare_loads_what_ships_once() -> None:
    call_command("prepare", verbosity=0)
    assert set(PeriodicTask.objects.values_list("name", flat=True)) == {
        "Weekly activity report",
        "Nightly housekeeping",
    }
    PeriodicTask.objects.filter(name="Nightly housekeeping").delete()
    call_command("prepare", verbosity=0)
    assert PeriodicTask.objects.count() == 1
