"""deploy/: the same four commands everywhere, and files that their programs can read."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

PROJECT = Path(__file__).resolve().parents[2]
DEPLOY = PROJECT / "deploy"
SYSTEMD = DEPLOY / "systemd"
COMMON = SYSTEMD / "opsconsole-.service.d" / "10-common.conf"


def procfile() -> dict[str, str]:
    return dict(line.split(": ", 1) for line in (PROJECT / "Procfile").read_text().splitlines() if line)


def of_unit(name: str) -> str:
    """The command of a unit as its shell sees it."""
    (line,) = re.findall(r"^ExecStart=(.*)$", (SYSTEMD / f"opsconsole-{name}.service").read_text(), re.MULTILINE)
    shell, flag, command = shlex.split(line.replace("$$", "$").replace("%%", "%"))
    assert (shell, flag) == ("/bin/sh", "-c")
    return command


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return loaded


def of_service(name: str) -> str:
    """The command of a service as its shell sees it."""
    shell, flag, command = compose()["services"][name]["command"]
    assert (shell, flag) == ("sh", "-c")
    return str(command).replace("$$", "$")


@pytest.mark.parametrize("name", procfile())
def test_procfile_compose_and_units_start_the_same(name: str) -> None:
    assert of_unit(name) == of_service(name) == procfile()[name]


def test_the_four_processes_are_all_there_are() -> None:
    assert set(procfile()) == {"web", "worker", "beat", "recorder"}
    assert {path.stem for path in SYSTEMD.glob("*.service")} == {f"opsconsole-{name}" for name in procfile()}
    assert set(compose()["services"]) == {*procfile(), "prepare", "database", "redis", "proxy"}


def test_each_host_starts_what_is_enabled_on_it_and_nothing_else() -> None:
    """Also after a restart of a host with a worker alone, whose target nobody has enabled."""
    for name in procfile():
        (wanted,) = re.findall(r"^WantedBy=(.*)$", (SYSTEMD / f"opsconsole-{name}.service").read_text(), re.MULTILINE)
        assert set(wanted.split()) == {"multi-user.target", "opsconsole.target"}
    assert not re.search(r"^(Wants|Requires)=", (SYSTEMD / "opsconsole.target").read_text(), re.MULTILINE)
    assert re.search(r"^PartOf=opsconsole.target$", COMMON.read_text(), re.MULTILINE)


def test_no_process_writes_below_a_mount_that_is_missing() -> None:
    (mounts,) = re.findall(r"^RequiresMountsFor=(.*)$", COMMON.read_text(), re.MULTILINE)
    (files,) = re.findall(r"^FILES_DIR=(.*)$", (SYSTEMD / "opsconsole.env.example").read_text(), re.MULTILINE)
    assert Path(files).is_relative_to(mounts) and f"ReadWritePaths=-{mounts}\n" in COMMON.read_text()


def settings_of_the_readme() -> set[str]:
    """The names of its table of settings."""
    section = (PROJECT / "README.md").read_text().split("\n## Settings\n")[1].split("\n## ")[0]
    names = {
        name for cell in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", cell)
    }
    assert {"SECRET_KEY", "TASK_TIME_LIMIT", "ALERT_WEBHOOK_SECRET", "OPSCONSOLE_VAR"} <= names
    return names


def test_compose_hands_on_every_setting_and_the_example_names_what_can_be_chosen() -> None:
    text, example = (DEPLOY / "compose.yaml").read_text(), (DEPLOY / "compose.env.example").read_text()
    assert settings_of_the_readme() - set(compose()["services"]["worker"]["environment"]) == set()
    chosen = set(re.findall(r"(?<!\$)\$\{(\w+)", text))
    assert chosen - set(re.findall(r"^#?(\w+)=", example, re.MULTILINE)) == set()


def test_the_image_starts_the_web_process() -> None:
    (line,) = re.findall(r"^CMD (\[.*\])$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert yaml.safe_load(line) == ["sh", "-c", procfile()["web"]]


def test_the_image_takes_what_exists_runs_as_nobody_special_and_checks_hashes() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    for source in re.findall(r"^COPY (?!--from)(\S+) ", text, re.MULTILINE):
        assert (PROJECT / source).exists(), source
    packages = [PROJECT / name for name in ("opsconsole", "admin_ext", "jobs")]
    links = [path for package in packages for path in package.rglob("*") if path.is_symlink()]
    assert links == [], "a link leads nowhere in the image"
    assert "--require-hashes" in text and "HEALTHCHECK" in text
    assert text.rindex("\nUSER opsconsole") > text.rindex("\nRUN ")
    allowed = re.findall(r"^!(\S+)$", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
    assert set(allowed) == set(re.findall(r"^COPY (?!--from)(\S+) ", text, re.MULTILINE))


def test_a_stopping_worker_has_the_time_that_it_needs() -> None:
    """docs/decisions/0007: at least 30 s between SIGTERM and SIGKILL."""
    unit = re.search(r"^TimeoutStopSec=(\d+)$", (SYSTEMD / "opsconsole-worker.service").read_text(), re.MULTILINE)
    assert unit and int(unit[1]) >= 30
    assert int(compose()["services"]["worker"]["stop_grace_period"].removesuffix("s")) >= 30
    assert "KillMode=mixed" in COMMON.read_text() and "KillSignal=SIGTERM" in COMMON.read_text()


def test_redis_forgets_nothing_and_all_share_one_place_for_files() -> None:
    services = compose()["services"]
    command = " ".join(services["redis"]["command"])
    assert "--appendonly yes" in command and "--maxmemory-policy noeviction" in command
    mounts = {tuple(services[name]["volumes"]) for name in procfile()}
    assert mounts == {("files:/var/lib/opsconsole/files",)}
    assert services["web"]["environment"]["FILES_DIR"] == "/var/lib/opsconsole/files"


def test_one_service_builds_the_image_for_which_all_others_wait() -> None:
    """Several builds of one name are exported at once, and all but the first fail."""
    services = compose()["services"]
    assert [name for name, service in services.items() if "build" in service] == ["prepare"]
    for name in procfile():
        assert services[name]["image"] == services["prepare"]["image"] and services[name]["pull_policy"] == "never"
        assert services[name]["depends_on"]["prepare"] == {"condition": "service_completed_successfully"}


def test_no_log_fills_the_disk() -> None:
    logs = [service.get("logging") for service in compose()["services"].values()]
    assert logs == [{"driver": "json-file", "options": {"max-size": "10m", "max-file": "5"}}] * len(logs)


def test_the_owner_of_files_is_the_same_number_on_every_host_and_in_the_image() -> None:
    for text in ((DEPLOY / "Dockerfile").read_text(), (PROJECT / "docs" / "operations.md").read_text()):
        assert (
            re.findall(r"\bgroupadd .*--gid (\d+)", text) == re.findall(r"\buseradd .*--uid (\d+)", text) == ["10001"]
        )


def test_the_services_that_the_document_names_exist() -> None:
    text = (PROJECT / "docs" / "operations.md").read_text()
    compose_lines = re.findall(
        r"^docker compose -f deploy/compose.yaml --env-file deploy/compose.env (.*)$", text, re.M
    )
    named = {word for line in compose_lines for word in re.findall(r"^(?:exec|run)(?: -\S+)* (\w+)", line)}
    named |= {word for line in compose_lines if line.startswith("stop ") for word in line.split()[1:]}
    assert len(compose_lines) > 8 and named == {*procfile(), "database"}


def test_every_variable_of_the_deployment_is_known() -> None:
    """A name with a typing error would be ignored without a word."""
    known = set(re.findall(r"`([A-Z][A-Z_]+)`", (PROJECT / "README.md").read_text()))
    given = set(compose()["services"]["web"]["environment"])
    given |= set(re.findall(r"^([A-Z_]+)=", (SYSTEMD / "opsconsole.env.example").read_text(), re.MULTILINE))
    assert given - known == set()
    asked = set(re.findall(r"(?<!\$)\$\{([A-Z_]+):\?", (DEPLOY / "compose.yaml").read_text()))
    assert asked <= set(re.findall(r"^([A-Z_]+)=", (DEPLOY / "compose.env.example").read_text(), re.MULTILINE))


def test_systemd_understands_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze on this machine")
    shutil.copytree(SYSTEMD, tmp_path, dirs_exist_ok=True)
    units = [tmp_path / "opsconsole.target", *tmp_path.glob("*.service")]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_wheel_asks_for_what_the_host_installs() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    ours = [
        Requirement(line) for line in (PROJECT / "requirements" / "base.in").read_text().splitlines() if line[0] != "#"
    ]
    locked = dict(
        re.findall(r"^([a-z0-9-]+)==(\S+)", (PROJECT / "requirements" / "base.txt").read_text(), re.MULTILINE)
    )
    for need in map(Requirement, project["dependencies"]):
        assert (need.name, need.extras) in [(host.name, host.extras) for host in ours]
        assert need.specifier.contains(locked[need.name]), (
            f"the console itself runs with {need.name} {locked[need.name]}"
        )


def test_the_wheel_forces_no_patch_release_up() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    for need in map(Requirement, project["dependencies"]):
        assert not {spec.operator for spec in need.specifier} - {">=", "<"}, need
