"""Reading a traceback's text: own frames, libraries, chains, groups, cuts, and text that is made to deceive."""

from __future__ import annotations

import json
import traceback

import pytest

from jobs.ledger.frames import read_traceback
from jobs.pipeline.facts import MAX_TRACEBACK, cut

CELERY = "/venv/lib/python3.11/site-packages/celery/app/trace.py"
TRACE = f"""Traceback (most recent call last):
  File "{CELERY}", line 453, in trace_task
    R = retval = fun(*args, **kwargs)
                 ^^^^^^^^^^^^^^^^^^^^
  File "/srv/app/rates/tasks.py", line 31, in fetch_rates
    store(fetch_day(bank, day))
          ~~~~~~~~~^^^^^^^^^^^
  File "/srv/app/rates/client.py", line 88, in fetch_day
    answer = http.get(url, timeout=30)
  File "/venv/lib/python3.11/site-packages/httpx/_api.py", line 12, in get
    return request()
TimeoutError: read timed out (30 s)
second line

fourth line
"""


def test_own_frames_are_innermost_first_and_libraries_apart() -> None:
    (raised,) = read_traceback(TRACE)
    assert [(f.file, f.line, f.function) for f in raised.own] == [
        ("app/rates/client.py", 88, "fetch_day"),
        ("app/rates/tasks.py", 31, "fetch_rates"),
    ]
    assert raised.own[1].source == ["store(fetch_day(bank, day))"], "the marks under the code are none of it"
    assert [f.package for f in raised.library] == ["httpx", "celery"]
    assert raised.message == "TimeoutError: read timed out (30 s)\nsecond line\n\nfourth line"
    assert not raised.raised_in_own


@pytest.mark.parametrize(
    "path",
    [
        "/usr/lib/python3.11/json/decoder.py",
        "/venv/lib/python3.11/site-packages/httpx/_api.py",
        "/usr/lib/python3/dist-packages/yaml/__init__.py",
        "C:\\venv\\Lib\\site-packages\\httpx\\_api.py",
        "<frozen importlib._bootstrap>",
        "/srv/vendored/celery/app/trace.py",
        "/srv/kombu/messaging.py",
        "/srv/billiard/pool.py",
    ],
)
def test_libraries_are_not_own(path: str) -> None:
    (raised,) = read_traceback(f'Traceback (most recent call last):\n  File "{path}", line 1, in f\nValueError: x')
    assert raised.own == [] and len(raised.library) == 1


@pytest.mark.parametrize("path", ["/srv/app/celery.py", "/home/python/app.py", "app.py", "<string>", ""])
def test_what_only_looks_like_a_library_is_own(path: str) -> None:
    (raised,) = read_traceback(f'Traceback (most recent call last):\n  File "{path}", line 1, in f\nValueError: x')
    assert len(raised.own) == 1


def _inner() -> None:
    try:
        json.loads("{")
    except ValueError as error:
        raise KeyError("rate") from error


def _outer() -> None:
    try:
        _inner()
    except KeyError:
        raise RuntimeError("could not") from None


def test_a_real_chain_is_read_from_its_end() -> None:
    try:
        try:
            _inner()
        except KeyError:
            raise RuntimeError("could not")  # noqa: B904 - the chain is what is tested
    except RuntimeError:
        chain = read_traceback(traceback.format_exc())
    assert [raised.message.partition(":")[0] for raised in chain] == [
        "RuntimeError",
        "KeyError",
        "json.decoder.JSONDecodeError",
    ]
    assert [raised.link for raised in chain] == ["", "It happened while this was handled", "Its direct cause"]
    assert chain[1].raised_in_own and not chain[2].raised_in_own
    assert chain[2].own[0].function == "_inner" and {f.package for f in chain[2].library} == {"Python"}


def test_a_suppressed_context_is_no_chain() -> None:
    try:
        _outer()
    except RuntimeError:
        chain = read_traceback(traceback.format_exc())
    assert len(chain) == 1


def test_a_recursion_is_counted() -> None:
    def again(depth: int) -> int:
        return again(depth + 1)

    try:
        again(0)
    except RecursionError:
        (raised,) = read_traceback(traceback.format_exc())
    assert raised.own[0].repeated > 500 and len(raised.frames) < 10


def test_the_members_of_a_group_follow_it() -> None:
    def fail(error: Exception) -> Exception:
        try:
            raise error
        except type(error) as raised:
            return raised

    try:
        raise ExceptionGroup("two of them", [fail(ValueError("a")), fail(TypeError("b"))])
    except ExceptionGroup:
        group, *members = read_traceback(traceback.format_exc())
    assert group.message.startswith("ExceptionGroup: two of them")
    assert [member.message for member in members] == ["ValueError: a", "TypeError: b"]
    assert {member.link for member in members} == {"One of them"}


def _long(frames: int) -> str:
    calls = "".join(f'  File "/srv/app/deep_{i}.py", line {i}, in f{i}\n    call_{i}()\n' for i in range(frames))
    return f"Traceback (most recent call last):\n{calls}ValueError: too deep\n"


def test_ten_thousand_frames_are_read() -> None:
    (raised,) = read_traceback(_long(10_000))
    assert len(raised.own) == 10_000 and raised.own[0].line == 9_999
    assert raised.message == "ValueError: too deep"


@pytest.mark.parametrize("frames", range(1_500, 1_530))
def test_a_traceback_that_was_cut_says_so_and_keeps_both_ends(frames: int) -> None:
    text, was_cut = cut(_long(frames), MAX_TRACEBACK)
    (raised,) = read_traceback(text)
    assert was_cut and raised.cut
    assert raised.own[0].line == frames - 1 and raised.own[-1].line == 0
    assert raised.message == "ValueError: too deep"


def test_a_message_that_was_cut_stays_a_message() -> None:
    text, _ = cut(TRACE.replace("fourth", "x" * MAX_TRACEBACK), MAX_TRACEBACK)
    (raised,) = read_traceback(text)
    assert raised.cut and len(raised.frames) == 4 and raised.message.endswith(" line")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "line 7",
        "celery.exceptions.WorkerLostError: gone",
        '  File "a", line ' + "9" * 60_000 + ", in f",
        '  File "' + '", line ' * 8_000,
        "|" * 60_000,
        "Exception Group Traceback\n" + "  | " * 16_000,
        "\ud800\x00 File",
        "… cut …\n… cut …",
    ],
)
def test_text_that_is_no_traceback_has_no_frames(text: str) -> None:
    assert read_traceback(text) == ()


def test_a_message_that_plays_a_traceback_makes_at_most_more_exceptions() -> None:
    fake = '\nTraceback (most recent call last):\n  File "<script>", line 1, in </details>\nValueError: <b>'
    chain = read_traceback(TRACE + fake)
    assert len(chain) == 2 and chain[0].own[0].path == "<script>"
