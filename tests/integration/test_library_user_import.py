"""Import users from CSV: what becomes of each row, and what never happens."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext

from jobs.catalog.registry import find_job
from jobs.errors import InvalidArguments
from jobs.library import user_import
from jobs.library.user_import import NothingImported, import_users
from jobs.library.user_rows import FileRefused
from jobs.models import AuditEvent
from tests.integration.library_runs import Ended, Stop, run_as, upload

HEADER = "username,email,first_name,last_name,is_staff,roles\n"
pytestmark = pytest.mark.django_db


@pytest.fixture
def chief(db: None) -> User:
    return User.objects.create_superuser("chief")


@pytest.fixture
def clerk(roles: None) -> User:
    """May add users and nothing more."""
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="add_user"))
    return user


def outcomes(ended: Ended) -> list[tuple[str, ...]]:
    return [tuple(row.values()) for row in sorted(ended.table("outcome.csv"), key=lambda row: int(row["row"]))]


def refused(content: str | bytes) -> str:
    parameters = find_job(import_users.name).parameters
    assert parameters is not None
    with pytest.raises(InvalidArguments) as told:
        parameters.check({"file": upload(content)})
    return told.value.fields["file"]


def test_each_row_has_one_line_of_outcome(chief: User, roles: None) -> None:
    User.objects.create_user("old", email="old@example.com", first_name="Old")
    file = upload(
        HEADER
        + "new,New@EXAMPLE.com,Zoë,Öz,yes,Viewer|Operator\n"
        + "old,other@example.com,Changed,,,\n"
        + "\n"
        + "new,new2@example.com,,,,\n"
        + ",nobody@example.com,,,,\n"
        + "a b,x@example.com,,,,\n"
        + "mail,no address,,,,\n"
        + "short,x@example.com\n"
        + "staff,x@example.com,,,perhaps,\n"
        + "role,x@example.com,,,,Emperor\n"
        + f"{'x' * 151},x@example.com,,,,\n"
        + '"=cmd",x@example.com,,,,\n'
    )
    ended = run_as(chief, import_users, file=file)
    assert ended.value == "Made 1 user; 1 existed already, 9 rows refused of 11 rows."
    assert [(row, name[:10], outcome) for row, name, outcome, _ in outcomes(ended)] == [
        ("2", "new", "created"),
        ("3", "old", "exists already"),
        ("5", "new", "refused"),
        ("6", "", "refused"),
        ("7", "a b", "refused"),
        ("8", "mail", "refused"),
        ("9", "short", "refused"),
        ("10", "staff", "refused"),
        ("11", "role", "refused"),
        ("12", "x" * 10, "refused"),
        ("13", "'=cmd", "refused"),
    ]
    reasons = [why for *_, outcome, why in outcomes(ended) if outcome == "refused"]
    assert reasons[:2] == ["The same username is in row 2.", "It has no username."]
    assert all(reasons) and len(set(reasons)) == 8, "two rows have a wrong username"
    new = User.objects.get(username="new")
    assert (new.email, new.first_name, new.last_name, new.is_staff) == ("New@example.com", "Zoë", "Öz", True)
    assert not new.has_usable_password() and not new.is_superuser
    assert sorted(new.groups.values_list("name", flat=True)) == ["Operator", "Viewer"]
    assert User.objects.get(username="old").first_name == "Old"


@pytest.mark.parametrize("dry_run", [True, False])
def test_names_that_only_capital_letters_tell_apart_are_refused(chief: User, dry_run: bool) -> None:
    User.objects.create_user("admin")
    User.objects.create_user("Élan")
    file = upload("username,email\nADMIN,\nadmin,\nÉlan,\nana,\nAna,\nANA,\nben,\n")
    ended = run_as(chief, import_users, file=file, dry_run=dry_run)
    made = "would create" if dry_run else "created"
    assert [row[1:] for row in outcomes(ended)] == [
        ("ADMIN", "refused", "It differs from the existing user admin only in capital letters."),
        ("admin", "exists already", ""),
        ("Élan", "exists already", ""),
        ("ana", made, ""),
        ("Ana", "refused", "It differs from ana in row 5 only in capital letters."),
        ("ANA", "refused", "It differs from ana in row 5 only in capital letters."),
        ("ben", made, ""),
    ]
    assert User.objects.count() == (3 if dry_run else 5)


def test_a_name_that_differs_in_capital_letters_is_a_bad_row_like_others(chief: User) -> None:
    ended = run_as(chief, import_users, file=upload("username,email\nCHIEF,\nana,\n"), skip_bad_rows=False)
    assert isinstance(ended.value, NothingImported) and User.objects.count() == 1


def test_who_has_both_spellings_already_keeps_them(chief: User) -> None:
    User.objects.create_user("CHIEF")
    ended = run_as(chief, import_users, file=upload("username,email\nCHIEF,\nchief,\n"))
    assert [row[2] for row in outcomes(ended)] == ["exists already"] * 2


def test_nobody_to_make_is_no_progress_of_making(chief: User) -> None:
    counter = run_as(chief, import_users, Stop.LATER, file=upload("username,email\nchief,\n")).counter
    assert counter is not None and (counter.done, counter.total, counter.noun) == (1, 1, "rows")


def test_a_dry_run_changes_nothing_and_a_second_run_finds_all(chief: User) -> None:
    file = upload("username;email\nana;ana@example.com\nben;\n".encode("utf-8-sig"))
    dry = run_as(chief, import_users, file=file, dry_run=True)
    assert dry.value == "Would make 2 users; 0 existed already, 0 rows refused of 2 rows."
    assert [row[2] for row in outcomes(dry)] == ["would create"] * 2
    assert User.objects.count() == 1
    run_as(chief, import_users, file=file)
    again = run_as(chief, import_users, file=file)
    assert again.value == "Made 0 users; 2 existed already, 0 rows refused of 2 rows."
    assert User.objects.count() == 3


def test_one_bad_row_stops_all_where_bad_rows_are_not_skipped(chief: User) -> None:
    file = upload("username,email\nana,\n,x@example.com\na b,\n")
    ended = run_as(chief, import_users, file=file, skip_bad_rows=False)
    assert isinstance(ended.value, NothingImported) and "2 rows are refused" in str(ended.value)
    assert [row[2] for row in outcomes(ended)] == ["would create", "refused", "refused"]
    assert User.objects.count() == 1
    dry = run_as(chief, import_users, file=file, skip_bad_rows=False, dry_run=True)
    assert "With these rows nothing would be imported" in dry.value


def test_what_fails_in_the_middle_leaves_nothing(chief: User, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []

    def write(part: list[Any], roles: dict[str, Group], asker: User | None) -> None:
        if written:
            raise RuntimeError("the power is gone")
        real(part, roles, asker)
        written.append(len(part))

    real = user_import._write
    monkeypatch.setattr(user_import, "_write", write)
    file = upload("username,email\n" + "".join(f"user-{n},\n" for n in range(1200)))
    ended = run_as(chief, import_users, file=file)
    assert isinstance(ended.value, RuntimeError) and written == [500]
    assert User.objects.count() == 1


def test_a_user_made_meanwhile_is_found_at_the_second_look(chief: User, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []

    def write(part: list[Any], roles: dict[str, Group], asker: User | None) -> None:
        tries.append(len(part))
        if len(tries) == 1:
            raise IntegrityError("somebody was faster")
        real(part, roles, asker)

    real = user_import._write
    monkeypatch.setattr(user_import, "_write", write)
    ended = run_as(chief, import_users, file=upload("username,email\nana,\n"))
    assert ended.value.startswith("Made 1 user;") and len(tries) == 2


def test_who_is_always_faster_leaves_nothing_half_done(chief: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(part: list[Any], roles: dict[str, Group], asker: User | None) -> None:
        raise IntegrityError("somebody was faster")

    monkeypatch.setattr(user_import, "_write", write)
    ended = run_as(chief, import_users, file=upload("username,email\nana,\n"))
    assert isinstance(ended.value, IntegrityError) and User.objects.count() == 1


def test_nobody_gives_more_than_they_have(clerk: User) -> None:
    file = upload(HEADER + "plain,,,,no,\nstaff,,,,yes,\nviewer,,,,,Viewer\n")
    ended = run_as(clerk, import_users, file=file)
    assert [row[2:] for row in outcomes(ended)] == [
        ("created", ""),
        ("refused", "Only who may change users can make staff or give roles."),
        ("refused", "Only who may change users can make staff or give roles."),
    ]
    clerk.user_permissions.add(Permission.objects.get(codename="change_user"))
    clerk.groups.add(Group.objects.get(name="Viewer"))
    file = upload(HEADER + "staff,,,,yes,\nviewer,,,,,Viewer\nauditor,,,,,Auditor\n")
    ended = run_as(clerk, import_users, file=file)
    assert [row[2:] for row in outcomes(ended)] == [
        ("created", ""),
        ("created", ""),
        ("refused", "The role Auditor may more than who asked for this run."),
    ]
    given = AuditEvent.objects.filter(verb="change_rights").values_list("actor_label", "object_label", "details")
    assert list(given.order_by("pk")) == [
        (str(clerk), "staff", {"staff": "no → yes"}),
        (str(clerk), "viewer", {"roles": "none → Viewer"}),
    ]
    by_schedule = run_as(None, import_users, file=upload(HEADER + "x,,,,,Viewer\n"))
    assert outcomes(by_schedule)[0][2] == "refused"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("name,mail\n", "The header lacks username and email."),
        ("username,email,password\n", "The header has password, which no user has."),
        ("username,email,email\n", "The header has email twice."),
        ("", "The file is empty."),
        ("username,email\nzoë,\n".encode("latin-1"), "Line 2 of the file is not UTF-8"),
        ("username,email\n".encode("utf-16"), "The file is not UTF-8 text."),
        (b"username,email\n" + b"x" * 20_000_000, "at most 20 MB are read"),
    ],
    ids=["columns", "unknown", "twice", "empty", "latin-1", "utf-16", "large"],
)
def test_a_file_that_cannot_be_read_is_refused_beside_its_field(content: str | bytes, sentence: str) -> None:
    assert sentence in refused(content)


def test_what_only_the_whole_file_shows_is_told_by_the_run(chief: User) -> None:
    late = b"username,email\n" + b"user,\n" * 20_000 + b"zo\xeb,\n"
    ended = run_as(chief, import_users, file=upload(late))
    assert isinstance(ended.value, FileRefused) and "Line 20002 of the file is not UTF-8" in str(ended.value)
    ended = run_as(chief, import_users, file=upload('username,email\n"open,\n'))
    assert isinstance(ended.value, FileRefused) and "no CSV that can be read" in str(ended.value)
    ended = run_as(chief, import_users, file=upload("username,email\n" + "u,\n" * 100_001))
    assert isinstance(ended.value, FileRefused) and "100,001 rows" in str(ended.value)
    # A letter that the first look cuts in two is no fault.
    cut = "username,email\n" + "x" * (64_000 - 16) + "é"
    assert isinstance(run_as(chief, import_users, file=upload(cut)).value, str)


def test_ten_thousand_rows_need_no_query_for_each(chief: User, roles: None) -> None:
    rows = "".join(f"u{n},u{n}@example.com,First,Last,no,Viewer\n" for n in range(10_000))
    file = upload(HEADER + rows)
    began = time.monotonic()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        ended = run_as(chief, import_users, file=file)
    assert Counter(row[2] for row in outcomes(ended)) == {"created": 10_000}
    assert time.monotonic() - began < 60 and len(queries) < 400  # the trail has a line for each who is given a role
