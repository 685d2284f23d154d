"""Each unsafe configuration is found, and told with its consequence, its remedy and a place in the documents."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.conf import settings

from jobs import checks
from jobs.fleet import hazards
from jobs.fleet.beacon import Beacon
from jobs.fleet.hazards import MAX_SKEW, Hazard, of_clocks, of_machines, of_settings, told
from tests.e2e.processes import PROJECT


def beacon(worker: str, **more: Any) -> Beacon:
    return Beacon(worker, "boot", 1, 100.0, 1, "1.0", "prefork", 2, ("default",), {}, **more)


def ids(found: list[Hazard]) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", (PROJECT / "docs" / "guarantees.md").read_text(), re.MULTILINE)
    for hazard in found:
        assert hazard.section in headings, "the document has this heading"
        assert all(sentence.endswith(".") for sentence in (hazard.fact, hazard.consequence, hazard.remedy))
    return {hazard.id for hazard in found}


@pytest.fixture(autouse=True)
def recent(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make matrix` runs these with other releases as well."""
    monkeypatch.setattr(hazards, "version", lambda name: "5.7.0")


def test_the_tests_themselves_are_configured_safely() -> None:
    assert of_settings() == []


def test_debug_elsewhere_than_here(settings: Any) -> None:
    settings.DEBUG = True
    assert of_settings() == [], "at home it is fine"
    settings.ENVIRONMENT_LABEL = "Production"
    assert ids(of_settings()) == {"jobs.W010"}


@pytest.mark.parametrize(
    ("url", "open_to_all"),
    [
        ("redis://redis.example.com:6379/0", True),
        ("rediss://user@redis.example.com:6379/0", True),
        ("redis://:secret@redis.example.com:6379/0", False),
        ("redis://localhost:6379/0", False),
        ("redis://127.0.0.1/0", False),
        ("redis://[::1]:6379/0", False),
        ("redis+socket:///run/redis.sock", False),
    ],
)
def test_a_redis_that_everybody_may_use(url: str, open_to_all: bool, settings: Any) -> None:
    settings.CELERY_BROKER_URL = url
    assert ids(of_settings()) == ({"jobs.W011"} if open_to_all else set())


@pytest.mark.parametrize(
    ("celery", "kombu", "told"),
    [
        ("5.6.1", "5.6.2", "jobs.E012"),
        ("5.6.2", "5.5.4", "jobs.E012"),
        ("5.6.2", "5.6.0", "jobs.W012"),
        ("5.7.0", "5.6.2", "jobs.W012"),
        ("5.7.0", "5.7.0", ""),
        ("5.10.1", "5.10.0", ""),
        ("6.0.0rc1", "6.0.0", ""),
    ],
)
def test_old_releases_of_celery(celery: str, kombu: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hazards, "version", {"celery": celery, "kombu": kombu}.__getitem__)
    found = of_settings()
    assert ids(found) == ({told} if told else set())
    (*messages,) = checks.check_hazards()
    assert [(message.id, bool(message.hint)) for message in messages] == [(hazard.id, True) for hazard in found]
    assert all(message.is_serious() == str(message.id).startswith("jobs.E") for message in messages), (
        "`manage.py check`"
    )


def test_clocks_that_differ() -> None:
    assert of_clocks({"one@a": MAX_SKEW, "two@b": -MAX_SKEW}) == []
    (hazard,) = of_clocks({"one@a": 7200.0, "two@b": -6.0, "three@c": 1.0})
    assert ids([hazard]) == {"jobs.W022"}
    assert "one@a 7,200 s ahead, two@b 6 s behind." in hazard.fact and "three" not in hazard.fact


def test_sqlite_over_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    near, far, silent = beacon("one@a", machine="here"), beacon("two@b", machine="there"), beacon("old@c")
    monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", "django.db.backends.sqlite3")
    assert of_machines([near, silent], "here") == []
    (hazard,) = of_machines([near, far, silent], "here")
    assert ids([hazard]) == {"jobs.W023"} and "two@b is on another machine" in hazard.fact
    monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", "django.db.backends.postgresql")
    assert of_machines([near, far], "here") == []


@pytest.mark.parametrize("text", ["", "not json", '[{"id": "of a later release"}]', "[1]", "{}"])
def test_what_is_no_hazard_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        told(text)
