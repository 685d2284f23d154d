"""What changed since it last worked: a card on a failed run's page, and a page that lays any two runs side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import quote, unquote
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from admin_ext.parts.access import SEE_RUNS_REFUSED, VIEW_RUN, ConsoleView, why_withheld, withheld_from
from admin_ext.parts.addresses import run_address
from admin_ext.parts.keyset import link
from admin_ext.parts.words import duration, value
from jobs.catalog.registry import Job, find_job, job_title
from jobs.errors import UnknownJob
from jobs.ledger.compare import LOOKED_THROUGH, SHORTEST_ID, Measure, Pair, compare, find_run, last_success
from jobs.ledger.readable import Withheld, readable
from jobs.ledger.run_query import RunQuery
from jobs.ledger.run_slices import RunLine, run_slice
from jobs.models import Run
from jobs.states import State

#: A card shows so many differences and so much of a value; the page of both runs has them whole.
SHOWN, LONGEST = 8, 80
OFFERED = 8


@dataclass(frozen=True, slots=True)
class Line:
    """One fact of both runs in words."""

    name: str
    then: str
    now: str
    differs: bool
    suspicious: bool


@dataclass(frozen=True, slots=True)
class Changed:
    """The card.

    Attributes:
        then: the last run that worked; None where there is none, and `none` says so.
        same: what is the same, in one sentence.
        more: how many differences are not shown; "" where all are.
    """

    then: Run | None
    lines: tuple[Line, ...]
    same: str
    more: str
    href: str
    none: str = ""


def what_changed(run: Run, job: Job | None) -> Changed | None:
    """The card of a run that failed; None for any other. One query."""
    if run.state not in (State.FAILED, State.LOST):
        return None
    then = last_success(run)
    if then is None:
        far = f"as far as the last {LOOKED_THROUGH:,} tell"
        none = f"Nothing to compare it with: no run of this job before it succeeded, {far}."
        return Changed(None, (), "", "", compare_address(run), none)
    pairs = compare(then, run, job)
    differing = [_line(pair, LONGEST) for pair in pairs if pair.differs]
    more = len(differing) - SHOWN
    return Changed(
        then, tuple(differing[:SHOWN]), _same(pairs), f"{more} more" if more > 0 else "", compare_address(run, then)
    )


def compare_address(run: Run, other: Run | None = None) -> str:
    """The page that lays the run beside another one, or asks which."""
    address = reverse("admin:jobs_run_compare", args=[quote(run.task_id)])
    return address + link(**{"with": other.task_id}) if other else address


def _same(pairs: tuple[Pair, ...]) -> str:
    """`The same: parameters, queue, waited 0.2 s.`"""
    facts = [pair for pair in pairs if not pair.parameter]
    parameters = [pair for pair in pairs if pair.parameter]
    same = ["parameters"] if parameters and not any(pair.differs for pair in parameters) else []
    same += [pair.name.lower() for pair in facts if not pair.differs and (pair.then or pair.now)]
    return f"The same: {', '.join(same)}." if same else ""


def _line(pair: Pair, longest: int = 0) -> Line:
    then, now = (_words(pair.measure, one) for one in (pair.then, pair.now))
    if longest:
        then, now = (text if len(text) <= longest else text[:longest] + "…" for text in (then, now))
    return Line(pair.name, then, now, pair.differs, pair.suspicious)


def _words(measure: Measure, one: Any) -> str:
    if measure is Measure.SECONDS:
        return duration(one) if one is not None else "not known"
    if measure is Measure.VALUE:
        return value(one)
    return str(one) if one else "not known"


class CompareView(ConsoleView):
    """`…/jobs/run/<task id>/compare/?with=<id>`: two runs side by side; without `with` it asks which."""

    title = "Compare"
    template_name = "admin_ext/compare/page.html"
    permission_required = VIEW_RUN
    permission_denied_message = SEE_RUNS_REFUSED
    http_method_names = ["get", "head", "options"]

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        task_id = unquote(kwargs["object_id"])
        run = Run.objects.filter(task_id=task_id).first()
        if run is None:
            messages.warning(request, f"No run has the id {task_id[:64]}. It may have been pruned, or mistyped.")
            return redirect("admin:jobs_run_changelist")
        asked = request.GET.get("with", "").replace("\x00", "").strip()
        found = find_run(asked) if asked else ()
        other = readable(found[0], withheld_from(request)) if len(found) == 1 else None
        run = readable(run, withheld_from(request))
        context = {"other": other, "asked": asked[:64], "problem": _problem(asked, found)}
        return self.render_to_response(self.get_context_data(run=run, **context))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        run, other = kwargs["run"], kwargs["other"]
        title = job_title(run.task_name)
        self.title = f"Compare {title} {run.short_id}"
        context: dict[str, Any] = {
            "crumbs": [
                ("Runs", reverse("admin:jobs_run_changelist")),
                (f"{title} {run.short_id}", run_address(run.task_id)),
                ("Compare", ""),
            ],
            "job_title": title,
        }
        if other is not None:
            pairs = compare(other, run, _job(run), _job(other))
            context |= {
                "lines": [_line(pair) for pair in pairs],
                "other_title": job_title(other.task_name),
                "withheld": next(
                    (why_withheld(self.request, one.task_name) for one in (run, other) if one.withheld), ""
                ),
                "kept": run.arguments_exact and other.arguments_exact,
                "turned": compare_address(other, run),
            }
        else:
            context["offered"] = _offered(run, withheld_from(self.request))
        return super().get_context_data(**kwargs, **context)


def _job(run: Run) -> Job | None:
    try:
        return find_job(run.task_name)
    except UnknownJob:
        return None


def _problem(asked: str, found: tuple[Run, ...]) -> str:
    if not asked or len(found) == 1:
        return ""
    if found:
        return f"More than one run has an id that begins with {asked[:64]}. Type more of it."
    if len(asked) < SHORTEST_ID:
        return f"Type at least {SHORTEST_ID} characters of the id."
    return f"No run has the id {asked[:64]}. It may have been pruned, or mistyped."


def _offered(run: Run, withheld: Withheld) -> list[tuple[RunLine, str]]:
    """The newest runs of the same job, to choose from."""
    found = run_slice(RunQuery(task_name=run.task_name, withheld=withheld), limit=OFFERED + 1).lines
    return [(line, compare_address(run, line.run)) for line in found if line.run.pk != run.pk][:OFFERED]
