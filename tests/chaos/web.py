"""The web process with failpoints: `gunicorn tests.chaos.web`."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any

from opsconsole.wsgi import application as console
from tests.chaos.failpoints import reach, wrap_commits


class _Here(threading.local):
    """Whether this thread serves a form that starts a run."""

    place: str | None = None


_here = _Here()
wrap_commits(lambda: _here.place)


class _Response:
    """The response; once it has been sent, the last failpoint is reached."""

    def __init__(self, body: Iterable[bytes]) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        if (close := getattr(self._body, "close", None)) is not None:
            close()
        reach("web.after-response")


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The console; a posted form passes the failpoints."""
    if environ["REQUEST_METHOD"] != "POST" or not environ["PATH_INFO"].endswith("/start/"):
        return console(environ, start_response)
    _here.place = "web"
    try:
        return _Response(console(environ, start_response))
    finally:
        _here.place = None
