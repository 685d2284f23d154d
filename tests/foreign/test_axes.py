"""Each row of the table of docs/integrate.md: such a project is made, joined, and looked at as a whole."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.foreign.axes import AXES
from tests.foreign.projects import DOCUMENT, Axis, make, prepare


@pytest.mark.parametrize("axis", AXES, ids=str)
def test_a_project_of_this_kind(axis: Axis, packages: Path, tmp_path: Path) -> None:
    project = make(tmp_path, packages, axis)
    if axis.refusal:
        assert axis.refusal in project.manage("check", check=False)
        return
    try:
        project.daemons[0].start()
        prepare(project, axis)
        said = project.manage("check")
        # Of all that is told only this is no fault of the project: an older Celery, where `make matrix` runs this.
        assert "no issues" in said or set(re.findall(r"\((\w+\.[EWI]\d+)\)", said)) == {"jobs.W012"}, said
        assert "No changes detected" in project.manage("makemigrations", "--check", "--dry-run")
        for daemon in project.daemons[1:]:
            daemon.start()
        assert "looked at" in project.look()
    finally:
        project.down()


@pytest.mark.parametrize("axis", AXES, ids=str)
def test_the_document_names_it(axis: Axis) -> None:
    assert f"| {axis.title} |" in DOCUMENT.read_text()
