"""What stands before a dangerous run: the count, the typed word, the dry run; and the addresses behind the form."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core import signing
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from jobs.models import AuditEvent, Run
from jobs.states import State
from tests import jobs_under_test as under_test

PURGE = f"/admin/jobs/run/catalog/{under_test.purge.name}/start/"
ECHO = f"/admin/jobs/run/catalog/{under_test.echo_types.name}/start/"
FILE = f"/admin/jobs/run/catalog/{under_test.ask_for_a_file.name}/start/"
pytestmark = pytest.mark.filterwarnings("ignore:No directory at")


@pytest.fixture
def client(client: Client, operator: User) -> Client:
    client.force_login(operator)
    return client


@pytest.fixture
def accounts(db: None) -> None:
    for number in range(7):
        User.objects.create_user(f"old-{number}")


def words(response: Any) -> str:
    return " ".join(re.sub(r"<[^>]*>", "", response.content.decode()).split())


def dry_run(client: Client, **values: str) -> Run:
    """A dry run of these values that has succeeded just now."""
    client.post(PURGE, {"nonce": "dry", "oc.act": "dry", **values})
    run = Run.objects.latest("pk")
    Run.objects.filter(pk=run.pk).update(state=State.SUCCEEDED, finished_at=timezone.now())
    return run


def real(client: Client, nonce: str = "real", **values: str) -> Any:
    return client.post(PURGE, {"nonce": nonce, "oc.act": "run", "oc.confirm": "Purge accounts", **values})


# --- What it touches ---


def test_what_it_touches_is_told_when_the_values_fit(client: Client, accounts: None) -> None:
    assert "Fill in Prefix to see how many it touches." in words(client.get(PURGE))
    assert "7 accounts: old-0, old-1, old-2 and 4 more" in words(client.get(f"{PURGE}?p.prefix=old-"))


def test_the_count_follows_the_values_and_changes_nothing(client: Client, accounts: None) -> None:
    response = client.post(f"{PURGE}targets/", {"prefix": "old-1"})
    assert "1 accounts: old-1" in words(response) and 'hx-swap-oob="true"' in response.content.decode()
    assert "Fill in Prefix" in words(client.post(f"{PURGE}targets/", {"prefix": ""}))
    assert not Run.objects.exists() and not AuditEvent.objects.exists()
    assert client.get(f"{PURGE}targets/").status_code == 405


def test_a_count_that_fails_says_so_and_the_form_stands(client: Client, caplog: Any) -> None:
    response = client.get(f"{PURGE}?p.prefix=boom")
    assert "How many it touches is not known: RuntimeError: the directory does not answer." in words(response)
    assert "The targets of tests.jobs_under_test.purge could not be told" in caplog.text


# --- Dry run and confirmation ---


def test_a_dry_run_needs_no_confirmation_and_is_one(client: Client) -> None:
    run = dry_run(client, prefix="old-")
    assert json.loads(run.arguments)[1] == {"prefix": "old-", "limit": 10, "dry_run": True}
    assert 'name="dry_run"' not in client.get(PURGE).content.decode()


def test_the_real_run_waits_for_a_dry_run_of_the_same_values(client: Client, viewer: User) -> None:
    response = real(client, prefix="old-")
    assert "No dry run of these values succeeded in the last 30 min." in words(response)
    run = dry_run(client, prefix="old-")
    page = client.get(f"{PURGE}?from={run.task_id}")
    assert f"Dry run {run.short_id} of these values succeeded" in words(page)
    assert "disabled" not in re.findall(r'<button[^>]*id="oc-run-real"[^>]*>', page.content.decode())[0]
    assert "Nothing was started" in words(real(client, prefix="old-", limit="11")), "other values"

    assert real(client, prefix="old-").status_code == 302
    assert json.loads(Run.objects.latest("pk").arguments)[1] == {"prefix": "old-", "limit": 10, "dry_run": False}


@pytest.mark.parametrize(
    "change",
    [{"state": State.FAILED}, {"finished_at": timezone.now() - timedelta(minutes=31)}, {"task_name": "another"}],
    ids=["failed", "old", "of another job"],
)
def test_a_dry_run_that_does_not_count(client: Client, change: dict[str, Any]) -> None:
    Run.objects.filter(pk=dry_run(client, prefix="old-").pk).update(**change)
    page = client.get(f"{PURGE}?p.prefix=old-")
    assert "disabled" in re.findall(r'<button[^>]*id="oc-run-real"[^>]*>', page.content.decode())[0]
    assert "Nothing was started: No dry run" in words(real(client, prefix="old-"))


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("", "Type 7 or Purge accounts to confirm."),
        ("purge", "Type 7 or Purge accounts to confirm."),
        ("6", "It touches 7 accounts now, not 6. Look again, then type 7."),
        ("7", ""),
        ("Purge accounts", ""),
    ],
)
def test_the_typed_word_is_checked_by_the_server(client: Client, accounts: None, typed: str, answer: str) -> None:
    dry_run(client, prefix="old-")
    response = real(client, prefix="old-", **{"oc.confirm": typed})
    assert (response.status_code == 302) == (answer == "")
    if answer:
        text = words(response)
        assert answer in text and "1 field to correct, Confirmation." in text
    assert Run.objects.count() == (1 if answer else 2)


def test_danger_is_seen_and_names_the_environment(client: Client) -> None:
    text = client.get(PURGE).content.decode()
    assert "oc-card--bad" not in text and "oc-button--danger" in text and "Run in Local" in text
    assert "Ask the owner of the directory first." in text, "the runbook"
    assert text.count("No button undoes what it does: look twice.") == 2 and "cannot be undone" not in text
    caution = client.get(FILE).content.decode()
    assert "Caution" in caution and "oc-button--danger" not in caution and "oc.confirm" not in caution


def test_a_schedule_of_it_says_the_same(admin_client: Client) -> None:
    page = admin_client.get(f"/admin/django_celery_beat/periodictask/add/?job={under_test.purge.name}")
    assert "No button undoes what it does: look twice. The schedule does it without asking again" in words(page)


def test_dry_and_real_of_one_page_are_two_runs_and_each_only_once(client: Client) -> None:
    dry_run(client, prefix="old-")
    for _ in range(2):
        assert real(client, nonce="dry", prefix="old-").status_code == 302
    assert Run.objects.count() == 2


@pytest.mark.parametrize("act", ["", "other", "preset"])
def test_an_unknown_act_starts_nothing(client: Client, act: str) -> None:
    assert "this form was not whole" in words(client.post(PURGE, {"nonce": "n", "oc.act": act, "prefix": "x"}))
    assert "this form was not whole" in words(client.post(ECHO, {"nonce": "n", "oc.act": "dry"})), "it has no dry run"
    assert not Run.objects.exists()


# --- Files ---


def upload(client: Client, name: str = "list.csv", content: bytes = b"a,b\n", **values: str) -> Any:
    return client.post(FILE, {"nonce": "n", "table": SimpleUploadedFile(name, content), **values})


def token_of(response: Any) -> str:
    found = re.search(r'name="oc.kept.table" value="([^"]+)"', response.content.decode())
    assert found
    return found[1]


def test_a_file_is_kept_while_the_rest_is_corrected(client: Client) -> None:
    response = upload(client, rows="0")
    assert "<b>list.csv</b>" in response.content.decode() and "1 field to correct, Rows." in words(response)
    assert client.post(FILE, {"nonce": "n", "rows": "1", "oc.kept.table": token_of(response)}).status_code == 302
    file = json.loads(Run.objects.get().arguments)[1]["table"]
    assert re.fullmatch(r"uploads/[0-9a-f-]{36}/list\.csv", file["path"]) and file["size"] == 4
    with default_storage.open(file["path"]) as kept:
        assert kept.read() == b"a,b\n"


def test_a_token_is_of_one_person_and_one_job(client: Client, admin_user: User) -> None:
    token = token_of(upload(client, rows="0"))
    refused = "The file is not known any more; choose it again."
    assert refused in words(client.post(ECHO, {"nonce": "n", "oc.kept.file": token})), "another job"
    client.force_login(admin_user)
    assert refused in words(client.post(FILE, {"nonce": "n", "rows": "1", "oc.kept.table": token})), "another person"
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    "token",
    [
        "filled",
        "uploads/x",
        "../../etc/passwd",
        pytest.param(signing.dumps(["/etc/passwd", "x", 1, "1", "x"]), id="signed for something else"),
        "a:b:c",
    ],
)
def test_the_browser_names_no_place_in_the_storage(client: Client, token: str) -> None:
    text = words(client.post(FILE, {"nonce": "n", "rows": "1", "oc.kept.table": token}))
    assert "choose it again" in text and not Run.objects.exists()


def test_a_file_that_is_too_large_is_refused_and_not_kept(client: Client, settings: Any) -> None:
    settings.UPLOAD_MAX_MB = 1
    response = upload(client, "large.bin", b"x" * 1_100_000, rows="1")
    assert "It has 1.1 MB; at most 1 MB are taken." in words(response)
    assert "oc.kept" not in response.content.decode() and not Run.objects.exists()


@pytest.mark.parametrize(("name", "kept"), [("../../a b;<c>.csv", "a_bc.csv"), ("x" * 300 + ".csv", "x" * 96 + ".csv")])
def test_a_name_is_made_plain(client: Client, name: str, kept: str) -> None:
    assert upload(client, name, rows="1").status_code == 302
    assert json.loads(Run.objects.get().arguments)[1]["table"]["name"] == kept


def test_asking_for_the_count_keeps_no_file(client: Client) -> None:
    before = default_storage.listdir("uploads")[0] if default_storage.exists("uploads") else []
    client.post(f"{FILE}targets/", {"rows": "1", "table": SimpleUploadedFile("x.csv", b"x")})
    assert (default_storage.listdir("uploads")[0] if default_storage.exists("uploads") else []) == before


# --- Objects ---


def found(client: Client, q: str, field: str = "people") -> list[dict[str, str]]:
    response = client.get(f"{ECHO}objects/{field}/", {"q": q})
    assert response.status_code == 200
    answer: list[dict[str, str]] = response.json()["objects"]
    return answer


def may_see_users(user: User) -> None:
    user.user_permissions.add(Permission.objects.get(codename="view_user"))


def test_objects_are_searched_as_their_list_does(client: Client, operator: User, accounts: None) -> None:
    may_see_users(operator)
    assert [one["name"] for one in found(client, "old-3")] == ["old-3"]
    key = str(User.objects.get(username="old-4").pk)
    assert found(client, key)[0] == {"key": key, "name": "old-4"}
    for number in range(30):
        User.objects.create_user(f"many-{number}")
    assert len(found(client, "many")) == 20 and len(found(client, "")) == 20


def test_who_may_not_see_the_objects_finds_by_key_and_reads_no_name(
    client: Client, operator: User, accounts: None
) -> None:
    assert found(client, "old-3") == []
    key = str(User.objects.get(username="old-3").pk)
    assert found(client, key) == [{"key": key, "name": f"user {key}"}]
    page = client.get(f"{ECHO}?p.people={key}").content.decode()
    assert "old-3" not in page and f">\n{key}</textarea>" in page
    may_see_users(operator)
    assert "old-3" in client.get(f"{ECHO}?p.people={key}").content.decode()


@pytest.mark.parametrize("q", ["'x", "%", "\x00x", "1" * 40, "1 OR 1=1", "<script>", "x" * 5000])
def test_hostile_searches_find_nothing(client: Client, operator: User, q: str) -> None:
    may_see_users(operator)
    assert found(client, q) == []


def test_who_may_not_run_the_job_searches_and_counts_nothing(client: Client, viewer: User) -> None:
    client.force_login(viewer)
    assert client.get(f"{ECHO}objects/people/").status_code == 403
    assert client.post(f"{PURGE}targets/", {"prefix": "x"}).status_code == 403
    assert client.get(PURGE).status_code == 403 and client.post(PURGE, {"nonce": "n"}).status_code == 403


def test_only_parameters_that_take_objects_are_searched(client: Client) -> None:
    assert client.get(f"{ECHO}objects/whole/").status_code == 404
    assert client.get(f"{ECHO}objects/nothing/").status_code == 404
    assert client.post(f"{ECHO}objects/people/").status_code == 405


def test_chosen_objects_are_sent_as_keys(client: Client, accounts: None) -> None:
    keys = [str(user.pk) for user in User.objects.filter(username__startswith="old-")]
    client.post(ECHO, {"nonce": "n", "person": keys[0], "people": "\r\n".join(keys)})
    kwargs = json.loads(Run.objects.get().arguments)[1]
    assert (kwargs["person"], kwargs["people"]) == (int(keys[0]), [int(key) for key in keys])


def test_after_a_dry_run_the_way_on_is_the_real_one(client: Client) -> None:
    run = dry_run(client, prefix="old-")
    verbs = {one.word: one for one in client.get(f"/admin/jobs/run/{run.task_id}/change/").context["verbs"]}
    assert set(verbs) == {"Run this for real…"} and verbs["Run this for real…"].primary
    assert f"from={run.task_id}" in verbs["Run this for real…"].href
