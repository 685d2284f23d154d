"""Indexes that answer alone: the states of runs of people and schedules, on SQLite the arguments of the newest runs."""

from django.db import migrations, models

SEARCH = "run_by_time_with_summary"
#: The indexes that hold more columns now; each is of the runs of which its column is known.
FIELDS = {
    "run_by_actor": ("actor_id", ["actor_id", "-accepted_at", "-id", "state"]),
    "run_by_schedule": ("schedule_id", ["schedule_id", "-accepted_at", "-id", "state"]),
    "run_of_people": ("actor_id", ["-accepted_at", "-id", "source", "state"]),
    "run_of_schedules": ("schedule_id", ["-accepted_at", "-id", "source", "state"]),
}


def anew(name, known_and_fields):
    known, fields = known_and_fields
    index = models.Index(fields=fields, name=name, condition=models.Q(**{f"{known}__isnull": False}))
    return migrations.RemoveIndex("run", name), migrations.AddIndex("run", index)


def index_search(apps, schema_editor):
    """SQLite has no index of words, but it searches one of whole summaries in a third of the time of the table."""
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute(f"CREATE INDEX {SEARCH} ON jobs_run (accepted_at DESC, id DESC, summary)")


def drop_search(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute(f"DROP INDEX IF EXISTS {SEARCH}")


class Migration(migrations.Migration):
    dependencies = [("jobs", "0006_facts_set_aside")]

    operations = [
        *(operation for name, fields in FIELDS.items() for operation in anew(name, fields)),
        migrations.RunPython(index_search, drop_search),
    ]
