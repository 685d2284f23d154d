"""The verb *prune*: finished runs that are older than RETENTION leave, with everything that belongs to them.

Small transactions, so that nobody waits for it; each is complete, so that it can stop anywhere and go on another night.
The audit trail is never pruned.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import PurePosixPath

from django.conf import settings
from django.core.exceptions import SuspiciousFileOperation
from django.db import connection, transaction
from django.db.models import CASCADE, Q, QuerySet
from django.utils import timezone

from jobs.models import Run, RunFile
from jobs.pipeline.cancelled import Cancelled, check_cancelled
from jobs.pipeline.stored import forget_old_groups, forget_orphans, forget_results
from jobs.states import FINISHED, State
from jobs.storage import console_storage

from .audit import Actor, Subject, record
from .keeping import Keeping
from .old_failures import forget_failures
from .verbs import PRUNE, require

logger = logging.getLogger(__name__)

#: Runs that one transaction removes: at first, at least, at most. In between the number follows the time that it takes.
FIRST, LEAST, MOST = 100, 20, 900
#: What one transaction should take, in seconds.
STEP = 0.025
#: The trail's name for the history as a whole.
HISTORY = Subject("history", "", "the history")


@dataclass(slots=True)
class Pruned:
    """What one call removed, or would remove.

    Attributes:
        results: stored results that belonged to no run; those of the removed runs go without saying.
        files: names of files that left the storage.
        finished: False when the deadline came first; the rest is for the next call.
        slowest: seconds of the longest transaction.
    """

    runs: Counter[State] = field(default_factory=Counter)
    results: int = 0
    files: int = 0
    finished: bool = True
    slowest: float = 0.0


def prune(actor: Actor, *, keeping: Keeping | None = None, deadline: float | None = None) -> Pruned:
    """Remove the finished runs whose time is over, with attempts, logs, files, links and stored results.

    Age counts from when the run was asked for, and never less than from its end. Runs that have not finished stay,
    however old they are.

    Args:
        keeping: instead of the setting RETENTION.
        deadline: on `time.monotonic()`; no transaction begins after it.

    Raises:
        NotPermitted: the actor may not; nothing was removed.
        Cancelled: a person stops the run that prunes; what was removed until then is in the trail.
    """
    require(PRUNE, actor, HISTORY)
    keeping = keeping or settings.RETENTION
    work = _Work(deadline)
    try:
        _remove_all(work, keeping, timezone.now())
    except Cancelled:
        _tell(actor, work.done)
        raise
    _tell(actor, work.done)
    return work.done


def _remove_all(work: _Work, keeping: Keeping, now: datetime) -> None:
    for runs in _expired(keeping, now):
        work.remove(runs)
    if keeping.runs is not None:
        work.forget(now - keeping.runs)
    if keeping.longest is not None:
        forget_old_groups(now - keeping.longest)
    forget_failures(now, keeping.longest)


def _tell(actor: Actor, done: Pruned) -> None:
    if done.runs or done.results:
        counts = {state.value: number for state, number in sorted(done.runs.items())}
        logger.info("Pruned: %s; %s other results, %s files.", counts or "no runs", done.results, done.files)
        record(PRUNE.name, actor, HISTORY, details={"runs": counts, "results": done.results, "files": done.files})


def expired_counts(*, keeping: Keeping | None = None) -> Counter[State]:
    """How many runs `prune` would remove now, by state. It counts them all."""
    counts: Counter[State] = Counter()
    for runs in _expired(keeping or settings.RETENTION, timezone.now()):
        for state in runs.order_by().values_list("state", flat=True).iterator():
            counts[State(state)] += 1
    return counts


def _expired(keeping: Keeping, now: datetime) -> Iterator[QuerySet[Run]]:
    """What is to leave, oldest first, one query for each rule and each served by an index that begins with it."""
    for name, time_kept in keeping.tasks.items():
        if time_kept is not None:
            yield _older(Run.objects.filter(task_name=name, state__in=FINISHED), now - time_kept)
    others = Run.objects.exclude(task_name__in=list(keeping.tasks)) if keeping.tasks else Run.objects.all()
    for state in sorted(FINISHED):
        if (time_kept := keeping.of_state(state)) is not None:
            yield _older(others.filter(state=state), now - time_kept)


def _older(runs: QuerySet[Run], than: datetime) -> QuerySet[Run]:
    ended = Q(finished_at__lt=than) | Q(finished_at__isnull=True)
    return runs.filter(ended, accepted_at__lt=than).order_by("accepted_at", "id")


class _Work:
    """One call of `prune`: how much it may do at once, until when, and what it has done."""

    def __init__(self, deadline: float | None) -> None:
        self._deadline = deadline
        self._size = FIRST
        self.done = Pruned()

    def remove(self, runs: QuerySet[Run]) -> None:
        """All of `runs` that nobody else holds; each row is looked at once."""
        position: tuple[datetime, int] | None = None
        while self._may_go_on():
            began = time.monotonic()
            with transaction.atomic():
                found = runs if position is None else runs.filter(_behind(*position))
                batch = list(_locked(found).only("pk", "task_id", "state", "accepted_at", "group_id")[: self._size])
                files = _delete(batch)
            self._took(time.monotonic() - began, full=len(batch) == self._size)
            for run in batch:
                self.done.runs[State(run.state)] += 1
            self.done.files += len(files)
            if not batch:
                return
            position = (batch[-1].accepted_at, batch[-1].pk)

    def forget(self, before: datetime) -> None:
        """The stored results from before that time that belong to no run."""
        position: tuple[datetime, int] | None = None
        while self._may_go_on():
            began = time.monotonic()
            with transaction.atomic():
                forgotten, position = forget_orphans(before, after=position, limit=self._size)
            self._took(time.monotonic() - began, full=position is not None)
            self.done.results += forgotten
            if position is None:
                return

    def _may_go_on(self) -> bool:
        check_cancelled()
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self.done.finished = False
        return self.done.finished

    def _took(self, seconds: float, *, full: bool) -> None:
        self.done.slowest = max(self.done.slowest, seconds)
        factor = STEP / max(seconds, 0.001)
        if full or factor < 1:
            self._size = max(LEAST, min(MOST, int(self._size * min(factor, 2))))
        if connection.vendor == "sqlite":
            # There is one writer at a time and they do not queue: give the others as long as we took.
            time.sleep(seconds)


def _behind(accepted_at: datetime, pk: int) -> Q:
    return Q(accepted_at__gte=accepted_at) & (Q(accepted_at__gt=accepted_at) | Q(pk__gt=pk))


def _locked(runs: QuerySet[Run]) -> QuerySet[Run]:
    """Locked so that a lost run that turns out to be alive is not taken from under the recorder."""
    return runs.select_for_update(skip_locked=True) if connection.vendor == "postgresql" else runs


def _delete(batch: Sequence[Run]) -> list[str]:
    """The rows of `batch` and of everything that refers to them, in the caller's transaction; the files after it.

    Statements instead of `QuerySet.delete()`: that one reads every row first as soon as anybody listens to a signal.
    """
    keys = [run.pk for run in batch]
    if not keys:
        return []
    paths = list(RunFile.objects.filter(run_id__in=keys).values_list("path", flat=True))
    quote = connection.ops.quote_name
    marks = ", ".join(["%s"] * len(keys))
    with connection.cursor() as cursor:
        for relation in Run._meta.related_objects:
            table, column = quote(relation.related_model._meta.db_table), quote(str(relation.field.column))
            if relation.on_delete is CASCADE:
                cursor.execute(f"DELETE FROM {table} WHERE {column} IN ({marks})", keys)  # noqa: S608 - our own tables
            else:
                cursor.execute(f"UPDATE {table} SET {column} = NULL WHERE {column} IN ({marks})", keys)  # noqa: S608
        cursor.execute(f"DELETE FROM {quote(Run._meta.db_table)} WHERE id IN ({marks})", keys)  # noqa: S608
    forget_results([run.task_id for run in batch], {run.group_id for run in batch if run.group_id})
    if paths:
        transaction.on_commit(partial(_delete_files, paths))
    return paths


def _delete_files(paths: Sequence[str]) -> None:
    """What the storage no longer has, or will not give up, keeps nobody from the rest."""
    for path in paths:
        try:
            console_storage.delete(path)
        except (OSError, SuspiciousFileOperation) as error:
            logger.warning("The file %s of a pruned run stays in the storage: %s", path, error)
    for folder in {str(PurePosixPath(path).parent) for path in paths}:
        # On a disk an empty folder remains; one that is not empty, or no folder at all, is none of ours.
        with contextlib.suppress(OSError, SuspiciousFileOperation):
            console_storage.delete(folder)
