"""The migration that made keys of people text: what was kept before is found by its key, by the same indexes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

BEFORE, AFTER = ("jobs", "0015_account_permissions"), ("jobs", "0016_keys_of_people_as_text")


def migrate_to(target: tuple[str, str]) -> MigrationExecutor:
    executor = MigrationExecutor(connection)
    executor.migrate([target])
    return MigrationExecutor(connection)


@pytest.fixture
def before(transactional_db: None) -> Iterator[MigrationExecutor]:
    yield migrate_to(BEFORE)
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes("jobs"))


def indexes(table: str) -> set[str]:
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, table)
    return {name for name, about in found.items() if about["index"]}


def test_numbers_become_text_and_every_index_is_there(before: MigrationExecutor) -> None:
    old = before.loader.project_state([BEFORE]).apps
    old.get_model("jobs", "Run").objects.create(task_id="a", task_name="t", actor_id=7)
    old.get_model("jobs", "Run").objects.create(task_id="b", task_name="t")
    old.get_model("jobs", "AuditEvent").objects.create(
        actor_id=2**62, actor_label="Ana", via="admin", verb="v", object_type="run", object_id="a", object_label="a"
    )
    old.get_model("jobs", "Preset").objects.create(job="j", name="n", values={}, owner_id=7, owner_label="Ana")
    had = {table: indexes(table) for table in ("jobs_run", "jobs_auditevent")}
    new = migrate_to(AFTER).loader.project_state([AFTER]).apps
    runs = new.get_model("jobs", "Run").objects
    assert (runs.get(actor_id="7").task_id, runs.get(actor_id=None).task_id) == ("a", "b")
    assert new.get_model("jobs", "AuditEvent").objects.get().actor_id == str(2**62)
    assert new.get_model("jobs", "Preset").objects.get().owner_id == "7"
    assert {table: indexes(table) for table in had} == had
