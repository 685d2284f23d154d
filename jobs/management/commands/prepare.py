"""`manage.py prepare`: bring the database up to date and report, as JSON, what the launcher needs to know."""

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection
from django.urls import reverse

#: In `fixtures/`, loaded into a database that has no roles.
FIXTURES = ("roles.json",)


class Command(BaseCommand):
    """Safe to repeat. A database that cannot be used ends in one sentence."""

    help = "Migrate the database, load the fixtures and report."
    # The checks look at the database too, and their report of a dead one is not one sentence.
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            connection.ensure_connection()
            call_command("migrate", verbosity=0, interactive=False)
            folder = Path(settings.BASE_DIR) / "fixtures"
            # Once: what people changed in the roles since stays as they want it.
            if not Group.objects.exists():
                for name in FIXTURES:
                    call_command("loaddata", str(folder / name), verbosity=0)
            # WhiteNoise warns of a missing folder at each start, although the files come from the packages.
            Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)
            has_admin = get_user_model()._default_manager.filter(is_superuser=True, is_active=True).exists()
        except DatabaseError as error:
            raise CommandError(_sentence(error)) from None
        report = {
            "home": reverse("admin:index"),
            "login": reverse("admin:login"),
            "host": next((host for host in settings.ALLOWED_HOSTS if "*" not in host), "localhost").lstrip("."),
            "https": settings.SECURE_SSL_REDIRECT,
            "has_admin": has_admin,
        }
        self.stdout.write(json.dumps(report))


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
