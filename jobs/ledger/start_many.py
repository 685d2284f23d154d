"""The verb *run* on many: one act, one audit event; what does not fit is left out, and the rest is accepted."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import DatabaseError, IntegrityError, OperationalError, transaction

from jobs.catalog.registry import Job
from jobs.errors import InvalidArguments
from jobs.models import Run
from jobs.states import Source

from .audit import Actor, Subject, record
from .start import Prepared, Wish, dryness, keep, prepare
from .verbs import START_RUN, require

logger = logging.getLogger(__name__)

#: Runs that one act may start; the page says so before it asks.
MAX_RUNS = 10_000
#: So many that are left out are named.
NAMED = 20


@dataclass(frozen=True, slots=True)
class StartedMany:
    """What one act on many started.

    Attributes:
        created: False when the same form had already done so.
        left_out: the places of the argument sets that started nothing, each with the reason in a sentence.
    """

    count: int
    batch_id: str
    created: bool
    left_out: Mapping[int, str] = field(default_factory=dict)


def start_many(
    job: Job,
    each: Iterable[Mapping[str, Any]],
    *,
    actor: Actor,
    batch_id: str,
    wish: Wish | None = None,
    names: Sequence[str] = (),
) -> StartedMany:
    """Accept one run for each of the argument sets that fit, in one transaction with one audit event.

    Args:
        batch_id: one per form shown; the same one again starts nothing.
        names: what each set is about, for the trail.

    Raises:
        NotPermitted: as `start_run`.
        InvalidArguments: none of them fits: what the first one is refused for. Also more than MAX_RUNS sets.
    """
    wish = wish or Wish()
    subject = Subject("job", job.name, job.title)
    require(START_RUN, actor, subject, job.permission)
    prepared: dict[int, Prepared] = {}
    refused: dict[int, InvalidArguments] = {}
    for number, arguments in enumerate(each):
        if number >= MAX_RUNS:
            raise InvalidArguments({"": f"At most {MAX_RUNS:,} runs can be started at once; choose fewer objects."})
        try:
            one = prepare(job, arguments, actor, Source.CONSOLE, wish)
        except InvalidArguments as error:
            refused[number] = error
            continue
        one.run.nonce = f"{batch_id}:{number}"
        prepared[number] = one
    if not prepared:
        raise next(iter(refused.values()), InvalidArguments({"": "Nothing is selected any more."}))
    left_out = {number: _in_one_line(error) for number, error in refused.items()}
    of_batch = Run.objects.filter(nonce__startswith=f"{batch_id}:")
    try:
        with transaction.atomic():
            left_out |= _keep_all(prepared)
            if len(left_out) == len(prepared) + len(refused):
                raise InvalidArguments({"": next(iter(left_out.values()))})
            details: dict[str, Any] = {"runs": len(prepared) + len(refused) - len(left_out), "batch": batch_id}
            if left_out:
                named = {place: names[place] if place < len(names) else f"number {place + 1}" for place in left_out}
                told = [f"{named[place]}: {why}" for place, why in sorted(left_out.items())[:NAMED]]
                details |= {"left_out": len(left_out), "named": told}
            first = next(one.run for place, one in prepared.items() if place not in left_out)
            details |= {"first": first.task_id} | dryness(first, job)
            record(START_RUN.name, actor, subject, reason=wish.reason, details=details)
    except IntegrityError:
        return StartedMany(of_batch.count(), batch_id, created=False)
    return StartedMany(details["runs"], batch_id, created=True, left_out=left_out)


def _in_one_line(error: InvalidArguments) -> str:
    return " ".join(f"{name}: {sentence}" if name else sentence for name, sentence in error.fields.items())


def _keep_all(prepared: Mapping[int, Prepared]) -> dict[int, str]:
    """Insert them all; where the database refuses, one by one, and the places of those that it refused, with why."""
    try:
        with transaction.atomic():
            keep(list(prepared.values()))
        return {}
    except (IntegrityError, OperationalError):
        raise  # the same form again, or the database is away
    except (DatabaseError, ValueError) as error:
        logger.info("Runs are inserted one by one: %s", error)
    refused = {}
    for place, one in prepared.items():
        try:
            with transaction.atomic():
                keep([one])
        except (IntegrityError, OperationalError):
            raise
        except (DatabaseError, ValueError) as error:
            refused[place] = f"The database refuses it ({type(error).__name__})."
    return refused
