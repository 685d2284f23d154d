"""The fields of a schedule's form that say what it is called, and whether it is on."""

from __future__ import annotations

from django import forms

from admin_ext.form.fields import AREA, INPUT, SWITCH, TextField
from jobs.schedules.drafts import LONGEST_NAME


class DetailsForm(forms.Form):
    """What a schedule is called, what it is for, and whether it is on."""

    name = TextField(
        label="Name",
        max_length=LONGEST_NAME,
        widget=forms.TextInput({"class": INPUT}),
        help_text="The list, its runs and the audit trail call it so.",
        error_messages={"required": "Give the schedule a name."},
    )
    enabled = forms.BooleanField(
        label="On",
        required=False,
        widget=forms.CheckboxInput({"class": SWITCH}),
        help_text="It fires from its next moment on, never at once.",
    )
    description = TextField(
        label="What it is for",
        required=False,
        max_length=2000,
        widget=forms.Textarea({"class": f"{AREA} oc-full", "rows": 2}),
    )

    def add_prefix(self, field_name: str) -> str:
        return f"oc.{field_name}"
