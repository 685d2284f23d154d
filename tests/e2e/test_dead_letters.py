"""A fact that a real recorder cannot read is set aside, shown, mended, read again and recorded."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from jobs.fleet.broker import DEAD_KEY, FACTS_KEY
from jobs.models import AuditEvent, Run
from jobs.pipeline.facts import VERSION, Fact, Kind
from jobs.states import State
from tests import jobs_under_test as under_test
from tests.e2e.processes import Stack, wait_for

pytestmark = pytest.mark.browser


def test_what_a_recorder_cannot_read_is_read_again_once_it_can(page: Page, stack: Stack) -> None:
    client: Any = stack.client()
    client.delete(DEAD_KEY)
    entry = Fact(Kind.ENDED, "set-aside-1", time.time(), task=under_test.add.name, state="SUCCESS", result="3").entry()
    newer = {"f": json.dumps({**json.loads(entry["f"]), "version": VERSION + 1})}
    for fields in (newer, {"f": "<script>"}):
        client.xadd(FACTS_KEY, fields)
    wait_for(lambda: client.xlen(DEAD_KEY) == 2 and client.xlen(FACTS_KEY) == 0, "both to be set aside")
    assert not Run.objects.filter(task_id="set-aside-1").exists()

    page.goto("/admin/?all=1")
    expect(page.get_by_text("2 facts could not be read by the recorder.")).to_be_visible()
    page.locator(".oc-machinery").get_by_role("link", name="2 facts could not be read").click()
    page.wait_for_url(f"**{reverse('admin:jobs_facts_set_aside')}")
    expect(page.get_by_text("A newer release wrote it.")).to_be_visible()
    read_again(page, "Read again 2 facts")
    wait_for(lambda: client.xlen(DEAD_KEY) == 2 and client.xlen(FACTS_KEY) == 0, "both to come back")

    # As when the recorder gets the newer release: the same fact is one that it can read.
    [(newest, _)] = [one for one in client.xrange(DEAD_KEY) if "script" not in one[1]["f"]]
    client.xdel(DEAD_KEY, newest)
    client.xadd(DEAD_KEY, {**entry, "id": "1-1", "why": "of before"})
    page.goto(reverse("admin:jobs_facts_set_aside"))
    page.locator(".oc-auditrow", has_text="of before").get_by_text("expand_more").click()
    page.locator(".oc-auditrow", has_text="of before").get_by_role("link", name="Read again…").click()
    read = page.get_by_role("button", name="Read again 1 fact")
    read.click()
    expect(page.get_by_text("1 fact was given back to the recorder.")).to_be_visible()
    wait_for(lambda: Run.objects.filter(task_id="set-aside-1", state=State.SUCCEEDED).first(), "the run to be recorded")

    page.get_by_role("link", name="Discard these…").click()
    page.get_by_label("Reason").fill("not ours")
    page.get_by_label("Type 1 to confirm").fill("1")
    page.get_by_role("button", name="Discard 1 fact").click()
    expect(page.get_by_text("No fact is set aside")).to_be_visible()
    assert client.xlen(DEAD_KEY) == 0
    acts = AuditEvent.objects.filter(object_type__in=("fact", "facts")).order_by("pk")
    begun = acts.filter(verb="begin_settling")
    assert [act.details["command"] for act in begun] == ["reread_facts", "reread_facts", "discard_facts"]
    acts = acts.exclude(verb="begin_settling")
    assert [(act.verb, act.details["facts"], act.reason) for act in acts] == [
        ("reread_facts", 2, ""),
        ("reread_facts", 1, ""),
        ("discard_facts", 1, "not ours"),
    ]


def read_again(page: Page, button: str) -> None:
    page.get_by_role("link", name="Read these again…").click()
    page.get_by_role("button", name=button).click()
    expect(page.get_by_text("were given back to the recorder.")).to_be_visible()
