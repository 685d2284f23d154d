"""A database with BENCH_RUNS invented runs and somebody to look at them; one that has them already is used as it is."""

from __future__ import annotations

import sys
import time

import django

django.setup()

from django.contrib.auth.models import User  # noqa: E402 - models only after setup
from django.core.management import call_command  # noqa: E402
from django.db import connection, connections  # noqa: E402

from jobs.management import seeding  # noqa: E402
from jobs.models import Run  # noqa: E402


def main(count: int) -> None:
    """Migrate, fill, settle."""
    call_command("migrate", verbosity=0, interactive=False)
    User.objects.get_or_create(username="bench", defaults={"is_staff": True, "is_superuser": True})
    if not Run.objects.exists():
        began = time.monotonic()
        seeding.seed(count, days=90, number=1, until=time.time(), progress=lambda written: None)
        sys.stderr.write(f"{connection.vendor}: {count:,} runs in {time.monotonic() - began:.0f} s\n")
    if connection.vendor == "postgresql":
        # What autovacuum does within the hour on a server that lives longer than a bench.
        with connection.cursor() as cursor:
            cursor.execute("VACUUM (ANALYZE)")
    # SQLite moves what was written out of its log when the last one closes.
    connections.close_all()


if __name__ == "__main__":
    main(int(sys.argv[1]))
