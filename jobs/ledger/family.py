"""The runs that belong together: who published whom, groups, retries by staff, and what a form was filled from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Q

from jobs.catalog.registry import job_title
from jobs.models import Run

#: So many runs of one family are read; what is beyond is only told.
MEMBERS_SHOWN = 200
#: A chain may be longer than a page is wide.
DEEPEST = 12


@dataclass(frozen=True, slots=True)
class Member:
    """One line of the tree.

    Attributes:
        depth: 0 for the outermost; capped at DEEPEST.
        group: the id of the group or chord that begins with this line; "" within one, and where there is none.
        orphan: its parent is not among the runs that are kept, or shown.
    """

    run: Run
    title: str
    depth: int
    group: str
    orphan: bool
    is_this: bool


@dataclass(frozen=True, slots=True)
class Family:
    """Everything that a run's tab Family shows.

    Attributes:
        members: the tree in the order of its lines; alone it holds the run itself only.
        more: the family has more members than are shown.
        retries: what staff started to retry this run, oldest first.
        based_on: the run that its form was filled from, where it is kept.
    """

    members: tuple[Member, ...]
    more: bool
    retries: tuple[Run, ...]
    retry_of: Run | None
    based_on: Run | None

    @property
    def is_alone(self) -> bool:
        return len(self.members) == 1 and not (self.retries or self.retry_of or self.based_on)


def family(run: Run) -> Family:
    """The family of `run`, at most MEMBERS_SHOWN of the tree and of its retries. One query."""
    root = run.root_id or run.task_id
    tree = Run.objects.filter(root_id=root).order_by("id")[: MEMBERS_SHOWN + 1]
    retries = Run.objects.filter(retry_of=run).order_by("id")[:MEMBERS_SHOWN]
    named = {root, run.task_id, run.parent_id, run.based_on} - {""}
    # Not `pk IS NULL` where it is no retry: SQLite would then look at every run.
    retried = Q(pk=run.retry_of_id) if run.retry_of_id else Q()
    near = Run.objects.filter(Q(task_id__in=named) | retried).order_by()
    # A union, not OR: for that PostgreSQL would look at every run. SQLite cuts no part of a union, so each is wrapped.
    parts = [Run.objects.filter(pk__in=part.values("pk")).order_by().values("pk") for part in (tree, retries)]
    keys = near.values("pk").union(*parts, all=True)
    found = {one.task_id: one for one in Run.objects.filter(pk__in=keys).defer("arguments", "progress").order_by("id")}
    found[run.task_id] = run
    by_key = {one.pk: one for one in found.values()}
    members = [one for one in by_key.values() if (one.root_id or one.task_id) == root or one.task_id == run.parent_id]
    more = len(members) > MEMBERS_SHOWN
    if more:
        keep = {root, run.task_id, run.parent_id}
        first = [one for one in members if one.task_id in keep]
        members = first + [one for one in members if one.task_id not in keep][: MEMBERS_SHOWN - len(first)]
    return Family(
        members=_tree(members, run),
        more=more,
        retries=tuple(one for one in by_key.values() if one.retry_of_id == run.pk and one.pk != run.pk),
        retry_of=by_key.get(run.retry_of_id or 0),
        based_on=found.get(run.based_on) if run.based_on else None,
    )


def _tree(members: Iterable[Run], this: Run) -> tuple[Member, ...]:
    """Children under their parents, siblings in the order in which they were asked for.

    What comes from messages is not to be trusted: a parent may be missing, or be its own grandchild. Each run appears
    once; those that no walk from the top reaches are listed as if they had no parent.
    """
    runs = {run.task_id: run for run in sorted(members, key=lambda run: (run.accepted_at, run.pk))}
    children: dict[str, list[Run]] = defaultdict(list)
    tops = []
    for run in runs.values():
        if run.parent_id in runs and run.parent_id != run.task_id:
            children[run.parent_id].append(run)
        else:
            tops.append(run)
    lines: list[Member] = []
    seen: set[str] = set()
    for top in [*tops, *runs.values()]:
        stack = [(top, 0)]
        while stack:
            run, depth = stack.pop()
            if run.task_id in seen:
                continue
            seen.add(run.task_id)
            lines.append(_member(run, depth, lines, this, orphan=bool(run.parent_id) and depth == 0))
            # Members of a group stand together, whatever was asked for between them.
            below = _grouped(children[run.task_id])
            stack += [(child, depth + 1) for child in reversed(below)]
    return tuple(lines)


def _grouped(siblings: list[Run]) -> list[Run]:
    first: dict[str, int] = {}
    for position, run in enumerate(siblings):
        first.setdefault(run.group_id or run.task_id, position)
    return sorted(siblings, key=lambda run: first[run.group_id or run.task_id])


def _member(run: Run, depth: int, before: list[Member], this: Run, *, orphan: bool) -> Member:
    shown = min(depth, DEEPEST)
    beside = next((line.run for line in reversed(before) if line.depth == shown), None)
    begins = run.group_id and (beside is None or beside.group_id != run.group_id)
    return Member(
        run=run,
        title=job_title(run.task_name),
        depth=shown,
        group=run.group_id if begins else "",
        orphan=orphan,
        is_this=run.pk == this.pk,
    )
