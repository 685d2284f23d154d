"""The form of a schedule: the job's own fields, the time, what is refused beside its field, what is kept."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from jobs.catalog.hints import SECRET_PREFIX
from jobs.catalog.registry import declared_jobs
from jobs.ledger.audit import Actor
from jobs.models import AuditEvent
from jobs.schedules.spec import BrokenSchedule
from jobs.schedules.verbs import run_now
from tests import jobs_under_test as under_test

from .schedule_rows import ADD, LIST, form, on_mars, row, stored

NEW = f"{LIST}add/?job={ADD.name}"


@pytest.fixture
def client(client: Client, db: None) -> Client:
    client.force_login(User.objects.create_superuser("ana", first_name="Ana"))
    return client


def text_of(response: Any) -> str:
    return " ".join(response.content.decode().split())


def seen(made: PeriodicTask) -> str:
    made.refresh_from_db()
    return str(made.date_changed.isoformat())


def change(made: PeriodicTask) -> str:
    return f"{LIST}{made.pk}/change/"


def test_first_the_job_is_chosen(client: Client) -> None:
    text = text_of(client.get(f"{LIST}add/"))
    assert f'<option value="{ADD.name}">Add</option>' in text and "Choose what runs" in text


def test_a_sent_form_is_an_ordinary_row(client: Client) -> None:
    response = client.post(NEW, form(reason="because"), follow=True)

    made = PeriodicTask.objects.get()
    assert (made.task, made.args, json.loads(made.kwargs), made.enabled) == (ADD.name, "[]", {"a": 1}, True)
    assert made.crontab and str(made.crontab.timezone) == "Europe/Vilnius"
    assert (made.crontab.minute, made.crontab.hour, made.crontab.day_of_week) == ("30", "6", "*")
    assert "Nightly sum is saved. It fires next on" in text_of(response)
    event = AuditEvent.objects.get()
    assert (event.verb, event.reason, event.object_id) == ("create_schedule", "because", str(made.pk))
    assert event.details["when"] == "Every day at 06:30, Europe/Vilnius"


@pytest.mark.parametrize(
    ("when", "sentence"),
    [
        ({"oc.how": "every", "oc.count": "15", "oc.unit": "minutes"}, "Every 15 minutes"),
        ({"oc.days": ["1", "2", "3", "4", "5"], "oc.clock": "7:05"}, "On weekdays at 07:05, Europe/Vilnius"),
        ({"oc.how": "month", "oc.day": "1", "oc.month": "*"}, "On the 1st of the month at 06:30, Europe/Vilnius"),
        ({"oc.how": "cron", "oc.cron": "*/20 8-17 * * mon-fri"}, "Every 20 minutes from 08:00 to 17:59 on weekdays"),
        ({"oc.how": "cron", "oc.cron": "0 0 * * 7"}, "On Sundays at 00:00"),
    ],
)
def test_each_way_to_say_when(client: Client, when: dict[str, Any], sentence: str) -> None:
    client.post(NEW, form(**when))
    made = PeriodicTask.objects.get()
    text = text_of(client.get(change(made)))
    assert sentence in text
    # What was kept opens as it was typed, and saving it again changes no time.
    how = when.get("oc.how", "days")
    assert re.search(rf'name="oc.how" value="{how}"[^>]* checked', text)
    before = stored(made.pk).spec
    client.post(change(made), form(**when, **{"oc.seen": seen(made), "oc.start": _start(text)}))
    assert stored(made.pk).spec == before


def _start(text: str) -> str:
    found = re.search(r'name="oc.start" value="([^"]*)"', text)
    return found[1] if found else ""


def test_once_is_read_in_its_zone(client: Client) -> None:
    day = (timezone.now() + timedelta(days=10)).date()
    client.post(NEW, form(**{"oc.how": "once", "oc.at": f"{day}T14:00", "oc.zone": "Asia/Kolkata"}))
    made = PeriodicTask.objects.get()
    assert made.one_off and made.clocked
    assert made.clocked.clocked_time == datetime(day.year, day.month, day.day, 8, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("wrong", "field", "sentence"),
    [
        ({"oc.name": " "}, "name", "Give the schedule a name."),
        ({"oc.how": ""}, "how", "Choose one."),
        ({"oc.how": "every", "oc.count": "0", "oc.unit": "minutes"}, "count", "Enter 1 or more."),
        ({"oc.how": "every", "oc.count": "-1", "oc.unit": "minutes"}, "count", "Enter a whole number"),
        ({"oc.how": "every", "oc.count": "99999999999", "oc.unit": "days"}, "count", "longer than five years"),
        ({"oc.how": "every", "oc.count": "1", "oc.unit": "microseconds"}, "unit", "Choose one of the list."),
        ({"oc.days": []}, "days", "Choose at least one day."),
        ({"oc.clock": "25:00"}, "clock", "Enter a time such as 06:30."),
        ({"oc.zone": "Mars/Phobos"}, "zone", "Choose one of the list."),
        ({"oc.how": "month", "oc.day": "32", "oc.month": "*"}, "day", "Enter a day from 1 to 31."),
        ({"oc.how": "month", "oc.day": "30", "oc.month": "2"}, "day", "There is no such day"),
        ({"oc.how": "cron", "oc.cron": "0 0 30 2 *"}, "cron", "There is no such day"),
        ({"oc.how": "cron", "oc.cron": "0 0 29 2 1"}, "cron", "no moment within five years"),
        ({"oc.how": "cron", "oc.cron": "*/31 * * * *"}, "cron", "it means only 0,31"),
        ({"oc.how": "cron", "oc.cron": ""}, "cron", "Write five fields"),
        ({"oc.how": "once", "oc.at": "2020-01-01T00:00"}, "at", "This moment has passed"),
        ({"oc.how": "once", "oc.at": "soon"}, "at", "Enter a day and a time"),
        ({"oc.how": "once", "oc.at": ""}, "at", "Enter a day and a time"),
        ({"oc.until": "2020-01-01T00:00"}, "until", "This moment has passed"),
        ({"a": "many"}, "a", "Enter a whole number."),
        ({"b": "101"}, "b", "100"),
    ],
)
def test_what_cannot_be_is_refused_beside_its_field(client: Client, wrong: Any, field: str, sentence: str) -> None:
    response = client.post(NEW, form(**wrong, reason="kept"))
    text = text_of(response)

    assert response.status_code == 200 and not PeriodicTask.objects.exists() and not AuditEvent.objects.exists()
    found = re.search(rf'id="id_(?:oc\.)?{field}_error">(.*?)</div>', text)
    assert found and sentence in found[1]
    assert "Nothing was saved: 1 field to correct" in text and 'value="kept"' in text


def test_one_answer_names_all_that_is_wrong_and_is_above_the_form(client: Client) -> None:
    job = under_test.echo_types.name
    sent = form(number="abc", key="zzz", table="[1]", a=None, b=None, **{"oc.clock": "25:00"})
    text = text_of(client.post(f"{LIST}add/?job={job}", sent))
    wrong = {name for name in ("number", "key", "table", "oc.clock") if f'id="id_{name}_error"' in text}
    assert wrong == {"number", "key", "table", "oc.clock"} and "Nothing was saved: 4 fields to correct" in text
    (said,) = re.finditer(r'oc-notice--bad" role="alert">(?:(?!</div>).)*?<p>Nothing was saved: 4 fields', text)
    assert said.start() < text.index('id="oc-start"')
    (focused,) = re.findall(r"<input[^>]*autofocus[^>]*>", text)
    assert 'name="number"' in focused


def test_the_title_and_the_folded_line_tell_which_and_when(client: Client) -> None:
    made = row(start_time=datetime(2026, 11, 23, 2, 8, 12, tzinfo=UTC))
    text = text_of(client.get(change(made)))
    assert "<title> Schedule Nightly sum |" in text and "<title> New schedule of Add |" in text_of(client.get(NEW))
    assert "not before Mon 23 Nov 2026, 04:08:12 EET, without end" in text
    paris = CrontabSchedule.objects.create(minute="0", hour="6", timezone="Europe/Paris")
    made = row("In Paris", crontab=paris, start_time=datetime(2026, 11, 23, 2, 8, 12, tzinfo=UTC))
    text = text_of(client.get(change(made)))
    assert "not before Mon 23 Nov 2026, 03:08:12 CET" in text and 'value="2026-11-23T03:08:12"' in text
    assert "Time in the schedule&#x27;s zone" in text


def test_limits_are_read_in_the_zone_of_the_schedule(client: Client) -> None:
    client.post(NEW, form(**{"oc.start": "2031-07-01T00:00", "oc.zone": "Asia/Tokyo"}))
    assert PeriodicTask.objects.get().start_time == datetime(2031, 6, 30, 15, tzinfo=UTC)
    client.post(NEW, form(**{"oc.name": "x", "oc.start": "2031-07-01T00:00", "oc.how": "every", "oc.count": "2"}))
    assert PeriodicTask.objects.get(name="x").start_time == datetime(2031, 7, 1, tzinfo=UTC)


def test_zones_are_places_and_no_day_is_proposed(client: Client) -> None:
    text = text_of(client.get(NEW))
    zones = re.findall(r'<option value="([\w/+-]+)"', text.split('name="oc.zone"')[1].split("</select>")[0])
    assert zones[0] == "UTC" and "Europe/Paris" in zones
    assert not {"Zulu", "W-SU", "US/Central", "Etc/GMT+5"} & set(zones)
    assert not re.search(r'name="oc.days"[^>]* checked[ >=]', text)


def test_a_name_that_another_has_is_refused(client: Client) -> None:
    row("Nightly sum")
    text = text_of(client.post(NEW, form()))
    assert "Another schedule has this name." in text and PeriodicTask.objects.count() == 1


def test_check_shows_the_moments_and_saves_nothing(client: Client) -> None:
    text = text_of(client.post(NEW, form(**{"oc.act": "check"})))
    assert "Every day at 06:30, Europe/Vilnius" in text and text.count("06:30 EE") >= 5
    assert not PeriodicTask.objects.exists()


def test_the_moments_come_as_one_types(client: Client) -> None:
    asked = {name: value for name, value in form().items() if name.startswith("oc.")}
    text = text_of(client.get(f"{LIST}moments/", asked))
    assert "Every day at 06:30, Europe/Vilnius" in text and text.count(" UTC</td>") == 5
    impossible = {"oc.how": "cron", "oc.cron": "0 0 30 2 *", "oc.zone": "UTC"}
    assert "There is no such day" in text_of(client.get(f"{LIST}moments/", impossible))
    assert client.post(f"{LIST}moments/", asked).status_code == 405


def test_the_moments_are_asked_for_without_the_parameters(client: Client) -> None:
    """A GET stands in logs: a secret must not be part of it."""
    text = text_of(client.get(NEW))
    found = re.search(r'<div id="oc-moments"[^>]*>', text)
    assert found and 'hx-include="#oc-when"' in found[0]
    when = re.search(r'id="oc-when".*?</section>', text)
    assert when and 'name="a"' not in when[0]


def test_rows_of_times_are_shared_and_never_changed(client: Client) -> None:
    first, second = row("First"), row("Second")
    assert first.crontab_id == second.crontab_id
    client.post(change(first), form(**{"oc.name": "First", "oc.clock": "07:00", "oc.seen": seen(first)}))
    first.refresh_from_db()
    assert first.crontab_id != second.crontab_id
    assert CrontabSchedule.objects.get(pk=second.crontab_id).hour == "6"
    client.post(change(first), form(**{"oc.name": "First", "oc.seen": seen(first)}))
    first.refresh_from_db()
    assert first.crontab_id == second.crontab_id and CrontabSchedule.objects.count() == 2


def test_what_goes_past_every_queue_is_refused_told_and_cleared(client: Client) -> None:
    made = row(exchange="e", routing_key="r", headers='{"x-token": "canary"}')
    text = text_of(client.get(change(made)))
    assert "exchange = e" in text and "headers = x-token" in text and "Saving clears them." in text
    assert "canary" not in text, "a header may hold a secret"
    for name in ("headers", "exchange", "routing"):
        assert not re.search(rf'name="[^"]*{name}', text)
    line = client.get(LIST).context["page"].lines[0]
    assert line.state == "broken" and "Saving its form clears that" in line.problem
    with pytest.raises(BrokenSchedule):
        run_now(made.pk, actor=Actor("the console", via="system"), nonce="n")
    client.post(change(made), form(**{"oc.seen": seen(made), "headers": '{"y": 2}', "queue": "evil"}))
    made.refresh_from_db()
    assert (made.exchange, made.routing_key, made.headers) == (None, None, "{}")


def test_queue_priority_and_expiry_are_asked_for_kept_and_shown(client: Client) -> None:
    made = row(queue="reports", priority=3, expire_seconds=600)
    response = client.get(change(made))
    asked = response.context["sheet"].delivery
    assert [asked[name].value() for name in ("queue", "priority", "expire_seconds")] == ["reports", "3", "10 min"]
    told = [("Queue", "reports"), ("Priority", "3"), ("Expires after", "10 min")]
    assert list(response.context["about"].delivery) == told
    assert list(client.get(LIST).context["page"].lines[0].delivery) == told
    sent = {"oc.queue": "default", "oc.priority": "0", "oc.expire_seconds": "90 s", "oc.seen": seen(made)}
    assert client.post(change(made), form(**sent)).status_code == 302
    made.refresh_from_db()
    assert (made.queue, made.priority, made.expire_seconds) == ("default", 0, 90)
    changed = AuditEvent.objects.get().details["changed"]
    assert [line for line in changed if line.startswith(("queue", "priority", "expires"))] == [
        "queue: reports → default",
        "priority: 3 → 0",
        "expires after: 600 s → 90 s",
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [("queue", "evil"), ("priority", "10"), ("priority", "-1"), ("expire_seconds", "0 s"), ("expire_seconds", "0.5 s")],
)
def test_a_delivery_that_cannot_be_is_refused_beside_its_field(client: Client, field: str, value: str) -> None:
    response = client.post(NEW, form(**{f"oc.{field}": value}))
    assert response.status_code == 200 and field in response.context["sheet"].delivery.errors
    assert not PeriodicTask.objects.exists()


def test_an_end_and_an_expiry_are_not_kept_together(client: Client) -> None:
    until = f"{timezone.now() + timedelta(days=9):%Y-%m-%dT%H:%M}"
    response = client.post(NEW, form(**{"oc.until": until, "oc.expire_seconds": "1 h"}))
    assert response.status_code == 200 and "expire_seconds" in response.context["sheet"].delivery.errors


def test_a_queue_that_is_gone_is_told_in_the_list(client: Client) -> None:
    row(queue="gone")
    line = client.get(LIST).context["page"].lines[0]
    assert line.state == "broken" and "'gone'" in line.problem and "QUEUES" in line.problem


def test_a_row_with_positional_arguments_opens_and_is_kept_by_name(client: Client) -> None:
    made = row(args="[7, 8]", kwargs="{}")
    text = text_of(client.get(change(made)))
    assert 'name="a" value="7"' in text and 'name="b" value="8"' in text
    client.post(change(made), form(a="7", b="8", **{"oc.seen": seen(made)}))
    made.refresh_from_db()
    assert (made.args, json.loads(made.kwargs)) == ("[]", {"a": 7, "b": 8})


@pytest.mark.parametrize("kwargs", ['{"a": ', "[1]", '{"a": "x", "gone": 1}', '{"a": 1e999}'])
def test_a_row_with_bad_arguments_opens_and_can_be_mended(client: Client, kwargs: str) -> None:
    made = row(kwargs=kwargs)
    assert "It is on, but will not run." in text_of(client.get(change(made)))
    response = client.post(change(made), form(**{"oc.seen": seen(made)}))
    assert response.status_code == 302
    made.refresh_from_db()
    assert json.loads(made.kwargs) == {"a": 1}


def test_a_row_on_mars_and_one_without_a_job_open_and_can_be_mended(client: Client) -> None:
    mars, gone = on_mars(), row("Gone", task="legacy.export")
    assert "There is no zone Mars/Phobos" in text_of(client.get(change(mars)))
    assert "Choose a job" in text_of(client.get(change(gone)))
    assert client.post(change(mars), form(**{"oc.name": "On Mars", "oc.seen": seen(mars)})).status_code == 302
    address = f"{change(gone)}?job={ADD.name}"
    assert client.post(address, form(**{"oc.name": "Gone", "oc.seen": seen(gone)})).status_code == 302
    assert not stored(mars.pk).problem
    gone.refresh_from_db()
    assert gone.task == ADD.name


def test_what_somebody_changed_meanwhile_is_not_overwritten(client: Client) -> None:
    made = row()
    old = seen(made)
    client.post(change(made), form(a="5", **{"oc.seen": old}))
    text = text_of(client.post(change(made), form(a="6", **{"oc.seen": old})))
    assert "Nothing was saved: Ana has changed this schedule meanwhile." in text
    made.refresh_from_db()
    assert json.loads(made.kwargs) == {"a": 5}


def test_a_changed_time_does_not_fire_at_once_and_an_unchanged_one_is_not_disturbed(client: Client) -> None:
    earlier = timezone.now() - timedelta(days=2)
    made = row()
    PeriodicTask.objects.update(last_run_at=earlier, total_run_count=4)
    client.post(change(made), form(a="5", **{"oc.seen": seen(made)}))
    made.refresh_from_db()
    assert made.last_run_at == earlier and made.total_run_count == 4
    client.post(change(made), form(**{"oc.clock": "07:00", "oc.seen": seen(made)}))
    made.refresh_from_db()
    assert made.last_run_at and made.last_run_at > timezone.now() - timedelta(minutes=1)


def test_the_anchor_of_an_old_interval_stays_when_its_name_changes(client: Client) -> None:
    made = row(interval=IntervalSchedule.objects.create(every=7, period="hours"))
    PeriodicTask.objects.update(date_changed=timezone.now() - timedelta(days=3))
    before = stored(made.pk).plan.next_after(timezone.now())
    start = _start(text_of(client.get(change(made))))
    sent = form(**{"oc.how": "every", "oc.count": "7", "oc.unit": "hours", "oc.start": start, "oc.name": "New name"})
    assert client.post(change(made), sent | {"oc.seen": seen(made)}).status_code == 302
    after = stored(made.pk).plan.next_after(timezone.now())
    assert before and after and abs(after - before) < timedelta(seconds=1)


def test_the_trail_says_everything_that_was_changed(client: Client) -> None:
    made = row(kwargs='{"a": 1, "b": 2}', queue="bulk")
    zone = ZoneInfo("Europe/Vilnius")
    until = (timezone.localtime(None, zone) + timedelta(days=9)).replace(hour=6, minute=0, second=0, microsecond=0)
    sent = form(a="5", b=None, **{"oc.description": "For  the bank", "oc.until": f"{until:%Y-%m-%dT%H:%M}"})
    assert client.post(change(made), sent | {"oc.enabled": "", "oc.seen": seen(made)}).status_code == 302
    assert AuditEvent.objects.get().details["changed"] == [
        f"until: none → {until.astimezone(UTC):%Y-%m-%d %H:%M %Z}",
        "on: yes → no",
        "description: none → For the bank",
        "queue: bulk → none",
        "a: 1 → 5",
        "b: 2 → left out",
    ]


def test_a_secret_is_kept_encrypted_and_stays_when_left_empty(client: Client) -> None:
    job = next(j for j in _jobs() if j.parameters and j.parameters.secrets)
    assert job.parameters is not None
    values = _values(job)
    sent = {**form(a=None, b=None), **values}
    response = client.post(f"{LIST}add/?job={job.name}", sent)
    made = PeriodicTask.objects.get()
    (name, *_) = sorted(job.parameters.secrets)
    kept = json.loads(made.kwargs)[name]
    assert response.status_code == 302 and kept.startswith(SECRET_PREFIX) and values[name] not in made.kwargs
    page = client.get(change(made)).content.decode()
    assert kept not in page and values[name] not in page and "the stored one stays" in page
    again = client.post(change(made), sent | {name: "", "oc.seen": seen(made)})
    assert again.status_code == 302
    made.refresh_from_db()
    typed = job.parameters.typed(json.loads(made.kwargs))[name]
    assert getattr(typed, "get_secret_value", lambda: typed)() == values[name]
    assert values[name] not in str(list(AuditEvent.objects.values_list("details", flat=True)))
    assert AuditEvent.objects.latest("pk").details["changed"] == []
    client.post(change(made), sent | {name: "4712-another", "oc.seen": seen(made)})
    assert AuditEvent.objects.latest("pk").details["changed"] == [f"{name}: changed"]
    assert "4712" not in str(list(AuditEvent.objects.values_list("details", flat=True)))


def _jobs() -> list[Any]:
    return [job for job in declared_jobs() if job.name.startswith("tests.")]


def _values(job: Any) -> dict[str, str]:
    found = {}
    for field in job.parameters.fields:
        if field.name in job.parameters.secrets:
            found[field.name] = "hunter2-very-secret"
        elif field.required:
            found[field.name] = {"whole number": "1", "date": "2026-01-01"}.get(field.kind.value, "text")
    return found


def test_a_dangerous_job_asks_once_for_its_title(client: Client) -> None:
    sent = {**form(a=None, b=None), "prefix": "old-"}
    address = f"{LIST}add/?job={under_test.purge.name}"
    text = text_of(client.post(address, sent))
    assert "without asking again, and without a dry run" in text and "Type Purge accounts to confirm." in text
    assert not PeriodicTask.objects.exists()
    assert client.post(address, sent | {"oc.confirm": "Purge accounts"}).status_code == 302
    assert json.loads(PeriodicTask.objects.get().kwargs) == {"prefix": "old-", "dry_run": False}


def test_a_job_that_needs_a_file_cannot_be_scheduled_and_says_why(client: Client) -> None:
    job = next(j for j in _jobs() if j.parameters and any(f.kind == "file" and f.required for f in j.parameters.fields))
    choices = text_of(client.get(f"{LIST}add/"))
    assert re.search(rf'<option value="{re.escape(job.name)}" disabled>[^<]*It needs a file', choices)
    text = text_of(client.post(f"{LIST}add/?job={job.name}", form()))
    assert "Nothing was saved. It needs a file" in text and not PeriodicTask.objects.exists()


def test_unknown_things_are_not_found(client: Client) -> None:
    assert client.get(f"{LIST}add/?job=no.such").status_code == 404
    response = client.get(f"{LIST}99999/change/", follow=True)
    assert "does not exist any more" in text_of(response)
