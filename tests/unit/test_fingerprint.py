"""Failures that are alike have one fingerprint: a table of real exceptions, and what must never split a group."""

from __future__ import annotations

import re
import time
import traceback
from datetime import UTC, datetime
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.failures.fingerprint import Basis, Fingerprint, fingerprint
from jobs.failures.normal import comparable, normalise
from jobs.ledger.frames import read_traceback
from tests.unit.failing import charge, raised, redis_away, wrapped
from tests.unit.kinds_of_failure import ALIKE, SAID

JOB = "shop.work"


def of(error: BaseException, job: str = JOB) -> Fingerprint:
    """The fingerprint of an exception that was really raised, from what Celery would tell of it."""
    text = "".join(traceback.format_exception(error))
    given = getattr(error, "fingerprint", "")
    return fingerprint(
        job, error_type=type(error).__name__, error_message=" ".join(map(str, error.args)), traceback=text, given=given
    )


def bare(error: BaseException) -> Fingerprint:
    """The same without a frame of our own: only what it says tells."""
    return fingerprint(JOB, error_type=type(error).__name__, error_message=" ".join(map(str, error.args)))


def said(error: BaseException) -> Fingerprint:
    return bare(error) if not hasattr(error, "fingerprint") else of(error)


@pytest.fixture(scope="module")
def table() -> dict[str, list[Fingerprint]]:
    """Every row's failures, really raised once."""
    rows = {name: [of(raised(call)) for call in calls] for name, calls in ALIKE.items()}
    return rows | {f"said: {name}": [said(error) for error in errors] for name, errors in SAID.items()}


def test_the_table_has_at_least_sixty_exceptions(table: dict[str, list[Fingerprint]]) -> None:
    assert len(table) >= 60 and sum(map(len, table.values())) >= 150


def test_what_is_alike_is_one_group(table: dict[str, list[Fingerprint]]) -> None:
    apart = {name: [one.title for one in row] for name, row in table.items() if len({one.key for one in row}) != 1}
    assert apart == {}


def test_what_is_not_alike_is_apart(table: dict[str, list[Fingerprint]]) -> None:
    keys: dict[str, list[str]] = {}
    for name, row in table.items():
        keys.setdefault(row[0].key, []).append(name)
    assert [names for names in keys.values() if len(names) > 1] == []


def test_each_basis_is_told(table: dict[str, list[Fingerprint]]) -> None:
    assert table["own, number"][0].basis is Basis.PLACE
    assert table["own, number"][0].place == "unit/failing.py, charge"
    assert table["soft time limit"][0].basis is Basis.TYPE
    assert table["said: numbers"][0].basis is Basis.MESSAGE
    assert table["said: named"][0].basis is Basis.EXPLICIT
    assert table["wrapped, key"][0].place.endswith("look_up"), "where the cause was raised"


def test_another_job_is_another_group() -> None:
    error = raised(partial(charge, 1))
    assert of(error, "a").key != of(error, "b").key


def test_line_release_and_virtual_environment_say_nothing() -> None:
    text = "".join(traceback.format_exception(raised(partial(charge, 1))))
    moved = re.sub(r'"[^"]*/unit/', '"/srv/releases/2026.10.1/tests/unit/', re.sub(r"line \d+", "line 7", text))
    assert moved != text
    assert len({fingerprint(JOB, error_type="OrderError", traceback=one).key for one in (text, moved)}) == 1


def test_the_consoles_own_frames_are_nobodys() -> None:
    text = 'Traceback (most recent call last):\n  File "/app/jobs/pipeline/task.py", line 1, in before_start\nE: x'
    assert fingerprint(JOB, error_type="E", error_message="x", traceback=text).basis is Basis.MESSAGE


# --- What changes from run to run never splits a group ---

NUMBERS = st.integers(-(10**12), 10**12).map(str) | st.decimals(allow_nan=False, allow_infinity=False, places=3).map(
    str
)
IDS = st.uuids().map(str) | st.uuids().map(lambda one: one.hex) | st.uuids(version=4).map(lambda one: str(one).upper())
QUOTED = st.text(
    st.characters(exclude_characters="\"'`«»“”„\n\r", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=60
)
WORDS = st.text("abcdefghijklmnopqrstuvwxyzäöü", min_size=1, max_size=12)
PATHS = st.lists(WORDS, min_size=1, max_size=5).map(lambda parts: "/" + "/".join(parts))
MAILS = st.tuples(WORDS, WORDS, WORDS).map(lambda parts: f"{parts[0]}@{parts[1]}.{parts[2]}")
MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)).map(
    lambda at: at.isoformat()
)
URLS = st.tuples(WORDS, PATHS, NUMBERS).map(lambda parts: f"https://{parts[0]}.example{parts[1]}?n={parts[2]}")
IPS = st.ip_addresses(v=4).map(str)
VOLATILE = {
    "number": NUMBERS,
    "id": IDS,
    "quoted": QUOTED.map(lambda text: f"'{text}'") | QUOTED.map(lambda text: f'"{text}"') | QUOTED.map("“{}”".format),
    "path": PATHS,
    "mail": MAILS,
    "moment": MOMENTS,
    "url": URLS,
    "ip": IPS,
}
SENTENCES = (
    "{} is wrong",
    "order {} of customer {} cannot be sent to {}",
    "could not read {}: it is empty",
    "({}), ({})",
)


@pytest.mark.parametrize("kind", VOLATILE)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_volatile_parts_never_split_a_group(kind: str, data: st.DataObject) -> None:
    sentence = data.draw(st.sampled_from(SENTENCES))
    slots = sentence.count("{}")
    one, other = (data.draw(st.lists(VOLATILE[kind], min_size=slots, max_size=slots)) for _ in range(2))
    texts = [sentence.format(*one), sentence.format(*other)]
    assert len({comparable(normalise(text)) for text in texts}) == 1, [normalise(text) for text in texts]


@settings(max_examples=100, deadline=None)
@given(kind=st.text(max_size=40), message=st.text(max_size=400), trace=st.text(max_size=400), told=st.text(max_size=20))
def test_any_text_has_a_fingerprint_that_a_database_takes(kind: str, message: str, trace: str, told: str) -> None:
    found = fingerprint(JOB, error_type=kind, error_message=message, traceback=trace, given=told)
    for text in (found.title, found.place, found.error_type):
        assert len(text) <= 255 and "\x00" not in text
        text.encode()
    assert found == fingerprint(JOB, error_type=kind, error_message=message, traceback=trace, given=told)


FRAME = '  File "/srv/a/b.py", line 3, in f\n    f()\n'
HEAD = "Traceback (most recent call last):\n"
HOSTILE = {
    "html": "<script>" * 100_000,
    "5 MB": "m" * 5_000_000,
    "5 MB of quotes": "'" * 5_000_000,
    "5 MB of digits": "1" * 5_000_000,
    "5 MB of slashes": "/a" * 2_500_000,
    "5 MB of colons": ":" * 5_000_000,
    "5 MB of at": "a@" * 2_500_000,
    "surrogates": "\ud800" * 100_000,
    "nul": "\x00" * 100_000,
    "new lines": "\n" * 1_000_000,
    "accents": "é" * 1_000_000,
    "10,000 frames": HEAD + FRAME * 10_000 + "E: x",
    "10,000 chained": (
        HEAD + FRAME + "E: x\n\nThe above exception was the direct cause of the following exception:\n\n"
    )
    * 10_000,
    "5 MB of a frame": HEAD + '  File "' + "a/" * 2_500_000 + '", line 1, in f\nE: x',
    "deep group": "".join("  " * n + "| " + HEAD.replace("Trace", "Exception Group Trace") for n in range(500)),
    "margins": ("|" * 1_000 + "\n") * 1_000,
    "spaces": "  File " + " " * 1_000_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_quick(name: str) -> None:
    began = time.process_time()
    fingerprint(JOB, error_type=HOSTILE[name], error_message=HOSTILE[name], traceback=HOSTILE[name])
    assert time.process_time() - began < 0.25


def test_a_usual_failure_takes_far_less_than_a_millisecond() -> None:
    error = raised(partial(wrapped, partial(redis_away, 1)))
    text = "".join(traceback.format_exception(error))
    assert len(read_traceback(text)) >= 2
    began = time.process_time()
    for _ in range(200):
        fingerprint(JOB, error_type="OrderError", error_message="order 12 of ana@example.com is wrong", traceback=text)
    assert (time.process_time() - began) / 200 < 0.002


def test_titles_are_what_people_read() -> None:
    assert normalise("row 12: e-mail is not valid\nand more") == "row <n>: e-mail is not valid"
    assert normalise("Error 111 connecting to 10.0.0.1:6379.") == "Error <n> connecting to <n>."
    assert normalise("text/html and/or import/2026/a.csv") == "text/html and/or <path>"
    assert normalise("it didn't work, the users' list") == "it didn't work, the users' list"
