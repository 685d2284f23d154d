"""Where files are kept: a storage of one's own, and the mark by which processes know that they share it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from django.core.files.storage import FileSystemStorage, default_storage
from django.utils import timezone
from pytest_django import Settings

from admin_ext.frame.machinery import Machinery
from jobs import storage
from jobs.fleet.beacon import Beacon
from jobs.fleet.workers import Fleet
from jobs.storage import StorageMark, console_storage

BEACON = Beacon("default@a", "boot", 1, 100.0, 1, "1.0", "prefork", 2, ("default",), {}, files="here")


def read(mark: StorageMark) -> str:
    mark.text()
    assert mark._thread is not None
    mark._thread.join(5)
    return mark.text()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(storage, "console_storage", FileSystemStorage(tmp_path))
    return tmp_path


def test_one_storage_has_one_mark_whoever_asks_first(folder: Path) -> None:
    first = read(StorageMark())
    assert len(first) == 32
    assert read(StorageMark()) == first
    assert [path.name for path in folder.iterdir()] == [storage.MARK]


def test_a_race_for_the_mark_leaves_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = read(StorageMark())
    monkeypatch.setattr(storage.console_storage, "exists", lambda name: False)
    # The storage gives the second one another name; it is removed, and the first counts.
    with monkeypatch.context() as patch:
        patch.setattr(storage.console_storage, "get_available_name", lambda name, **_: "later.txt")
        assert read(StorageMark()) == kept
    assert [path.name for path in folder.iterdir()] == [storage.MARK]


def test_a_storage_that_fails_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "console_storage", FileSystemStorage("/proc/nowhere"))
    assert read(StorageMark()) == ""


@pytest.mark.parametrize(
    ("marks", "fact"),
    [
        (["here", "here"], None),
        (["here", ""], None),
        (["here", "there"], "w1@a keeps files elsewhere than these pages."),
        (["there", "where"], "w0@a and 1 other worker keep files elsewhere than these pages."),
    ],
)
def test_workers_that_keep_files_elsewhere_are_named(
    marks: list[str], fact: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage.storage_mark, "_text", "here")
    beacons = tuple(replace(BEACON, worker=f"w{i}@a", files=mark) for i, mark in enumerate(marks))
    state = Machinery(Fleet(known=True, beacons=beacons, read_at=101.0), {}, 0.0, timezone.now())
    found = [trouble for trouble in state.troubles if "files elsewhere" in trouble.fact]
    assert [trouble.fact for trouble in found] == ([fact] if fact else [])
    assert all("FILES_DIR" in trouble.remedy for trouble in found)


def test_a_storage_named_console_is_used_and_else_the_default(settings: Settings, tmp_path: Path) -> None:
    assert console_storage.path("x") == default_storage.path("x")
    backend = "django.core.files.storage.FileSystemStorage"
    settings.STORAGES = {
        **settings.STORAGES,
        "console": {"BACKEND": backend, "OPTIONS": {"location": str(tmp_path)}},
    }
    assert storage._ConsoleStorage().path("x") == str(tmp_path / "x")
