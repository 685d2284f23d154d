"""The command palette: pages, acts, jobs, runs, failures, schedules, queues, workers, people, for who may see them."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db.models import Q
from django.http import HttpRequest
from django.urls import reverse
from django_celery_beat.models import PeriodicTask
from unfold.dataclasses import SearchResult

from admin_ext.frame.goals import Goal, acts, pages
from admin_ext.frame.machinery import read_machinery
from admin_ext.parts.access import RUN_JOB, VIEW_AUDIT, VIEW_RUN, VIEW_SCHEDULE, may, withheld_from
from admin_ext.parts.chips import run_chip
from admin_ext.parts.keyset import link
from admin_ext.parts.places import users_page
from admin_ext.parts.words import ago
from admin_ext.queues.lines import queue_href
from admin_ext.queues.listing import last_known
from admin_ext.workers.lines import worker_href
from jobs.catalog.registry import job_title, listed_jobs
from jobs.failures.lists import MOST_READ
from jobs.failures.verbs import subject_of
from jobs.fleet.queues import configured
from jobs.ledger.people import find_staff, key_of, name_of, permission_to
from jobs.ledger.readable import readable_group
from jobs.ledger.run_slices import listed
from jobs.ledger.slices import begins_with
from jobs.models import FailureGroup, Run

#: So many of each kind are shown.
EACH = 8
#: Longer texts than any name are not looked for.
LONGEST = 200
#: An id is looked for from so many characters on: fewer begin too many of them.
SHORTEST_ID = 4
#: So much is told of a failure besides its name.
LONGEST_TOLD = 120
FAILURE = "admin:jobs_failuregroup_change"


def find(request: HttpRequest, text: str) -> list[SearchResult]:
    """Unfold's search callback: what the viewer may see and `text` names; a statement for each kind of row at most.

    Args:
        text: as it was typed, in lower case.
    """
    text = text.replace("\x00", "").strip()[:LONGEST]
    if not text:
        return []
    known, called = _found_by_unfold(request, text), list(acts(request, text))
    found = [_goal(one) for one in pages(request, text) if one.href not in known]
    found += [_goal(one) for one in called if text in one.title.lower()]
    if may(request, RUN_JOB):
        found += _jobs(request, text)
    found += [_goal(one) for one in called if text not in one.title.lower()]
    if may(request, VIEW_RUN):
        found += [*_runs(text), *_failures(request, text), *_queues(request, text), *_workers(request, text)]
    if may(request, VIEW_SCHEDULE):
        found += _schedules(text)
    found += _people(request, text)
    # As it was typed: databases do not find "Ä" by "ä" everywhere.
    typed = request.GET.get("s", text).replace("\x00", "").strip()[:LONGEST]
    return [*found, _in_all_runs(typed)] if may(request, VIEW_RUN) else found


def _in_all_runs(text: str) -> SearchResult:
    """The way on where nothing here bears the name: ids, arguments and errors of the history."""
    href = reverse("admin:jobs_run_changelist") + link(q=text)
    return SearchResult(f"Search all runs for “{text[:60]}”", "Ids, arguments and errors", href, "search")


def _found_by_unfold(request: HttpRequest, text: str) -> set[str]:
    """The lists that stand above ours already: Unfold finds them by the names of models and applications."""
    return {
        str(model["admin_url"])
        for app in admin.site.get_app_list(request)
        for model in app["models"]
        if text in app["name"].lower() or text in model["name"].lower()
    }


def _goal(goal: Goal) -> SearchResult:
    return SearchResult(goal.title, goal.where, goal.href, goal.icon)


def _jobs(request: HttpRequest, text: str) -> list[SearchResult]:
    jobs = [job for job in listed_jobs() if text in job.title.lower() or text in job.name.lower()]
    jobs = [job for job in jobs if may(request, job.permission)] if jobs else []
    return [
        SearchResult(job.title, f"Job · {job.group}", reverse("admin:jobs_start", args=[job.name]), "play_circle")
        for job in jobs[:EACH]
    ]


def _runs(text: str) -> list[SearchResult]:
    """Ids that begin so, newest first; an id is one word."""
    if len(text) < SHORTEST_ID or any(letter.isspace() for letter in text):
        return []
    found = Run.objects.filter(begins_with("task_id", text)).order_by("task_id")[:EACH]
    runs = sorted(listed(found), key=lambda run: run.accepted_at, reverse=True)
    return [
        SearchResult(
            f"{job_title(run.task_name)} {run.short_id}",
            f"Run · {run_chip(run.state).word.lower()}, asked for {ago(run.accepted_at)}",
            reverse("admin:jobs_run_change", args=[run.task_id]),
            run_chip(run.state).icon,
        )
        for run in runs
    ]


def _failures(request: HttpRequest, text: str) -> list[SearchResult]:
    """Of the groups that failed last, those whose page says so; what is hidden there is not found here."""
    withheld, found = withheld_from(request), []
    for group in FailureGroup.objects.order_by("-last_seen", "-id")[:MOST_READ]:
        group = readable_group(group, withheld)
        label = subject_of(group).label
        if text in label.lower() or text in group.title.lower() or text in group.sample_message.lower():
            told = f"Failure · {group.sample_message or group.title or group.place}"[:LONGEST_TOLD]
            found.append(SearchResult(label, told, reverse(FAILURE, args=[group.pk]), "error"))
    return found[:EACH]


def _people(request: HttpRequest, text: str) -> list[SearchResult]:
    """Staff: the page of their account, or what they have done, whichever the viewer may see."""
    account = users_page() if may(request, permission_to("view")) else ""
    if not account and not may(request, VIEW_AUDIT):
        return []
    audit = reverse("admin:jobs_auditevent_changelist")
    return [
        SearchResult(
            name_of(user),
            f"Person · {user.get_username()}" if account else "Person · what they have done",
            f"{account}{quote(user.pk)}/change/" if account else audit + link(who=key_of(user)),
            "person",
        )
        for user in find_staff(text, EACH)
    ]


def _schedules(text: str) -> list[SearchResult]:
    found = PeriodicTask.objects.filter(Q(name__icontains=text) | Q(task__icontains=text)).order_by("name")
    page = "admin:django_celery_beat_periodictask_change"
    return [
        SearchResult(
            name, f"Schedule · {job_title(task)}{'' if on else ', off'}", reverse(page, args=[pk]), "calendar_clock"
        )
        for pk, name, task, on in found.values_list("pk", "name", "task", "enabled")[:EACH]
    ]


def _queues(request: HttpRequest, text: str) -> list[SearchResult]:
    """Those that settings, workers or the last reading name; Redis is not asked for them."""
    beacons, known = read_machinery(request).fleet.beacons, last_known()
    names = {*configured(), *(name for beacon in beacons for name in beacon.queues)}
    names |= set(known.reading.queues) if known else set()
    named = sorted(name for name in names if text in name.lower())
    return [SearchResult(name, "Queue", queue_href(name), "inbox") for name in named[:EACH]]


def _workers(request: HttpRequest, text: str) -> list[SearchResult]:
    # A name once: its page leads to the others that bear it.
    named = {beacon.worker: beacon for beacon in read_machinery(request).fleet.beacons if text in beacon.worker.lower()}
    return [
        SearchResult(name, f"Worker · {', '.join(one.queues[:3])}", worker_href(name), "memory")
        for name, one in list(named.items())[:EACH]
    ]
