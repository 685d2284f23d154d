"""The name of `run_any_task` told of tasks that declare no job, and diagnostics, which ask for it too, declare one."""

from django.db import migrations

NAMES = ("Can run registered tasks that declare no job", "Can run diagnostics, and tasks that declare no job")


def rename(apps, schema_editor):
    permissions = apps.get_model("auth", "Permission").objects.using(schema_editor.connection.alias)
    permissions.filter(codename="run_any_task", content_type__app_label="jobs", name=NAMES[0]).update(name=NAMES[1])


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("jobs", "0016_keys_of_people_as_text"),
    ]

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
                    ("run_any_task", "Can run diagnostics, and tasks that declare no job"),
                    ("reread_facts", "Can see facts that were set aside and have them read again"),
                    ("discard_facts", "Can discard facts that were set aside"),
                    ("sign_out_users", "Can sign users out everywhere"),
                    ("deactivate_users", "Can deactivate dormant users"),
                ],
            },
        ),
        migrations.RunPython(rename, migrations.RunPython.noop, elidable=True),
    ]
