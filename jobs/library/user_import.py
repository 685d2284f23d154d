"""The job *Import users from CSV*: all good rows in one transaction, and one line of outcome for each row."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any, TypeVar

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.db.models.functions import Lower
from pydantic import Field

from jobs import File, check_cancelled, job, progress, set_progress
from jobs.errors import JobsError
from jobs.failures.fingerprint import NO_FAILURE
from jobs.ledger.audit import Actor
from jobs.ledger.people import User, everybody, permission_to
from jobs.ledger.rights import NO_RIGHTS, may_give, names_of, record_many_rights
from jobs.pipeline.cancelled import Cancelled

from .tables import attach_table, counted
from .this_run import asked_by
from .user_rows import MAX_ROWS, Person, fits, read_people

logger = logging.getLogger(__name__)
T = TypeVar("T")
CREATED, WOULD_CREATE, EXISTS, REFUSED = "created", "would create", "exists already", "refused"
NOT_IMPORTED, STOPPED = "not imported", "The run was stopped before it made any user."
COLUMNS = ("row", "username", "outcome", "why")
#: Rows that one statement looks up or writes; SQLite allows so many values.
_AT_ONCE = 500
#: Somebody else may make a user of the same name between our look and our write; then everything is looked at again.
_TRIES = 3


class NothingImported(JobsError):
    """Rows are refused, and the person wanted all or nothing: theirs to correct, and nobody else's failure."""

    fingerprint = NO_FAILURE


@job(
    title="Import users from CSV",
    group="Users",
    permission=permission_to("add"),
    danger="caution",
    idempotent=True,
    dry_run="dry_run",
    check=fits,
    soft_time_limit=1500,
    time_limit=1800,
    runbook="Run it again with the same file: users that exist are left as they are, and no user is made twice. "
    "For refused rows, correct the rows that the outcome names, and import the file again.",
)
def import_users(
    file: Annotated[
        File,
        Field(
            title="CSV file",
            description="UTF-8, with a header: username, email, and if you like first_name, last_name, is_staff "
            f"(yes or no) and roles (names, with | between them). Comma or semicolon. At most {MAX_ROWS:,} rows.",
        ),
    ],
    skip_bad_rows: Annotated[
        bool,
        Field(title="Skip bad rows", description="Import the good rows all the same. No: one bad row stops it all."),
    ] = True,
    dry_run: Annotated[bool, Field(title="Dry run", description="Only tell what would become of each row.")] = False,
) -> str:
    """Makes a user from each row of a CSV file. Users that exist stay as they are, and nothing is half imported.

    All users are made in one transaction at the end. They have no password until somebody gives them one. Only who may
    change users can make staff or give roles, and only roles whose permissions they hold. The file `outcome.csv` has
    one line for each row. No signal of the user model is sent. Where the run is stopped nobody is made, and the file
    has the rows that were read until then.

    Returns:
        One sentence with the numbers.

    Raises:
        FileRefused: the file cannot be read at all.
        NothingImported: rows are refused and were not to be skipped.
    """
    total, rows = read_people(file)
    people: list[Person] = []
    try:
        for person in progress(rows, total=total, noun="rows"):
            check_cancelled()
            people.append(person)
        roles = {role.name: role for role in Group.objects.prefetch_related("permissions__content_type")}
        asker = asked_by()
        _refuse_roles(people, roles, asker)
        for left in reversed(range(_TRIES)):
            existing = _existing(people)
            bad = sum(1 for person in people if person.why_not)
            stopped = bad > 0 and not skip_bad_rows
            if dry_run or stopped:
                break
            try:
                _create([p for p in people if not p.why_not and p.username not in existing], roles, asker)
                break
            except IntegrityError:
                if not left:
                    raise
    except Cancelled:
        _tell_stopped(people, total)
        raise
    outcomes = [(person, _outcome(person, existing, done=not (dry_run or stopped))) for person in people]
    outcomes.sort(key=lambda one: one[1] != REFUSED)  # what is to be corrected stands first
    attach_table("outcome.csv", COLUMNS, [(p.number, p.username, outcome, p.why_not) for p, outcome in outcomes])
    if stopped and not dry_run:
        raise NothingImported(
            f"Nothing was imported: {counted(bad, 'row is', 'rows are')} refused. outcome.csv says why; correct them, "
            "or let bad rows be skipped."
        )
    return _sentence(Counter(outcome for _, outcome in outcomes), dry_run=dry_run, stopped=stopped)


def _tell_stopped(people: list[Person], total: int) -> None:
    """The outcome of a run that a person stopped: each row that was read, and that nobody was made."""
    rows = [(p, REFUSED if p.why_not else NOT_IMPORTED) for p in people]
    attach_table("outcome.csv", COLUMNS, [(p.number, p.username, o, p.why_not or STOPPED) for p, o in rows])
    logger.info("Stopped after reading %s of %s rows. No user was made.", f"{len(people):,}", f"{total:,}")


def _refuse_roles(people: list[Person], roles: dict[str, Group], asker: User | None) -> None:
    """Refuse the rows that give more than the person who asked for the run may give."""
    why_not = {name: _why_not_give(role, asker) for name, role in roles.items()}
    for person in people:
        if person.why_not:
            continue
        if (person.is_staff or person.roles) and not (asker and asker.has_perm(permission_to("change"))):
            person.why_not = "Only who may change users can make staff or give roles."
            continue
        told = (why_not.get(name, f"There is no role {name}.") for name in person.roles)
        person.why_not = next(filter(None, told), "")


def _why_not_give(role: Group, asker: User | None) -> str:
    wanted = names_of(role.permissions.all())
    return "" if may_give(asker, wanted) else f"The role {role.name} may more than who asked for this run."


def _existing(people: list[Person]) -> set[str]:
    """The usernames of good rows that are taken; refuses the rows that only capital letters tell from another.

    The database would keep both, and nobody could tell them apart: Django's own form refuses that as well.
    """
    good = [person for person in people if not person.why_not]
    users = everybody()
    found: set[str] = set()
    alike: dict[str, str] = {}
    for part in _parts([person.username for person in good]):
        found.update(users.filter(username__in=part).values_list("username", flat=True))
        lowered = users.annotate(lowered=Lower("username")).filter(lowered__in=[name.lower() for name in part])
        alike.update((name.lower(), name) for name in lowered.order_by("-username").values_list("username", flat=True))
    rows: dict[str, Person] = {}
    for person in good:
        small = person.username.lower()
        if person.username in found:
            continue
        if small in alike:
            person.why_not = f"It differs from the existing user {alike[small]} only in capital letters."
        elif (first := rows.setdefault(small, person)) is not person:
            person.why_not = f"It differs from {first.username} in row {first.number} only in capital letters."
    return found


def _create(new: list[Person], roles: dict[str, Group], asker: User | None) -> None:
    """Make these users, all or none."""
    with transaction.atomic():
        done = 0
        if new:
            set_progress(0, len(new), noun="users", note="making them")
        for part in _parts(new):
            check_cancelled()  # the transaction takes back what was written of the parts before
            _write(part, roles, asker)
            done += len(part)
            set_progress(done, len(new), noun="users", note="making them")


def _write(part: list[Person], roles: dict[str, Group], asker: User | None) -> None:
    users = [
        User(
            username=person.username,
            email=person.email,
            first_name=person.first_name,
            last_name=person.last_name,
            is_staff=person.is_staff,
            password=make_password(None),
        )
        for person in part
    ]
    User._default_manager.bulk_create(users)
    membership: Any = User.groups.through
    field = User.groups.field.m2m_field_name()  # after the name of the model
    given = [(user, roles[name]) for user, person in zip(users, part, strict=True) for name in person.roles]
    membership.objects.bulk_create(
        [membership(**{field: user, "group": role}) for user, role in given], batch_size=_AT_ONCE
    )
    if asker is not None:  # else nobody has given anything
        record_many_rights(
            Actor.person(asker, via="admin"), [(user, _rights(p)) for user, p in zip(users, part, strict=True)]
        )


def _rights(person: Person) -> dict[str, str]:
    """What the trail tells of a user that was made from a row."""
    made = {"staff": "yes" if person.is_staff else "no", "roles": ", ".join(sorted(person.roles)) or "none"}
    return {**NO_RIGHTS, **made}


def _outcome(person: Person, existing: set[str], *, done: bool) -> str:
    if person.why_not:
        return REFUSED
    if person.username in existing:
        return EXISTS
    return CREATED if done else WOULD_CREATE


def _sentence(numbers: Counter[str], *, dry_run: bool, stopped: bool) -> str:
    made = counted(numbers[WOULD_CREATE] if dry_run else numbers[CREATED], "user")
    begin = f"Would make {made}" if dry_run else f"Made {made}"
    rest = f"{numbers[EXISTS]:,} existed already, {counted(numbers[REFUSED], 'row')} refused"
    but = " With these rows nothing would be imported, because bad rows are not to be skipped." if stopped else ""
    return f"{begin}; {rest} of {counted(numbers.total(), 'row')}.{but}"


def _parts(values: list[T]) -> Iterator[list[T]]:
    for start in range(0, len(values), _AT_ONCE):
        yield values[start : start + _AT_ONCE]
