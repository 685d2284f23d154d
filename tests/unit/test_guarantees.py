"""docs/guarantees.md promises nothing that no test holds."""

import re

import pytest

from tests.e2e.processes import PROJECT

TEXT = (PROJECT / "docs" / "guarantees.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))


@pytest.mark.parametrize(("file", "function"), NAMED)
def test_the_test_exists(file: str, function: str) -> None:
    assert re.search(rf"^def {function}\(", (PROJECT / file).read_text(), re.MULTILINE)


def test_every_promise_names_a_test() -> None:
    table = TEXT.split("| promise |")[1].split("\n\n")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ") and "---" not in line]
    assert len(rows) >= 14
    assert [row for row in rows if "tests/" not in row] == []


def test_every_command_exists() -> None:
    makefile = (PROJECT / "Makefile").read_text()
    for command in re.findall(r"`make (\w+)`", TEXT):
        assert f"\n{command}: " in makefile, command
