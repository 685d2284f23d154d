"""`manage.py prepare`: bring the database up to date and report in a sentence, or in JSON for the launcher."""

from contextlib import suppress
from json import dumps, loads
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection, transaction
from django.urls import reverse
from django_celery_beat.models import PeriodicTask

import jobs
from jobs.catalog.registry import declared_jobs
from jobs.schedules.drafts import shared_crontab

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
            call_command("migrate", verbosity=0, interactive=False)
            # Once: what people changed since stays as they want it.
            _load_roles()
            _load_schedules()
            # WhiteNoise warns of a missing folder at each start, although the files come from the packages.
            if settings.STATIC_ROOT:
                Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)
            has_admin = get_user_model()._default_manager.filter(is_superuser=True, is_active=True).exists()
        except DatabaseError as error:
            raise CommandError(_sentence(error)) from None
        if not json:
            then = "" if has_admin else " Nobody may sign in yet: manage.py reset_admin makes an administrator."
            self.stdout.write(f"The database is ready.{then}")
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


def _load_roles() -> None:
    """Into a database that has none of them; groups that are no roles of ours are somebody else's."""
    path = FOLDER / "roles.json"
    roles = [row["fields"]["name"] for row in loads(path.read_text())]
    if not Group.objects.filter(name__in=roles).exists():
        call_command("loaddata", str(path), verbosity=0)


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
