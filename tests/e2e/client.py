"""A signed-in person without a browser: real HTTP to the real web process."""

from __future__ import annotations

import http.cookiejar
import re
import urllib.error
import urllib.parse
import urllib.request
import uuid
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, after redirects."""

    status: int
    url: str
    text: str
    headers: dict[str, str]


class Person:
    """Keeps cookies and the CSRF token of the page last read."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))
        self.token = ""

    def get(self, path: str) -> Answer:
        return self._ask(urllib.request.Request(self.base + path))  # noqa: S310

    def post(self, path: str, **values: str) -> Answer:
        data = urllib.parse.urlencode({"csrfmiddlewaretoken": self.token, **values}).encode()
        headers = {"Referer": self.base + path, "Origin": self.base}
        return self._ask(urllib.request.Request(self.base + path, data=data, headers=headers))  # noqa: S310

    def upload(self, path: str, field: str, name: str, content: str, **values: str) -> Answer:
        """Post a form with one file."""
        mark = uuid.uuid4().hex
        parts = [
            f'--{mark}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
            for key, value in {"csrfmiddlewaretoken": self.token, **values}.items()
        ]
        parts.append(
            f'--{mark}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
            f"Content-Type: text/plain\r\n\r\n{content}\r\n--{mark}--\r\n"
        )
        headers = {
            "Referer": self.base + path,
            "Origin": self.base,
            "Content-Type": f"multipart/form-data; boundary={mark}",
        }
        return self._ask(urllib.request.Request(self.base + path, data="".join(parts).encode(), headers=headers))  # noqa: S310

    def sign_in(self, name: str, password: str) -> Person:
        self.get("/admin/login/")
        answer = self.post("/admin/login/", username=name, password=password, next="/admin/")
        assert answer.url.endswith("/admin/"), f"{name} could not sign in"
        return self

    def _ask(self, request: urllib.request.Request) -> Answer:
        try:
            with self.opener.open(request, timeout=30) as response:
                answer = Answer(response.status, response.url, response.read().decode(), dict(response.headers))
        except urllib.error.HTTPError as error:
            answer = Answer(error.code, error.url, error.read().decode(), dict(error.headers))
        if found := re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', answer.text):
            self.token = found[1]
        return answer
