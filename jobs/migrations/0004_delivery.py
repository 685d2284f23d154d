import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0003_history")]

    operations = [
        migrations.CreateModel(
            name="Delivery",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=100)),
                ("recipient", models.CharField(max_length=254)),
                (
                    "state",
                    models.CharField(
                        choices=[("sending", "Sending"), ("sent", "Sent"), ("refused", "Refused")],
                        default="sending",
                        max_length=16,
                    ),
                ),
                ("task_id", models.CharField(max_length=255)),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "permissions": [("send_mail", "Can send e-mail to users")],
                "default_permissions": (),
                "constraints": [models.UniqueConstraint("key", "recipient", name="delivery_once")],
            },
        ),
    ]
