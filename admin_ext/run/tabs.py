"""The tabs of a run's page: which there are, their addresses, and what each of them reads."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from django.contrib.admin.utils import quote
from django.urls import reverse

from admin_ext.parts.keyset import link
from admin_ext.parts.words import capped
from jobs.ledger.family import MEMBERS_SHOWN
from jobs.ledger.run_page import EVENTS_SHOWN, RunPage
from jobs.models import Run


class Tab(StrEnum):
    """What one of them shows; the value is what the address says."""

    OVERVIEW = "overview"
    LOG = "log"
    ATTEMPTS = "attempts"
    FAMILY = "family"
    AUDIT = "audit"
    TECHNICAL = "technical"

    @classmethod
    def of(cls, text: str) -> Tab:
        """The tab that the address names; Overview for any other word."""
        return cls(text) if text in set(cls) else cls.OVERVIEW


@dataclass(frozen=True, slots=True)
class TabLink:
    """One tab: `count` is "" where there is nothing to count or nobody knows."""

    word: str
    href: str
    count: str
    current: bool


def tab_address(run: Run, tab: Tab, **parameters: object) -> str:
    """The address of a tab."""
    asked = link(tab="" if tab is Tab.OVERVIEW else tab.value, **parameters)
    return reverse("admin:jobs_run_change", args=[quote(run.task_id)]) + (asked if asked != "?" else "")


def tab_links(page: RunPage, current: Tab, lines: int | None) -> tuple[TabLink, ...]:
    """The tabs in their order.

    Args:
        lines: how many lines the run has written; None where nobody knows.
    """
    counts = {
        Tab.LOG: "" if lines is None else f"{lines:,}",
        Tab.ATTEMPTS: f"{page.counts.attempts:,}",
        Tab.FAMILY: capped(page.counts.family, MEMBERS_SHOWN),
        Tab.AUDIT: capped(page.counts.audit, EVENTS_SHOWN),
    }
    return tuple(
        TabLink(tab.value.capitalize(), tab_address(page.run, tab), counts.get(tab, ""), tab is current) for tab in Tab
    )
