"""The database made ready, and the proof that the console is usable: one self-check run through the real path."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from .processes import Output
from .var_folder import CannotStart

READY_SECONDS = 60
ERROR_FILE = "up-error.log"


@dataclass(frozen=True, slots=True)
class Manage:
    """Runs `manage.py` commands in processes of their own, so that the launcher itself stays small."""

    folder: Path
    environment: Mapping[str, str]
    var: Path
    stopping: Callable[[], bool]

    def __call__(self, *arguments: str) -> str | None:
        """The command's standard output; None when the console was asked to stop meanwhile.

        Raises:
            CannotStart: the command failed; the text is its own sentence.
        """
        process = subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.folder,
            env=self.environment,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        while True:
            try:
                answer, complaint = process.communicate(timeout=0.2)
            except subprocess.TimeoutExpired:
                if self.stopping():
                    process.kill()
                    process.communicate()
                    return None
            else:
                break
        if process.returncode == 0:
            return answer
        raise CannotStart(self._sentence(arguments[0], complaint))

    def _sentence(self, command: str, complaint: str) -> str:
        lines = complaint.strip().splitlines() or ["it left no message"]
        if not any(line.startswith("Traceback ") for line in lines):
            return lines[-1].removeprefix("CommandError: ").removeprefix("opsconsole: ")
        log = self.var / ERROR_FILE
        try:
            log.write_text(complaint)
        except OSError:
            return f"manage.py {command} failed: {lines[-1]}."
        return f"manage.py {command} failed: {lines[-1]} ({log} says more)."


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `manage.py prepare` reports of a database that is ready.

    Attributes:
        home, login: paths of the console's first page and of its sign-in page.
        host: a name for which the web process answers.
        https: the web process sends plain requests on to https.
        has_admin: there is somebody who may do everything.
    """

    home: str
    login: str
    host: str
    https: bool
    has_admin: bool

    @classmethod
    def by(cls, manage: Manage) -> Prepared | None:
        """Make the database ready; None when the console was asked to stop meanwhile.

        Raises:
            CannotStart: it cannot be made ready.
        """
        report = manage("prepare", "--json")
        return None if report is None else cls(**json.loads(report.splitlines()[-1]))


class Readiness(threading.Thread):
    """Waits until the console is usable and says so once, or sets `problem` to a sentence about what is missing."""

    def __init__(self, manage: Manage, prepared: Prepared, url: str, output: Output) -> None:
        super().__init__(name="readiness", daemon=True)
        self.problem = ""
        self._manage = manage
        self._prepared = prepared
        self._url = url
        self._output = output

    def run(self) -> None:
        try:
            self._prove()
        except CannotStart as problem:
            self.problem = str(problem)

    def _prove(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        proof = self._manage("self_check", f"--timeout={READY_SECONDS}")
        if proof is None or not self._await_login_page(deadline):
            return
        lines = [f"opsconsole is ready: {self._url}{self._prepared.home}  ({proof.strip()})"]
        # Made last: a password that is made before a start that fails would never be seen.
        if not self._prepared.has_admin and (account := self._manage("reset_admin", "--first")):
            lines.append(f"Sign in as {account.strip()}  (shown only now; `make admin` sets a new password)")
        self._output.say("\n".join(lines))

    def _await_login_page(self, deadline: float) -> bool:
        answer = "nothing"
        while not self._manage.stopping():
            status = self._login_status()
            if status == 200 or (self._prepared.https and status == 301):
                return True
            answer = str(status or "nothing")
            if time.monotonic() > deadline:
                raise CannotStart(
                    f"{self._url}{self._prepared.login} answered {answer} instead of the sign-in page; "
                    "the lines of web above say why."
                )
            time.sleep(0.1)
        return False

    def _login_status(self) -> int | None:
        place = urlsplit(self._url)
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)
        try:
            connection.request("GET", self._prepared.login, headers={"Host": self._prepared.host})
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
