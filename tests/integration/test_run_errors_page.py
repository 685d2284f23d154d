"""What a run's page shows of its errors and of its files: frames, attempts, previews, and nothing that is rendered."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.utils import timezone

from jobs.models import Attempt, AuditEvent, Run, RunFile
from jobs.states import State
from tests.integration.test_run_page import address, make
from tests.integration.test_run_tabs import TRACE, read


@pytest.fixture
def client(client: Client, viewer: User) -> Client:
    client.force_login(viewer)
    return client


def test_own_frames_come_first_and_libraries_are_folded(client: Client) -> None:
    run = make(State.FAILED, attempt=1, error_type="RuntimeError", error_message="outer", finished_at=timezone.now())
    Attempt.objects.create(run=run, number=1, outcome="failed", traceback=TRACE, worker="default@web-3")
    text = read(client, run)
    assert "Raised in your own code, app/rates/tasks.py line 31. Attempt 1, on default@web-3." in text
    outer, inner = text.index("app/rates/tasks.py:31"), text.index("app/rates/client.py:88")
    assert text.index("raised here") < text.index("Its direct cause") < inner and outer < inner
    folded = re.search(r"<details[^>]*><summary>1 frame of libraries.*?</details>", text, re.DOTALL)
    assert folded and "celery/app/trace.py:453" in folded[0] and "client.py" not in folded[0]
    whole = client.get(address(run, "traceback.txt"))
    assert whole.content.decode() == TRACE and whole.headers["Content-Disposition"].startswith("attachment;")


def test_a_traceback_of_ten_thousand_frames_makes_a_page_of_bounded_size(client: Client) -> None:
    calls = "".join(f'  File "/srv/app/f{i}.py", line {i}, in f{i}\n    g{i}()\n' for i in range(10_000))
    trace = f"Traceback (most recent call last):\n{calls}ValueError: deep\n"
    run = make(State.FAILED, attempt=1, finished_at=timezone.now())
    Attempt.objects.create(run=run, number=1, outcome="failed", traceback=trace)
    text = read(client, run)
    assert text.count('class="oc-frame"') == 12 and "9,988 more frames of your own" in text
    assert len(text) < len(trace) * 2


def test_a_cut_traceback_says_so(client: Client) -> None:
    run = make(State.FAILED, attempt=1, truncated=True, finished_at=timezone.now())
    Attempt.objects.create(run=run, number=1, outcome="failed", traceback=TRACE.replace("KeyError", "\n… cut …\nx"))
    text = read(client, run)
    assert "too long to be kept whole" in text and "frames are missing" in text


def test_each_attempt_has_its_own_error_and_lines(client: Client) -> None:
    run = make(State.FAILED, attempt=2, finished_at=timezone.now())
    for number, error in ((1, "first"), (2, "second")):
        trace = f'Traceback (most recent call last):\n  File "/srv/{error}.py", line 1, in f\nE: {error}'
        Attempt.objects.create(
            run=run, number=number, outcome="failed", error_type="E", error_message=error, traceback=trace
        )
    last, first = read(client, run, "?tab=attempts"), read(client, run, "?tab=attempts&attempt=1")
    assert "srv/second.py:1" in last and "srv/first.py:1" not in last
    assert "srv/first.py:1" in first and "srv/second.py:1" not in first
    assert 'href="/admin/jobs/run/1234abcd-failed/change/?tab=log&amp;attempt=1"' in first
    assert "traceback.txt?attempt=1" in first
    assert client.get(address(run, "traceback.txt?attempt=1")).content.endswith(b"first")
    assert client.get(address(run, "traceback.txt?attempt=9")).status_code == 404
    assert "oc-error" not in read(client, run, "?tab=attempts&attempt=9")


def test_a_run_without_bad_attempts_says_so(client: Client) -> None:
    assert "It succeeded the first time." in read(client, make(attempt=1), "?tab=attempts")
    assert "No worker has taken it yet." in read(client, make(State.QUEUED), "?tab=attempts")


def keep(run: Run, name: str, content: bytes, content_type: str = "text/csv") -> RunFile:
    path = default_storage.save(f"runs/p/{name}", ContentFile(content))
    return RunFile.objects.create(run=run, name=name, path=path, content_type=content_type, size=len(content))


@pytest.mark.parametrize("head", ["a;b", "a,b", "a\tb"])
def test_the_beginning_of_a_table_is_shown_as_one(client: Client, head: str) -> None:
    run, mark = make(), head[1]
    rows = "\n".join(f"<b>{i}</b>{mark}{i}" for i in range(5000))
    file = keep(run, "a.csv", f"\ufeff{head}\n{rows}\n".encode())
    assert "oc-sheet" not in read(client, run), "nothing is opened unasked"
    text = read(client, run, f"?preview={file.pk}")
    assert '<th scope="col">a</th><th scope="col">b</th>' in text
    assert text.count("<tr>") == 21 and "&lt;b&gt;19&lt;/b&gt;" in text and "<b>19</b>" not in text
    event = AuditEvent.objects.get()
    assert (event.verb, event.details["file"]) == ("open_file", "a.csv")


def test_the_rows_that_were_refused_stand_first(client: Client) -> None:
    said = {700: "Refused", 30: "refused"}
    rows = [f"{number},name{number},{said.get(number, 'created')}" for number in range(900)]
    file = keep(run := make(), "outcome.csv", "\n".join(["row,name,outcome", *rows]).encode())
    text = read(client, run, f"?preview={file.pk}")
    assert text.index("name30<") < text.index("name700<") < text.index("name0<")


@pytest.mark.parametrize(
    ("name", "content_type", "content", "shown"),
    [
        ("a.html", "text/html", b"<script>alert(1)</script>", "as it was made"),
        ("a.xml", "text/xml", b"<script>alert(1)</script>", "&lt;script&gt;alert(1)"),
        ("a.json", "application/json", b'{"a":[1,2]}', "&quot;a&quot;: ["),
        ("a.txt", "text/plain", b"\xff\xfe broken", "\ufffd\ufffd broken"),
        ("a.csv", "text/csv", b'"' + b"x" * 200_000, "The beginning of"),
        ("a.csv", "text/csv", b"", "It is empty."),
        ("a.txt", "text/plain", b"a\x00b", "It is no text, whatever its name says."),
        ("a.json", "application/json", b"[" * 19_000, "[[["),
    ],
)
def test_nothing_of_a_preview_is_rendered(
    client: Client, name: str, content_type: str, content: bytes, shown: str
) -> None:
    run = make()
    file = keep(run, name, content, content_type)
    text = read(client, run, f"?preview={file.pk}")
    assert shown in text and "<script>alert" not in text and len(text) < 120_000


def test_a_preview_reads_no_more_than_it_shows(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless:
        def __enter__(self) -> Endless:
            return self

        def __exit__(self, *_: object) -> None: ...

        def read(self, size: int = -1) -> bytes:
            assert 0 < size <= 20_001
            return b"x\n" * (size // 2)

    run = make()
    file = keep(run, "big.txt", b"x", "text/plain")
    monkeypatch.setattr("jobs.ledger.files.console_storage.open", lambda *_: Endless(), raising=False)
    assert "The beginning of" in read(client, run, f"?preview={file.pk}")


def test_pictures_have_no_preview_and_lost_files_say_so(client: Client) -> None:
    run = make()
    picture = keep(run, "a.png", b"x", "image/png")
    gone = RunFile.objects.create(run=run, name="gone.csv", path="runs/none.csv", content_type="text/csv", size=1)
    text = read(client, run)
    assert f"preview={picture.pk}" not in text and f"preview={gone.pk}" in text
    assert "It is no text" in read(client, run, f"?preview={picture.pk}")
    assert "the storage no longer has it" in read(client, run, f"?preview={gone.pk}")
    other = keep(make(State.FAILED), "b.csv", b"secret,row", "text/csv")
    assert "secret" not in read(client, run, f"?preview={other.pk}"), "a file of another run"


def test_a_shipped_job_is_not_ones_own_code(client: Client) -> None:
    trace = TRACE_OF_SHIPPED
    run = make(State.FAILED, attempt=1)
    Attempt.objects.create(run=run, number=1, outcome="failed", error_type="E", error_message="x", traceback=trace)
    text = read(client, run)
    assert "a job that ships with the console, jobs/library/mail.py line 9" in text and "your own code," not in text


TRACE_OF_SHIPPED = """Traceback (most recent call last):
  File "/srv/console/jobs/library/mail.py", line 9, in send
    raise E("x")
E: x
"""
