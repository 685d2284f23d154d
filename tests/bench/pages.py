"""What is measured: the console's pages about history, and the stock admin's that answer the same question."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.urls import reverse
from django_celery_beat.models import PeriodicTask
from django_celery_results.models import TaskResult

from admin_ext.parts.keyset import place_text
from jobs.ledger.run_query import Place
from jobs.management.invented_words import ABSENT_WORD, COMMON_WORD, PEOPLE, RARE_WORD, WORKERS
from jobs.models import FailureGroup, Run, RunLog
from jobs.states import State

#: A task with many runs and one with few; a schedule that fires often enough.
COMMON_JOB, RARE_JOB, SCHEDULE = "shop.orders.confirm_order", "shop.fraud.train", "Payment reminders"
STOCK_PER_PAGE = 100


@dataclass(frozen=True, slots=True)
class Page:
    """One address.

    Attributes:
        stock: the name of the stock page that answers the same question; "" where there is none.
    """

    name: str
    path: str
    stock: str = ""


def our_pages() -> Iterator[Page]:
    """The console's. Reads a few rows to have ids to ask for."""
    newest = Run.objects.order_by("-pk")[0]
    middle = Run.objects.get(pk=newest.pk - Run.objects.count() // 2)
    person = User.objects.get(username=PEOPLE[0][0])
    schedule = PeriodicTask.objects.get(name=SCHEDULE)
    deep = place_text(Place(middle.accepted_at, middle.pk))
    lists: list[tuple[str, dict[str, str], str]] = [
        ("first page", {}, "first page"),
        ("state=failed", {"state": "failed"}, "status=FAILURE"),
        ("state=succeeded", {"state": "succeeded"}, ""),
        ("state=running", {"state": "running"}, ""),
        ("state=lost", {"state": "lost"}, ""),
        ("job, common", {"job": COMMON_JOB}, ""),
        ("job, rare", {"job": RARE_JOB}, ""),
        ("queue", {"queue": "reports"}, ""),
        ("worker", {"worker": WORKERS[0]}, ""),
        ("schedule", {"schedule": str(schedule.pk)}, ""),
        ("person", {"by": str(person.pk)}, ""),
        ("source=code", {"source": "code"}, ""),
        ("source=console", {"source": "console"}, ""),
        ("source=schedule", {"source": "schedule"}, ""),
        ("source=retry", {"source": "retry"}, ""),
        ("since=24h", {"since": "24h"}, ""),
        ("until a month ago", {"until": middle.accepted_at.strftime("%Y-%m-%d %H:%M")}, ""),
        ("job + state", {"job": COMMON_JOB, "state": "failed"}, ""),
        ("rare job + rare state", {"job": RARE_JOB, "state": "lost"}, ""),
        ("worker + source", {"worker": WORKERS[0], "source": "retry"}, ""),
        ("queue + state + since", {"queue": "reports", "state": "failed", "since": "7d"}, ""),
        ("person + state", {"by": str(person.pk), "state": "failed"}, ""),
        ("schedule + state", {"schedule": str(schedule.pk), "state": "lost"}, ""),
        ("id", {"q": middle.task_id}, "id"),
        ("id prefix", {"q": middle.task_id[:8]}, "id"),
        ("arguments, rare word", {"q": RARE_WORD}, "arguments, rare word"),
        ("arguments, common word", {"q": COMMON_WORD}, "arguments, common word"),
        ("arguments, absent word", {"q": ABSENT_WORD}, "arguments, absent word"),
        ("arguments + state", {"q": COMMON_WORD, "state": "failed"}, ""),
        ("last page", {"last": "1"}, "last page"),
        ("half-way page", {"before": deep}, "half-way page"),
        ("job, half-way page", {"job": COMMON_JOB, "before": deep}, ""),
    ]
    changelist = reverse("admin:jobs_run_changelist")
    for name, asked, stock in lists:
        yield Page(f"runs: {name}", f"{changelist}?{urlencode(asked)}", stock)
    yield Page("runs: anything new?", f"{reverse('admin:jobs_run_new')}?after={place_text(_place(newest))}")
    failed = Run.objects.filter(state=State.FAILED, root_id__isnull=False).order_by("-pk")[0]
    logged = RunLog.objects.order_by("-pk").select_related("run")[0].run
    parent = Run.objects.get(task_id=failed.root_id)
    for run, tab in (
        (failed, ""),
        (failed, "attempts"),
        (parent, "family"),
        (failed, "family"),
        (logged, "log"),
        (failed, "audit"),
        (failed, "technical"),
    ):
        page = reverse("admin:jobs_run_change", args=[run.task_id])
        yield Page(f"run: {tab or 'overview'}", f"{page}?tab={tab}", "one row")
    failures = reverse("admin:jobs_failuregroup_changelist")
    group = FailureGroup.objects.order_by("-total", "pk")[0]
    for view in ("", "healed", "all"):
        yield Page(f"failures: {view or 'needs action'}", f"{failures}?view={view}", "status=FAILURE")
    for tab in ("", "runs", "runs&hurting=1", "audit"):
        page = reverse("admin:jobs_failuregroup_change", args=[group.pk])
        yield Page(f"failure group: {tab or 'what happened'}", f"{page}?tab={tab}", "one row")
    yield Page("runs: failure group", f"{changelist}?group={group.pk}")
    yield Page("runs: failure group + since", f"{changelist}?group={group.pk}&since=24h")
    yield Page("Overview", reverse("admin:index"))
    audit = reverse("admin:jobs_auditevent_changelist")
    yield Page("audit: first page", audit)
    yield Page("audit: person", f"{audit}?who={person.pk}")
    yield Page("audit: act", f"{audit}?verb=start_run")
    yield Page("audit: person + act + period", f"{audit}?who={person.pk}&verb=open_file&since=30d")
    yield Page("audit: object", f"{audit}?object=run:{failed.task_id}")
    results = reverse("admin:django_celery_results_taskresult_changelist")
    yield Page("results: first page", results, "first page")
    yield Page("results: status", f"{results}?status=FAILURE", "status=FAILURE")
    yield Page("results: job", f"{results}?job={COMMON_JOB}")
    yield Page("results: job + status", f"{results}?job={RARE_JOB}&status=FAILURE")
    yield Page("results: id", f"{results}?q={middle.task_id}", "id")
    stored = TaskResult.objects.get(task_id=failed.task_id)
    yield Page("result", reverse("admin:django_celery_results_taskresult_change", args=[stored.pk]), "one row")


def stock_pages() -> Iterator[Page]:
    """The stock admin's."""
    count = TaskResult.objects.count()
    middle = TaskResult.objects.order_by("pk")[count // 2]
    pages = (count - 1) // STOCK_PER_PAGE + 1
    asked: list[tuple[str, dict[str, str]]] = [
        ("first page", {}),
        ("status=FAILURE", {"status__exact": "FAILURE"}),
        ("id", {"q": middle.task_id}),
        ("arguments, rare word", {"q": RARE_WORD}),
        ("arguments, common word", {"q": COMMON_WORD}),
        ("arguments, absent word", {"q": ABSENT_WORD}),
        ("last page", {"p": str(pages)}),
        ("half-way page", {"p": str(pages // 2)}),
    ]
    changelist = reverse("admin:django_celery_results_taskresult_changelist")
    for name, parameters in asked:
        yield Page(name, f"{changelist}?{urlencode(parameters)}")
    yield Page("one row", reverse("admin:django_celery_results_taskresult_change", args=[middle.pk]))


def _place(run: Run) -> Place:
    return Place(run.accepted_at, run.pk)
