"""`manage.py prepare`: bring the database up to date and report in a sentence, or in JSON for the launcher."""

from contextlib import suppress
from json import dumps, loads
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection, transaction
from django.db.migrations.loader import MigrationLoader
from django.urls import reverse
from django_celery_beat.models import PeriodicTask

import jobs
from jobs.catalog.registry import declared_jobs
from jobs.ledger.database import unapplied
from jobs.ledger.people import has_administrator
from jobs.ledger.shipped import not_offered
from jobs.management.roles import load_roles
from jobs.schedules.drafts import shared_crontab
from jobs.settings import shipped_jobs

FOLDER = Path(jobs.__file__).parent / "fixtures"


class Command(BaseCommand):
    """Safe to repeat. A database that cannot be used ends in one sentence."""

    help = "Migrate the database, load the fixtures and report."
    # The checks look at the database too, and their report of a dead one is not one sentence.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="report to `make up` what it needs to know")

    def handle(self, *args: Any, json: bool = False, **options: Any) -> None:
        for message in run_checks(tags=["jobs_tables"]):
            raise CommandError(f"{message.msg} {message.hint}")
        try:
            _make_folder()
            connection.ensure_connection()
            _refuse_unmigrated_users()
            call_command("migrate", verbosity=0, interactive=False)
            if left := unapplied():
                raise CommandError(f"Not applied: {', '.join(left)}. See manage.py migrate.")
            # Once: what people changed since stays as they want it.
            there = load_roles()
            _load_schedules()
            # WhiteNoise warns of a missing folder at each start, although the files come from the packages.
            if settings.STATIC_ROOT:
                Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)
            has_admin = has_administrator()
        except DatabaseError as error:
            raise CommandError(_sentence(error)) from None
        if not json:
            told = ["The database is ready."]
            if there:
                told.append(f"These groups were there before and stay as they are: {', '.join(there)}.")
            told += not_offered(shipped_jobs(getattr(settings, "SHIPPED_JOBS", True)))
            if not has_admin:
                told.append("Nobody may sign in yet: manage.py reset_admin makes an administrator.")
            self.stdout.write("\n".join(told))
            return
        report = {
            "home": reverse("admin:index"),
            "login": reverse("admin:login"),
            "host": next((host for host in settings.ALLOWED_HOSTS if "*" not in host), "localhost").lstrip("."),
            "https": settings.SECURE_SSL_REDIRECT,
            "has_admin": has_admin,
        }
        self.stdout.write(dumps(report))


def _make_folder() -> None:
    """SQLite makes its file and not the folder; `make up` has made it, a start by hand has not."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite" and ":" not in name:
        # What cannot be made is told by the connection that follows.
        with suppress(OSError):
            Path(name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)


def _refuse_unmigrated_users() -> None:
    """Raise CommandError where the table of users was never made; the console's own refer to it."""
    options = get_user_model()._meta
    unmigrated = options.app_label in MigrationLoader(connection).unmigrated_apps
    if unmigrated and options.db_table not in connection.introspection.table_names():
        raise CommandError(
            f"The application {options.app_label} of the user model has no migrations, and its table is missing: "
            f"manage.py makemigrations {options.app_label}."
        )


def _load_schedules() -> None:
    """Into a database that has no schedule. Its times may be there already, and are others' then: they have no keys.
    What SHIPPED_JOBS leaves out has none."""
    if not PeriodicTask.objects.exists():
        known = {job.name for job in declared_jobs()}
        with transaction.atomic():
            for row in loads((FOLDER / "schedules.json").read_text()):
                if row["task"] not in known:
                    continue
                PeriodicTask.objects.create(**row | {"crontab": shared_crontab(**row["crontab"])})


def _sentence(error: DatabaseError) -> str:
    database = connection.settings_dict
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if connection.vendor == "sqlite":
        return (
            f"The database {database['NAME']} cannot be used ({reason}); see that the file and its folder can be "
            "written and have room, or move the file away to begin with an empty one."
        )
    place = f"{database['NAME']} on {database['HOST'] or 'this machine'}:{database['PORT'] or 5432}"
    return (
        f"The database {place} cannot be used ({reason}); start it, correct DATABASE_URL, "
        "or unset DATABASE_URL to use SQLite under var/."
    )
