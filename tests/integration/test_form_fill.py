"""Filling the form from a run, a preset, a link: what is shown, what is marked, what is sent."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.urls import reverse

from jobs import File
from jobs.catalog.registry import find_job
from jobs.ledger.audit import Actor
from jobs.ledger.presets import save_preset
from jobs.ledger.start import start_run
from jobs.models import AuditEvent, Preset, Run
from tests import jobs_under_test as under_test

ECHO = f"/admin/jobs/run/catalog/{under_test.echo_types.name}/start/"
ADD = f"/admin/jobs/run/catalog/{under_test.add.name}/start/"
pytestmark = pytest.mark.filterwarnings("ignore:No directory at")


@pytest.fixture
def client(client: Client, operator: User) -> Client:
    client.force_login(operator)
    return client


def run_of(actor: Actor, job: Any = under_test.echo_types, **values: Any) -> Run:
    return start_run(find_job(job.name), values, actor=actor).run


def text_of(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return response.content.decode()


def as_sent(text: str) -> dict[str, Any]:
    """What a browser would send of the form in the page, untouched."""
    form = text[text.index('id="oc-start"') : text.index("oc-start__aside")]
    data: dict[str, Any] = {}
    for tag in re.findall(r"<input[^>]*>", form):
        attrs = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        kind = attrs.get("type", "text")
        if (
            "name" not in attrs
            or kind == "file"
            or (kind in {"radio", "checkbox"} and not re.search(r"\schecked[\s>]", tag))
        ):
            continue
        data.setdefault(attrs["name"], []).append(_plain(attrs.get("value", "")))
    for name, inside in re.findall(r'<textarea name="([^"]+)"[^>]*>\n?(.*?)</textarea>', form, re.DOTALL):
        data[name] = _plain(inside).replace("\n", "\r\n")
    for name, inside in re.findall(r'<select name="([^"]+)".*?>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'<option value="([^"]*)" selected', inside)
        data[name] = chosen[1] if chosen else ""
    return data


def _plain(text: str) -> str:
    for entity, character in (("&quot;", '"'), ("&#x27;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(entity, character)
    return text


def test_run_like_this_untouched_sends_the_very_same(client: Client, olga: Actor) -> None:
    values = {
        "whole": 10**40, "number": 1e308, "price": "1.10", "switch": False, "text": " 'a'\r\n<b>\n",
        "day": "2028-02-29",
        "moment": "2026-03-29T00:59:59.999999+00:00", "lasts": "PT0.000001S", "size": 2, "mode": 3,
        "numbers": [2, 1], "sizes": [2, 1, 2], "person": olga.id, "people": [olga.id],
        "table": {"a": [1]}, "anything": {"deep": [None, 1.5, "x"]},
    }  # fmt: skip
    first = run_of(olga, **values)
    address = f"{ECHO}?from={first.task_id}"

    response = client.post(address, as_sent(text_of(client, address)))

    second = Run.objects.exclude(pk=first.pk).get()
    assert response.headers["Location"] == reverse("admin:jobs_run_change", args=[second.task_id])
    assert second.arguments == first.arguments
    assert second.based_on == first.task_id


def test_what_was_changed_is_marked_and_sent(client: Client, olga: Actor) -> None:
    first = run_of(olga, whole=1, day="2026-08-31")
    address = f"{ECHO}?from={first.task_id}"
    text = text_of(client, address)
    assert f'">{first.short_id}</a>' in text and "which is accepted" in text
    assert text.count("oc-field--changed") == 0 and "Was 2026-08-31." in text

    data = as_sent(text) | {"whole": "x", "day": "2026-09-30"}
    back = client.post(address, data).content.decode()
    assert back.count("oc-field--changed") == 2, "the wrong one and the new one"

    client.post(address, data | {"whole": "2"})
    second = Run.objects.exclude(pk=first.pk).get()
    assert json.loads(second.arguments)[1]["day"] == "2026-09-30" and second.based_on == first.task_id


def test_what_the_job_takes_no_more_and_what_is_new_is_told(client: Client) -> None:
    run = Run.objects.create(
        task_id="old",
        task_name=under_test.add.name,
        arguments='[[], {"b": 101, "colour": "<red>", "api_key": "canary"}]',
    )
    text = text_of(client, f"{ADD}?from={run.task_id}")
    assert "<del>colour = &lt;red&gt;</del>" in text and "canary" not in text
    assert "New since then, fill in: <b>A</b>" in text
    error = re.search(r'id="id_b_error">(.*?)</div>', text, re.DOTALL)
    assert error and "100" in error[1], "what no longer fits is said at once"


def test_secrets_are_not_filled_and_files_only_by_the_server(client: Client, olga: Actor) -> None:
    path = default_storage.save("uploads/list.csv", ContentFile(b"a,b\n"))
    run = run_of(olga, file=File(path, "list.csv", 4), password="canary-7331", pin="canary")  # noqa: S106
    address = f"{ECHO}?from={run.task_id}"
    text = text_of(client, address)
    assert "canary" not in text and "Must be typed again, if needed: <b>Password, Pin</b>" in text
    assert "<b>list.csv</b>" in text and path not in text and 'name="oc.kept.file" value="filled"' in text

    client.post(address, as_sent(text))
    second = Run.objects.exclude(pk=run.pk).get()
    assert json.loads(second.arguments)[1]["file"] == {"path": path, "name": "list.csv", "size": 4}

    without = client.post(ECHO, {"nonce": "m", "oc.kept.file": "filled"}).content.decode()
    assert "The file is not known any more; choose it again." in without


def test_a_deleted_object_is_told_by_its_old_name(client: Client, olga: Actor) -> None:
    person = User.objects.create_user("lost-and-gone")
    run = run_of(olga, person=person.pk)
    person.delete()
    text = text_of(client, f"{ECHO}?from={run.task_id}")
    assert "does not exist any more" in text and "lost-and-gone" in text


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("from=nothing", "that run is not kept any more"),
        ("from=other", "is of another job, Add"),
        ("from=inexact", "could not be kept exactly"),
        ("preset=99", "has no such preset"),
        ("preset=x", "has no such preset"),
        ("p.nothing=1&p.dry=2", "Not parameters of this job, and left out: nothing, dry."),
        ("p.password=canary", "A link cannot fill in secrets and files: Password must be given by hand."),
    ],
)
def test_what_cannot_be_filled_in_is_said(client: Client, query: str, sentence: str) -> None:
    Run.objects.create(task_id="other", task_name=under_test.add.name)
    Run.objects.create(task_id="inexact", task_name=under_test.echo_types.name, arguments_exact=False)
    text = text_of(client, f"{ECHO}?{query}")
    assert sentence in text and "canary" not in text.replace(query.replace("&", "&amp;"), "")


def test_who_may_not_see_runs_fills_from_none(client: Client, operator: User, olga: Actor) -> None:
    run = run_of(olga, text="not for everybody")
    operator.groups.clear()
    operator.user_permissions.add(*_permissions("run_job"))
    text = text_of(client, f"{ECHO}?from={run.task_id}")
    assert "you may not see runs" in text and "not for everybody" not in text
    assert ">Last runs</a>" not in text and ">Presets</a>" in text


def _permissions(*codenames: str) -> Any:
    from django.contrib.auth.models import Permission  # noqa: PLC0415

    return Permission.objects.filter(codename__in=codenames)


def test_a_link_fills_and_its_wrong_values_are_told_at_once(client: Client) -> None:
    query = "p.text=%3Cb%3Ehi&p.numbers=1&p.numbers=2&p.sizes=2&p.switch=yes&p.whole=many&p.lasts=90+s"
    text = text_of(client, f"{ECHO}?{query}")
    assert 'value="&lt;b&gt;hi"' in text and ">\n1\n2</textarea>" in text
    error = re.search(r'id="id_whole_error">(.*?)</div>', text, re.DOTALL)
    assert error and "Enter a whole number." in error[1]
    assert "Filled from the link." in text and not Run.objects.exists()


def test_the_card_offers_runs_of_all_mine_and_presets(client: Client, olga: Actor, viewer: User) -> None:
    mine = run_of(olga, text="by olga")
    other = Run.objects.create(
        task_id="by-vito", task_name=mine.task_name, actor_id=str(viewer.pk), arguments_exact=False
    )
    text = text_of(client, ECHO)
    assert f"?from={mine.task_id}&amp;tab=last" in text and "not kept exactly" in text
    assert f"from={other.task_id}" not in text
    assert "not kept exactly" not in text_of(client, f"{ECHO}?tab=mine")
    assert "No preset is kept for this job yet." in text_of(client, f"{ECHO}?tab=presets")


def test_values_are_saved_as_a_preset_and_come_back(client: Client) -> None:
    data = {"nonce": "n", "oc.preset": " Month <end> ", "whole": "7", "pin": "canary", "day": "2026-10-31"}
    response = client.post(f"{ECHO}preset/", data, follow=True)
    text = response.content.decode()
    preset = Preset.objects.get()
    assert (preset.name, preset.owner_label) == ("Month <end>", "Olga Berg")
    assert "canary" not in repr(preset.values) and not Run.objects.exists()
    assert "Saved as the preset Month &lt;end&gt;" in text and 'value="7"' in text and 'value="2026-10-31"' in text
    assert AuditEvent.objects.get().verb == "save_preset"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [({"oc.preset": ""}, "Give the preset a name"), ({"oc.preset": "x", "whole": "y"}, "1 field to correct, Whole.")],
)
def test_a_preset_that_cannot_be_saved_keeps_what_was_typed(
    client: Client, values: dict[str, str], sentence: str
) -> None:
    text = client.post(f"{ECHO}preset/", {"nonce": "n", "text": "kept", **values}).content.decode()
    assert "Nothing was saved: " in text and sentence in text and 'value="kept"' in text
    assert f'action="{ECHO}"' in text and not Preset.objects.exists()


def test_the_preset_of_somebody_else_is_replaced_by_a_second_press(client: Client, vito: Actor, viewer: User) -> None:
    viewer.user_permissions.add(Permission.objects.get(codename="run_job"))
    save_preset(find_job(under_test.echo_types.name), "Nightly", {"whole": 1}, actor=vito)
    sent = {"nonce": "n", "oc.preset": "Nightly", "whole": "2"}
    text = client.post(f"{ECHO}preset/", sent).content.decode()
    assert "The preset Nightly of vito exists. Save under another name, or replace it." in text
    assert 'value="2"' in text and Preset.objects.get().values["whole"] == 1
    seen = re.search(r'name="oc.replace" value="([^"]+)"', text)
    assert seen and "Replace the preset of vito" in text
    client.post(f"{ECHO}preset/", sent | {"oc.replace": unescape(seen[1])})
    preset = Preset.objects.get()
    assert (preset.values["whole"], preset.owner_label) == (2, "Olga Berg")


def test_enter_in_the_name_of_a_preset_starts_nothing(client: Client) -> None:
    text = client.post(ECHO, {"nonce": "n", "oc.act": "run", "oc.preset": "Month end"}).content.decode()
    assert "Nothing was started: a preset has a name." in text and not Run.objects.exists()


def test_a_preset_is_deleted_by_post_only(client: Client, olga: Actor) -> None:
    preset = save_preset(find_job(under_test.echo_types.name), "Old", {}, actor=olga)
    address = f"{ECHO}preset/{preset.pk}/delete/"
    assert client.get(address).status_code == 405 and Preset.objects.exists()
    assert client.post(f"{ADD}preset/{preset.pk}/delete/").status_code == 404, "another job's"
    response = client.post(address, follow=True)
    assert "The preset Old is deleted." in response.content.decode() and not Preset.objects.exists()
    assert client.post(address).status_code == 404


def test_who_may_not_run_touches_no_preset(client: Client, viewer: User, olga: Actor) -> None:
    preset = save_preset(find_job(under_test.echo_types.name), "Kept", {}, actor=olga)
    client.force_login(viewer)
    assert client.post(f"{ECHO}preset/", {"oc.preset": "Mine"}).status_code == 403
    assert client.post(f"{ECHO}preset/{preset.pk}/delete/").status_code == 403
    assert Preset.objects.count() == 1


def test_a_preset_page_opened_again_is_the_form(client: Client) -> None:
    assert client.get(f"{ECHO}preset/?p.whole=1").headers["Location"] == f"{ECHO}?p.whole=1"
