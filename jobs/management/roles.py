"""The roles that ship, loaded into the project's groups: what is there already is left as it is, and told."""

from __future__ import annotations

import json
from pathlib import Path

from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.db.models import Q

import jobs
from jobs.ledger.people import permission_to

_FILE = Path(jobs.__file__).parent / "fixtures" / "roles.json"


def load_roles() -> list[str]:
    """Make the roles that the database lacks, if it has been given none so far.

    A group of the same name that may do nothing of the console is somebody else's. Once one of them may, the roles were
    loaded before, and those that were removed since stay away.

    Returns:
        The names of the groups that were there already and stay as they are.
    """
    wanted = {row["fields"]["name"]: row["fields"]["permissions"] for row in json.loads(_FILE.read_text())}
    alike = Group.objects.filter(name__in=wanted)
    if alike.filter(permissions__content_type__app_label="jobs").exists():
        return []
    there = set(alike.values_list("name", flat=True))
    with transaction.atomic():
        for name, permissions in wanted.items():
            if name not in there:
                Group.objects.create(name=name).permissions.set(_permissions(permissions))
    return sorted(there)


def _permissions(named: list[list[str]]) -> list[Permission]:
    """Those of the file; where it speaks of Django's users, those of the project's."""
    found = Q()
    for codename, app, model in named:
        if (app, model) == ("auth", "user"):
            app, codename = permission_to(codename.partition("_")[0]).split(".")
        found |= Q(codename=codename, content_type__app_label=app)
    return list(Permission.objects.filter(found))
