"""`manage.py remove_console`: take the console's own out of database and Redis, after asking."""

from collections.abc import Iterable
from json import loads
from pathlib import Path
from typing import Any

from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.management.color import no_style
from django.db import connection
from django_celery_beat.models import PeriodicTask

import jobs
from jobs.fleet.beacon import read_beacons
from jobs.fleet.broker import PREFIX, Redis, RedisError, key_of, steady_client

APP = "jobs"
#: The jobs that ship; without the console nobody has them.
LIBRARY = "jobs.library."
ROLES = Path(jobs.__file__).parent / "fixtures" / "roles.json"
#: What has to be typed.
WORD = "remove"
#: Keys of one round trip.
BATCH = 500


class Command(BaseCommand):
    """May be repeated after it broke off. Rows of django-celery-results and -beat stay, and so do files."""

    help = "Remove the console's tables, permissions, unchanged roles and keys in Redis. It asks first."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *args: Any, yes: bool = False, **options: Any) -> None:
        try:
            client = steady_client()
            alive = sorted(one.worker for one in read_beacons(client).beacons)
            keys = list(_keys(client))
        except RedisError as error:
            raise CommandError(f"Nothing was removed: Redis does not answer ({error}). Start it first.") from None
        if alive:
            raise CommandError(f"Nothing was removed: {', '.join(alive)} still works. Stop workers, beat and recorder.")
        tables, removable, kept = _tables(), *_roles()
        schedules = PeriodicTask.objects.filter(task__startswith=LIBRARY)
        permissions = Permission.objects.filter(content_type__app_label=APP)
        for name, rows in tables.items():
            self.stdout.write(f"  table {name}: {rows:,} rows")
        self.stdout.write(f"  {permissions.count():,} permissions, from whoever has them")
        self.stdout.write(f"  roles: {', '.join(role.name for role in removable) or 'none'}")
        for name, why in kept.items():
            self.stdout.write(f"  the role {name} stays: {why}")
        self.stdout.write(f"  {schedules.count():,} schedules of the jobs that ship")
        self.stdout.write(f"  {len(keys):,} keys {key_of(PREFIX)}… in Redis")
        if tables.get("jobs_auditevent"):
            self.stdout.write("The audit trail goes, too. To keep it: manage.py dumpdata jobs.auditevent > audit.json")
        if not yes and input(f"Remove all this for good? Type {WORD}: ").strip() != WORD:
            raise CommandError("Nothing was removed.")
        schedules.delete()
        Group.objects.filter(pk__in=[role.pk for role in removable]).delete()
        if connection.vendor == "postgresql" and tables:
            # Empty first: taken back one by one, the migrations would ask rows for values that earlier tables held.
            connection.ops.execute_sql_flush(connection.ops.sql_flush(no_style(), [*tables]))
        call_command("migrate", APP, "zero", verbosity=0, interactive=False)
        permissions.delete()
        ContentType.objects.filter(app_label=APP).delete()
        for first in range(0, len(keys), BATCH):
            client.unlink(*keys[first : first + BATCH])
        self.stdout.write("Removed. Now take the console's lines out of the project, before anything migrates again.")


def _tables() -> dict[str, int]:
    """How many rows each table of ours has that is there."""
    there = set(connection.introspection.table_names())
    models = (m for m in apps.get_app_config(APP).get_models(include_auto_created=True) if m._meta.db_table in there)
    return {model._meta.db_table: model._default_manager.count() for model in models}


def _roles() -> tuple[list[Group], dict[str, str]]:
    """The groups that are as `prepare` has made them and have no members, and of the others why they stay."""
    removable, kept = [], {}
    for row in loads(ROLES.read_text()):
        name, wanted = row["fields"]["name"], {tuple(one[:2]) for one in row["fields"]["permissions"]}
        role = Group.objects.filter(name=name).first()
        if role is None:
            continue
        has = set(role.permissions.values_list("codename", "content_type__app_label"))
        users = getattr(role, "user_set", None)  # a user model need not have groups
        if members := users.count() if users is not None else 0:
            kept[name] = f"it has {members:,} member{'s' if members != 1 else ''}"
        elif has - wanted:
            kept[name] = "it has been given more permissions"
        else:
            removable.append(role)
    return removable, kept


def _keys(client: Redis) -> Iterable[str]:
    literal = "".join(f"\\{one}" if one in "*?[]\\" else one for one in key_of(PREFIX))
    return client.scan_iter(match=f"{literal}*", count=BATCH)
