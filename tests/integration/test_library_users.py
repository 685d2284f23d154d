"""Export users, Deactivate dormant users, Clear expired sessions, Staff activity report."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.catalog.registry import find_job
from jobs.errors import InvalidArguments
from jobs.library.dormant_users import deactivate_dormant_users
from jobs.library.sessions import clear_expired_sessions
from jobs.library.staff_activity import staff_activity_report
from jobs.library.user_export import export_users
from jobs.library.user_import import import_users
from jobs.library.users import sign_out_everywhere
from jobs.models import AuditEvent
from jobs.pipeline.cancelled import Cancelled
from tests.integration.library_runs import Stop, run_as, upload

pytestmark = pytest.mark.django_db


def user(name: str, *, seen: int | None = None, added: int = 0, **values: Any) -> User:
    """A user who signed in `seen` days ago and was added `added` days ago."""
    now = timezone.now()
    values["last_login"] = None if seen is None else now - timedelta(days=seen)
    return User.objects.create_user(name, date_joined=now - timedelta(days=added), **values)


def test_the_export_has_what_was_asked_for_and_no_password(roles: None) -> None:
    one = user("ana", first_name="=1+1", is_staff=True, password="a secret of hers", email="ana@example.com")  # noqa: S106
    one.groups.add(*Group.objects.filter(name__in=["Viewer", "Auditor"]))
    user("ben")
    user("gone", is_active=False)
    ended = run_as(one, export_users)
    assert ended.value == "Exported 2 users."
    ana, _ = ended.table("users.csv")
    assert (ana["username"], ana["first_name"], ana["roles"]) == ("ana", "'=1+1", "Auditor|Viewer")
    assert ana["last_login"] == "never" and "pbkdf2" not in ended.text("users.csv")
    viewer = Group.objects.get(name="Viewer")
    asked: list[tuple[dict[str, Any], list[str]]] = [
        ({"active": "all"}, ["ana", "ben", "gone"]),
        ({"active": "inactive"}, ["gone"]),
        ({"staff": "staff"}, ["ana"]),
        ({"staff": "others"}, ["ben"]),
        ({"role": viewer.pk}, ["ana"]),
    ]
    for values, names in asked:
        assert [row["username"] for row in run_as(one, export_users, **values).table("users.csv")] == names, values


def test_the_export_asks_no_query_for_each_user(roles: None) -> None:
    for number in range(40):
        user(f"user-{number}")
    with CaptureQueriesContext(connection) as queries:
        run_as(None, export_users)
    assert len(queries) < 8


def test_what_was_exported_can_be_imported_elsewhere(roles: None) -> None:
    chief = User.objects.create_superuser("chief", email="chief@example.com")
    user("ana", email="ana@example.com").groups.add(Group.objects.get(name="Viewer"))
    table = run_as(chief, export_users).table("users.csv")
    User.objects.filter(username="ana").delete()
    columns = ["username", "email", "first_name", "last_name", "is_staff", "roles"]
    text = "\n".join([",".join(columns), *(",".join(row[c] for c in columns) for row in table)])
    assert run_as(chief, import_users, file=upload(text)).value.startswith("Made 1 user; 1 existed already")
    assert User.objects.get(username="ana").groups.get().name == "Viewer"


def test_the_dormant_are_counted_first_and_then_deactivated(client: Client) -> None:
    chief = user("chief", seen=500, is_superuser=True)
    asker = user("asker", seen=500)
    user("long-gone", seen=200)
    user("never", added=200)
    user("new", added=10)
    user("here", seen=10)
    user("off", seen=200, is_active=False)
    client.force_login(User.objects.get(username="long-gone"))
    User.objects.filter(username="long-gone").update(last_login=timezone.now() - timedelta(days=200))

    targets = find_job(deactivate_dormant_users.name).targets
    assert targets is not None
    assert targets(days=180, never_signed_in=False, dry_run=True).count == 2, "asker and long-gone"
    dry = run_as(asker, deactivate_dormant_users, days=180, dry_run=True)
    assert dry.value == "Would deactivate 2 users who did not sign in for 180 days."
    assert User.objects.filter(is_active=False).count() == 1
    ended = run_as(asker, deactivate_dormant_users, days=180)
    assert ended.value == "Deactivated 2 users who did not sign in for 180 days, ended 1 session."
    assert {row["username"]: row["outcome"] for row in ended.table("outcome.csv")} == {
        "never": "deactivated",
        "long-gone": "deactivated",
    }
    assert set(User.objects.filter(is_active=True)) == {
        chief,
        asker,
        *User.objects.filter(username__in=["new", "here"]),
    }
    assert not Session.objects.exists()
    assert run_as(asker, deactivate_dormant_users, days=180).value.startswith("Deactivated 0 users")


def test_nobody_dormant_is_no_progress() -> None:
    ended = run_as(None, deactivate_dormant_users, Stop.LATER, days=180)
    assert ended.value.startswith("Deactivated 0 users") and ended.counter is None
    user("long-gone", seen=200)
    counter = run_as(None, deactivate_dormant_users, Stop.LATER, days=180).counter
    assert counter is not None and (counter.done, counter.total) == (1, 1)


def test_a_month_without_sign_in_is_not_dormant() -> None:
    parameters = find_job(deactivate_dormant_users.name).parameters
    assert parameters is not None
    with pytest.raises(InvalidArguments):
        parameters.check({"days": 29})


def test_expired_sessions_go_and_others_stay() -> None:
    now = timezone.now()
    Session.objects.create(session_key="old", session_data="", expire_date=now - timedelta(days=1))
    Session.objects.create(session_key="new", session_data="", expire_date=now + timedelta(days=1))
    assert run_as(None, clear_expired_sessions, dry_run=True).value == "Would remove 1 expired session."
    assert run_as(None, clear_expired_sessions).value == "Removed 1 expired session; 1 session left."
    assert Session.objects.get().session_key == "new"


def act(person: User | None, verb: str, at: datetime, **values: Any) -> None:
    values.setdefault("via", "admin")
    label = person.get_username() if person else "beat"
    AuditEvent.objects.create(
        at=at,
        actor_id=str(person.pk) if person else None,
        actor_label=label,
        verb=verb,
        object_type="job",
        object_id="1",
        object_label="=Report",
        **values,
    )


def test_who_did_what_in_the_period() -> None:
    ana, ben = user("ana"), user("ben")
    noon = datetime(2026, 11, 10, 12, tzinfo=UTC)
    for hours in range(3):
        act(ana, "start_run", noon + timedelta(hours=hours), reason="month end")
    act(ana, "open_file", noon)
    act(ben, "start_run", noon, outcome=AuditEvent.Outcome.DENIED)
    act(ben, "start_run", noon - timedelta(days=1))
    act(None, "start_run", noon, via="schedule")

    day = {"start": "2026-11-10", "end": "2026-11-10"}
    ended = run_as(ana, staff_activity_report, **day)
    assert ended.value == (
        "2 people did 5 things from 2026-11-10 to 2026-11-10, 1 of them refused. Most was done by ana: 4."
    )
    assert [tuple(row.values()) for row in ended.table("staff-activity.csv")] == [
        ("ana", "ran", "3", "0", "2026-11-10 14:00:00"),
        ("ana", "opened a file of", "1", "0", "2026-11-10 12:00:00"),
        ("ben", "ran", "0", "1", "2026-11-10 12:00:00"),
    ]
    acts = ended.table("staff-acts.csv")
    assert len(acts) == 5 and acts[0]["outcome"] == "refused" and acts[-1]["because"] == "month end"
    assert acts[0]["which"] == "'=Report"
    assert len(run_as(ana, staff_activity_report, **day, person=ben.pk).table("staff-acts.csv")) == 1
    empty = run_as(ana, staff_activity_report, start="2020-01-01", end="2020-01-02")
    assert empty.value == "Nobody did anything from 2020-01-01 to 2020-01-02."


def test_a_stopped_job_changes_nobody_more_and_half_an_export_is_none() -> None:
    user = User.objects.create_user("long-gone", last_login=timezone.now() - timedelta(days=400))
    signed_in = Client()
    signed_in.force_login(user)
    User.objects.update(last_login=timezone.now() - timedelta(days=400))
    for job, values in (
        (export_users, {}), (deactivate_dormant_users, {"days": 180}), (sign_out_everywhere, {"user": user.pk}),
    ):  # fmt: skip
        ended = run_as(None, job, Stop.FIRST, **values)
        assert isinstance(ended.value, Cancelled)
        assert list(ended.files) == (["outcome.csv"] if job is deactivate_dormant_users else [])
    user.refresh_from_db()
    assert user.is_active and Session.objects.count() == 1
