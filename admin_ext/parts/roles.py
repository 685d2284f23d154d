"""Choosing roles by what they let people do."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import Group
from django.template.loader import render_to_string
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from jobs.ledger.roles import may_words

#: Of more roles a list of boxes helps nobody: there Django's own field stays.
MOST = 30


class RolesField(forms.ModelMultipleChoiceField):
    """One box a role, with what its people may do."""

    widget = UnfoldAdminCheckboxSelectMultipleWidget

    def __init__(self, **kwargs: Any) -> None:
        found = Group.objects.order_by("name").prefetch_related("permissions__content_type")
        super().__init__(**{"queryset": found, "required": False, "label": "Roles", **kwargs})
        self.help_text = "What this person may do; several add up. Nobody gives a role that may do more than they do."

    def label_from_instance(self, obj: Any) -> str:
        return render_to_string("admin_ext/parts/role.html", {"role": obj, "may": may_words(obj)})


def roles_fit() -> bool:
    """Whether there are few enough of them for boxes."""
    return Group.objects.order_by().values("pk")[: MOST + 1].count() <= MOST
