"""The console over each kind of Redis: the pages that ask it, a start, a `.delay()`, a schedule; a fail-over."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from opsconsole.embedded_redis import check_given
from tests.e2e.processes import BIN, PROJECT, Daemon, free_port, wait_for
from tests.foreign.projects import PYTHON, Axis, Project, make, prepare
from tests.redis_kinds.servers import MASTER, OPENSSL, PASSWORD, SERVER, Sentinels, certificates, server

pytestmark = pytest.mark.skipif(not SERVER or not OPENSSL, reason="needs redis-server and openssl")

RUNS = 1000
#: What a user of its own needs. Celery listens to the two channels as patterns, which Redis allows by their text only.
RIGHTS = "~team-a:* &team-a:* &team-a:/0.celery.pidbox &team-a:/0.celeryev/worker.* +@all -@admin -@dangerous +info"
PREFIX = """\
CELERY_BROKER_TRANSPORT_OPTIONS = {'global_keyprefix': 'team-a:'}
CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS = {'global_keyprefix': 'team-a:'}
"""
SENTINEL = f"""\
CELERY_BROKER_TRANSPORT_OPTIONS = {{'master_name': '{MASTER}', 'sentinel_kwargs': {{'password': '{PASSWORD}'}}}}
"""
NOTE = '''\
import os
from pathlib import Path

from celery import shared_task


@shared_task
def add(x: int, y: int) -> int:
    """Adds two numbers."""
    return x + y


@shared_task
def break_down(what):
    raise LookupError(f"no {what}")


@shared_task
def note(number: int) -> int:
    """Notes that it was here."""
    book = os.open(os.environ['BOOK'], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(book, f'{number}\\n'.encode())
    os.close(book)
    return number
'''
START = f"""\
import django; django.setup()
from jobs.catalog.registry import find_job
from jobs.ledger.audit import Actor
from jobs.ledger.start import start_run
from jobs.states import Source
for number in range({RUNS}):
    start_run(find_job('shop.tasks.note'), {{'number': number}}, actor=Actor(label='tests', via='system'),
              source=Source.SYSTEM)
"""
STATES = """\
import django; django.setup()
from collections import Counter
from jobs.models import Run
rows = Run.objects.filter(task_name='shop.tasks.note').values_list('state', flat=True)
print(sorted(Counter(rows).items()))
"""


@contextmanager
def working(top: Path, packages: Path, axis: Axis, *redis: Daemon) -> Iterator[Project]:
    """The project with its processes, over servers of the test's own."""
    project = make(top, packages, axis)
    mine = project.daemons[1:]
    try:
        for daemon in redis:
            daemon.start()
        prepare(project, axis)
        for daemon in mine:
            daemon.start()
        yield project
    finally:
        for daemon in (*reversed(mine), *redis):
            daemon.stop()


def tls_server(tmp_path: Path, port: int) -> tuple[Daemon, dict[str, Path]]:
    made = certificates(tmp_path)
    files = ("--tls-ca-cert-file", made["ca"], "--tls-cert-file", made["crt"], "--tls-key-file", made["key"])
    return server(tmp_path, "tls", "--port", "0", "--tls-port", str(port), *map(str, files)), made


def test_tls_with_a_client_certificate_in_the_address(packages: Path, tmp_path: Path) -> None:
    redis, made = tls_server(tmp_path, port := free_port())
    query = (
        f"ssl_cert_reqs=CERT_REQUIRED&ssl_ca_certs={made['ca']}&ssl_certfile={made['crt']}&ssl_keyfile={made['key']}"
    )
    axis = Axis("tls", broker=f"rediss://localhost:{port}/0?{query}")
    with working(tmp_path, packages, axis, redis) as project:
        assert "looked at" in project.look("briefly")


def test_tls_with_a_client_certificate_in_a_setting(packages: Path, tmp_path: Path) -> None:
    redis, made = tls_server(tmp_path, port := free_port())
    files = {"ssl_ca_certs": str(made["ca"]), "ssl_certfile": str(made["crt"]), "ssl_keyfile": str(made["key"])}
    tls = f"import ssl\nCELERY_BROKER_USE_SSL = {{'ssl_cert_reqs': ssl.CERT_REQUIRED, **{files!r}}}"
    axis = Axis("tls", settings=tls, broker=f"rediss://localhost:{port}/0")
    with working(tmp_path, packages, axis, redis) as project:
        assert "looked at" in project.look("briefly")


def test_a_user_with_no_more_rights_than_needed(packages: Path, tmp_path: Path) -> None:
    users = tmp_path / "users.acl"
    users.write_text(f"user default off\nuser console on >{PASSWORD} {RIGHTS}\n")
    redis = server(tmp_path, "acl", "--port", str(port := free_port()), "--aclfile", str(users))
    axis = Axis("acl", settings=PREFIX, broker=f"redis://console:{PASSWORD}@127.0.0.1:{port}/0")
    with working(tmp_path, packages, axis, redis) as project:
        assert "looked at" in project.look("briefly")
        for daemon in project.daemons[1:]:
            assert "NOPERM" not in daemon.log.read_text(), daemon.name


def test_a_socket_with_a_password_and_a_database_number(packages: Path, tmp_path: Path) -> None:
    socket = tmp_path / "s.sock"
    redis = server(tmp_path, "socket", "--port", "0", "--unixsocket", str(socket), "--requirepass", PASSWORD)
    axis = Axis("socket", broker=f"redis+socket://:{PASSWORD}@{socket}?virtual_host=2")
    with working(tmp_path, packages, axis, redis) as project:
        assert "looked at" in project.look("briefly")


def test_sentinels_and_a_fail_over_in_the_middle_of_a_thousand_runs(packages: Path, tmp_path: Path) -> None:
    around = Sentinels(tmp_path)
    book = tmp_path / "book"
    axis = Axis(
        "sentinels",
        settings=SENTINEL,
        broker=around.url,
        files={"shop/tasks.py": NOTE},
        env={"BOOK": str(book)},
        worker=("-c", "2"),
    )
    try:
        around.start()
        with working(tmp_path, packages, axis) as project:
            assert "looked at" in project.look("briefly")
            starting = Thread(target=project.run, args=(PYTHON, "-c", START))
            starting.start()
            wait_for(lambda: _noted(book) >= RUNS // 4, "a part of the runs to be done", 120)
            assert _noted(book) < RUNS, "nothing is left for the fail-over"
            around.fail_over()
            starting.join()
            wait_for(lambda: f"[('succeeded', {RUNS})]" in project.run(PYTHON, "-c", STATES), "all to succeed", 240)
        done = Counter(book.read_text().split())
        assert len(done) == RUNS and set(done.values()) == {1}
    finally:
        around.stop()


def test_the_console_of_this_repository_behind_sentinels(tmp_path: Path) -> None:
    around = Sentinels(tmp_path)
    env = {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "SECRET_KEY": "k" * 50,
        "OPSCONSOLE_VAR": str(tmp_path),
        "REDIS_URL": around.url,
        "REDIS_MASTER_NAME": MASTER,
        "REDIS_SENTINEL_PASSWORD": PASSWORD,
    }
    manage = [PYTHON, "manage.py"]
    worker = [str(BIN / "celery"), "-A", "opsconsole", "worker", "-l", "INFO", "-c", "1"]
    processes = (
        Daemon("worker", worker, tmp_path, env, "ready."),
        Daemon("recorder", [*manage, "recorder"], tmp_path, env, ""),
    )
    try:
        around.start()
        check_given(around.url, env)
        subprocess.run([*manage, "prepare"], cwd=PROJECT, env=env, check=True, capture_output=True, timeout=120)
        for process in processes:
            process.start()
        done = subprocess.run(
            [*manage, "self_check"], cwd=PROJECT, env=env, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        for process in processes:
            process.stop()
        around.stop()


def _noted(book: Path) -> int:
    return book.read_text().count("\n") if book.exists() else 0
