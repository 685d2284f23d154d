"""The log and the progress of a run: its lines, filters, downloads, the poll for what is new, Redis away."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from admin_ext.run.progress import progress_card
from jobs.ledger.live import Live, LogLine, Progress
from jobs.models import Run, RunLog
from jobs.states import State
from tests.integration.test_run_page import address, make

NOW = 1_790_000_000.0
Tell = Callable[..., None]


@pytest.fixture
def client(client: Client, viewer: User) -> Client:
    client.force_login(viewer)
    return client


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch) -> Tell:
    """What Redis says of every run that is active."""

    def set_live(
        *lines: LogLine, written: int | None = None, progress: Progress | None = None, known: bool = True
    ) -> None:
        live = Live(known, progress, lines, len(lines) if written is None else written)
        for module in ("contents", "page", "downloads"):
            monkeypatch.setattr(f"admin_ext.run.{module}.live_of", lambda _: live)

    return set_live


def line(text: str, level: str = "INFO", attempt: int = 1, at: float = NOW) -> LogLine:
    return LogLine(at, level, attempt, text)


def told(done: int | None = 1204, total: int | None = 3000, **values: Any) -> Progress:
    now = time.time()
    return Progress(
        **{"done": done, "total": total, "noun": "balances", "note": "", "began": now - 130, "at": now} | values
    )


def kept(run: Run, *lines: LogLine, written: int | None = None) -> None:
    text = json.dumps([[one.at, one.level, one.attempt, one.text] for one in lines])
    RunLog.objects.create(run=run, lines=text, written=len(lines) if written is None else written)


def read(client: Client, run: Run, query: str = "?tab=log") -> str:
    response = client.get(address(run) + query)
    assert response.status_code == 200
    return response.content.decode()


def texts(page: str) -> list[str]:
    return re.findall(r"<b>[A-Z]+</b><span>([^<]*)</span>", page)


def more(client: Client, page: str) -> Any:
    """Ask what the page would ask next."""
    found = re.search(r'id="oc-log-more" hx-get="([^"]+)" hx-trigger="every 700ms"', page)
    assert found
    return client.get(found[1].replace("&amp;", "&"), headers={"HX-Request": "true"})


def test_lines_have_time_level_and_tone(client: Client) -> None:
    run = make()
    kept(run, line("read"), line("odd", "WARNING"), line("bad", "ERROR"), line("said", "PRINT"))
    page = read(client, run)
    assert texts(page) == ["read", "odd", "bad", "said"]
    assert re.search(r'oc-text--warn"><time[^>]*>\d\d:\d\d:\d\d\.\d</time><b>WARN</b>', page)
    assert re.search(r'oc-text--bad"><time[^>]*>[^<]*</time><b>ERROR</b>', page)
    assert "oc-log-more" not in page, "nothing more will come"


def test_a_run_that_wrote_more_says_how_much_is_kept(client: Client) -> None:
    run = make()
    kept(run, *(line(f"n{n}") for n in range(1000)), written=48_210)
    page = read(client, run)
    assert "1,000 of 48,210 lines are kept" in page and len(texts(page)) == 1000
    assert client.get(address(run, "log.txt")).content.startswith(b"1,000 of 48,210 lines are kept.\n2026-09-21T")


def test_warnings_and_attempts_can_be_asked_for_by_links(client: Client) -> None:
    run = make(attempt=2)
    kept(run, line("a1"), line("w1", "WARNING"), line("a2", attempt=2), line("e2", "CRITICAL", attempt=2))
    page = read(client, run)
    assert re.findall(r"oc-log__begins\">([^<]+)", page) == ["Attempt 1", "Attempt 2"]
    links = {
        word: href.replace("&amp;", "&")
        for href, word in re.findall(r'oc-log__choice" href="([^"]+)"[^>]*>([^<]+)', page)
    }
    assert set(links) == {"All levels", "Warnings and errors 2", "All attempts", "Attempt 1", "Attempt 2"}
    assert texts(client.get(links["Warnings and errors 2"]).content.decode()) == ["w1", "e2"]
    second = client.get(links["Attempt 2"]).content.decode()
    assert texts(second) == ["a2", "e2"]
    both = re.search(r'href="([^"]+)"[^>]*>Warnings', second)
    assert both and texts(client.get(both[1].replace("&amp;", "&")).content.decode()) == ["e2"]


@pytest.mark.parametrize(
    ("state", "query", "sentence"),
    [
        (State.SUCCEEDED, "?tab=log", "It has not logged anything."),
        (State.QUEUED, "?tab=log", "It has not started yet."),
        (State.RUNNING, "?tab=log", "It has not logged anything yet."),
    ],
)
def test_no_lines_have_a_reason(client: Client, tell: Tell, state: State, query: str, sentence: str) -> None:
    if state is not State.SUCCEEDED:
        tell()
    assert sentence in read(client, make(state), query)


@pytest.mark.parametrize(
    ("state", "told"), [(State.RUNNING, None), (State.SUCCEEDED, "oc-ended"), (State.LOST, "oc-ended")]
)
def test_who_follows_the_log_hears_of_the_end_at_once(
    client: Client, tell: Tell, state: State, told: str | None
) -> None:
    tell()
    assert client.get(address(make(state), "log/?last=0")).headers.get("HX-Trigger") == told


def test_no_matching_lines_have_a_reason(client: Client) -> None:
    run = make()
    kept(run, line("fine"))
    assert "No warning and no error is among the lines that are kept." in read(client, run, "?tab=log&level=warnings")
    assert "of attempt 7." in read(client, run, "?tab=log&attempt=7")


def test_a_page_that_follows_gets_each_line_once(client: Client, tell: Tell) -> None:
    run = make(State.RUNNING)
    seen = [line("one"), line("two")]
    tell(*seen)
    page = read(client, run)
    assert texts(page) == ["one", "two"] and "following" in page
    assert more(client, page).status_code == 204

    seen.append(line("three"))
    tell(*seen)
    fresh = more(client, page).content.decode()
    assert texts(fresh) == ["three"] and 'id="oc-log-state" hx-swap-oob="true"' in fresh and "<html" not in fresh

    tell(*seen[1:], line("four"), written=4)  # the oldest one has made room
    assert texts(more(client, fresh).content.decode()) == ["four"]


def test_lines_that_nobody_kept_are_counted(client: Client, tell: Tell) -> None:
    run = make(State.RUNNING)
    tell(line("one"))
    page = read(client, run)
    tell(line("last"), written=5_002)
    fresh = more(client, page).content.decode()
    assert texts(fresh) == ["last"] and "5,000 lines in between were not kept" in fresh


def test_the_filter_holds_while_following(client: Client, tell: Tell) -> None:
    run = make(State.RUNNING)
    tell(line("one", "WARNING"))
    page = read(client, run, "?tab=log&level=warnings")
    tell(line("one", "WARNING"), line("calm"), line("two", "ERROR"))
    assert texts(more(client, page).content.decode()) == ["two"]


def test_following_ends_with_the_run(client: Client, tell: Tell) -> None:
    run = make(State.RUNNING)
    tell(line("one"))
    page = read(client, run)
    Run.objects.update(state=State.SUCCEEDED)
    tell(line("one"), line("end"))
    fresh = more(client, page).content.decode()
    assert texts(fresh) == ["end"] and "oc-log-more" not in fresh and "following" not in fresh


def test_the_overview_shows_the_last_lines_and_the_progress_moves_with_them(client: Client, tell: Tell) -> None:
    run = make(State.RUNNING)
    lines = [line(f"n{n}") for n in range(40)]
    tell(*lines, progress=told())
    page = read(client, run, "")
    assert texts(page) == [f"n{n}" for n in range(28, 40)]
    assert "1,204 of 3,000 balances" in page and more(client, page).status_code == 204
    tell(*lines, progress=told(1205, at=time.time() + 1))
    fresh = more(client, page).content.decode()
    assert texts(fresh) == [] and "1,205 of 3,000 balances" in fresh
    assert 'id="oc-progress" hx-swap-oob="true"' in fresh and page.count('id="oc-progress"') == 1


def test_the_poll_for_lines_is_cheap(client: Client, tell: Tell) -> None:
    run = make(State.RUNNING)
    tell(line("one"))
    page = read(client, run)
    with CaptureQueriesContext(connection) as queries:
        more(client, page)
    assert len(queries) <= 5, "session, user, two for permissions, the run"


def test_without_redis_it_is_unknown_not_empty(client: Client, tell: Tell) -> None:
    run = make(State.RUNNING)
    tell(known=False)
    page = read(client, run)
    assert "Redis does not answer" in page and "has not logged" not in page
    assert re.search(r">Log</a>", page), "a number that nobody knows is not shown"
    assert more(client, page).status_code == 204
    tell(line("back"))
    assert texts(more(client, page).content.decode()) == ["back"]


def test_a_watched_log_is_not_replaced_by_a_sign_in_page(client: Client) -> None:
    run = make(State.RUNNING)
    client.logout()
    watched = client.get(address(run, "log/"), headers={"HX-Request": "true"})
    assert (watched.status_code, watched.headers["HX-Refresh"]) == (204, "true")


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "{{7*7}}", "</div><b>", "\x1b[31m"])
def test_hostile_lines_are_text(client: Client, tell: Tell, text: str) -> None:
    run = make(State.RUNNING)
    tell(LogLine(1e300, text, 1, text), progress=told(noun=text, note=text))
    for page in (read(client, run), read(client, run, ""), client.get(address(run, "log/?last=12")).content.decode()):
        assert text.replace("<", "&lt;").replace(">", "&gt;") in page and "<script>alert" not in page
    assert client.get(address(run, "log.txt")).headers["Content-Type"].startswith("text/plain")


def test_progress_is_told_in_words(client: Client, tell: Tell) -> None:
    run = make(State.RUNNING)
    tell(progress=told(note="Group Wholesale"))
    page = read(client, run, "")
    assert "1,204 of 3,000 balances" in page and "40 %" in page and "9.3 balances/s" in page
    assert "about 3 min left" in page and "Now: <b>Group Wholesale</b>" in page
    assert re.search(r'<rect class="oc-f--live" width="40.13%"', page)
    assert 'aria-label="1,204 of 3,000 balances, 40 %"' in page


def test_progress_without_a_total_has_a_count_and_a_rate() -> None:
    card = progress_card(Run(state=State.RUNNING), told(total=None))
    assert card and (card.headline, card.percent, card.percent_words, card.left) == ("1,204 balances", "", "", "")
    assert card.rate == "9.3 balances/s"


@pytest.mark.parametrize(
    ("done", "total", "words"),
    [(2999, 3000, "99 %"), (3000, 3000, "100 %"), (9000, 3000, "100 %"), (0, 3000, "0 %"), (5, 0, "")],
)
def test_progress_is_never_rounded_up_to_all(done: int, total: int, words: str) -> None:
    card = progress_card(Run(state=State.RUNNING), told(done, total))
    assert card and card.percent_words == (words or "")


def test_half_a_surrogate_pair_in_a_note_does_not_break_the_page(client: Client) -> None:
    values = {"done": 1204, "total": 3000, "noun": "\ud800s", "note": "at \ud800", "began": NOW, "at": NOW + 70}
    page = read(client, make(State.FAILED, progress=values), "")
    assert "1,204 of 3,000 ?s" in page and "at ?" in page


def test_a_run_that_ended_shows_its_last_progress(client: Client) -> None:
    values = {"done": 700, "total": 3000, "noun": "rows", "note": "", "began": NOW, "at": NOW + 70}
    run = make(State.FAILED, progress=values)
    page = read(client, run, "")
    assert (
        "700 of 3,000 rows" in page and "left" not in page.partition("oc-progress__head")[2].partition("</section>")[0]
    )
    assert "oc-f--idle" in page and "10.0 rows/s" in page


def test_a_state_set_by_hand_is_shown_as_progress(client: Client, tell: Tell) -> None:
    """With a bar where its numbers are evident, else as it is; whatever it holds."""
    run = make(State.RUNNING)
    tell(progress=told(50, 100, noun="%", state="PROGRESS", meta="progress: 50"))
    page = read(client, run, "")
    assert '<b class="oc-progress__done">50 %</b>' in page and 'width="50.00%"' in page
    assert 'data-state="PROGRESS"' in page and "progress: 50" in page
    tell(progress=told(None, None, noun="", state="<i>reading</i>", meta="at \ud83d <b>row</b>"))
    page = read(client, run, "")
    assert "&lt;i&gt;reading&lt;/i&gt;" in page and "at ? &lt;b&gt;row&lt;/b&gt;" in page and "oc-meter" not in page


@pytest.mark.parametrize(
    "values", [{}, [], "x", {"done": "x"}, {"at": "x"}, {"at": 1e300}, {"at": NOW, "done": {}, "total": [], "noun": 3}]
)
def test_what_is_no_progress_shows_none_and_breaks_no_page(client: Client, values: Any) -> None:
    assert client.get(address(make(progress=values))).status_code == 200
