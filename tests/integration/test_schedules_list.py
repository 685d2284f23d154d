"""The list of schedules: trouble first and told, the next moment, the last run; no query for a row."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule

from admin_ext.schedules.access import CANNOT_WORK
from admin_ext.schedules.listing import last_runs
from jobs.models import Run

from .schedule_rows import ADD, LIST, on_mars, row


@pytest.fixture
def client(client: Client, operator: User) -> Client:
    client.force_login(operator)
    return client


def text_of(response: Any) -> str:
    return " ".join(response.content.decode().split())


def names(text: str) -> list[str]:
    return re.findall(r'class="oc-subject" href="/admin/django_celery_beat[^"]*">([^<]*)</a>', text)


def test_a_line_says_what_when_next_and_what_came_of_it_last(client: Client) -> None:
    made = row()
    for hours, state in ((30, "failed"), (2, "succeeded")):
        asked = timezone.now() - timedelta(hours=hours)
        Run.objects.create(task_id=f"r{hours}", task_name=ADD.name, state=state, schedule_id=made.pk, accepted_at=asked)
    text = text_of(client.get(LIST))

    assert "Every day at 06:30, Europe/Vilnius · Add" in text
    assert re.search(r"<span>in \d+ (h|min)[^<]*</span>", text)
    assert re.search(r">\w{3} \d+ \w{3} 06:30 EES?T</time> · 0[34]:30 UTC", text)
    assert '/admin/jobs/run/r2/change/">' in text and "r30" not in text
    assert "On</span>" in text


def test_an_empty_list_says_what_a_schedule_is(client: Client) -> None:
    text = text_of(client.get(LIST))
    assert "Nothing runs by itself yet" in text and "New schedule" in text


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"task": "legacy.export"}, "Its job legacy.export is not registered any more"),
        ({"task": "celery.backend_cleanup"}, "one of Celery&#x27;s own tasks"),
        ({"kwargs": '{"a": "many"}'}, "A: Enter a whole number."),
        ({"kwargs": "{}"}, "A: Enter a value."),
        ({"kwargs": '{"a": 1, "gone": 2}'}, "unexpected keyword argument"),
        ({"kwargs": '{"a": '}, "arguments are no JSON"),
        ({"args": '{"a": 1}'}, "positional arguments are no JSON"),
        ({"kwargs": "[" * 100_000}, "arguments are no JSON"),
    ],
)
def test_broken_arguments_and_jobs_are_told(client: Client, fields: dict[str, str], reason: str) -> None:
    row(**fields)
    text = text_of(client.get(LIST))
    assert "Broken</span>" in text and reason in text and "will not run" in text


def test_broken_times_are_told(client: Client) -> None:
    row("Bad cron", crontab=CrontabSchedule.objects.create(minute="99"))
    row("Thirtieth", crontab=CrontabSchedule.objects.create(minute="0", day_of_month="30", month_of_year="2"))
    leap_monday = {"minute": "0", "hour": "0", "day_of_month": "29", "month_of_year": "2", "day_of_week": "1"}
    row("Leap Monday", crontab=CrontabSchedule.objects.create(**leap_monday))
    row("Zero", interval=IntervalSchedule.objects.create(every=0, period="hours"))
    row("Fast", interval=IntervalSchedule.objects.create(every=5, period="microseconds"))
    row("Sun", solar=SolarSchedule.objects.create(event="sunset", latitude=1, longitude=1))
    PeriodicTask.objects.bulk_create([PeriodicTask(name="None", task=ADD.name, kwargs='{"a": 1}')])
    on_mars()
    text = text_of(client.get(LIST))

    assert text.count("Broken</span> </td>") + text.count("Broken</span></td>") == 8
    for reason in (
        "names no time that can be",
        "no moment within five years",
        "Enter 1 or more",
        "at most once a second",
        "follows the sun",
        "nothing says when it fires",
        "There is no zone Mars/Phobos",
    ):
        assert reason in text


def test_trouble_stands_first_then_what_fires_next_then_what_is_off(client: Client) -> None:
    row("A off", enabled=False)
    row("B tomorrow")
    row("C soon", interval=IntervalSchedule.objects.create(every=1, period="minutes"))
    row("D broken", task="gone")
    row("E broken and off", task="gone", enabled=False)
    text = text_of(client.get(LIST))
    assert names(text) == ["D broken", "C soon", "B tomorrow", "A off", "E broken and off"]
    assert names(text_of(client.get(LIST + "?state=broken"))) == ["D broken"]
    assert names(text_of(client.get(LIST + "?state=off"))) == ["A off", "E broken and off"]
    assert names(text_of(client.get(LIST + "?q=TOMOR"))) == ["B tomorrow"]
    assert "No schedule matches" in text_of(client.get(LIST + "?q=%00zzz&state=on"))


def test_a_hostile_row_is_text(client: Client) -> None:
    payload = "<script>alert(1)</script>{{ 1 }}"
    row(payload, description=payload, kwargs='{"a": "<img src=x>"}', headers=payload, queue=payload)
    for address in (LIST, f"{LIST}{PeriodicTask.objects.get().pk}/change/"):
        text = client.get(address).content.decode()
        assert "<script>alert" not in text and "<img src=x" not in text and "&lt;script&gt;" in text


def test_300_schedules_cost_as_many_queries_as_three(client: Client) -> None:
    user = User.objects.create_user("grete")

    def fill(count: int) -> None:
        for number in range(count):
            kwargs = f'{{"user": {user.pk}}}' if number % 2 else '{"a": 1}'
            task = "jobs.library.users.sign_out_everywhere" if number % 2 else ADD.name
            made = row(f"n{PeriodicTask.objects.count()}", task=task, kwargs=kwargs)
            Run.objects.create(task_id=f"t{made.pk}", task_name=task, schedule_id=made.pk)

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as caught:
            assert client.get(LIST).status_code == 200
        return len(caught)

    fill(3)
    queries()
    few = queries()
    fill(297)
    assert queries() == few <= 14


def test_the_second_page_goes_on(client: Client) -> None:
    for number in range(60):
        row(f"n{number:02}")
    first, second = text_of(client.get(LIST)), text_of(client.get(LIST + "?page=2"))
    assert len(names(first)) == 50 and len(names(second)) == 10 and not set(names(first)) & set(names(second))
    assert "51 to 60 of 60" in second
    assert names(text_of(client.get(LIST + "?page=99"))) == names(second)


def test_a_deleted_object_makes_its_schedule_broken_and_no_other(client: Client, operator: User) -> None:
    user = User.objects.create_user("grete")
    task = "jobs.library.users.sign_out_everywhere"
    row("Here", task=task, kwargs=f'{{"user": {user.pk}}}')
    row("Gone", task=task, kwargs='{"user": 999999}')
    row("No key", task=task, kwargs='{"user": "x\\u0000"}')
    text = text_of(client.get(LIST + "?state=broken"))
    assert sorted(names(text)) == ["Gone", "No key"]
    # The key is an argument: it is told to who may read those of the job.
    assert "999999" not in text and CANNOT_WORK in text
    operator.user_permissions.add(Permission.objects.get(codename="sign_out_users"))
    assert "999999 does not exist any more" in text_of(client.get(LIST + "?state=broken"))


@pytest.mark.django_db
def test_no_plan_reads_the_history() -> None:
    Run.objects.bulk_create(
        Run(task_id=f"r{n}", task_name=f"t{n % 7}", schedule_id=n % 40 or None, accepted_at=timezone.now())
        for n in range(4000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    with CaptureQueriesContext(connection) as caught:
        assert len(last_runs([1, 2])) == 2
    with connection.cursor() as cursor:
        explain = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
        cursor.execute(explain + caught[0]["sql"].replace("%", "%%"))
        plan = " ".join(str(cell) for line in cursor.fetchall() for cell in line)
    assert plan.count("run_by_schedule") == 2 and "Seq Scan" not in plan and "SCAN jobs_run" not in plan


def test_one_that_is_done_says_so(client: Client) -> None:
    past = ClockedSchedule.objects.create(clocked_time=timezone.now() - timedelta(days=1))
    row("Done", clocked=past, one_off=True, enabled=False)
    assert "is off" in text_of(client.get(LIST))
