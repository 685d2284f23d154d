"""Check web addresses: what comes back, and what is never asked."""

from __future__ import annotations

import http.server
import ipaddress
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.test import Client

from jobs.catalog.registry import find_job
from jobs.errors import InvalidArguments
from jobs.library.web_check import NOT_ASKED, SomeFailed, _sentence, check_web_addresses
from jobs.library.web_request import Answer, Refused, ask, public_address
from jobs.models import Run
from jobs.pipeline.cancelled import Cancelled
from tests.integration.library_runs import Stop, run_as

LOOPBACK = [ipaddress.ip_network("127.0.0.0/8")]


class Site(http.server.BaseHTTPRequestHandler):
    """Answers by its path; keeps the paths that it was asked."""

    asked: list[str] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path.startswith("/to?"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to?"))
        elif self.path == "/drip":
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            with suppress(OSError):
                while not self.server.stopped.wait(0.1):  # type: ignore[attr-defined]
                    self.wfile.write(b"X: y\r\n")
            return
        else:
            self.send_response(int(self.path[1:4]))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Not to standard error."""


@pytest.fixture
def site() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.stopped = threading.Event()  # type: ignore[attr-defined]
    Site.asked.clear()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.stopped.set()  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()
    thread.join()


def checked(**values: Any) -> None:
    """The values as a form and a worker check them."""
    parameters = find_job(check_web_addresses.name).parameters
    assert parameters is not None
    parameters.check(values)


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Every name is at these addresses; returns the names that were looked up."""
    names: list[str] = []

    def look_up(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        names.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return names


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "10.0.0.1",
            "172.16.9.9",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",  # noqa: S104
            "224.0.0.1",
        ),
        *(
            "255.255.255.255",
            "192.0.2.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
        ),
        *("64:ff9b::a00:1", "2002:a00:1::", "2001:0:a00:1::", "2001:db8::1"),
    ],
)
def test_what_is_not_public_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    resolve_to(monkeypatch, "93.184.215.14", address)
    with pytest.raises(Refused, match="not public"):
        public_address("example.com", 80)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "::ffff:93.184.215.14"])
def test_what_is_public_may_be_asked(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    resolve_to(monkeypatch, address)
    assert str(public_address("example.com", 80)) == str(ipaddress.ip_address(address))


def test_a_network_that_the_setting_names_may_be_asked(site: str) -> None:
    assert ask(f"{site}/200", timeout=5).error.startswith("127.0.0.1 is not public.")
    assert Site.asked == []
    answer = ask(f"{site}/200", timeout=5, allowed=LOOPBACK)
    assert (answer.status, answer.error, answer.redirected_to) == (200, "", "")
    assert ask("http://0x7f.1/", timeout=5).status is None and ask("http://2130706433/", timeout=5).status is None


def test_the_connection_goes_to_the_address_that_was_judged(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that answers otherwise at a second look-up cannot lead inside."""
    port = int(site.rpartition(":")[2])
    names = resolve_to(monkeypatch, "127.0.0.1")
    real, connected = socket.create_connection, list[Any]()

    def connect(address: tuple[str, int], timeout: Any = None, **_: Any) -> socket.socket:
        connected.append(address)
        plain = socket.socket()
        plain.settimeout(timeout)
        plain.connect(address)
        return plain

    monkeypatch.setattr(socket, "create_connection", connect)
    assert ask(f"http://rebinding.example:{port}/200", timeout=5, allowed=LOOPBACK).status == 200
    assert names == ["rebinding.example"] and connected == [("127.0.0.1", port)]
    assert real is not connect


def test_a_redirect_is_followed_and_judged_anew(site: str) -> None:
    answer = ask(f"{site}/to?/204", timeout=5, allowed=LOOPBACK)
    assert (answer.status, answer.redirected_to) == (204, f"{site}/204")
    inside = ask(f"{site}/to?http://169.254.169.254/latest/", timeout=5, allowed=LOOPBACK)
    assert inside.status is None and "169.254.169.254 is not public." in inside.error and inside.ms is not None
    file = ask(f"{site}/to?file:///etc/passwd", timeout=5, allowed=LOOPBACK)
    assert file.error == "Only addresses that begin with http:// or https:// are asked."
    endless = ask(f"{site}/to?{site}/to?{site}/to?{site}/to?{site}/to?{site}/to?/200", timeout=5, allowed=LOOPBACK)
    assert endless.error == "It redirects more than 5 times."


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://ana:secret@example.com/", "It holds a user name or a password"),
        ("ftp://example.com/", "Only addresses that begin"),
        ("http://", "It names no host"),
        ("http:///x", "It names no host"),
        ("http://ana@example.com/", "It holds a user name or a password"),
        ("http://[::1/", "It is no web address."),
        ("http://example.com:99999/", "Its port is no number up to 65535."),
    ],
)
def test_what_is_no_web_address_is_not_asked(url: str, error: str) -> None:
    answer = ask(url, timeout=1)
    assert answer.error.startswith(error) and answer.ms is None
    with pytest.raises(InvalidArguments) as refused:
        checked(urls=["http://example.com/", url])
    assert refused.value.fields["urls"].startswith(f"Line 2: {error}") and "secret" not in str(refused.value.fields)


def test_the_line_is_that_of_the_box(admin_client: Client) -> None:
    form = f"/admin/jobs/run/catalog/{check_web_addresses.name}/start/"
    typed = "https://example.com/\n\nhttps://example.com:65536/"
    page = admin_client.post(form, {"nonce": "n", "urls": typed, "at_once": "5", "timeout": "10"}).content.decode()
    assert "Line 3: Its port is no number up to 65535." in page and not Run.objects.exists()


def test_a_name_is_told_with_its_address_and_an_address_once(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, "10.0.0.1")
    assert ask("http://inside.example/", timeout=1).error.startswith("inside.example is 10.0.0.1, which is not public.")
    assert ask("http://10.0.0.1/", timeout=1).error.startswith("10.0.0.1 is not public.")
    resolve_to(monkeypatch, "::1")
    assert ask("http://[::1]/", timeout=1).error.startswith("::1 is not public.")


@pytest.mark.django_db
def test_no_password_is_written_wherever_it_came_from(site: str, settings: Any) -> None:
    settings.WEB_CHECK_ALLOW = ["127.0.0.0/8"]
    urls = [f"{site}/to?http://ana:secret@127.0.0.1/", "https://ben:secret@example.com/"]
    # It is no part of the address that is typed, and its redirect leads to one that holds a password.
    ended = run_as(None, check_web_addresses, urls=urls[:1])
    assert "secret" not in ended.text("addresses.csv") + ended.value
    sentence = _sentence([Answer(urls[1], None, None, "", "refused")], [Answer(urls[1], None, None, "", "refused")])
    assert "secret" not in sentence and "ben:***@example.com" in sentence


@pytest.mark.django_db
def test_who_was_not_asked_is_counted_by_itself_and_took_no_time(site: str, settings: Any) -> None:
    settings.WEB_CHECK_ALLOW = ["127.0.0.1/32"]
    urls = ["http://127.0.0.2/", "http://127.0.0.3/", "http://127.0.0.1:1/", f"{site}/404", f"{site}/200"]
    ended = run_as(None, check_web_addresses, urls=urls, timeout=5)
    assert ended.value.startswith(
        "1 of 5 addresses answers well; 2 were not asked, 1 does not answer, 1 answers with an error. First: http"
    )
    took = {row["address"]: row["took, ms"] for row in ended.table("addresses.csv")}
    assert [took[url] for url in urls[:2]] == ["", ""] and all(took[url] for url in urls[2:])


def test_one_that_drips_is_cut_off(site: str) -> None:
    answer = ask(f"{site}/drip", timeout=1, allowed=LOOPBACK)
    assert answer.status is None and answer.error == "No answer within 1 s." and (answer.ms or 0) < 3000


@pytest.mark.django_db
def test_the_table_and_the_sentence(site: str, settings: Any) -> None:
    settings.WEB_CHECK_ALLOW = ["127.0.0.0/8"]
    urls = [f"{site}/200", f"{site}/404", f"{site}/to?/200", "http://127.0.0.1:1/", f"{site}/200"]
    ended = run_as(None, check_web_addresses, urls=urls, timeout=5)
    assert ended.value.startswith(
        "2 of 4 addresses answer well; 1 does not answer, 1 answers with an error. First: http://127.0.0.1:1/"
    )
    table = ended.table("addresses.csv")
    assert [row["status"] for row in table] == ["", "404", "200", "200"] and table[0]["error"]
    assert f"{site}/200" in {row["redirected to"] for row in table}
    assert isinstance(run_as(None, check_web_addresses, urls=urls, timeout=5, fail=True).value, SomeFailed)
    good = run_as(None, check_web_addresses, urls=urls[:1], timeout=5, fail=True)
    assert good.value.startswith("1 address answers well")
    settings.WEB_CHECK_ALLOW = []
    assert "0 of 1 address answer" in run_as(None, check_web_addresses, urls=urls[:1]).value


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"urls": []}, "urls"),
        ({"urls": ["example.com"]}, "urls"),
        ({"urls": [f"http://example.com/{n}" for n in range(501)]}, "urls"),
        ({"urls": [f"http://example.com/{n}" for n in range(500)], "at_once": 1}, "timeout"),
        ({"urls": ["http://example.com/"], "at_once": 21}, "at_once"),
    ],
)
def test_what_cannot_be_checked_is_refused_beside_its_field(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArguments) as refused:
        checked(**values)
    assert field in refused.value.fields


@pytest.mark.django_db
def test_a_stopped_check_tells_which_were_not_asked(site: str, settings: Any) -> None:
    settings.WEB_CHECK_ALLOW = ["127.0.0.0/8"]
    ended = run_as(None, check_web_addresses, Stop.FIRST, urls=[f"{site}/200", f"{site}/404"])
    assert isinstance(ended.value, Cancelled)
    assert {row["error"] for row in ended.table("addresses.csv")} == {NOT_ASKED}
