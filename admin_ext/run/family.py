"""The family of a run as lines of a tree."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from admin_ext.parts.rows import took_words
from jobs.catalog.registry import job_title
from jobs.ledger.family import MEMBERS_SHOWN, Family
from jobs.models import Run


@dataclass(frozen=True, slots=True)
class Branch:
    """One line of the tree: `group` begins a group or chord, `orphan` has a parent that is not kept."""

    run: Run
    title: str
    depth: int
    group: str
    orphan: bool
    is_this: bool
    took: str


@dataclass(frozen=True, slots=True)
class Relative:
    """A run beside the tree, and what it is to this one."""

    words: str
    run: Run
    title: str
    took: str


@dataclass(frozen=True, slots=True)
class FamilyTab:
    """What the tab shows; `more` says what is left out, `alone` that there is nobody else."""

    tree: tuple[Branch, ...]
    relatives: tuple[Relative, ...]
    more: str
    alone: bool


def family_tab(family: Family) -> FamilyTab:
    """The family in words."""
    now = timezone.now()
    relatives = [_relative("Retry of", family.retry_of, now)] if family.retry_of else []
    relatives += [_relative("Retried by", run, now) for run in family.retries]
    relatives += [_relative("Form filled from", family.based_on, now)] if family.based_on else []
    return FamilyTab(
        tree=tuple(
            Branch(
                line.run, line.title, line.depth, line.group[:8], line.orphan, line.is_this, took_words(line.run, now)
            )
            for line in family.members
        ),
        relatives=tuple(relatives),
        more=f"The first {MEMBERS_SHOWN} are shown; this family has more." if family.more else "",
        alone=family.is_alone,
    )


def _relative(words: str, run: Run, now: datetime) -> Relative:
    return Relative(words, run, job_title(run.task_name), took_words(run, now))
