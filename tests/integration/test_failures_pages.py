"""The pages of failures: what needs action, a group, its verbs; who may, who was first, what they cost."""

from __future__ import annotations

import re
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.failures import healing
from jobs.failures.verbs import FailureDecided, InvalidSnooze, note, reopen, resolve, snooze
from jobs.ledger.audit import Actor
from jobs.ledger.durations import forget_durations
from jobs.models import Attempt, AuditEvent, FailureGroup, FailureNote
from tests import jobs_under_test as under_test

from .failure_facts import TRACE, failed, group_of, record, run_of, succeeded

pytestmark = pytest.mark.django_db
LIST = "/admin/jobs/failuregroup/"
RUNS = "/admin/jobs/run/"


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process remembers of other tests' databases."""
    monkeypatch.setattr(healing, "_read", (0.0, frozenset()))
    monkeypatch.setattr(healing, "_expected", {})


@pytest.fixture
def group(db: None) -> FailureGroup:
    """Three failures of one job."""
    runs = [run_of(ago=100 - number, arguments=f'[[], {{"a": {number}}}]') for number in range(3)]
    record(*(failed(run) for run in runs))
    return group_of(runs[0])


@pytest.fixture
def page(client: Client, operator: User) -> Client:
    """Olga's browser."""
    client.force_login(operator)
    return client


def text_of(client: Client, address: str, **values: Any) -> str:
    response = client.get(address, values)
    assert response.status_code == 200, address
    return response.content.decode()


def test_the_list_shows_what_needs_action_and_links_what_it_counts(page: Client, group: FailureGroup) -> None:
    text = text_of(page, LIST)
    assert (
        f"<b>ValueError</b> {group.sample_message}" in text
        and group.sample_message.startswith("order")
        and "shop/pay.py, charge" in text
    )
    for since in ("1h", (timezone.now() - timedelta(days=1)).strftime("%Y-%m-%dT%H")):
        assert f"{RUNS}?group={group.pk}&amp;since={since.replace(':', '%3A')}" in text
    assert 'oc-badge--danger">1<' in text
    assert text.count('class="oc-row') == 1


def test_a_key_in_quotes_tells_what_is_missing(page: Client) -> None:
    record(failed(run_of(), error_type="KeyError", error_message="'customer'"))
    assert "<b>KeyError</b> &#x27;customer&#x27;" in text_of(page, LIST)
    group = FailureGroup.objects.get()
    assert "KeyError: &#x27;customer&#x27;" in text_of(page, f"{LIST}{group.pk}/change/")
    assert "customer" in text_of(page, "/admin/")


def test_different_messages_are_shown_with_their_shares(page: Client) -> None:
    said = ["no route to host", "no route to host", "connection refused", "timed out"]
    record(*(failed(run_of(ago=100 - at), error_message=text) for at, text in enumerate(said)))
    group = FailureGroup.objects.get()
    assert group.varied and "different messages, the last one: timed out" in text_of(page, LIST)
    text = " ".join(text_of(page, f"{LIST}{group.pk}/change/").split())
    assert re.search(r"<span>no route to host</span><b>50 %</b>", text)
    assert re.search(r"<span>connection refused</span><b>25 %</b>", text)


def test_messages_that_differ_in_numbers_alone_are_alike(page: Client, group: FailureGroup) -> None:
    record(failed(run_of()))
    group.refresh_from_db()
    assert not group.varied and "different messages" not in text_of(page, LIST)
    record(failed(run_of(), error_message="another thing"))
    group.refresh_from_db()
    assert group.varied


def test_many_failures_of_one_hour_are_counted(page: Client) -> None:
    number = 1_003
    record(*(failed(run_of(ago=5)) for _ in range(number)))
    group = FailureGroup.objects.get()
    for address in (LIST, f"{LIST}{group.pk}/change/"):
        text = text_of(page, address)
        assert "1,003" in text and "1,000+" not in text


def test_numbers_are_the_lists_that_they_link_to(page: Client, group: FailureGroup) -> None:
    record(*(failed(run_of(ago=hours * 3600)) for hours in (3, 5, 40)))
    text = text_of(page, LIST)
    found = re.findall(rf'href="([^"]*group={group.pk}&amp;[^"]*)" title="[^"]*" aria-label="(\d+) ', text)
    shown = [int(number) for _, number in found]
    counted = [text_of(page, href.replace("&amp;", "&")).count('class="oc-row') for href, _ in found]
    assert counted == shown == [3, 5, 6]


@pytest.mark.parametrize("view", ["healed", "snoozed", "resolved"])
def test_each_tab_is_empty_with_a_way_on_or_shows_its_groups(
    view: str, page: Client, group: FailureGroup, olga: Actor
) -> None:
    assert f"No group is {view}" in text_of(page, LIST, view=view)
    if view == "healed":
        record(*(succeeded(run_of(ago=5, arguments=f'[[], {{"a": {number}}}]')) for number in range(3)))
    elif view == "snoozed":
        snooze(group.pk, until=timezone.now() + timedelta(days=1), seen=0, actor=olga)
    else:
        resolve(group.pk, seen=0, actor=olga)
    assert 'class="oc-row' in text_of(page, LIST, view=view)
    assert "No failure needs action" in text_of(page, LIST)
    assert 'class="oc-row' in text_of(page, LIST, view="all")


def test_nothing_has_failed_yet(page: Client) -> None:
    assert "Nothing has failed yet" in text_of(page, LIST)


def test_a_group_tells_what_happened_and_what_is_shared(page: Client, olga: Actor) -> None:
    name = under_test.add.name
    runs = [
        run_of(name, arguments=f'[[], {{"customer_id": {42 if n % 5 else n}, "password": "x{n}"}}]') for n in range(10)
    ]
    record(*(failed(run) for run in runs))
    Attempt.objects.get_or_create(run=runs[-1], number=1, outcome="failed", defaults={"traceback": TRACE})
    group = group_of(runs[0])
    note(group.pk, "Ask <b>finance</b>", actor=olga)
    text = text_of(page, f"{LIST}{group.pk}/change/")
    for part in (
        "customer_id",
        ">42</a>",
        "<b>80 %</b>",
        "of the newest 10",
        "Ask &lt;b&gt;finance&lt;/b&gt;",
        "in charge",
    ):
        assert part in text, part
    assert "password" not in text.partition("oc-shared")[2].partition("</ul>")[0]
    assert "whatever the line" in text


def test_few_runs_share_nothing(page: Client, group: FailureGroup) -> None:
    assert "Shared by the failures" not in text_of(page, f"{LIST}{group.pk}/change/")


def test_the_runs_tab_shows_all_or_what_hurts(page: Client, group: FailureGroup) -> None:
    record(failed(run_of(ago=50, arguments='[[], {"a": 1}]')))
    assert text_of(page, f"{LIST}{group.pk}/change/?tab=runs").count('class="oc-row') == 4
    hurting = text_of(page, f"{LIST}{group.pk}/change/?tab=runs&hurting=1")
    assert hurting.count('class="oc-row') == 3 and hurting.count("1 more with equal arguments") == 1


def test_a_failed_run_says_which_group_it_belongs_to(page: Client, group: FailureGroup) -> None:
    text = text_of(page, f"{RUNS}{group.last_run}/change/")
    assert f'href="{LIST}{group.pk}/change/">One of 3 like this since' in text and "3 still hurting" in text


def test_the_list_of_runs_can_be_asked_for_a_group(page: Client, group: FailureGroup) -> None:
    record(failed(run_of(), function="another"))
    text = text_of(page, RUNS, group=group.pk)
    assert text.count('class="oc-row') == 3 and f"failure group {group.pk}" in text
    assert f'<input type="hidden" name="group" value="{group.pk}">' in text
    assert "A group of failures is asked for by its number." in text_of(page, RUNS, group="x")


@pytest.mark.parametrize("verb", ["snooze", "resolve", "note"])
def test_verbs_change_the_group_and_are_audited(verb: str, page: Client, group: FailureGroup) -> None:
    if verb != "note":
        assert "Will happen" in text_of(page, f"{LIST}{group.pk}/{verb}/")
    values = {"seen": group.version, "for": "1d", "reason": "known", "text": "Look at the bank."}
    response = page.post(f"{LIST}{group.pk}/{verb}/", values, follow=True)
    assert response.status_code == 200
    group.refresh_from_db()
    wanted = {"snooze": ("snoozed", 1), "resolve": ("resolved", 1), "note": ("open", 0)}[verb]
    assert (group.state, group.version) == wanted
    event = AuditEvent.objects.get(object_type="failure")
    assert (event.verb, event.actor_label, event.object_label) == (
        f"{verb}_failure",
        "Olga Berg",
        "ValueError in shop.work",
    )
    assert event.reason == ("Look at the bank." if verb == "note" else "known")
    assert "Olga Berg" in text_of(page, f"{LIST}{group.pk}/change/?tab=audit")
    assert f"{LIST}{group.pk}/change/" in text_of(superuser(), "/admin/jobs/auditevent/")


def superuser() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def test_a_snooze_ends_at_the_chosen_time(page: Client, group: FailureGroup) -> None:
    until = (timezone.now() + timedelta(days=3)).replace(second=0, microsecond=0)
    values = {"seen": 0, "for": "until", "until": until.strftime("%Y-%m-%dT%H:%M")}
    page.post(f"{LIST}{group.pk}/snooze/", values)
    group.refresh_from_db()
    assert group.snoozed_until == until


@pytest.mark.parametrize("until", ["", "tomorrow", "2001-01-01T00:00", "2999-01-01T00:00", "9999-99-99T00:00", "\x00"])
def test_a_time_that_makes_no_sense_changes_nothing(until: str, page: Client, group: FailureGroup) -> None:
    text = page.post(f"{LIST}{group.pk}/snooze/", {"seen": 0, "for": "until", "until": until}).content.decode()
    assert "Nothing was changed" in text
    group.refresh_from_db()
    assert group.state == "open" and not AuditEvent.objects.exists()


def test_the_second_is_told_who_was_first(group: FailureGroup, olga: Actor) -> None:
    resolve(group.pk, seen=0, actor=olga)
    for late in (resolve, reopen):
        with pytest.raises(FailureDecided, match=r"already resolved by Olga Berg \d+ s ago"):
            late(group.pk, seen=0, actor=olga)
    with pytest.raises(FailureDecided):
        snooze(group.pk, until=timezone.now() + timedelta(hours=1), seen=1, actor=olga)
    assert AuditEvent.objects.count() == 1
    record(failed(run_of(ago=-5)))
    with pytest.raises(FailureDecided, match="it failed again"):
        resolve(group.pk, seen=1, actor=olga)
    with pytest.raises(InvalidSnooze):
        snooze(group.pk, until=timezone.now() - timedelta(hours=1), seen=2, actor=olga)


def test_who_may_not_is_told_so_and_recorded(client: Client, viewer: User, group: FailureGroup) -> None:
    client.force_login(viewer)
    text = text_of(client, f"{LIST}{group.pk}/change/")
    assert "You may not decide about failures; ask for the role Operator." in text and "Resolve…" not in text
    assert "Add the note" not in text
    for verb in ("snooze", "resolve", "reopen", "note"):
        response = client.post(f"{LIST}{group.pk}/{verb}/", {"seen": 0, "for": "1h", "text": "x"})
        assert response.status_code == 403
    assert AuditEvent.objects.filter(outcome="denied").count() == 4 and not FailureNote.objects.exists()
    group.refresh_from_db()
    assert group.version == 0


def test_looking_changes_nothing_and_strangers_see_nothing(client: Client, page: Client, group: FailureGroup) -> None:
    for verb in ("snooze", "resolve", "reopen"):
        assert page.get(f"{LIST}{group.pk}/{verb}/").status_code == 200
    assert page.get(f"{LIST}{group.pk}/note/").status_code == 405
    assert page.get(f"{LIST}999999/change/", follow=True).redirect_chain[0][0] == LIST
    group.refresh_from_db()
    assert group.version == 0
    stranger = Client()
    stranger.force_login(User.objects.create_user("nobody", is_staff=True))
    for address in (LIST, f"{LIST}{group.pk}/change/", f"{LIST}{group.pk}/resolve/"):
        assert stranger.get(address).status_code == 403


def test_hostile_messages_are_harmless(page: Client) -> None:
    message = "<script>alert(1)</script>" + "<img src=x onerror=alert(1)>" * 10
    run = run_of(arguments='[[], {"<b>x</b>": "<i>y</i>"}]')
    record(failed(run, error_message=message, error_type="<b>Evil</b>", traceback=TRACE.format("<i>", "<u>") * 300))
    group = group_of(run)
    for address in (LIST, f"{LIST}{group.pk}/change/", f"{LIST}{group.pk}/resolve/", f"{RUNS}{run.task_id}/change/"):
        text = text_of(page, address)
        assert "<script>alert" not in text and "<img src=x" not in text and "<b>Evil" not in text and "<i>" not in text


@pytest.mark.parametrize(
    ("address", "most"),
    [
        ("", 6),
        ("?view=all", 6),
        ("{pk}/change/", 8),
        ("{pk}/change/?tab=runs", 8),
        ("{pk}/change/?tab=runs&hurting=1", 8),
    ],
)
def test_a_page_asks_at_most_eight_questions(address: str, most: int, group: FailureGroup) -> None:
    client = superuser()
    counts = []
    for number in (0, 12):
        record(*(failed(run_of(arguments=f"[[{n}], {{}}]"), function=f"f{n}") for n in range(number)))
        record(*(failed(run_of(arguments=f"[[{n}], {{}}]")) for n in range(number)))
        forget_durations()  # kept for a minute: a slow machine would ask once more at times
        with CaptureQueriesContext(connection) as queries:
            text_of(client, LIST + address.format(pk=group.pk))
        counts.append(len(queries))
    assert counts[0] == counts[1] <= most, "\n".join(query["sql"][:160] for query in queries)


@pytest.mark.django_db(transaction=True)
def test_of_ten_who_resolve_at_once_one_does(roles: None) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite lets one write at a time")
    run = run_of()
    record(failed(run))
    group = group_of(run)
    ana = Actor.person(User.objects.create_superuser("ana", first_name="Ana"), via="admin")
    outcomes: list[str] = []
    barrier = threading.Barrier(10)

    def click() -> None:
        barrier.wait()
        try:
            resolve(group.pk, seen=0, actor=ana)
            outcomes.append("done")
        except FailureDecided as error:
            outcomes.append(str(error))
        finally:
            connection.close()

    people = [threading.Thread(target=click) for _ in range(10)]
    for one in people:
        one.start()
    for one in people:
        one.join()
    assert outcomes.count("done") == 1 and sum("already resolved by Ana" in one for one in outcomes) == 9
    assert AuditEvent.objects.count() == 1
