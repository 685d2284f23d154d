"""The templates: every class exists, nothing inline, nothing marked safe, one door to Unfold."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import User
from django.template.loader import render_to_string
from django.test import Client
from pytest_django import Settings

ROOT = Path(__file__).resolve().parents[2] / "admin_ext"
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
STYLES = (ROOT / "static/admin_ext/console.css").read_text()
_CHOICE = "\0"
_TAG = re.compile(r"{[%#{].*?[%#}]}", re.DOTALL)
#: A mark of Tailwind for the rules of what is inside; it has none itself.
_KNOWN = {"group"}


def _unfold_styles() -> str:
    spec = find_spec("unfold")
    assert spec and spec.origin
    return (Path(spec.origin).parent / "static/unfold/css/styles.css").read_text()


def _names(css: str) -> set[str]:
    return {name.replace("\\", "") for name in re.findall(r"\.((?:\\.|[\w-])+)", css)}


def test_every_class_of_the_templates_has_a_rule() -> None:
    known = _names(_unfold_styles()) | _names(STYLES) | _KNOWN
    unknown = {}
    for template in (*TEMPLATES, *(ROOT / "templatetags").glob("*.py")):
        for value in re.findall(r'class="([^"]*)"', _flat(template.read_text()).replace("{}", _CHOICE)):
            for name in _expanded(value):
                if name not in known and not name.endswith("--"):
                    unknown[name] = template.name
    assert unknown == {}


def _flat(text: str) -> str:
    """The template without its tags; a mark stands where one of them chose between texts."""
    return _TAG.sub(lambda tag: _CHOICE if tag[0].startswith(("{% if", "{% el", "{% end")) else "", text)


def _expanded(value: str) -> list[str]:
    """The names in a class attribute; a choice within a name is two."""
    names = []
    for word in value.split():
        stem, *ends = word.split(_CHOICE)
        names += [stem + end for end in ends if end] or [stem]
    return [name for name in names if name]


def test_only_what_reads_itself_anew_is_called_live() -> None:
    def shown(*, live: bool, oob: bool) -> str:
        machinery = SimpleNamespace(live=live, read_words="read now")
        text = render_to_string("admin_ext/parts/live.html", {"machinery": machinery, "oob": oob})
        return " ".join(re.sub(r"<[^>]*>", " ", text).split())

    assert shown(live=True, oob=False) == "Read now"
    assert shown(live=True, oob=True) == "Live · read now"
    assert shown(live=False, oob=False) == shown(live=False, oob=True) == "Not live · read now"


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_nothing_is_inline_and_nothing_is_marked_safe(template: Path) -> None:
    text = template.read_text()
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=|javascript:|https?://", text)
    assert "|safe" not in text and "autoescape off" not in text


@pytest.mark.parametrize("source", sorted(ROOT.rglob("*.py")), ids=lambda path: path.name)
def test_no_page_marks_text_as_safe_and_files_stay_short(source: Path) -> None:
    text = source.read_text()
    # format_html escapes what it is given; the tags of small parts alone may use it.
    assert "mark_safe" not in text and ("format_html" not in text or source.parent.name == "templatetags")
    assert text.count("\n") <= 300


def test_light_and_dark_have_the_same_tokens() -> None:
    light, dark = (
        set(re.findall(r"(--oc-[\w-]+):", block))
        for block in re.findall(r"(?:^:root|^\.dark) {(.*?)^}", STYLES, re.M | re.S)
    )
    assert light == dark


@pytest.mark.django_db
def test_a_form_that_is_too_large_says_so_and_what_to_do(settings: Settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 2**20
    client = Client(enforce_csrf_checks=True)  # which reads the form first, as a real request does
    client.force_login(User.objects.create_superuser("ana"))
    client.cookies["csrftoken"] = "k" * 32
    response = client.post("/admin/jobs/run/catalog/x/start/", {"text": "x" * 2**21})
    page = response.content.decode()
    assert response.status_code == 400 and "larger than 1.0 MB" in page and "Go to the Overview" in page


def test_a_host_that_is_not_ours_is_told_without_a_page(client: Client) -> None:
    response = client.get("/admin/", headers={"host": "elsewhere.example"})
    assert (response.status_code, response["Content-Type"]) == (400, "text/plain")
    assert "ALLOWED_HOSTS" in response.content.decode()
