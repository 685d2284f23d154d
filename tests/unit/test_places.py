"""Addresses that are kept: right for each place that Django serves, and looked up once there."""

from __future__ import annotations

import pytest
from django.urls import reverse, set_script_prefix

from admin_ext.failures.numbers import outline, runs_of
from admin_ext.parts import places
from admin_ext.parts.places import place

RUNS = "admin:jobs_run_changelist"


def test_an_address_is_right_below_each_prefix_and_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def look_up(name: str, args: tuple[str, ...]) -> str:
        asked.append(name)
        return reverse(name, args=args)

    monkeypatch.setattr(places, "reverse", look_up)
    places._found.cache_clear()
    try:
        for prefix in ("/", "/console/", "/"):
            set_script_prefix(prefix)
            assert place(RUNS) == f"{prefix}admin/jobs/run/"
        assert runs_of(7, since="1h") == "/admin/jobs/run/?group=7&since=1h"
        assert asked == [RUNS] * 2
    finally:
        set_script_prefix("/")
        places._found.cache_clear()


def test_an_address_may_name_an_application() -> None:
    assert place("admin:app_list", "django_celery_results") == "/admin/django_celery_results/"


def test_bars_are_one_path_and_nothing_is_drawn_for_nothing() -> None:
    assert outline((0, 0), 24, step=4, width=2.9) == ""
    assert outline((4, 0, 1), 24, step=4, width=2.9) == "M0 24v-24.0h2.9v24.0zM8 24v-6.0h2.9v6.0z"
    assert outline((1000, 1), 24, step=4, width=2.9).endswith("M4 24v-2.0h2.9v2.0z"), "one is seen beside a thousand"
