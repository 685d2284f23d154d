"""A permission to command workers."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("jobs", "0008_retry_and_cancel")]

    operations = [
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
                    ("control_worker", "Can command workers"),
                    ("run_any_task", "Can run registered tasks that declare no job"),
                    ("reread_facts", "Can see facts that were set aside and have them read again"),
                    ("discard_facts", "Can discard facts that were set aside"),
                ],
            },
        ),
    ]
