"""History at any size: indexes by when, logs, progress, families, the searchable line of arguments."""

import logging

import django.db.models.deletion
from django.db import DatabaseError, migrations, models, transaction

from jobs.ledger.summary import summarise

logger = logging.getLogger(__name__)
SEARCH = "run_summary_search"


def fill_in(apps, schema_editor):
    """The families and summaries of the runs that are there already."""
    Run = apps.get_model("jobs", "Run")
    Run.objects.filter(root_id=models.F("task_id")).update(root_id=None)
    Run.objects.filter(root_id="").update(root_id=None)
    batch = []
    for run in Run.objects.only("pk", "arguments").order_by("pk").iterator(500):
        run.summary = summarise(run.arguments)
        batch.append(run)
        if len(batch) == 500:
            Run.objects.bulk_update(batch, ["summary"])
            batch.clear()
    Run.objects.bulk_update(batch, ["summary"])


def index_search(apps, schema_editor):
    """PostgreSQL: trigrams of the summary. Where they may not be installed, the search looks at the newest runs only."""
    if schema_editor.connection.vendor != "postgresql":
        return
    try:
        with transaction.atomic(using=schema_editor.connection.alias):
            schema_editor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
            # UPPER because that is how Django compares without regard to case.
            # fastupdate off: a pending list would be searched row by row, and flushed by whoever comes by.
            schema_editor.execute(
                f"CREATE INDEX {SEARCH} ON jobs_run USING gin (UPPER(summary) gin_trgm_ops) WITH (fastupdate = off)"
            )
    except DatabaseError as error:
        logger.warning("The search in arguments is not indexed: %s", error)


def drop_search(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"DROP INDEX IF EXISTS {SEARCH}")


class Migration(migrations.Migration):
    dependencies = [
        ("jobs", "0002_catalogue"),
    ]

    operations = [
        migrations.CreateModel(
            name="RunLog",
            fields=[
                (
                    "run",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="log",
                        serialize=False,
                        to="jobs.run",
                    ),
                ),
                ("lines", models.TextField(default="[]")),
                ("written", models.PositiveBigIntegerField(default=0)),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.AlterModelOptions(
            name="run",
            options={
                "default_permissions": ("view",),
                "ordering": ["-accepted_at", "-id"],
                "permissions": [
                    ("run_job", "Can run jobs"),
                    ("run_any_task", "Can run registered tasks that declare no job"),
                ],
            },
        ),
        migrations.RemoveIndex(
            model_name="run",
            name="run_by_state",
        ),
        migrations.RemoveIndex(
            model_name="run",
            name="run_by_task",
        ),
        migrations.RemoveIndex(
            model_name="run",
            name="run_by_actor",
        ),
        migrations.RemoveIndex(
            model_name="run",
            name="run_by_time",
        ),
        migrations.AddField(
            model_name="run",
            name="attempts_before",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="run",
            name="expires_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="run",
            name="group_id",
            field=models.CharField(blank=True, max_length=255),
        ),
        migrations.AddField(
            model_name="run",
            name="origin",
            field=models.CharField(blank=True, max_length=255),
        ),
        migrations.AddField(
            model_name="run",
            name="progress",
            field=models.JSONField(null=True),
        ),
        migrations.AddField(
            model_name="run",
            name="summary",
            field=models.CharField(blank=True, max_length=500),
        ),
        migrations.AddField(
            model_name="run",
            name="truncated",
            field=models.BooleanField(default=False),
        ),
        migrations.AlterField(
            model_name="run",
            name="root_id",
            field=models.CharField(max_length=255, null=True),
        ),
        migrations.RunPython(fill_in, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name="auditevent",
            index=models.Index(fields=["verb", "-id"], name="audit_by_verb"),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["-accepted_at", "-id"], name="run_by_time"),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["state", "-accepted_at", "-id"], name="run_by_state"),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["task_name", "-accepted_at", "-id"], name="run_by_task"),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["queue", "-accepted_at", "-id"], name="run_by_queue"),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["worker", "-accepted_at", "-id"], name="run_by_worker"),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(
                condition=models.Q(("actor_id__isnull", False)),
                fields=["actor_id", "-accepted_at", "-id"],
                name="run_by_actor",
            ),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(
                condition=models.Q(("schedule_id__isnull", False)),
                fields=["schedule_id", "-accepted_at", "-id"],
                name="run_by_schedule",
            ),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(
                condition=models.Q(("actor_id__isnull", False)), fields=["-accepted_at", "-id"], name="run_of_people"
            ),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(
                condition=models.Q(("schedule_id__isnull", False)),
                fields=["-accepted_at", "-id"],
                name="run_of_schedules",
            ),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(
                condition=models.Q(("root_id__isnull", False)), fields=["root_id", "id"], name="run_family"
            ),
        ),
        migrations.RunPython(index_search, drop_search),
    ]
