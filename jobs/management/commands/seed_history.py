"""`manage.py seed_history 1000000`: an invented history, to see and measure the pages with."""

import time
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from jobs.management import seeding
from jobs.models import Run


class Command(BaseCommand):
    """Refuses where there is a real history."""

    help = "Write many invented runs, with their stored results. Never on production."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("count", type=int, help="how many runs")
        parser.add_argument("--days", type=int, default=90, help="over how many days (90)")
        parser.add_argument("--seed", type=int, default=1, help="another number, another history")
        parser.add_argument("--until", default="", help="the newest moment, ISO with a zone (now)")
        parser.add_argument("--add", action="store_true", help="although there are runs already")

    def handle(self, *args: Any, count: int, days: int, seed: int, until: str, add: bool, **options: Any) -> None:
        if count < 1 or days < 1:
            raise CommandError("Give at least one run and one day.")
        if str(settings.ENVIRONMENT_LABEL).strip().lower() == "production":
            raise CommandError("ENVIRONMENT_LABEL says that this is production; nothing was invented there.")
        began = time.monotonic()
        try:
            if not add and Run.objects.exists():
                raise CommandError(
                    "There are runs already, and invented ones cannot be told from them later. "
                    "Use an empty database, or say --add."
                )
            seeding.seed(count, days=days, number=seed, until=_epoch(until), progress=self._tell)
        except DatabaseError as error:
            raise CommandError(f"Nothing was written, the database refused: {error}") from None
        self.stderr.write(f"{count:,} runs over {days} days in {time.monotonic() - began:.0f} s.")

    def _tell(self, written: int) -> None:
        if written % 100_000 < seeding.CHUNK:
            self.stderr.write(f"{written:,} runs")


def _epoch(moment: str) -> float:
    if not moment:
        return time.time()
    try:
        at = datetime.fromisoformat(moment)
    except ValueError:
        raise CommandError(f"--until {moment} is no moment; write 2026-11-22T12:00+00:00.") from None
    if at.tzinfo is None:
        raise CommandError(f"--until {moment} has no zone; write 2026-11-22T12:00+00:00.")
    return at.timestamp()
