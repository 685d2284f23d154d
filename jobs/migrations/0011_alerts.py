"""What people outside were told of troubles, and the messages on their way to them."""

import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0010_snoozed_troubles")]

    operations = [
        migrations.CreateModel(
            name="Alert",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=255, unique=True)),
                ("tone", models.CharField(max_length=8)),
                ("fact", models.TextField()),
                ("more", models.TextField(blank=True)),
                ("href", models.TextField(blank=True)),
                ("since", models.DateTimeField()),
                ("looked_at", models.DateTimeField()),
                ("gone_since", models.DateTimeField(null=True)),
                ("told_at", models.DateTimeField(null=True)),
            ],
            options={"default_permissions": ()},
        ),
        migrations.CreateModel(
            name="AlertChannel",
            fields=[
                ("name", models.CharField(max_length=300, primary_key=True, serialize=False)),
                ("made_at", models.DateTimeField(null=True)),
                ("sent_at", models.DateTimeField(null=True)),
                ("error", models.CharField(blank=True, max_length=300)),
                ("failing_since", models.DateTimeField(null=True)),
                ("tries", models.PositiveIntegerField(default=0)),
                ("try_after", models.DateTimeField(null=True)),
                ("claimed_until", models.DateTimeField(null=True)),
            ],
            options={"default_permissions": ()},
        ),
        migrations.CreateModel(
            name="AlertMessage",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uid", models.UUIDField(default=uuid.uuid4)),
                ("subject", models.CharField(max_length=255)),
                ("text", models.TextField()),
                ("payload", models.JSONField()),
                ("made_at", models.DateTimeField()),
                (
                    "channel",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="messages", to="jobs.alertchannel"
                    ),
                ),
            ],
            options={"default_permissions": ()},
        ),
    ]
