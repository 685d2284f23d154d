"""Failure groups leave with the last of their runs; what they counted by the hour leaves after some days."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import BigIntegerField, Case, Exists, F, OuterRef, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce

from jobs.models import FailureCase, FailureCount, FailureGroup, FailureNote, Run

#: Pages show seven days by the hour.
COUNTED = timedelta(days=8)
#: A run of it may just be being recorded.
SETTLED = timedelta(hours=1)
#: Rows that one transaction removes.
_AT_ONCE = 500


def forget_failures(now: datetime, longest: timedelta | None) -> int:
    """Remove groups of which no run is left, with counts, cases and notes; small transactions.

    Args:
        longest: how long any run is kept; cases that failed last before that have no run either. None: for ever.

    Returns:
        How many groups were removed.
    """
    _forget_counts(now - COUNTED)
    if longest is not None:
        _forget_cases(now - longest)
    left = ~Exists(Run.objects.filter(failure_group=OuterRef("pk")))
    empty = FailureGroup.objects.filter(left, last_seen__lt=now - SETTLED).order_by("pk").values_list("pk", flat=True)
    removed = 0
    while True:
        with transaction.atomic():
            # Asked again with the deletion itself: one that fails meanwhile has a newer `last_seen`, and stays.
            keys = list(empty[:_AT_ONCE])
            for model in (FailureCount, FailureCase, FailureNote):
                model.objects.filter(group_id__in=keys, group__last_seen__lt=now - SETTLED).delete()
            FailureGroup.objects.filter(pk__in=keys, last_seen__lt=now - SETTLED).delete()
        removed += len(keys)
        if len(keys) < _AT_ONCE:
            return removed


def _forget_counts(before: datetime) -> None:
    while keys := list(FailureCount.objects.filter(hour__lt=before).values_list("pk", flat=True)[:_AT_ONCE]):
        FailureCount.objects.filter(pk__in=keys).delete()


def _forget_cases(before: datetime) -> None:
    """What hurts in a group is told by its cases, so that it is counted again where one leaves."""
    old = FailureCase.objects.filter(last_failed_at__lt=before).order_by("last_failed_at")
    while found := list(old.values_list("pk", "group_id")[:_AT_ONCE]):
        groups = {group for _, group in found}
        with transaction.atomic():
            list(FailureGroup.objects.select_for_update().filter(pk__in=groups).order_by("pk").values_list("pk"))
            FailureCase.objects.filter(pk__in=[pk for pk, _ in found], last_failed_at__lt=before).delete()
            # As `jobs.failures.cases.pieces_of_work` counts: of what nobody knows to be equal, each failure.
            work = Case(When(digest="", then=F("hurting")), When(hurting__gt=0, then=Value(1)), default=Value(0))
            cases = FailureCase.objects.filter(group=OuterRef("pk")).order_by().values("group")
            hurting = cases.annotate(n=Sum(work, output_field=BigIntegerField()))
            FailureGroup.objects.filter(pk__in=groups).update(hurting=Coalesce(Subquery(hurting.values("n")), 0))
