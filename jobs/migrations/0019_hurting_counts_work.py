"""What hurts in a group is counted by piece of work: a failed retry is no second one."""

from django.db import migrations
from django.db.models import BigIntegerField, Case, F, OuterRef, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce


def count_work(apps, schema_editor):
    alias = schema_editor.connection.alias
    groups, cases = apps.get_model("jobs", "FailureGroup"), apps.get_model("jobs", "FailureCase")
    work = Case(When(digest="", then=F("hurting")), When(hurting__gt=0, then=Value(1)), default=Value(0))
    of_group = cases.objects.using(alias).filter(group=OuterRef("pk")).order_by().values("group")
    found = of_group.annotate(n=Sum(work, output_field=BigIntegerField())).values("n")
    groups.objects.using(alias).update(hurting=Coalesce(Subquery(found), 0))


class Migration(migrations.Migration):
    dependencies = [("jobs", "0018_failure_messages")]

    operations = [migrations.RunPython(count_work, migrations.RunPython.noop, elidable=True)]
