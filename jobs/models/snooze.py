"""Troubles of the Overview that a person has put aside for themselves."""

from django.conf import settings
from django.db import models


class SnoozedTrouble(models.Model):
    """One person does not want to see one trouble until a moment; everybody else still sees it."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    #: `admin_ext.parts.trouble.Trouble.key`
    key = models.CharField(max_length=255)
    until = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint("user", "key", name="snoozed_trouble_once")]

    def __str__(self) -> str:
        return f"{self.key} until {self.until:%Y-%m-%d %H:%M}"
