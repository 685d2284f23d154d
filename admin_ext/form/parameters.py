"""The form of a job: one field for each parameter, what they held when it was filled, what comes back beside them.

The form reads text into values and nothing more; whether the values fit is decided by the job's own parameters
(`jobs.catalog.parameters`), the same way for a form, a schedule and the worker.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.boundfield import BoundField

from jobs.catalog.fields import Kind, Parameter
from jobs.catalog.parameters import Parameters
from jobs.errors import JobsError

from .clerk import Clerk
from .fields import TEXTS, JsonField, LinesField, plain_field
from .fill import Fill
from .help import help_of
from .objects import object_field
from .upload import Given, Kept, UploadField
from .values import Text, asked_for, page_text

#: A form without a clerk cannot keep a file: whoever makes one asks for jobs without file parameters.
UNASKABLE = frozenset({Kind.FILE})
#: Names of the page's own fields: a parameter with such a name gets a prefix, so that neither stands in for the other.
RESERVED = frozenset({"nonce", "reason", "csrfmiddlewaretoken"})
LONGEST_WAS = 80
#: A longer text is compared by the server only.
LONGEST_COMPARED = 10_000
_OBJECTS = (Kind.OBJECT, Kind.OBJECTS)
_EMPTY_IS_A_VALUE = TEXTS | {Kind.CHOICES}


class ParameterField(BoundField):
    """One field of the page, with what it held when the form was filled."""

    form: ParametersForm

    @property
    def parameter(self) -> Parameter:
        return self.form.by_name[self.name]

    @property
    def kept(self) -> Kept | None:
        return self.field.kept if isinstance(self.field, UploadField) else None

    @property
    def upload(self) -> bool:
        return isinstance(self.field, UploadField)

    @property
    def searched(self) -> bool:
        return self.form.clerk is not None and self.parameter.kind in _OBJECTS

    @property
    def compared(self) -> bool:
        """Whether what is in the field can differ from what it was filled with; a secret is never filled."""
        return self.form.fill.active and self.parameter.kind is not Kind.SECRET

    @property
    def changed(self) -> bool:
        return self.compared and self.form.is_bound and not self.form.is_as_filled(self.name)

    @property
    def filled(self) -> str:
        """What it was filled with, as JSON for the script; "" where only the server compares."""
        text = json.dumps(self.form.filled_text(self.name), ensure_ascii=False)
        return text if self.compared and not self.upload and len(text) <= LONGEST_COMPARED else ""

    @property
    def was(self) -> str:
        """`Was 2026-08-31.`"""
        before = self.form.filled_text(self.name)
        text = " ".join((", ".join(before) if isinstance(before, list) else before).split())
        if self.upload or self.parameter.kind in _OBJECTS:
            return ""  # a token or a key tells a person nothing
        if isinstance(self.field, forms.BooleanField):
            return "Was on." if text else "Was off."
        choices = {choice.text: choice.label for choice in self.parameter.choices}
        text = choices.get(text, text)
        return f"Was {text[:LONGEST_WAS]}{'…' if len(text) > LONGEST_WAS else ''}." if text else "Was empty."


class ParametersForm(forms.Form):
    """The parameters of one job; the names in the page are those of the parameters.

    Args:
        fill: what the fields hold before anybody types.
        clerk: keeps files and knows objects for the person who asks; without one keys are typed, files not asked for.
        hidden: names of parameters that the page asks for in another way.
    """

    bound_field_class = ParameterField

    class Media:
        js = [forms.Script("admin_ext/run_form.js", defer=True), forms.Script("admin_ext/typed.js", defer=True)]

    def __init__(
        self,
        parameters: Parameters,
        data: Mapping[str, Any] | None = None,
        files: Any = None,
        *,
        fill: Fill | None = None,
        clerk: Clerk | None = None,
        hidden: Collection[str] = (),
    ) -> None:
        super().__init__(data, files)
        self.parameters, self.fill, self.clerk = parameters, fill or Fill(), clerk
        self.by_name = {
            parameter.name: asked_for(parameter, self.fill.exact.get(parameter.name))
            for parameter in parameters.fields
            if parameter.name not in hidden
        }
        for parameter in self.by_name.values():
            field = self._field(parameter)
            field.label = parameter.label
            field.help_text = help_of(parameter, searched=clerk is not None)
            field.widget.is_required = parameter.required
            if isinstance(field, JsonField) and self.clerk is not None:
                field.files = self.clerk.files_in_json
            if parameter.name in self.fill.texts:
                field.initial = self.filled_text(parameter.name)
            self.fields[parameter.name] = field
            if parameter.kind is Kind.CHOICES:
                self._in_order(parameter, field)

    def _field(self, parameter: Parameter) -> forms.Field:
        if parameter.kind in _OBJECTS:
            if self.clerk is None:
                return object_field(parameter)
            known = self.fill.names.get(parameter.name, {})
            address, named = self.clerk.address(parameter), self.clerk.namer(parameter, known)
            return object_field(parameter, address=address, named=named)
        if parameter.kind is Kind.FILE and self.clerk is not None:
            return self.clerk.upload_field(parameter, self.fill.exact.get(parameter.name))
        return plain_field(parameter) or forms.CharField(required=parameter.required, disabled=True)

    def _in_order(self, parameter: Parameter, field: Any) -> None:
        """Show the boxes in the order in which they were ticked: it is the order in which they are sent."""
        ticked = self.text(parameter.name)
        places = [text for text, _ in field.choices]
        if isinstance(ticked, list) and [places.index(t) for t in ticked if t in places] != sorted(
            places.index(t) for t in ticked if t in places
        ):
            labels = dict(field.choices)
            first = [text for text in dict.fromkeys(ticked) if text in labels]
            field.choices = [(text, labels[text]) for text in [*first, *(p for p in places if p not in first)]]

    def add_prefix(self, field_name: str) -> str:
        return f"p-{field_name}" if field_name in RESERVED else field_name

    def filled_text(self, name: str) -> Text:
        """What the field held before anybody typed."""
        parameter = self.by_name[name]
        if parameter.kind is Kind.JSON and self.clerk is not None and name in self.fill.exact:
            return page_text(parameter, self.clerk.files_in_json.tokens_for(self.fill.exact[name]))
        return self.fill.texts.get(name, page_text(parameter, parameter.default))

    def text(self, name: str) -> Text:
        """What the field holds: as sent, else as filled."""
        if not self.is_bound:
            return self.filled_text(name)
        value = self.fields[name].widget.value_from_datadict(self.data, self.files, self.add_prefix(name))
        if isinstance(value, Given):
            return "" if value.dropped else "new" if value.upload else value.token
        if isinstance(value, bool):
            return "on" if value else ""
        if isinstance(value, (list, tuple)):
            return [str(item) for item in value]
        return "" if value is None else str(value).replace("\r\n", "\n")

    def is_as_filled(self, name: str) -> bool:
        """Whether the field still holds what it was filled with."""
        now, then = self.text(name), self.filled_text(name)
        if isinstance(now, str) and isinstance(then, str):
            return now == then.replace("\r\n", "\n")
        return now == then

    def arguments(self) -> dict[str, Any]:
        """The values by parameter name; what was left empty and has a default of its own, or is wrong, is left out.

        A field that still holds what it was filled with gives exactly that value: no browser could send it better.
        """
        values = {}
        for name, parameter in self.by_name.items():
            if name not in self.fields or name in self.errors:
                continue
            if name in self.fill.exact and parameter.kind is not Kind.SECRET and self.is_as_filled(name):
                values[name] = self.fill.exact[name]
                continue
            # An emptied text is a text and no box ticked is an empty list, unless the parameter's "nothing" is None.
            as_shown = parameter.kind in _EMPTY_IS_A_VALUE and parameter.default is not None
            switch = isinstance(self.fields[name], forms.BooleanField)
            if not parameter.required and not self.text(name) and not as_shown and not switch:
                continue
            values[name] = self.cleaned_data.get(name)
        return values

    def _clean_fields(self) -> None:
        """As Django does; what was filled and not touched is not read from the text, which may say it less exactly."""
        for name, bound in self._bound_items():  # type: ignore[attr-defined]
            as_filled = name in self.fill.exact and self.is_as_filled(name)
            if as_filled and self.by_name[name].kind not in (Kind.SECRET, Kind.FILE):
                self.cleaned_data[name] = self.fill.exact[name]
                continue
            try:
                self.cleaned_data[name] = bound.field.clean(bound.data)
            except ValidationError as error:
                self.add_error(name, error)
            except JobsError as error:  # the clerk could not keep a file
                self.add_error(name, str(error))

    def refuse(self, errors: Mapping[str, str]) -> None:
        """Put what the parameters themselves said beside the fields; what belongs to none goes above them."""
        for name, sentence in errors.items():
            self.add_error(name if name in self.fields else None, self._in_its_line(name, sentence))

    def refuse_others(self, values: Mapping[str, Any] | None = None) -> None:
        """Once a field could not be read: check what could be, so that one answer names all that is wrong.

        Args:
            values: those that could be read; `arguments()` where None.
        """
        self.refuse(self.parameters.wrong(self.arguments() if values is None else values))

    def point_out(self, problems: Mapping[str, str]) -> None:
        """Put sentences beside the fields of a form that nobody has sent yet."""
        for name, sentence in problems.items():
            if name in self.fields:
                self.errors.setdefault(name, self.error_class()).append(sentence)

    def _in_its_line(self, name: str, sentence: str) -> str:
        """`Line 3: …`, counted as the box counts: the parameters know nothing of its empty lines."""
        field = self.fields.get(name)
        numbers = getattr(field, "numbers", []) if isinstance(field, LinesField) else []
        found = re.match(r"Line (\d+): ", sentence)
        if found and 0 < int(found[1]) <= len(numbers):
            return f"Line {numbers[int(found[1]) - 1]}: {sentence[found.end() :]}"
        return sentence

    def summary(self) -> str:
        """`Nothing was started: 1 field to correct, Rounding. Your values are kept.`"""
        return nothing_was("started", labels_of_wrong(self), secret=bool(self.parameters.secrets))


def focus_first_wrong(*forms: forms.Form | None) -> None:
    """Let the browser go to the first field, in the order of the page, that has an error beside it."""
    for form in forms:
        for name in form.fields if form is not None else ():
            if form is not None and name in form.errors:
                form.fields[name].widget.attrs["autofocus"] = True
                return


def labels_of_wrong(form: forms.Form) -> list[str]:
    """The labels of the fields that have an error beside them, in the order of the page."""
    return [str(field.label) for name, field in form.fields.items() if name in form.errors]


def nothing_was(verb: str, wrong: list[str], *, secret: bool, why: str = "") -> str:
    """What did not happen, and why: the labels of what is wrong, else `why`."""
    kept = "Your values are kept, but for secrets." if secret else "Your values are kept."
    if not wrong:
        return f"Nothing was {verb}{f': {why}' if why else '.'} {kept}"
    return (
        f"Nothing was {verb}: {len(wrong)} field{'s' if len(wrong) > 1 else ''} to correct, {', '.join(wrong)}. {kept}"
    )
