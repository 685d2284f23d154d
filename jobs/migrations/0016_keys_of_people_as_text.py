"""Whoever acts is known by the text of their key: a project's users may have UUIDs or words for keys."""

from importlib import import_module

from django.db import migrations, models

search = import_module("jobs.migrations.0007_faster_lists")


def as_text(model, field="actor_id"):
    return migrations.AlterField(model, field, models.CharField(max_length=255, null=True))


class Migration(migrations.Migration):
    dependencies = [("jobs", "0015_account_permissions")]

    operations = [
        as_text("auditevent"),
        as_text("failurenote"),
        as_text("preset", "owner_id"),
        # SQLite writes the table anew, and Django puts back only those indexes that it knows of.
        migrations.RunPython(search.drop_search, search.index_search),
        as_text("run"),
        migrations.RunPython(search.index_search, search.drop_search),
    ]
