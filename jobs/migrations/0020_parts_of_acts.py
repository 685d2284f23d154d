"""What was done to each of many is part of one act: lists of everything show that one."""

from django.db import migrations, models


def mark_parts(apps, schema_editor):
    events = (
        apps.get_model("jobs", "AuditEvent").objects.using(schema_editor.connection.alias).filter(object_type="run")
    )
    events.filter(verb="retry_run", details__has_key="batch").update(part=True)
    events.filter(verb="cancel_run", details__has_key="because_of").update(part=True)


class Migration(migrations.Migration):
    dependencies = [("jobs", "0019_hurting_counts_work")]

    operations = [
        migrations.AddField("auditevent", "part", models.BooleanField(db_default=False)),
        migrations.RunPython(mark_parts, migrations.RunPython.noop, elidable=True),
        migrations.AddIndex(
            "auditevent",
            models.Index(fields=["at"], name="audit_whole_by_time", condition=models.Q(part=False)),
        ),
    ]
