import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

_KEY = ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"))


def _group(name: str) -> tuple[str, models.Field]:
    return "group", models.ForeignKey(
        db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name=name, to="jobs.failuregroup"
    )


class Migration(migrations.Migration):
    dependencies = [("jobs", "0004_delivery")]

    operations = [
        migrations.CreateModel(
            name="FailureGroup",
            fields=[
                _KEY,
                ("fingerprint", models.CharField(editable=False, max_length=64, unique=True)),
                ("basis", models.CharField(max_length=16)),
                ("task_name", models.CharField(max_length=255)),
                ("error_type", models.CharField(blank=True, max_length=255)),
                ("title", models.CharField(blank=True, max_length=255)),
                ("place", models.CharField(blank=True, max_length=255)),
                ("sample_message", models.CharField(blank=True, max_length=500)),
                ("last_run", models.CharField(max_length=255)),
                ("first_seen", models.DateTimeField()),
                ("last_seen", models.DateTimeField()),
                ("total", models.BigIntegerField(default=0)),
                ("hurting", models.BigIntegerField(default=0)),
                ("healed_at", models.DateTimeField(null=True)),
                ("healed_by", models.CharField(blank=True, max_length=255)),
                (
                    "state",
                    models.CharField(
                        choices=[("open", "Open"), ("snoozed", "Snoozed"), ("resolved", "Resolved")],
                        default="open",
                        max_length=16,
                    ),
                ),
                ("snoozed_until", models.DateTimeField(null=True)),
                ("regressed_at", models.DateTimeField(null=True)),
                ("decided_at", models.DateTimeField(null=True)),
                ("decided_by", models.CharField(blank=True, max_length=255)),
                ("version", models.PositiveIntegerField(default=0)),
            ],
            options={
                "default_permissions": ("change",),
                "indexes": [
                    models.Index(fields=["state", "-last_seen", "-id"], name="failure_by_state"),
                    models.Index(fields=["-last_seen", "-id"], name="failure_by_time"),
                    models.Index(fields=["state", "hurting", "snoozed_until"], name="failure_hurting"),
                    models.Index(fields=["task_name"], name="failure_by_task"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(state__in=["open", "snoozed", "resolved"]), name="failure_state"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="FailureCount",
            fields=[
                _KEY,
                ("hour", models.DateTimeField()),
                ("n", models.BigIntegerField(default=0)),
                _group("counts"),
            ],
            options={
                "default_permissions": (),
                "indexes": [models.Index(fields=["hour"], name="failure_count_by_hour")],
                "constraints": [models.UniqueConstraint("group", "hour", name="failure_count_once")],
            },
        ),
        migrations.CreateModel(
            name="FailureCase",
            fields=[
                _KEY,
                ("digest", models.CharField(blank=True, max_length=32)),
                ("hurting", models.BigIntegerField(default=0)),
                ("last_failed_at", models.DateTimeField()),
                ("last_run", models.CharField(max_length=255)),
                ("healed_at", models.DateTimeField(null=True)),
                ("healed_by", models.CharField(blank=True, max_length=255)),
                _group("cases"),
            ],
            options={
                "default_permissions": (),
                "indexes": [
                    models.Index(fields=["digest"], name="failure_case_digest"),
                    models.Index(fields=["group", "-last_failed_at", "-id"], name="failure_case_newest"),
                    models.Index(fields=["last_failed_at"], name="failure_case_by_time"),
                ],
                "constraints": [models.UniqueConstraint("group", "digest", name="failure_case_once")],
            },
        ),
        migrations.CreateModel(
            name="FailureNote",
            fields=[
                _KEY,
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("actor_id", models.BigIntegerField(null=True)),
                ("actor_label", models.CharField(max_length=255)),
                ("text", models.TextField()),
                _group("notes"),
            ],
            options={
                "default_permissions": (),
                "ordering": ["-id"],
                "indexes": [models.Index(fields=["group", "-id"], name="failure_notes")],
            },
        ),
        migrations.AddField(model_name="run", name="failed_attempt", field=models.PositiveIntegerField(null=True)),
        migrations.AddField(
            model_name="run",
            name="failure_group",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="runs",
                to="jobs.failuregroup",
            ),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(
                condition=models.Q(failure_group__isnull=False),
                fields=["failure_group", "-accepted_at", "-id"],
                name="run_by_failure",
            ),
        ),
    ]
