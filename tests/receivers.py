"""Who receives alerts in tests: a mail server and a web server on free ports, which write down what reaches them."""

from __future__ import annotations

import email
import email.message
import email.policy
import json
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Mail:
    """One e-mail as the server got it."""

    to: tuple[str, ...]
    message: email.message.EmailMessage

    @property
    def text(self) -> str:
        return str(self.message.get_content())


@dataclass(slots=True)
class Post:
    """One request as the server got it."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.body)
        return told


@dataclass(slots=True)
class Receiver:
    """A server and what it has got.

    Attributes:
        refuses: addresses that it answers with 550.
        status, headers: of the web server's answers.
        hangs: while it is set, nobody gets an answer; `asked` is set when somebody waits for one.
    """

    port: int = 0
    mails: list[Mail] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hangs: bool = False
    asked: threading.Event = field(default_factory=threading.Event)
    goes_on: threading.Event = field(default_factory=threading.Event)

    def wait(self) -> None:
        self.asked.set()
        if self.hangs:
            self.goes_on.wait(30)


class _Threads(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


@contextmanager
def mail_server() -> Iterator[Receiver]:
    """Speaks as much SMTP as Django's backend asks for."""
    receiver = Receiver()

    class Talk(socketserver.StreamRequestHandler):
        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

        def handle(self) -> None:
            receiver.wait()
            self.say("220 tests")
            to: list[str] = []
            for raw in self.rfile:
                line = raw.decode().strip()
                word = line[:4].upper()
                if word == "RCPT":
                    address = line.partition("<")[2].partition(">")[0]
                    refused = address in receiver.refuses
                    to += [] if refused else [address]
                    self.say(f"550 5.1.1 <{address}> is not known here" if refused else "250 ok")
                elif word == "DATA":
                    self.say("354 go on")
                    self.keep(tuple(to))
                    self.say("250 taken")
                elif word == "QUIT":
                    return self.say("221 bye")
                else:
                    self.say("250 ok")

        def keep(self, to: tuple[str, ...]) -> None:
            lines: list[bytes] = []
            while (line := self.rfile.readline()) != b".\r\n":
                lines.append(line)
            message = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
            assert isinstance(message, email.message.EmailMessage)
            receiver.mails.append(Mail(to, message))

    with _Threads(("127.0.0.1", 0), Talk) as server:
        yield from _serve(server, receiver)


@contextmanager
def web_server(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Answers each POST as `status` and `headers` say."""
    receiver = Receiver()

    class Site(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.posts.append(Post(self.path, dict(self.headers.items()), body))
            receiver.wait()
            self.send_response(receiver.status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing: what came is in `posts`."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """Nothing: whoever asked has gone, as some tests want it."""

    with Quiet(("127.0.0.1", 0), Site) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        yield from _serve(server, receiver)


def _serve(server: socketserver.TCPServer, receiver: Receiver) -> Iterator[Receiver]:
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.goes_on.set()
        server.shutdown()
        thread.join()
