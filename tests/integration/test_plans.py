"""No page costs more because the history is longer: what its statements look at is counted, their plans are read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from django.contrib.auth.models import Group, User
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from pytest_django.plugin import DjangoDbBlocker

from admin_ext.overview import page as overview
from admin_ext.runs import listing as run_list
from jobs.ledger import run_query, slices
from jobs.management import seeding
from jobs.models import AuditEvent
from tests.bench.pages import Page, our_pages

from .plans import Cost, cost, statements

#: Runs at first, over ten days; then three times as many older ones join them.
SHORT = 4_000
DAY = 86_400
#: What bounds the pages' work, made small so that a history of a few thousand runs is long.
WINDOW = 100
#: How much more a page may cost with four times the history: a deeper tree, a fuller page.
FACTOR, SLACK = 1.5, 20
#: What no page's cost has to justify: the windows that it reads, each maybe twice, in whatever units `plans.cost` has.
#: To read a table of 16,000 rows costs many times as much.
FREE = {"postgresql": 20 * WINDOW, "sqlite": 1.75 * WINDOW}
#: A table read without an index costs no more than this where a limit ends it, or the table is small.
LIMITED = {"postgresql": 4 * WINDOW, "sqlite": WINDOW / 2}


@dataclass(frozen=True, slots=True)
class Grown:
    """The costs of every page's statements, with a short history and with a long one."""

    pages: dict[str, Page]
    short: dict[str, list[Cost]]
    long: dict[str, list[Cost]]


@pytest.fixture(scope="module")
def grown(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Grown]:
    """The history grows once for all tests here, and is gone after them."""
    with django_db_blocker.unblock():
        _tidy()
    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as patch, transaction.atomic():
        for module, name in (
            (run_query, "WINDOW"),
            (run_query, "SEARCHED"),
            (slices, "WINDOW"),
            (run_list, "COUNT_CAP"),
            (overview, "COUNT_CAP"),
        ):
            patch.setattr(module, name, WINDOW)
        User.objects.create(username="looks", is_staff=True, is_superuser=True)
        until = time.time()
        seeding.seed(SHORT, days=10, number=1, until=until, progress=lambda written: None)
        add_acts(SHORT)
        pages = {page.name: page for page in our_pages()}
        short = {name: costs(page) for name, page in pages.items()}
        seeding.seed(3 * SHORT, days=30, number=2, until=until - 10 * DAY, progress=lambda written: None)
        add_acts(3 * SHORT)
        yield Grown(pages, short, {name: costs(page) for name, page in pages.items()})
        transaction.set_rollback(True)


def _tidy() -> None:
    """PostgreSQL plans by what tests before these have left behind, thousands of dead rows among it; nobody vacuums."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")


def costs(page: Page) -> list[Cost]:
    """Ask for the page once and weigh what it asked the database."""
    cache.clear()
    client = Client()
    client.force_login(User.objects.get(username="looks"))
    with statements() as asked:
        response = client.get(page.path)
    assert response.status_code in (200, 204), page.path
    return [cost(sql, params) for sql, params in asked]


def add_acts(count: int) -> None:
    """Lengthen the audit trail."""
    people = [str(key) for key in User.objects.values_list("pk", flat=True)]
    AuditEvent.objects.bulk_create(
        AuditEvent(
            actor_id=people[number % len(people)] if number % 7 else None,
            actor_label="somebody",
            via="admin",
            verb="open_file" if number % 5 else "start_run",
            object_type="run",
            object_id=f"run {number}",
            object_label=f"run {number}",
        )
        for number in range(count)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE jobs_auditevent")


def grew(before: list[Cost], after: list[Cost]) -> list[str]:
    """The statements of a page that cost more with a longer history than a fuller page explains, costliest first."""
    short, long = (sum(one.work for one in side) for side in (before, after))
    if long <= max(FACTOR * short + SLACK, FREE[connection.vendor]):
        return []
    return [f"{short:.0f} -> {long:.0f}", *(one.sql for one in sorted(after, key=lambda one: -one.work)[:1])]


def scanned(after: list[Cost]) -> list[str]:
    """The statements that read a growing table without an index and without an end."""
    limit = LIMITED[connection.vendor]
    return [f"{table}: {one.sql}" for one in after for table, work in one.scans.items() if work > limit]


def test_no_page_costs_more_because_the_history_is_longer(grown: Grown) -> None:
    assert {name: found for name in grown.pages if (found := grew(grown.short[name], grown.long[name]))} == {}


def test_no_page_reads_a_growing_table_from_end_to_end(grown: Grown) -> None:
    assert {name: found for name in grown.pages if (found := scanned(grown.long[name]))} == {}


#: What narrows the trail by three things at once reads one statement more.
NINE = {"audit: person + act + period"}


def test_no_page_asks_a_person_with_roles_more_than_eight_statements(grown: Grown) -> None:
    call_command("loaddata", "jobs/fixtures/roles.json", verbosity=0)
    user = User.objects.create_user("has-roles", is_staff=True)
    user.groups.set(Group.objects.all())
    client = Client()
    client.force_login(user)
    numbers = {}
    for page in grown.pages.values():
        client.get(page.path)  # what is kept for a minute is kept now
        with statements() as asked:
            assert client.get(page.path).status_code in (200, 204), page.path
        numbers[page.name] = len(asked)
    assert {name: number for name, number in numbers.items() if number > (9 if name in NINE else 8)} == {}


#: Indexes, each with what only it answers quickly: mostly what no run has, for which one has to look at all.
NEEDED = {
    "run_by_time": "jobs/run/",
    "run_by_state": "jobs/run/?state=waiting",
    "run_by_task": "jobs/run/?job=nobody.calls.it",
    "run_by_queue": "jobs/run/?queue=nobody",
    "run_by_worker": "jobs/run/?worker=nobody",
    "run_by_actor": "jobs/run/?by=999999",
    "run_by_schedule": "jobs/run/?schedule=999999",
    "run_of_people": "jobs/run/?source=retry",
    "run_of_schedules": "jobs/run/?source=schedule",
    "run_family": "",
    "run_by_failure": "jobs/run/?group=999999",
    "audit_by_object": "jobs/auditevent/?object=run:nobody",
    "audit_by_actor": "jobs/auditevent/?who=999999",
    "audit_by_verb": "jobs/auditevent/?verb=reset_admin",
}


#: The other index by which SQLite walks through the runs by time, and the one that PostgreSQL would look through whole,
#: of which its plan tells only what it found.
ALIKE = {"run_by_time": "run_by_time_with_summary", "run_by_task": "run_by_state"}


@pytest.mark.parametrize("index", NEEDED)
def test_a_missing_index_is_noticed(index: str, grown: Grown) -> None:
    page = Page(index, f"/admin/{NEEDED[index]}") if NEEDED[index] else grown.pages["run: family"]
    with_it = costs(page)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"DROP INDEX {index}")
            cursor.execute(f"DROP INDEX IF EXISTS {ALIKE.get(index, index)}")
        without = costs(page)
        transaction.set_rollback(True)
    assert not scanned(with_it)
    assert sum(one.work for one in with_it) < FREE[connection.vendor]
    assert scanned(without) or sum(one.work for one in without) > FACTOR * sum(one.work for one in with_it) + SLACK


@pytest.mark.parametrize(
    ("page", "index"),
    [("runs: schedule", "run_by_schedule"), ("runs: arguments, absent word", "run_by_time_with_summary")],
)
def test_a_page_that_reads_many_runs_of_all_times_reads_an_index_alone(page: str, index: str, grown: Grown) -> None:
    """PostgreSQL decides by what its vacuum has done and has another index of words; `make bench` tells there."""
    if connection.vendor != "sqlite":
        pytest.skip("SQLite alone says so in its plans")
    client = Client()
    client.force_login(User.objects.get(username="looks"))
    with statements() as asked:
        client.get(grown.pages[page].path)
    with connection.cursor() as cursor:
        plans = [cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params).fetchall() for sql, params in asked]
    assert f"COVERING INDEX {index}" in str(plans)
