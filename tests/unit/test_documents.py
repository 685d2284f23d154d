"""What the documents must not forget."""

import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def test_every_setting_of_the_environment_is_in_the_readme() -> None:
    text = (PROJECT / "opsconsole" / "settings.py").read_text()
    names = set(re.findall(r'(?:env|env\.list|env\.int|_required|_integer|_switch|_words)\(\s*"([A-Z_]+)"', text))
    assert len(names) > 12
    table = (PROJECT / "README.md").read_text()
    assert [name for name in sorted(names) if f"`{name}`" not in table] == []


def test_every_decision_is_listed() -> None:
    folder = PROJECT / "docs" / "decisions"
    index = (folder / "README.md").read_text()
    assert [path.name for path in sorted(folder.glob("0*.md")) if f"({path.name})" not in index] == []


def test_every_picture_and_document_that_is_linked_exists() -> None:
    for document in [PROJECT / "README.md", *(PROJECT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
