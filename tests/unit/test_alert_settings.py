"""To whom alerts go: what is refused, and in what sentence."""

from __future__ import annotations

import re

import pytest
from django.core.exceptions import ImproperlyConfigured

from jobs.alerts.asked import checked_addresses, checked_after, checked_console_url, checked_webhook
from jobs.alerts.words import clean, lasted
from jobs.settings import settings_of

URL = "redis://localhost:6379/0"


def test_addresses_come_with_commas_or_as_a_list_and_each_once() -> None:
    wanted = ["ana@example.com", "ben@example.com"]
    assert checked_addresses("ana@example.com, ben@example.com,,ana@example.com") == wanted == checked_addresses(wanted)
    assert checked_addresses("") == []


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com/services/T0/B0/token?x=1",
        "http://127.0.0.1:9000/",
        "http://10.1.2.3/hook",
        "http://[::1]/",
        "http://relay:8080/x",
        "http://localhost/",
        "",
    ],
)
def test_a_webhook_is_https_or_inside_of_the_network(url: str) -> None:
    assert checked_webhook(f" {url} ") == url


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://hooks.example.com/token", "http:// to a public host"),
        ("http://8.8.8.8/token", "http:// to a public host"),
        ("ftp://example.com/token", "no web address"),
        ("https:///token", "no web address"),
        ("https://[token", "no web address"),
        ("https://x:99999/token", "no web address"),
        ("https://user:token@example.com/", "holds a user or a password"),
    ],
)
def test_another_webhook_is_refused_without_repeating_it(url: str, sentence: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=re.escape(sentence)) as refused:
        checked_webhook(url)
    assert "token" not in str(refused.value)


@pytest.mark.parametrize("seconds", [-1, 86_401, "60", None, 1.5])
def test_the_time_to_settle_is_whole_seconds(seconds: object) -> None:
    with pytest.raises(ImproperlyConfigured, match="ALERT_AFTER"):
        checked_after(seconds)
    assert checked_after(0) == 0


def test_the_console_s_address_ends_without_a_slash() -> None:
    assert checked_console_url("https://console.example.com/ops/") == "https://console.example.com/ops"
    assert checked_console_url("") == ""
    for wrong in ("console.example.com", "https://", "https://x/?a=1", "https://[x"):
        with pytest.raises(ImproperlyConfigured, match="CONSOLE_URL"):
            checked_console_url(wrong)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"ALERT_MAIL_TO": "ana"}, "ALERT_MAIL_TO holds 'ana'"),
        ({"ALERT_MAIL_TO": [f"a{n}@example.com" for n in range(21)]}, "at most 20"),
        ({"ALERT_WEBHOOK": "http://example.com"}, "ALERT_WEBHOOK"),
    ],
)
def test_any_project_that_joins_is_told(values: dict[str, object], name: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=name):
        settings_of(values, URL)


def test_a_project_that_sets_nothing_tells_nobody() -> None:
    made = settings_of({}, URL)
    assert (made["ALERT_MAIL_TO"], made["ALERT_WEBHOOK"], made["ALERT_AFTER"], made["CONSOLE_URL"]) == ([], "", 60, "")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0 s"), (12.4, "12 s"), (60, "1 min"), (725, "12 min"), (7500, "2 h 5 min"), (273_600, "3 d 4 h")],
)
def test_how_long_it_stood(seconds: float, words: str) -> None:
    assert lasted(seconds) == words


def test_a_name_from_outside_is_one_line() -> None:
    assert clean("a\x00b\r\n\u202ec \ud800", 100) == "a b c" and clean("x" * 9, 5) == "xxxx…"
