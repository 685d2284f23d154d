"""The Jobs page: what can be started, by group, with the last run of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from admin_ext.parts.access import RUN_JOB, SEE_RUNS_REFUSED, VIEW_RUN, ConsoleView, may, needed_role
from admin_ext.parts.chips import Pill
from admin_ext.parts.keyset import link
from jobs.catalog.registry import OTHER_TASKS, RUN_ANY_TASK, Job, derived_jobs, listed_jobs
from jobs.ledger.last_runs import last_runs
from jobs.models import Run


@dataclass(frozen=True, slots=True)
class JobLine:
    """One job of the page; `needs` names what the viewer lacks to run it, "" when nothing."""

    job: Job
    last: Run | None
    needs: str


@dataclass(frozen=True, slots=True)
class JobGroup:
    """The jobs of one group; `needs` names what the viewer lacks for all of them, "" where that differs."""

    name: str
    lines: tuple[JobLine, ...]

    @property
    def needs(self) -> str:
        first = self.lines[0].needs
        return first if all(line.needs == first for line in self.lines) else ""


@dataclass(frozen=True, slots=True)
class CatalogPage:
    """Everything that the Jobs page shows.

    Attributes:
        may_run: the viewer may run jobs at all; False shows no Run button anywhere.
        total: how many jobs there are without search and group.
        others: how many tasks without a job exist that the viewer may not run; they are not shown.
        others_need: what the viewer lacks to run those.
    """

    groups: tuple[JobGroup, ...]
    pills: tuple[Pill, ...]
    q: str
    group: str
    may_run: bool
    may_see_runs: bool
    total: int
    others: int
    others_need: str


def catalog_page(request: HttpRequest) -> CatalogPage:
    """Read the page that the address asks for: `q` searches titles and descriptions, `group` picks one group."""
    q, group = request.GET.get("q", "").strip()[:100], request.GET.get("group", "").strip()[:100]
    others = derived_jobs()
    may_run_any = may(request, RUN_ANY_TASK)
    jobs = [*listed_jobs(), *others] if may_run_any else listed_jobs()
    found = [job for job in jobs if q.lower() in f"{job.title} {job.description} {job.name}".lower()]
    shown = [job for job in found if not group or job.group == group]
    may_see_runs, may_run = may(request, VIEW_RUN), may(request, RUN_JOB)
    last = last_runs(job.name for job in shown) if may_see_runs and shown else {}
    lacking = _lacking(request, shown) if may_run else {}
    lines = [JobLine(job, last.get(job.name), lacking.get(job.permission, "")) for job in shown]
    return CatalogPage(
        groups=tuple(JobGroup(name, tuple(x for x in lines if x.job.group == name)) for name in _in_order(shown)),
        pills=_pills(found, q, group),
        q=q,
        group=group,
        may_run=may_run,
        may_see_runs=may_see_runs,
        total=len(jobs),
        others=0 if may_run_any else len(others),
        others_need=needed_role(RUN_ANY_TASK) if others and not may_run_any else "",
    )


def _in_order(jobs: Iterable[Job]) -> list[str]:
    return list(dict.fromkeys(job.group for job in jobs))


def _pills(found: list[Job], q: str, group: str) -> tuple[Pill, ...]:
    counts = Counter(job.group for job in found)
    every = Pill("All", link(q=q), current=not group, count=f"{len(found):,}")
    return (
        every,
        *(Pill(name, link(q=q, group=name), current=name == group, count=f"{n:,}") for name, n in counts.items()),
    )


def _lacking(request: HttpRequest, jobs: Iterable[Job]) -> dict[str, str]:
    """For each permission that the viewer lacks, which role gives it. No query when nothing is lacking."""
    return {p: needed_role(p) for p in sorted({job.permission for job in jobs}) if not may(request, p)}


class JobsPage(ConsoleView):
    """`…/jobs/run/catalog/`."""

    title = "Jobs"
    template_name = "admin_ext/jobs.html"
    permission_denied_message = SEE_RUNS_REFUSED

    def has_permission(self) -> bool:
        return may(self.request, VIEW_RUN) or may(self.request, RUN_JOB)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = {"page": catalog_page(self.request), "crumbs": [("Jobs", "")], "other_tasks": OTHER_TASKS}
        return super().get_context_data(**kwargs, **context)
