"""One field for each kind of parameter, in Unfold's clothes. A field reads text into a value and nothing more.

Numbers are plain text boxes with a keypad hint: a browser's number box sends nothing at all for what it cannot read,
and an optional parameter would silently take its default.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import (
    CHECKBOX_CLASSES,
    INPUT_CLASSES,
    RADIO_CLASSES,
    SELECT_CLASSES,
    SWITCH_CLASSES,
    TEXTAREA_CLASSES,
)

from jobs.catalog.fields import Kind, Parameter

from .files_in_json import FilesInJson
from .values import (
    DURATION_WANTED,
    MOMENT_WANTED,
    duration_of,
    is_plain_moment,
    json_of,
    moment_of,
    page_text,
)

#: Up to so many choices are shown side by side; more become a list to pick from.
MOST_OPTIONS = 5
#: A date with more digits is none, and Python refuses to read a number of many thousands.
LONGEST_NUMBER = 4000
INPUT, SELECT, AREA = " ".join(INPUT_CLASSES), " ".join(SELECT_CLASSES), " ".join(TEXTAREA_CLASSES)
RADIO, CHECKBOX, SWITCH = " ".join(RADIO_CLASSES), " ".join(CHECKBOX_CLASSES), " ".join(SWITCH_CLASSES)
TEXTS = frozenset({Kind.TEXT, Kind.LONG_TEXT})


class TextField(forms.CharField):
    """Text as a person typed it: a browser sends line ends of its own, and nobody means them."""

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        return text.replace("\r\n", "\n") if isinstance(text, str) else text


class WholeNumberField(forms.CharField):
    """Digits with a sign; the value is exact whatever its size."""

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        if not text:
            return None
        if len(text) > LONGEST_NUMBER or not re.fullmatch(r"[+-]?[0-9]+", text):
            raise ValidationError("Enter a whole number.")
        return int(text)


class MomentInput(forms.TextInput):
    """The browser's own field; a plain one for what that could not show, such as a time with its offset."""

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(name, value, attrs)
        text = context["widget"]["value"] or ""
        plain = is_plain_moment(text)
        if plain:
            try:
                moment_of(text)
            except ValidationError:  # the remedy may be an offset
                plain = False
        context["widget"]["type"] = "datetime-local" if plain or not text else "text"
        return context


class MomentField(forms.CharField):
    """A point in time, read by `moment_of`."""

    widget = MomentInput

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        return moment_of(text) if text else None


class DurationField(forms.CharField):
    """A length of time, read by `duration_of`."""

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        return duration_of(text) if text else None


class JsonField(forms.CharField):
    """Text that is JSON; its value is what the JSON says, `null` included, but for files: those have tokens.

    Attributes:
        files: whose tokens are read, and of which job.
    """

    files = FilesInJson("", "")

    def clean(self, value: Any) -> Any:
        text = self.to_python(value)
        self.validate(text)
        return self.files.files_for(json_of(text)) if text else None


class LinesField(forms.CharField):
    """One value a line; its value is the list of lines that are not empty.

    Attributes:
        numbers: for each value, the number of its line in the box, once it was read.
    """

    def to_python(self, value: Any) -> Any:
        lines = [(number, line.strip()) for number, line in enumerate((value or "").splitlines(), 1)]
        self.numbers = [number for number, line in lines if line]
        return [line for _, line in lines if line]


class AreaIfLong(forms.TextInput):
    """One line; a box where the text has several, which a single line would lose."""

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(name, value, attrs)
        if "\n" in (context["widget"]["value"] or ""):
            context["widget"]["template_name"] = "django/forms/widgets/textarea.html"
            context["widget"]["attrs"] |= {"rows": 4, "class": AREA}
        return context

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> Any:
        context = self.get_context(name, value, attrs)
        return self._render(context["widget"]["template_name"], context, renderer)  # type: ignore[attr-defined]


def plain_field(parameter: Parameter) -> forms.Field | None:
    """The field of a parameter that needs nothing of the person who asks; None for objects and files."""
    if parameter.guessed and parameter.kind in (Kind.WHOLE_NUMBER, Kind.NUMBER):
        return JsonField(**_settings(parameter, "Enter a number."), widget=_box(spellcheck="false"))
    maker = _MAKERS.get(parameter.kind)
    return maker(parameter) if maker else None


def _settings(parameter: Parameter, required: str) -> dict[str, Any]:
    return {
        "required": parameter.required,
        "initial": page_text(parameter, parameter.default),
        "error_messages": {"required": required},
    }


def _date(parameter: Parameter) -> forms.Field:
    limits = {"min": parameter.minimum, "max": parameter.maximum}
    attrs = {"type": "date", "class": f"{INPUT} oc-date"} | {k: v.isoformat() for k, v in limits.items() if v}
    field = forms.DateField(
        **_settings(parameter, "Enter a date."), widget=forms.DateInput(attrs), input_formats=["%Y-%m-%d"]
    )
    field.error_messages["invalid"] = "Enter a date such as 2026-09-30."
    return field


def _moment(parameter: Parameter) -> forms.Field:
    return MomentField(**_settings(parameter, MOMENT_WANTED), widget=MomentInput({"class": f"{INPUT} oc-date"}))


def _duration(parameter: Parameter) -> forms.Field:
    return DurationField(**_settings(parameter, DURATION_WANTED), widget=_box())


def _choice(parameter: Parameter) -> forms.Field:
    choices = [(choice.text, choice.label) for choice in parameter.choices]
    optional = not parameter.required and parameter.default is None
    if len(choices) <= MOST_OPTIONS:
        widget: forms.Widget = forms.RadioSelect({"class": RADIO})
        choices = [("", "Not given"), *choices] if optional else choices
    else:
        widget = forms.Select({"class": SELECT})
        choices = choices if parameter.default is not None else [("", "Choose one"), *choices]
    return forms.TypedChoiceField(
        **_settings(parameter, "Choose one.") | {"error_messages": _CHOOSE},
        choices=choices,
        coerce={choice.text: choice.value for choice in parameter.choices}.__getitem__,
        empty_value=None,
        widget=widget,
    )


_CHOOSE = {"required": "Choose one.", "invalid_choice": "Choose one of the options."}


def _choices(parameter: Parameter) -> forms.Field:
    return forms.TypedMultipleChoiceField(
        **_settings(parameter, "Choose at least one."),
        choices=[(choice.text, choice.label) for choice in parameter.choices],
        coerce={choice.text: choice.value for choice in parameter.choices}.__getitem__,
        widget=forms.CheckboxSelectMultiple({"class": CHECKBOX}),
    )


def _whole_number(parameter: Parameter) -> forms.Field:
    return WholeNumberField(
        **_settings(parameter, "Enter a whole number."), widget=_box(inputmode=_keypad(parameter, "numeric"))
    )


def _number(parameter: Parameter) -> forms.Field:
    field = forms.FloatField(
        **_settings(parameter, "Enter a number."), widget=_box(inputmode=_keypad(parameter, "decimal"))
    )
    field.error_messages["invalid"] = "Enter a number such as 0.5."
    return field


def _decimal(parameter: Parameter) -> forms.Field:
    return forms.CharField(
        **_settings(parameter, "Enter a number."), widget=_box(inputmode=_keypad(parameter, "decimal"))
    )


def _keypad(parameter: Parameter, name: str) -> str:
    """The keypads of telephones have no minus."""
    return name if parameter.minimum is not None and parameter.minimum >= 0 else "text"


def _switch(parameter: Parameter) -> forms.Field:
    if not parameter.nullable:
        initial = bool(parameter.default)
        return forms.BooleanField(required=False, initial=initial, widget=forms.CheckboxInput({"class": SWITCH}))
    return forms.TypedChoiceField(
        **_settings(parameter, "Choose one.") | {"error_messages": _CHOOSE},
        choices=[("", "Not given"), ("yes", "Yes"), ("no", "No")],
        coerce=lambda text: text == "yes",
        empty_value=None,
        widget=forms.RadioSelect({"class": RADIO}),
    )


def _text(parameter: Parameter) -> forms.Field:
    return TextField(**_settings(parameter, "Enter a value."), strip=False, widget=AreaIfLong({"class": INPUT}))


def _uuid(parameter: Parameter) -> forms.Field:
    return forms.CharField(**_settings(parameter, "Enter a UUID."), widget=_box(spellcheck="false"))


def _long_text(parameter: Parameter) -> forms.Field:
    return TextField(**_settings(parameter, "Enter a text."), strip=False, widget=_area(4))


def _lines(parameter: Parameter) -> forms.Field:
    return LinesField(**_settings(parameter, "Enter at least one line."), widget=_area(4))


def _secret(parameter: Parameter) -> forms.Field:
    """Never drawn back into the page, also not after an error."""
    widget = forms.PasswordInput({"class": INPUT, "autocomplete": "new-password"})
    return forms.CharField(**_settings(parameter, "Enter the secret."), strip=False, widget=widget)


def _json(parameter: Parameter) -> forms.Field:
    widget = _area(4, spellcheck="false", extra="oc-code")
    return JsonField(**_settings(parameter, "Enter a value as JSON."), widget=widget)


def _box(**attrs: str) -> forms.Widget:
    return forms.TextInput({"class": INPUT, **attrs})


def _area(rows: int, *, extra: str = "", **attrs: str) -> forms.Widget:
    return forms.Textarea({"class": f"{AREA} oc-full {extra}".strip(), "rows": rows, **attrs})


_MAKERS: dict[Kind, Callable[[Parameter], forms.Field]] = {
    Kind.DATE: _date,
    Kind.MOMENT: _moment,
    Kind.DURATION: _duration,
    Kind.CHOICE: _choice,
    Kind.CHOICES: _choices,
    Kind.WHOLE_NUMBER: _whole_number,
    Kind.NUMBER: _number,
    Kind.DECIMAL: _decimal,
    Kind.SWITCH: _switch,
    Kind.TEXT: _text,
    Kind.LONG_TEXT: _long_text,
    Kind.UUID: _uuid,
    Kind.LINES: _lines,
    Kind.SECRET: _secret,
    Kind.JSON: _json,
}
