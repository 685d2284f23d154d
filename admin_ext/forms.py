"""The form of a job: one field for each parameter, in Unfold's clothes.

The form reads text into values and nothing more; whether the values fit is decided by the job's own parameters
(`jobs.catalog.parameters`), the same way for a form, a schedule and the worker.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from unfold.widgets import (
    CHECKBOX_CLASSES,
    INPUT_CLASSES,
    RADIO_CLASSES,
    SELECT_CLASSES,
    SWITCH_CLASSES,
    TEXTAREA_CLASSES,
)

from jobs.catalog.fields import Kind, Parameter
from jobs.catalog.parameters import Parameters

#: Up to so many choices are shown side by side; more become a list to pick from.
MOST_OPTIONS = 5
#: An upload needs a store of its own; a path typed in would open any file that is kept.
UNASKABLE = frozenset({Kind.FILE})
#: Names of the page's own fields: a parameter with such a name gets a prefix, so that neither stands in for the other.
RESERVED = frozenset({"nonce", "reason", "csrfmiddlewaretoken"})
_INPUT, _SELECT, _AREA = " ".join(INPUT_CLASSES), " ".join(SELECT_CLASSES), " ".join(TEXTAREA_CLASSES)


class JsonField(forms.CharField):
    """Text that is JSON; its value is what the JSON says."""

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        if not text:
            return None
        try:
            return json.loads(text)
        except ValueError as error:
            raise ValidationError(f"This is not JSON: {error}.") from None


class LinesField(forms.CharField):
    """One value a line; its value is the list of lines that are not empty."""

    def to_python(self, value: Any) -> Any:
        return [line.strip() for line in (super().to_python(value) or "").splitlines() if line.strip()]


class ParametersForm(forms.Form):
    """The parameters of one job; the names in the page are those of the parameters."""

    def __init__(self, parameters: Parameters, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(data)
        self.parameters = parameters
        for parameter in parameters.fields:
            field = _field(parameter)
            field.label = parameter.label
            field.help_text = help_of(parameter)
            field.widget.is_required = parameter.required
            self.fields[parameter.name] = field

    def add_prefix(self, field_name: str) -> str:
        return f"p-{field_name}" if field_name in RESERVED else field_name

    def arguments(self) -> dict[str, Any]:
        """The values by parameter name; what was left empty and has a default of its own is left out."""
        values = {}
        for parameter in self.parameters.fields:
            given = self.cleaned_data.get(parameter.name)
            # An emptied text is a text, unless the parameter's own "nothing" is None.
            as_text = parameter.kind in _TEXTS and parameter.default is not None
            if not parameter.required and (given in (None, []) or (given == "" and not as_text)):
                continue
            values[parameter.name] = given
        return values

    def refuse(self, errors: Mapping[str, str]) -> None:
        """Put what the parameters themselves said beside the fields; what belongs to none goes above them."""
        for name, sentence in errors.items():
            self.add_error(name if name in self.fields else None, sentence)

    def summary(self) -> str:
        """`Nothing was started: 1 field to correct, Rounding. Your values are kept.`"""
        labels = [str(self.fields[name].label) for name in self.errors if name in self.fields]
        if not labels:
            return "Nothing was started. Your values are kept."
        count = f"{len(labels)} field{'s' if len(labels) > 1 else ''} to correct"
        return f"Nothing was started: {count}, {', '.join(labels)}. Your values are kept."


def _field(parameter: Parameter) -> forms.Field:
    return _MAKERS.get(parameter.kind, _json)(parameter)


def _date(parameter: Parameter) -> forms.Field:
    limits = {"min": parameter.minimum, "max": parameter.maximum}
    attrs = {"type": "date", "class": f"{_INPUT} oc-date"} | {k: v.isoformat() for k, v in limits.items() if v}
    return forms.DateField(
        required=parameter.required,
        initial=parameter.default,
        widget=forms.DateInput(attrs, format="%Y-%m-%d"),
        error_messages={"invalid": "Enter a date such as 2026-09-30.", "required": "Enter a date."},
    )


def _moment(parameter: Parameter) -> forms.Field:
    initial = parameter.default
    if isinstance(initial, datetime) and timezone.is_aware(initial):
        initial = timezone.localtime(initial)
    return forms.DateTimeField(
        required=parameter.required,
        initial=initial,
        widget=forms.DateTimeInput({"type": "datetime-local", "class": f"{_INPUT} oc-date"}, format="%Y-%m-%dT%H:%M"),
        error_messages={"invalid": "Enter a day and a time.", "required": "Enter a day and a time."},
    )


def _choice(parameter: Parameter) -> forms.Field:
    choices = [(choice.text, choice.label) for choice in parameter.choices]
    if len(choices) <= MOST_OPTIONS:
        widget: forms.Widget = forms.RadioSelect({"class": " ".join(RADIO_CLASSES)})
    else:
        widget = forms.Select({"class": _SELECT})
        choices = choices if parameter.default is not None else [("", "Choose one"), *choices]
    return forms.TypedChoiceField(
        required=parameter.required,
        choices=choices,
        coerce={choice.text: choice.value for choice in parameter.choices}.__getitem__,
        empty_value=None,
        initial=next((choice.text for choice in parameter.choices if choice.value == parameter.default), None),
        widget=widget,
        error_messages={"required": "Choose one.", "invalid_choice": "Choose one of the options."},
    )


def _choices(parameter: Parameter) -> forms.Field:
    return forms.TypedMultipleChoiceField(
        required=parameter.required,
        choices=[(choice.text, choice.label) for choice in parameter.choices],
        coerce={choice.text: choice.value for choice in parameter.choices}.__getitem__,
        initial=[choice.text for choice in parameter.choices if choice.value in (parameter.default or ())],
        widget=forms.CheckboxSelectMultiple({"class": " ".join(CHECKBOX_CLASSES)}),
        error_messages={"required": "Choose at least one."},
    )


def _whole_number(parameter: Parameter) -> forms.Field:
    return forms.IntegerField(
        required=parameter.required,
        initial=parameter.default,
        widget=forms.NumberInput(_number_attrs(parameter, "1")),
        error_messages={"invalid": "Enter a whole number.", "required": "Enter a whole number."},
    )


def _number(parameter: Parameter) -> forms.Field:
    return forms.FloatField(
        required=parameter.required,
        initial=parameter.default,
        widget=forms.NumberInput(_number_attrs(parameter, "any")),
        error_messages={"invalid": "Enter a number such as 0.5.", "required": "Enter a number."},
    )


def _number_attrs(parameter: Parameter, step: str) -> dict[str, Any]:
    limits = {"min": parameter.minimum, "max": parameter.maximum}
    return {"class": _INPUT, "step": step} | {name: value for name, value in limits.items() if value is not None}


def _switch(parameter: Parameter) -> forms.Field:
    attrs = {"class": " ".join(SWITCH_CLASSES)}
    return forms.BooleanField(required=False, initial=bool(parameter.default), widget=forms.CheckboxInput(attrs))


def _text(parameter: Parameter) -> forms.Field:
    """One line that the parameter's own type reads: a text, a decimal number, a duration, the key of an object."""
    return forms.CharField(
        required=parameter.required,
        initial=parameter.default,
        strip=parameter.kind is not Kind.TEXT,
        widget=forms.TextInput({"class": _INPUT}),
        error_messages={"required": "Enter a value."},
    )


def _long_text(parameter: Parameter) -> forms.Field:
    return forms.CharField(
        required=parameter.required,
        initial=parameter.default,
        strip=False,
        widget=forms.Textarea({"class": _AREA, "rows": 4}),
        error_messages={"required": "Enter a text."},
    )


def _lines(parameter: Parameter) -> forms.Field:
    return LinesField(
        required=parameter.required,
        initial="\n".join(str(value) for value in parameter.default or ()),
        widget=forms.Textarea({"class": _AREA, "rows": 4}),
        error_messages={"required": "Enter at least one line."},
    )


def _secret(parameter: Parameter) -> forms.Field:
    """Never drawn back into the page, also not after an error."""
    return forms.CharField(
        required=parameter.required,
        widget=forms.PasswordInput({"class": _INPUT, "autocomplete": "new-password"}),
        error_messages={"required": "Enter the secret."},
    )


def _json(parameter: Parameter) -> forms.Field:
    initial = None if parameter.default is None else json.dumps(parameter.default, ensure_ascii=False, default=str)
    return JsonField(
        required=parameter.required,
        initial=initial,
        widget=forms.Textarea({"class": f"{_AREA} oc-code", "rows": 3, "spellcheck": "false"}),
        error_messages={"required": "Enter a value as JSON."},
    )


_MAKERS: dict[Kind, Callable[[Parameter], forms.Field]] = {
    Kind.DATE: _date,
    Kind.MOMENT: _moment,
    Kind.DURATION: _text,
    Kind.CHOICE: _choice,
    Kind.CHOICES: _choices,
    Kind.WHOLE_NUMBER: _whole_number,
    Kind.NUMBER: _number,
    Kind.DECIMAL: _text,
    Kind.SWITCH: _switch,
    Kind.TEXT: _text,
    Kind.LONG_TEXT: _long_text,
    Kind.UUID: _text,
    Kind.LINES: _lines,
    Kind.OBJECT: _text,
    Kind.OBJECTS: _lines,
    Kind.SECRET: _secret,
    Kind.JSON: _json,
}
_TEXTS = frozenset({Kind.TEXT, Kind.LONG_TEXT})
_HINTS: dict[Kind, str] = {
    Kind.DURATION: "Such as 1:30:00 or PT90M",
    Kind.LINES: "One a line",
    Kind.OBJECT: "Its key",
    Kind.OBJECTS: "Their keys, one a line",
    Kind.SECRET: "Nobody sees it again",
}


def help_of(parameter: Parameter) -> str:
    """What stands under the field: the job's own words, the limits, and what happens when it is left empty."""
    parts = [parameter.help, _limits(parameter), _HINTS.get(parameter.kind, ""), parameter.note]
    if parameter.kind is Kind.MOMENT:
        parts.append(f"Time in {timezone.get_current_timezone_name()}")
    if not parameter.required and parameter.kind not in (Kind.SWITCH, Kind.CHOICE, Kind.CHOICES):
        if parameter.default in (None, "", [], ()):
            parts.append("May be left empty")
        elif parameter.kind not in _TEXTS:
            parts.append(f"Left empty: {parameter.default}")
    return " ".join(f"{part.rstrip('.')}." for part in parts if part)


def _limits(parameter: Parameter) -> str:
    low, high = parameter.minimum, parameter.maximum
    unit = " characters" if parameter.kind in _TEXTS else ""
    below, above = ("Not before", "Not after") if isinstance(low or high, date) else ("At least", "At most")
    if low is not None and high is not None:
        return f"From {low} to {high}{unit}"
    if low is not None:
        return f"{below} {low}{unit}"
    return f"{above} {high}{unit}" if high is not None else ""
