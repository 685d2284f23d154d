"""The patches of `make bite` still fit the code, and the tests that they name exist. The biting takes minutes."""

import ast
import re

import pytest

from tests.bite.__main__ import PROJECT
from tests.bite.patches import BITES, Bite


@pytest.mark.parametrize("bite", BITES, ids=lambda bite: bite.name)
def test_it_applies_and_names_tests_that_exist(bite: Bite) -> None:
    for file, old, new in bite.changes:
        text = (PROJECT / file).read_text()
        assert text.count(old) == 1, f"write it anew: {old!r} stands {text.count(old)} times in {file}"
        ast.parse(text.replace(old, new))
    for name in bite.tests:
        file, _, function = name.partition("::")
        functions = re.findall(r"^def (test_\w+)", (PROJECT / file).read_text(), re.MULTILINE)
        assert not function or function.partition("[")[0] in functions


def test_each_has_a_name_of_its_own() -> None:
    assert len({bite.name for bite in BITES}) == len(BITES)
