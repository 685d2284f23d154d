"""The wheel, built once, in a folder that every project has on its path."""

from pathlib import Path

import pytest

from tests.foreign.projects import build_wheel, install


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    install(build_wheel(folder), folder / "packages")
    return folder / "packages"
