"""Indexes that hold what their runs are counted and mostly narrowed by, so that a list of them reads no row in vain."""

from django.db import migrations, models

INDEXES = (
    models.Index(fields=["state", "-accepted_at", "-id", "task_name"], name="run_by_state"),
    models.Index(fields=["task_name", "-accepted_at", "-id", "state"], name="run_by_task"),
    models.Index(fields=["queue", "-accepted_at", "-id", "state"], name="run_by_queue"),
    models.Index(fields=["worker", "-accepted_at", "-id", "state"], name="run_by_worker"),
    models.Index(
        fields=["-accepted_at", "-id", "source", "state", "task_name", "worker"],
        name="run_of_people",
        condition=models.Q(actor_id__isnull=False),
    ),
)


def anew(index):
    return migrations.RemoveIndex("run", index.name), migrations.AddIndex("run", index)


class Migration(migrations.Migration):
    dependencies = [("jobs", "0012_faster_recording")]

    operations = [operation for index in INDEXES for operation in anew(index)]
