"""Permissions for facts that the recorder could not read."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("jobs", "0005_failures")]

    operations = [
        migrations.AlterModelOptions(
            name="run",
            options={
                "default_permissions": ("view",),
                "ordering": ["-accepted_at", "-id"],
                "permissions": [
                    ("run_job", "Can run jobs"),
                    ("purge_queue", "Can remove the waiting messages of a queue"),
                    ("run_any_task", "Can run registered tasks that declare no job"),
                    ("reread_facts", "Can see facts that were set aside and have them read again"),
                    ("discard_facts", "Can discard facts that were set aside"),
                ],
            },
        ),
    ]
