"""The fields of a schedule's form that say when it fires."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils import timezone

from admin_ext.form.fields import CHECKBOX, INPUT, RADIO, SELECT, MomentField, MomentInput
from admin_ext.form.values import moment_of, moment_text
from admin_ext.parts.words import exact
from jobs.schedules.moments import Plan
from jobs.schedules.sentence import MONTHS
from jobs.schedules.spec import (
    Calendar,
    Every,
    InvalidSchedule,
    Once,
    Spec,
    Unit,
    calendar_of,
    checked_calendar,
    every_of,
    once_at,
)

from .zones import known_zone, zone_choices

EVERY, DAYS, MONTH, CRON, ONCE = "every", "days", "month", "cron", "once"
HOW = [
    (EVERY, "Every…"),
    (DAYS, "On days"),
    (MONTH, "Monthly"),
    (CRON, "Cron text"),
    (ONCE, "Once"),
]
WEEK = [("1", "Mon"), ("2", "Tue"), ("3", "Wed"), ("4", "Thu"), ("5", "Fri"), ("6", "Sat"), ("0", "Sun")]
UNITS = [(unit.value, unit.value) for unit in Unit if unit is not Unit.MICROSECONDS]
#: Which of the fields each way asks for.
ASKS = {
    EVERY: ("count", "unit"),
    DAYS: ("days", "clock", "zone"),
    MONTH: ("day", "month", "clock", "zone"),
    CRON: ("cron", "zone"),
    ONCE: ("at", "zone"),
}
#: The ways that have a zone of their own.
_ZONED = frozenset(way for way, asked in ASKS.items() if "zone" in asked)
#: Where the domain's word for a field is another.
_BESIDE = {DAYS: {"cron": "days"}, MONTH: {"cron": "day"}}
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::00)?", re.ASCII)


class WhenForm(forms.Form):
    """When a schedule fires; in the page its names begin with `oc.`, which no parameter can."""

    how = forms.ChoiceField(
        label="How",
        choices=HOW,
        widget=forms.RadioSelect({"class": RADIO}),
        error_messages={"required": "Choose one.", "invalid_choice": "Choose one of the options."},
    )
    count = forms.CharField(
        label="Every", required=False, widget=forms.TextInput({"class": INPUT, "inputmode": "numeric"})
    )
    unit = forms.ChoiceField(label="Unit", required=False, choices=UNITS, widget=forms.Select({"class": SELECT}))
    days = forms.MultipleChoiceField(
        label="On", required=False, choices=WEEK, widget=forms.CheckboxSelectMultiple({"class": CHECKBOX})
    )
    day = forms.CharField(
        label="Day",
        required=False,
        help_text="1 to 31. In a month without that day it does not run.",
        widget=forms.TextInput({"class": INPUT, "inputmode": "numeric"}),
    )
    month = forms.ChoiceField(
        label="Month",
        required=False,
        choices=[("*", "Every month"), *((str(n), name) for n, name in enumerate(MONTHS, 1))],
        widget=forms.Select({"class": SELECT}),
    )
    clock = forms.CharField(
        label="At", required=False, widget=forms.TextInput({"class": f"{INPUT} oc-date", "type": "time"})
    )
    cron = forms.CharField(
        label="Cron text",
        required=False,
        max_length=600,
        help_text="Minute, hour, day of the month, month, day of the week: 30 6 * * 1-5 is 06:30 on weekdays. "
        "A day must fit both the month and the week.",
        widget=forms.TextInput({"class": f"{INPUT} oc-full oc-code", "spellcheck": "false"}),
    )
    at = forms.CharField(label="At", required=False, widget=MomentInput({"class": f"{INPUT} oc-date"}))
    zone = forms.ChoiceField(
        label="Time zone", required=False, widget=forms.Select({"class": SELECT, "data-oc-zones": "This browser"})
    )
    start = MomentField(label="Not before", required=False, widget=MomentInput({"class": f"{INPUT} oc-date"}))
    until = MomentField(label="Until", required=False, widget=MomentInput({"class": f"{INPUT} oc-date"}))

    def __init__(self, data: Mapping[str, Any] | None = None, *, initial: Mapping[str, Any] | None = None) -> None:
        super().__init__(data, initial=dict(initial or first_time()))
        default = str(settings.TIME_ZONE)
        held = str(self.initial.get("zone") or default)
        self.fields["zone"].choices = zone_choices(default, held)  # type: ignore[attr-defined]
        self.fields["zone"].initial = default
        here = "Time in the schedule's zone." if self._how in _ZONED else f"Time in {default}."
        self.fields["start"].help_text = f"{here} An interval counts from it. Left empty: from now."
        self.fields["until"].help_text = f"{here} From then on it does not run. Left empty: no end."
        for name in ("unit", "days", "month", "zone"):
            self.fields[name].error_messages["invalid_choice"] = "Choose one of the list."
        self.spec: Spec | None = None

    def add_prefix(self, field_name: str) -> str:
        return f"oc.{field_name}"

    @property
    def _how(self) -> str:
        return str(self.data.get(self.add_prefix("how"), "") if self.is_bound else self.initial.get("how", ""))

    @property
    def _zone(self) -> ZoneInfo:
        """The zone in which its moments are told: the chosen one, where its way has one that can be chosen."""
        given = self.data.get(self.add_prefix("zone")) if self.is_bound else self.initial.get("zone")
        return known_zone(given if self._how in _ZONED else None)

    def _clean_fields(self) -> None:
        """Only the fields of the chosen way are read: what stands in the others is not sent by anybody's wish."""
        how = str(self.data.get(self.add_prefix("how"), ""))
        asked = {"how", "start", "until", *ASKS.get(how, ())}
        for name, bound in self._bound_items():  # type: ignore[attr-defined]
            if name not in asked:
                continue
            try:
                with timezone.override(self._zone):
                    self.cleaned_data[name] = bound.field.clean(bound.data)
            except ValidationError as error:
                self.add_error(name, error)

    def clean(self) -> None:
        how = self.cleaned_data.get("how", "")
        if not how or self.errors:
            return
        try:
            self.spec = _READ[how](self.cleaned_data)
        except InvalidSchedule as error:
            self.refuse(error.fields)
        except ValidationError as error:
            self.add_error("at", error)

    def refuse(self, errors: Mapping[str, str]) -> None:
        """Put what the domain said beside the field that it is about."""
        beside = _BESIDE.get(self.cleaned_data.get("how", ""), {})
        for name, sentence in errors.items():
            name = beside.get(name, name)
            self.add_error(name if name in self.fields else None, sentence)

    @property
    def limits(self) -> str:
        """`not before Mon 23 Nov 2026, 02:08:12 UTC, without end`."""
        start, until = self._limit("start"), self._limit("until")
        return f"{f'not before {start}' if start else 'from now'}, {f'until {until}' if until else 'without end'}"

    def _limit(self, name: str) -> str:
        text = str(self[name].value() or "")
        try:
            with timezone.override(self._zone):
                return exact(moment_of(text)) if text else ""
        except ValidationError:
            return text

    @property
    def start_at(self) -> datetime | None:
        return self.cleaned_data.get("start")

    @property
    def until_at(self) -> datetime | None:
        return self.cleaned_data.get("until")

    @property
    def chosen_zone(self) -> str:
        """The zone in which a single moment is told."""
        return str(self.cleaned_data.get("zone") or settings.TIME_ZONE)

    def plan(self, now: datetime) -> Plan | None:
        """When it would fire; None where that cannot be told yet."""
        if self.spec is None:
            return None
        return Plan(self.spec, self.start_at or now, self.start_at, self.until_at)


def first_time() -> dict[str, Any]:
    """What an empty form proposes; not on which days, because nobody knows whether it is a daily thing."""
    return {"how": DAYS, "days": [], "clock": "06:30", "count": "15", "unit": "minutes"}


def initial_of(spec: Spec | None, start: datetime | None, until: datetime | None) -> dict[str, Any]:
    """The fields of a schedule that exists, in the simplest way that says its time."""
    held: dict[str, Any] = first_time() | _told(spec)
    with timezone.override(known_zone(held.get("zone"))):
        return held | {"start": moment_text(start) if start else "", "until": moment_text(until) if until else ""}


def _told(spec: Spec | None) -> dict[str, Any]:
    match spec:
        case Every(count, unit) if unit is not Unit.MICROSECONDS:
            return {"how": EVERY, "count": str(count), "unit": unit.value}
        case Once(at):
            return {"how": ONCE, "at": moment_text(at), "zone": str(settings.TIME_ZONE)}
        case Calendar():
            return _told_calendar(spec) | {"zone": spec.zone, "cron": spec.text}
    return {}


def _told_calendar(calendar: Calendar) -> dict[str, Any]:
    cron = calendar.cron
    if calendar.elapsed or len(cron.minute) != 1 or len(cron.hour) != 1:
        return {"how": CRON}
    clock = f"{min(cron.hour):02}:{min(cron.minute):02}"
    every_day, every_month, every_weekday = (
        len(cron.day_of_month) == 31,
        len(cron.month) == 12,
        len(cron.day_of_week) == 7,
    )
    if every_day and every_month:
        return {"how": DAYS, "clock": clock, "days": [value for value, _ in WEEK if int(value) in cron.day_of_week]}
    if every_weekday and len(cron.day_of_month) == 1 and (every_month or len(cron.month) == 1):
        month = "*" if every_month else str(min(cron.month))
        return {"how": MONTH, "clock": clock, "day": str(min(cron.day_of_month)), "month": month}
    return {"how": CRON}


def _every(values: Mapping[str, Any]) -> Spec:
    return every_of(
        _number(values["count"], "count", "Enter a whole number, such as 15."), Unit(values["unit"] or "minutes")
    )


def _days(values: Mapping[str, Any]) -> Spec:
    if not values["days"]:
        raise InvalidSchedule({"days": "Choose at least one day."})
    days = "*" if len(values["days"]) == 7 else ",".join(sorted(values["days"]))
    minute, hour = _clock(values)
    return checked_calendar(Calendar(minute, hour, "*", "*", days, values["zone"]), "cron")


def _month(values: Mapping[str, Any]) -> Spec:
    day = _number(values["day"], "day", "Enter a day from 1 to 31.")
    if not 1 <= day <= 31:
        raise InvalidSchedule({"day": "Enter a day from 1 to 31."})
    minute, hour = _clock(values)
    return checked_calendar(Calendar(minute, hour, str(day), values["month"] or "*", "*", values["zone"]), "cron")


def _cron(values: Mapping[str, Any]) -> Spec:
    return calendar_of(values["cron"], values["zone"])


def _once(values: Mapping[str, Any]) -> Spec:
    if not values["at"]:
        raise InvalidSchedule({"at": "Enter a day and a time."})
    with timezone.override(ZoneInfo(values["zone"] or settings.TIME_ZONE)):
        moment = moment_of(values["at"])
    return once_at(moment, timezone.now() - timedelta(seconds=1))


def _clock(values: Mapping[str, Any]) -> tuple[str, str]:
    found = _CLOCK.fullmatch(values["clock"] or "")
    if found is None:
        raise InvalidSchedule({"clock": "Enter a time such as 06:30."})
    return str(int(found[2])), str(int(found[1]))


def _number(text: str, field: str, wanted: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise InvalidSchedule({field: wanted})
    return int(text)


_READ = {EVERY: _every, DAYS: _days, MONTH: _month, CRON: _cron, ONCE: _once}
