"""Files inside of values that are typed as JSON: no form leads to what another run produced or another person sent."""

from __future__ import annotations

import html
import json
import re
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import Group, User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.utils import timezone

from jobs import File
from jobs.catalog.registry import find_job
from jobs.errors import InvalidArguments
from jobs.ledger.audit import Actor
from jobs.ledger.start import start_run
from jobs.models import Preset, Run
from tests import jobs_under_test as under_test

JOB = under_test.ask_for_files.name
FORM = f"/admin/jobs/run/catalog/{JOB}/start/"
SCHEDULE = f"/admin/django_celery_beat/periodictask/add/?job={JOB}"
pytestmark = pytest.mark.filterwarnings("ignore:No directory at")
#: Where a file may stand, and the field that it is typed into.
PLACES: dict[str, Any] = {
    "tables": lambda file: [file],
    "named": lambda file: {"a": file},
    "sheet": lambda file: {"title": "t", "table": file},
    "sheets": lambda file: [[{"a": {"title": "t", "table": file}}]],
}


@pytest.fixture
def client(client: Client, operator: User) -> Client:
    client.force_login(operator)
    return client


@pytest.fixture
def export(db: None) -> str:
    """What another run produced."""
    return default_storage.save("runs/0123/users.csv", ContentFile(b"canary"))


@pytest.fixture
def other(db: None) -> str:
    """What another person uploaded."""
    return default_storage.save("uploads/7e57/list.csv", ContentFile(b"canary"))


def fields_of(text: str) -> dict[str, str]:
    return {
        name: html.unescape(held).removeprefix("\n")
        for name, held in re.findall(r'<textarea name="(\w+)"[^>]*>(.*?)</textarea>', text, re.DOTALL)
    }


def travelling(path: str) -> dict[str, Any]:
    return {"path": path, "name": "users.csv", "size": 6}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "way", ["uploads/../{}", "uploads/x/../../{}", "uploads//../{}", "{}", "./{}", "/{}", "uploads/./../{}"]
)
def test_no_typed_path_reads_what_a_run_produced(client: Client, export: str, place: str, way: str) -> None:
    typed = json.dumps(PLACES[place](travelling(way.format(export))))
    response = client.post(FORM, {"nonce": "n", place: typed})
    assert response.status_code == 200 and f'id="id_{place}_error"' in response.content.decode()
    assert not Run.objects.exists()


@pytest.mark.parametrize("place", PLACES)
def test_no_typed_path_reads_what_somebody_else_uploaded(client: Client, other: str, place: str) -> None:
    typed = json.dumps(PLACES[place](travelling(other)))
    for address in (FORM, f"{FORM}?p.{place}={quote(typed)}"):
        response = client.post(address, {"nonce": "n", place: typed})
        assert response.status_code == 200 and f'id="id_{place}_error"' in response.content.decode()
    assert not Run.objects.exists()


@pytest.mark.parametrize("place", PLACES)
def test_no_address_behind_the_form_takes_a_typed_path(client: Client, other: str, export: str, place: str) -> None:
    for path in (other, f"uploads/../{export}"):
        typed = json.dumps(PLACES[place](travelling(path)))
        client.post(f"{FORM}preset/", {"nonce": "n", "preset": "Mine", place: typed})
        client.post(f"{FORM}targets/", {"nonce": "n", place: typed})
        text = client.get(f"{FORM}?p.{place}={quote(typed)}").content.decode()
        assert client.post(FORM, {"nonce": "n", **fields_of(text)}).status_code == 200
    assert not Preset.objects.exists() and not Run.objects.exists()


@pytest.mark.parametrize("place", PLACES)
def test_a_schedule_takes_no_typed_path(client: Client, operator: User, other: str, place: str) -> None:
    operator.groups.add(Group.objects.get(name="Scheduler"))
    page = client.get(SCHEDULE).content.decode()
    assert f'name="{place}"' in page, "the form asks for it"
    response = client.post(
        SCHEDULE, {"name": "x", "kind": "every", place: json.dumps(PLACES[place](travelling(other)))}
    )
    assert f'id="id_{place}_error"' in response.content.decode()


@pytest.mark.parametrize("place", PLACES)
def test_what_is_filled_in_has_tokens_and_may_be_taken_apart(
    client: Client, olga: Actor, other: str, place: str
) -> None:
    file = travelling(other)
    run = start_run(find_job(JOB), {place: PLACES[place](file)}, actor=olga).run
    text = client.get(f"{FORM}?from={run.task_id}").content.decode()
    assert other not in text and "Its files are those that it was filled in with" in text
    field = fields_of(text)[place]
    token = json.loads(field)
    assert "oc-field--changed" not in text
    # As it was, and touched: what the browser sends is read from the tokens alone.
    assert client.post(f"{FORM}?from={run.task_id}", {"nonce": "1", place: field}).status_code == 302
    assert client.post(FORM, {"nonce": "2", place: json.dumps(token, indent=7)}).status_code == 302
    found = Run.objects.exclude(pk=run.pk).values_list("arguments", flat=True)
    assert [json.loads(text)[1][place] for text in found] == [PLACES[place](file)] * 2
    # Another person's form, another job, another name of it, a letter changed.
    person = User.objects.create_user("mallory", is_staff=True)
    person.groups.add(Group.objects.get(name="Operator"))
    stranger = Client()
    stranger.force_login(person)
    assert stranger.post(FORM, {"nonce": "3", place: field}).status_code == 200
    elsewhere = f"/admin/jobs/run/catalog/{under_test.echo_types.name}/start/"
    assert client.post(elsewhere, {"nonce": "4", "anything": field}).status_code == 200
    forged = field.replace('"token": "', '"token": "A')
    assert forged != field and client.post(FORM, {"nonce": "5", place: forged}).status_code == 200
    assert Run.objects.count() == 3


def test_what_was_kept_before_is_refused_where_it_leads_out_of_the_uploads(
    client: Client, olga: Actor, export: str
) -> None:
    """A run, a preset or a message of an earlier release may hold such a path."""
    bad = travelling(f"uploads/../{export}")
    for place, of in PLACES.items():
        with pytest.raises(InvalidArguments):
            start_run(find_job(JOB), {place: of(bad)}, actor=olga)
        parameters: Any = find_job(JOB).parameters
        with pytest.raises(InvalidArguments):
            parameters.to_python([], {place: of(bad)})
        preset = Preset.objects.create(job=JOB, name=place, values={place: of(bad)}, created_at=timezone.now())
        text = client.get(f"{FORM}?preset={preset.pk}").content.decode()
        assert f'id="id_{place}_error"' in text and "users.csv" in text
        response = client.post(f"{FORM}?preset={preset.pk}", {"nonce": place, place: fields_of(text)[place]})
        assert response.status_code == 200
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    "odd",
    [
        {"path": None, "name": None, "size": None},
        {"path": "uploads/x", "name": ["x"], "size": "1"},
        {"path": "uploads/\x00", "name": "x", "size": 1},
        {"path": ["uploads/x"], "name": "x", "size": 1},
        {"name": "x", "size": 1, "token": "a:b"},
        {"name": "x", "size": 1, "token": ["a"]},
        "uploads/x",
        7,
    ],
)
def test_odd_files_are_refused_beside_the_field(client: Client, odd: Any) -> None:
    for place, of in PLACES.items():
        response = client.post(FORM, {"nonce": "n", place: json.dumps(of(odd))})
        assert response.status_code == 200 and f'id="id_{place}_error"' in response.content.decode()


def test_a_body_receives_files_at_every_depth(other: str) -> None:
    parameters: Any = find_job(JOB).parameters
    call = parameters.to_python([], {place: of(travelling(other)) for place, of in PLACES.items()})
    file = File(other, "users.csv", 6)
    assert call.kwargs["tables"] == [file] and call.kwargs["named"] == {"a": file}
    assert call.kwargs["sheet"].table == call.kwargs["sheets"][0][0]["a"].table == file
