"""The form of a job at a browser: by keyboard only, on a telephone, for a screen reader."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from jobs.catalog.registry import find_job
from jobs.ledger.audit import Actor
from jobs.ledger.start import start_run
from jobs.library.diagnostics import echo
from jobs.models import Run
from jobs.states import State
from tests import jobs_under_test as under_test
from tests.e2e.conftest import CHROMIUM, PASSWORD, finished
from tests.jobs_under_test import Size, told

ECHO = f"/admin/jobs/run/catalog/{under_test.echo_types.name}/start/"
PURGE = f"/admin/jobs/run/catalog/{under_test.purge.name}/start/"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt install chromium)"),
]
MOST_TABS = 60


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the field `name` has the focus; an id stands in for a name that is not sent."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if page.evaluate("[document.activeElement.name, document.activeElement.id]").count(name):
            return
    raise AssertionError(f"no way to {name} by Tab")


def fill(page: Page, name: str, *typed: str) -> None:
    """Go to the field and type; the names of keys are pressed."""
    tab_to(page, name)
    for text in typed:
        if text in {"ArrowRight", "ArrowDown", "Enter", "Space"}:
            page.keyboard.press(text)
        else:
            page.keyboard.type(text)


def choose(page: Page, name: str, *people: str) -> None:
    tab_to(page, name)
    for person in people:
        page.keyboard.type(person)
        expect(page.get_by_role("option", name=person, selected=True)).to_be_visible()
        page.keyboard.press("Enter")


def test_every_field_by_keyboard_only(page: Page, tmp_path: Path) -> None:
    people = [User.objects.create_user(f"keyboard-{letter}") for letter in "abc"]
    upload = tmp_path / "list.csv"
    upload.write_text("a,b\n")
    # From here on the browser hands dialogs to the test: asked for only at the key press, that may come too late.
    page.on("filechooser", lambda _: None)
    page.goto(ECHO)

    fill(page, "whole", "-7")
    fill(page, "number", "0.1")
    fill(page, "price", "1.10")
    fill(page, "switch", "ArrowDown", "ArrowDown")
    fill(page, "text", "<b>'é'")
    fill(page, "day", "02292028")
    fill(page, "moment", "03292026", "ArrowRight", "0430A")
    fill(page, "lasts", "1 h 30 min")
    fill(page, "key", "123e4567-e89b-12d3-a456-426614174000")
    fill(page, "size", "ArrowDown", "ArrowDown")
    fill(page, "mode", "ArrowDown", "ArrowDown", "ArrowDown")
    fill(page, "numbers", "2", "Enter", "1")
    fill(page, "days", "2026-01-31")
    fill(page, "sizes", "Space")
    choose(page, "id_person", "keyboard-a")
    choose(page, "id_people", "keyboard-c", "keyboard-b")
    tab_to(page, "file")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")  # Enter opens it in some releases of Chromium only
    chooser.value.set_files(upload)
    fill(page, "table", '{"a": [1]}')
    fill(page, "anything", "[null]")
    fill(page, "password", "secret-1")
    fill(page, "pin", "secret-2")
    fill(page, "reason", "by keyboard")
    tab_to(page, "oc.act")
    page.keyboard.press("Enter")
    page.wait_for_url("**/change/")

    run = finished(page.url.rstrip("/").split("/")[-2])
    assert (run.state, run.reason) == (State.SUCCEEDED, "by keyboard"), run.error_message
    (line,) = under_test.book(run.task_id)
    expected: dict[str, Any] = {
        "whole": -7,
        "number": 0.1,
        "price": Decimal("1.10"),
        "switch": False,
        "text": "<b>'é'",
        "day": date(2028, 2, 29),
        "moment": datetime(2026, 3, 29, 4, 30, tzinfo=UTC),
        "lasts": timedelta(minutes=90),
        "key": UUID("123e4567-e89b-12d3-a456-426614174000"),
        "size": Size.LARGE,
        "mode": 3,
        "numbers": [2, 1],
        "days": [date(2026, 1, 31)],
        "sizes": [Size.SMALL],
        "person": people[0],
        "people": [people[2], people[1]],
        "file": ["list.csv", "a,b\n"],
        "table": {"a": [1]},
        "anything": [None],
        "password": "secret-1",
        "pin": "secret-2",
    }
    assert line["received"] == {name: told(value) for name, value in expected.items()}


def test_what_was_changed_gets_a_dot_and_loses_it_again(page: Page, actor: Actor) -> None:
    run = start_run(find_job(under_test.echo_types.name), {"whole": 1, "sizes": [2]}, actor=actor).run
    page.goto(f"{ECHO}?from={run.task_id}")
    changed = page.locator(".oc-field--changed")
    expect(changed).to_have_count(0)
    page.locator("[name=whole]").fill("2")
    page.get_by_label("Small").nth(1).check()
    expect(changed).to_have_count(2)
    expect(page.get_by_text("Was 1.")).to_be_visible()
    page.locator("[name=whole]").fill("1")
    expect(changed).to_have_count(1)


def test_a_half_typed_date_is_not_sent(page: Page) -> None:
    before = Run.objects.count()
    page.goto(ECHO)
    fill(page, "day", "0229")
    page.keyboard.press("Enter")
    expect(page.get_by_text("This is not complete.")).to_be_visible()
    page.keyboard.type("2028")
    page.keyboard.press("Enter")
    page.wait_for_url("**/change/")
    assert Run.objects.count() == before + 1


@pytest.mark.parametrize(("wrong", "where"), [("lasts", "#id_lasts"), ("person", "#id_person")])
def test_a_refused_form_is_told_above_and_stands_at_the_first_wrong_field(page: Page, wrong: str, where: str) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(ECHO)
    page.locator(where).fill("10 bananas")
    page.locator("[name=reason]").press("Enter")
    expect(page.get_by_role("alert").filter(has_text="Nothing was started: 1 field to correct")).to_be_attached()
    expect(page.locator(where)).to_be_focused()
    expect(page.locator(where)).to_be_in_viewport()
    expect(page.locator(f"#id_{wrong}_error, #id_{wrong}_keys_error").first).to_be_in_viewport()


def test_what_was_typed_while_signed_out_can_be_filled_in_again(page: Page) -> None:
    before = Run.objects.count()
    User.objects.create_user("typed-a")
    page.goto(ECHO)
    page.locator("[name=whole]").fill("-7")
    page.locator("[name=text]").fill("a long story")
    page.locator("[name=sizes]").nth(1).check()
    page.locator("[name=password]").fill("canary-secret")
    page.locator("#id_person").fill("typed-a")
    page.get_by_role("option", name="typed-a").click()
    page.context.clear_cookies(name="sessionid")
    page.locator("[name=reason]").press("Enter")
    expect(page.get_by_text("You were signed out. Nothing was started or changed.")).to_be_visible()
    assert "canary" not in page.evaluate("sessionStorage.getItem('oc.typed')")

    page.get_by_label("Username").fill("ana")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Fill in what you had typed").click()
    expect(page.locator("[name=whole]")).to_have_value("-7")
    expect(page.locator("[name=text]")).to_have_value("a long story")
    expect(page.locator("[name=sizes]").nth(1)).to_be_checked()
    expect(page.locator("[name=password]")).to_have_value("")
    expect(page.get_by_role("button", name="Remove")).to_have_count(1)
    page.locator("[name=reason]").press("Enter")
    page.wait_for_url("**/change/")
    assert Run.objects.count() == before + 1 and page.evaluate("sessionStorage.getItem('oc.typed')") is None


def test_only_a_page_that_reads_itself_anew_is_called_live(page: Page) -> None:
    live = page.locator("#oc-live")
    page.goto("/admin/")
    expect(live).to_contain_text("Live · read")
    page.clock.install()
    page.goto(ECHO)
    expect(live).to_contain_text("Read now")
    page.clock.fast_forward("02:00")
    expect(live).to_have_text("Read 2 min ago")
    expect(live.locator(".oc-live__dot")).to_be_hidden()


def test_enter_in_the_name_of_a_preset_saves_it(page: Page) -> None:
    page.goto(f"{ECHO}?p.whole=7")
    page.locator("summary", has_text="Save these values as a preset…").press("Enter")
    fill(page, "oc.preset", "By keyboard", "Enter")
    expect(page.get_by_text("Saved as the preset By keyboard")).to_be_visible()
    expect(page.locator("[name=whole]")).to_have_value("7")


def test_a_combobox_is_left_and_emptied_by_keyboard(page: Page) -> None:
    User.objects.create_user("combo-a")
    page.goto(ECHO)
    choose(page, "id_people", "combo-a")
    box = page.get_by_role("combobox", name="People")
    page.keyboard.type("combo")
    expect(box).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Escape")
    expect(box).to_have_attribute("aria-expanded", "false")
    box.fill("")
    page.keyboard.press("Backspace")
    expect(page.get_by_role("button", name="Remove combo-a")).to_have_count(0)
    box.press_sequentially("nobody of this name")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator("#id_people_error")).to_contain_text("Choose a user")


def test_dry_run_then_the_real_one(page: Page) -> None:
    for number in range(3):
        User.objects.create_user(f"purge-{number}")
    page.goto(PURGE)
    real = page.get_by_role("button", name="Run in Local")
    expect(real).to_be_disabled()
    page.get_by_label("Prefix").fill("purge-")
    expect(page.get_by_text("3 accounts: purge-0, purge-1, purge-2")).to_be_visible()
    page.get_by_role("button", name="Dry run").click()
    page.wait_for_url("**/change/")
    dry = finished(page.url.rstrip("/").split("/")[-2])

    page.goto(f"{PURGE}?from={dry.task_id}")
    expect(real).to_be_enabled()
    page.get_by_label("Limit").fill("11")
    expect(real).to_be_disabled()
    page.get_by_label("Limit").fill("10")
    expect(real).to_be_enabled()
    page.get_by_label("to confirm").fill("3")
    real.click()
    page.wait_for_url("**/change/")
    run = finished(page.url.rstrip("/").split("/")[-2])
    assert run.based_on == dry.task_id and under_test.book(run.task_id)[0]["dry_run"] is False


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_screen_reader_meets_no_serious_fault(page: Page, actor: Actor, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    run = start_run(find_job(under_test.add.name), {"a": 1}, actor=actor).run
    finished(run.task_id)
    paths = [
        f"{ECHO}?p.whole=x&p.people={actor.id}",
        f"{PURGE}?p.prefix=ana",
        "/admin/jobs/run/catalog/",
        "/admin/jobs/run/",
        f"/admin/jobs/run/{run.task_id}/change/",
    ]
    faults = []
    for path in paths:
        page.goto(path)
        page.wait_for_load_state("networkidle")
        for summary in page.locator("summary").all():
            if summary.is_visible():
                summary.click()
        for fault in Axe().run(page).response["violations"]:
            if fault["impact"] in {"serious", "critical"}:
                faults += [(path, fault["id"], node["html"][:200]) for node in fault["nodes"]]
    assert faults == []


@pytest.mark.parametrize("path", [f"{ECHO}?p.whole=x&p.person=1", f"{PURGE}?p.prefix=ana&tab=presets"])
def test_on_a_telephone_nothing_scrolls_sideways_and_verbs_are_large(page: Page, path: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(path)
    for summary in page.locator("summary.oc-advanced__line").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for verb in page.locator(".oc-button, .oc-tab, .oc-pick__remove, .oc-advanced__line, .oc-option").all():
        box = verb.bounding_box()
        assert box is None or box["height"] >= 43.5, verb.inner_text()


#: Whether one sees where the keyboard is: an outline of the element, or of the box that stands for it.
_SEEN = """() => {
  const at = document.activeElement;
  const drawn = (one) => {
    const style = getComputedStyle(one);
    const clear = /, 0\\)$|transparent/.test(style.outlineColor);
    return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1 && !clear;
  };
  const box = at.closest(".oc-pick, .oc-search, .oc-file") ?? at;
  const within = at.closest("form, aside, .oc-start__aside") !== null && at.closest("#content, main") !== null;
  return [within, drawn(at) || drawn(box), at.outerHTML.slice(0, 160)];
}"""


@pytest.mark.parametrize(
    "path",
    [f"/admin/jobs/run/catalog/{echo.name}/start/", f"/admin/django_celery_beat/periodictask/add/?job={echo.name}"],
)
def test_one_always_sees_where_the_keyboard_is(page: Page, path: str) -> None:
    page.goto(path)
    page.locator("[name=text]").focus()
    unseen, looked = [], 0
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        within, seen, html = page.evaluate(_SEEN)
        if not within:
            break
        looked += 1
        unseen += [] if seen else [html]
    assert unseen == [] and looked > 20
