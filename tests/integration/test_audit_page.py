"""The audit list: who did what to which object and when, by every filter, both ways, in bounded time."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.ledger import slices
from jobs.ledger.audit import Actor, Subject, record
from jobs.ledger.audit_trail import NOBODY, AuditQuery, audit_slice
from jobs.models import AuditEvent
from tests.integration.plans import cost, statements

LIST = "/admin/jobs/auditevent/"
START = datetime(2026, 9, 30, 12, 0, tzinfo=UTC)
VERBS = ("start_run", "open_file", "save_preset")


@pytest.fixture
def auditor(client: Client, operator: User) -> Client:
    """Olga, who may also see the trail."""
    operator.user_permissions.add(Permission.objects.get(codename="view_auditevent"))
    client.force_login(operator)
    return client


def act(number: int, chance: random.Random) -> AuditEvent:
    person = chance.choice(["7", "8", None])
    kind = chance.choice(["run", "job"])
    return AuditEvent(
        # Clocks disagree a little: the numbers are not quite in the order of the times.
        at=START + timedelta(minutes=number * 10 + chance.randrange(-15, 15)),
        actor_id=person,
        actor_label={"7": "Ana Petrova", "8": "Jonas Berg", None: "The console"}[person],
        via="admin" if person else "system",
        verb=chance.choice(VERBS),
        object_type=kind,
        object_id=f"{kind}-{chance.randrange(4)}",
        object_label=f"{kind.title()} of {chance.choice(['ACME', '100%_done', 'ключ'])}",
        outcome=chance.choice(["done", "done", "denied"]),
    )


@pytest.fixture
def acts(db: None) -> list[AuditEvent]:
    """200 acts, newest first."""
    chance = random.Random(20260930)
    AuditEvent.objects.bulk_create([act(number, chance) for number in range(200)])
    return list(AuditEvent.objects.order_by("-pk"))


def matches(event: AuditEvent, query: AuditQuery) -> bool:
    """What AuditQuery says, in Python."""
    return all(
        (
            query.actor_id is None or query.actor_id == (event.actor_id or NOBODY),
            query.verb in ("", event.verb),
            query.object_type in ("", event.object_type),
            query.object_id in ("", event.object_id),
            query.text.casefold() in event.object_label.casefold() or event.object_id.startswith(query.text),
            query.since is None or event.at >= query.since,
            query.until is None or event.at < query.until,
            not query.refused or event.outcome == "denied",
        )
    )


SOME: dict[str, dict[str, Any]] = {
    "person": {"actor_id": "7"},
    "console": {"actor_id": NOBODY},
    "verb": {"verb": "open_file"},
    "object": {"object_type": "run", "object_id": "run-2"},
    "kind": {"object_type": "job"},
    "text": {"text": "acme"},
    "odd text": {"text": "100%_"},
    "id": {"text": "job-1"},
    "nothing": {"text": "nowhere"},
    "since": {"since": START + timedelta(minutes=700)},
    "until": {"until": START + timedelta(minutes=1300)},
    "refused": {"refused": True},
}
TOGETHER = [(a, b) for number, a in enumerate(SOME) for b in list(SOME)[number:]]


def pages(query: AuditQuery, *, limit: int = 7) -> list[list[int]]:
    """Every page in turn, from the newest, as a person would turn them."""
    found, before = [], None
    for _ in range(300):
        page = audit_slice(query, before=before, limit=limit)
        found.append([event.pk for event in page.rows])
        if page.older is None:
            return found
        before = page.older
    raise AssertionError("the list has no end")


@pytest.mark.parametrize("names", TOGETHER, ids="+".join)
@pytest.mark.parametrize("window", [10_000, 23])
def test_every_filter_says_what_it_says(
    acts: list[AuditEvent], names: tuple[str, str], window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a page sees only 23 acts at a time: turning the pages shows each match once, in order."""
    monkeypatch.setattr(slices, "WINDOW", window)
    query = replace(AuditQuery(), **SOME[names[0]])
    query = replace(query, **SOME[names[1]])
    assert list(chain.from_iterable(pages(query))) == [event.pk for event in acts if matches(event, query)]


@pytest.mark.parametrize("window", [10_000, 23])
def test_going_back_shows_the_same_acts(acts: list[AuditEvent], window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "WINDOW", window)
    query = AuditQuery(verb="open_file", refused=True)
    expected = [event.pk for event in acts if matches(event, query)]
    found: list[int] = []
    after: int | None = acts[-1].pk - 1
    while after is not None:
        page = audit_slice(query, after=after, limit=3)
        found = [event.pk for event in page.rows] + found
        after = page.newer
    assert found == expected


def test_from_a_page_with_nothing_newer_the_way_back_begins_where_it_came_from(acts: list[AuditEvent]) -> None:
    newest = acts[0].pk
    page = audit_slice(AuditQuery(), after=newest, limit=3)
    assert page.rows == () and page.newer is None
    assert [event.pk for event in audit_slice(AuditQuery(), before=page.older, limit=1).rows] == [newest]


def test_the_page_tells_how_far_it_looked(
    auditor: Client, acts: list[AuditEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "WINDOW", 23)
    first = auditor.get(f"{LIST}?q=nowhere")
    text = first.content.decode()
    assert "Nothing found so far" in text and "Looked at 23 acts; Older looks further." in text
    second = auditor.get(LIST + first.context["page"].older)
    assert "Looked at 23 acts" in second.content.decode() and second.context["page"].newer


def test_the_address_filters_and_keeps_what_it_says(auditor: Client, acts: list[AuditEvent]) -> None:
    text = auditor.get(f"{LIST}?who=7&verb=open_file").content.decode()
    assert "<b>Ana Petrova</b> opened a file of" in text and "<b>Jonas Berg</b>" not in text
    assert "</b> ran" not in text
    text = auditor.get(f"{LIST}?who=7&verb=open_file&object=run:run-2&outcome=refused").content.decode()
    assert re.search(r'<option value="open_file" selected>', text)
    assert '<input type="hidden" name="object" value="run:run-2">' in text
    assert '<input type="hidden" name="outcome" value="refused">' in text
    assert "Only run run-2" in text, "the object's filter can be dropped"
    row = next(event for event in acts if event.object_id == "run-2")
    everything = auditor.get(LIST).content.decode()
    assert f'href="?object={row.object_type}%3A{row.object_id}"' in everything and 'href="?who=7"' in everything


def test_the_days_and_the_period(auditor: Client, operator: User) -> None:
    now = timezone.now().replace(hour=12)
    for days in (40, 9, 1, 0):
        AuditEvent.objects.create(
            at=now - timedelta(days=days), actor_label="Ana", via="admin", verb="start_run", object_type="run",
            object_id=str(days), object_label=f"Run of day {days}.",
        )  # fmt: skip
    whole = auditor.get(LIST).content.decode()
    assert "Today, " in whole and "Yesterday, " in whole and "Run of day 40." in whole
    for parameters, seen in (
        ("since=today", [0]),
        ("since=7d", [0, 1]),
        ("since=30d", [0, 1, 9]),
        (f"to={now - timedelta(days=9):%Y-%m-%d}", [9, 40]),
        (f"from={now - timedelta(days=9):%Y-%m-%d}&to={now - timedelta(days=1):%Y-%m-%d}", [1, 9]),
        (f"since=7d&to={now - timedelta(days=1):%Y-%m-%d}", [1]),
    ):
        text = auditor.get(f"{LIST}?{parameters}").content.decode()
        assert [days for days in (0, 1, 9, 40) if f"Run of day {days}." in text] == seen, parameters


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ("verb=destroy", "No act is called “destroy”."),
        ("since=ever", "since=ever is not known"),
        ("from=yesterday", "“yesterday” is no date"),
        ("from=9999-12-31", "lies outside of the trail"),
        ("from=2026-09-30&to=2026-09-01", "The period ends before it begins."),
        ("outcome=fine", "outcome=fine is not known"),
        ("before=x", "a position in the list that does not exist"),
        ("verb=<script>", "&lt;script&gt;"),
    ],
)
def test_a_senseless_address_says_so(auditor: Client, acts: list[AuditEvent], parameters: str, problem: str) -> None:
    response = auditor.get(f"{LIST}?{parameters}")
    text = response.content.decode()
    assert response.status_code == 200 and problem in text and "so that nothing is taken for an answer" in text
    assert "<b>Ana Petrova</b>" not in text


def test_odd_characters_are_no_error(auditor: Client, acts: list[AuditEvent]) -> None:
    for odd in ("%00", "%", "_", "%27%22", "%5C", "%F0%9F%98%80", "x" * 400):
        for name in ("q", "object", "who", "verb", "from"):
            assert auditor.get(f"{LIST}?{name}={odd}").status_code == 200, (name, odd)


def test_nothing_yet_and_nothing_matches(auditor: Client) -> None:
    assert "Nobody has done anything by hand yet" in auditor.get(LIST).content.decode()
    record("start_run", Actor("Ana", "admin"), Subject("run", "1", "Add"))
    text = auditor.get(f"{LIST}?who=me&since=today").content.decode()
    assert "No act matches by you, today" in text
    assert 'href="?since=today">Drop by you<' in text and 'href="?who=me">Drop today<' in text
    assert "Nothing is older" in auditor.get(f"{LIST}?before=1").content.decode()


def test_what_unfolds_has_no_secrets(auditor: Client, olga: Actor) -> None:
    details = {"arguments": [[1], {"password": "hunter2"}], "file": "a.csv"}
    record("start_run", olga, Subject("run", "abc", "Add <b>"), details=details)
    text = auditor.get(LIST).content.decode()
    assert "hunter2" not in text and "•••" in text and "Add &lt;b&gt;" in text and "run abc" in text


def test_without_the_permission_the_trail_is_refused(client: Client, operator: User) -> None:
    client.force_login(operator)
    assert client.get(LIST).status_code == 403


def test_the_number_of_queries_does_not_depend_on_the_rows(auditor: Client, acts: list[AuditEvent]) -> None:
    auditor.get(LIST)
    # Session, user, permissions, leases, the sidebar's badge, people; and those of the trail.
    for parameters, of_trail in (("", 1), ("who=7", 1), ("who=7&verb=open_file&q=acme", 2)):
        with CaptureQueriesContext(connection) as queries:
            auditor.get(f"{LIST}?{parameters}")
        about = [query for query in queries.captured_queries if '"jobs_auditevent"' in query["sql"]]
        assert (len(about), len(queries)) == (of_trail, 6 + of_trail), parameters


#: The first person acted long ago, the second ever since: a planner that expects an even spread reads all of it.
LONG = 20_000
OLD = 6_000


@pytest.fixture
def long_trail(db: None) -> None:
    def one(number: int) -> AuditEvent:
        old = number < OLD
        return AuditEvent(
            at=START + timedelta(minutes=number),
            actor_id="7" if old else "8",
            actor_label="x",
            via="admin",
            verb="open_file" if old else "start_run",
            object_type="run",
            object_id="first" if old else str(number % 50),
            object_label=f"Run {number}",
            outcome="denied" if old else "done",
        )

    AuditEvent.objects.bulk_create([one(number) for number in range(LONG)], batch_size=2000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE jobs_auditevent")


QUERIES = (
    AuditQuery(),
    AuditQuery(actor_id="7"),
    AuditQuery(actor_id=NOBODY),
    AuditQuery(verb="open_file"),
    AuditQuery(object_type="run", object_id="first"),
    AuditQuery(object_type="job"),
    AuditQuery(text="nowhere"),
    AuditQuery(refused=True),
    AuditQuery(actor_id="8", verb="open_file"),
    AuditQuery(actor_id="8", refused=True, text="nowhere"),
    AuditQuery(since=START + timedelta(minutes=LONG - 300)),
    AuditQuery(until=START + timedelta(minutes=300)),
    AuditQuery(actor_id="7", since=START, until=START + timedelta(minutes=LONG)),
    AuditQuery(verb="start_run", since=START + timedelta(minutes=50), until=START + timedelta(minutes=5000)),
)


#: Three windows of rows, or of hundreds of SQLite's steps; the whole trail is twenty times as much.
MOST_WORK = 1500


def test_no_list_reads_more_as_the_trail_grows(long_trail: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every filter, from the top and from the middle both ways, reads at most a few times the window."""
    monkeypatch.setattr(slices, "WINDOW", 500)
    middle = AuditEvent.objects.order_by("pk").values_list("pk", flat=True)[LONG // 2]
    for query in QUERIES:
        for position in ({}, {"before": middle}, {"after": middle}):
            with statements() as found:
                audit_slice(query, **position, limit=50)
            for sql, values in found:
                assert cost(sql, values).work <= MOST_WORK, f"{query} {position}: {sql}"
