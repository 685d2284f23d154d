"""At most one retry of a run is under way; permissions to retry and to cancel."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0007_faster_lists")]

    operations = [
        migrations.AddConstraint(
            model_name="run",
            constraint=models.UniqueConstraint(
                fields=["retry_of"],
                name="run_one_live_retry",
                condition=models.Q(
                    retry_of__isnull=False,
                    state__in=["accepted", "queued", "retrying", "running", "waiting"],
                ),
            ),
        ),
        migrations.AlterModelOptions(
            name="run",
            options={
                "default_permissions": ("view",),
                "ordering": ["-accepted_at", "-id"],
                "permissions": [
                    ("run_job", "Can run jobs"),
                    ("retry_run", "Can retry runs"),
                    ("retry_unsafe", "Can retry runs of jobs that say never to"),
                    ("cancel_run", "Can cancel runs"),
                    ("force_cancel", "Can end a run by force"),
                    ("purge_queue", "Can remove the waiting messages of a queue"),
                    ("run_any_task", "Can run registered tasks that declare no job"),
                    ("reread_facts", "Can see facts that were set aside and have them read again"),
                    ("discard_facts", "Can discard facts that were set aside"),
                ],
            },
        ),
    ]
