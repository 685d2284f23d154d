"""What is a secret: by its name, by its declaration, by its position, inside of an address; and what is none."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from celery import current_app, shared_task
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from jobs.catalog.secrecy import HIDDEN, plain_texts, sealed, sounds_secret, without_passwords
from jobs.failures.fingerprint import fingerprint
from jobs.fleet.dead_letters import DeadLetter
from jobs.ledger.dead_letter_text import told
from jobs.ledger.redaction import hide, hide_call, redact
from jobs.ledger.summary import summarise
from jobs.pipeline import live
from jobs.pipeline.arguments import decode, kept_arguments
from jobs.recorder.merge import apply_fact, new_observed_run
from tests import jobs_under_test as under_test
from tests.unit.test_merge import published

DECLARED = under_test.fail_with_secret.name
PLAIN = under_test.sign_in.name


@shared_task(bind=True, autoretry_for=(ValueError,))
def bound(self: Any, user: str, api_key: str, *, again: int = 0) -> None:
    """A bound task that retries by itself: what Celery calls is a wrapper."""


@shared_task
def many(user: str, *tokens: str, **secrets: str) -> None:
    """All that comes after the first is secret."""


@shared_task
def listed(users: list[str], keys: list[SecretStr], named: dict[str, SecretStr]) -> None:
    """A plain task whose hints say what is secret, deep within."""


@pytest.mark.parametrize(
    "name",
    [
        "password", "db_passwd", "passphrase", "client_secret", "TOKEN", "accessToken", "api_key", "ApiKey", "APIKEY",
        "x-authorization", "Cookie", "credentials", "db_dsn", "DSN", "pwd", "userPwd", "new_pwd2", "private_key",
        "privateKey", "ssh-private-key", "access_key", "accesskey", "AWS_ACCESS_KEY_ID", "auth", "http_auth",
        "basicAuth", "X-Auth", "auth_header", "bearer", "bearerValue", "signature", "hmac_signature", "Signature",
        "session_id", "sessionid", "sessionKey", "encryption_key",
    ],
)  # fmt: skip
def test_it_sounds_like_a_secret(name: str) -> None:
    assert sounds_secret(name) and redact({name: "canary"}) == {name: HIDDEN}


@pytest.mark.parametrize(
    "name",
    [
        "author", "authority", "authors", "authored_by", "co_author", "auth_user", "auth_method", "auth_type",
        "signature_date", "signature_count", "designature_x", "access", "access_level", "accessed", "private",
        "privateer", "key", "keyboard", "api_keyword", "session", "session_idle", "forbearer", "feedsname", "bearings",
        "customer_id", "period", "Email", "spawned", "",
    ],
)  # fmt: skip
def test_it_does_not(name: str) -> None:
    assert not sounds_secret(name) and redact({name: "plain"}) == {name: "plain"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://:canary@host:6379/0", "redis://:***@host:6379/0"),
        ("see postgres://ana:canary@db/x?y=1, then", "see postgres://ana:***@db/x?y=1, then"),
        ("amqp://a:canary@b//", "amqp://a:***@b//"),
        ("https://ana:can@ry@host/", "https://ana:***@host/"),
        ("https://ana:can/ary@host/", "https://ana:***@host/"),
        ("redis+socket://u:canary@h, smtp+tls://u:canary@i", "redis+socket://u:***@h, smtp+tls://u:***@i"),
        ("https://host:8000/page?to=ana@host.org", None),
        ("https://host/a:b@c", None),
        ("https://ana@host/", None),
        ("mailto:ana@host.org 12:30", None),
        ("10:30 ana@x", None),
    ],
)
def test_an_address_loses_its_password(text: str, shown: str | None) -> None:
    assert redact([{"a": text}]) == [{"a": shown or text}] and without_passwords(shown or text) == (shown or text)


@given(st.text(alphabet="a:/@? .x1-'", max_size=200))
def test_no_text_breaks_or_holds_up_the_search_for_passwords(text: str) -> None:
    once = without_passwords(f"x://{text}@")
    assert without_passwords(once) == once


CALLS: list[tuple[str, list[Any], dict[str, Any], list[Any], dict[str, Any]]] = [
    (DECLARED, ["pos", "canary", "1"], {}, ["pos", HIDDEN, "1"], {}),
    (DECLARED, ["pos"], {"token": "canary"}, ["pos"], {"token": HIDDEN}),
    (DECLARED, ["pos", ["canary"], True, "canary"], {}, ["pos", HIDDEN, True, HIDDEN], {}),
    (PLAIN, ["bob", "canary"], {}, ["bob", HIDDEN], {}),
    (PLAIN, ["bob", {"deep": ["canary"]}, "more"], {"x": 1}, ["bob", HIDDEN, "more"], {"x": 1}),
    (bound.name, ["bob", "canary"], {"again": 1}, ["bob", HIDDEN], {"again": 1}),
    (bound.name, ["bob", "x", "canary"], {}, ["bob", HIDDEN, HIDDEN], {}),
    (many.name, ["bob", "canary", "canary"], {"a": "canary"}, ["bob", HIDDEN, HIDDEN], {"a": HIDDEN}),
    (many.name, [], {"user": "bob", "a": "canary"}, [], {"user": "bob", "a": HIDDEN}),
    (listed.name, [["bob"], ["canary"], {"a": "canary"}], {}, [["bob"], HIDDEN, HIDDEN], {}),
    (under_test.add.name, [1, {"password": "canary", "b": 2}], {}, [1, {"password": HIDDEN, "b": 2}], {}),
    ("nobody.knows", ["a", ["x://u:canary@h"]], {"pwd": "canary"}, ["a", ["x://u:***@h"]], {"pwd": HIDDEN}),
]  # fmt: skip


@pytest.mark.parametrize(("task", "args", "kwargs", "shown", "named"), CALLS)
def test_each_value_goes_by_the_name_of_its_parameter(
    task: str, args: list[Any], kwargs: dict[str, Any], shown: list[Any], named: dict[str, Any]
) -> None:
    text = json.dumps([args, kwargs])
    assert hide_call(task, args, kwargs) == (shown, named)
    assert hide(text, task) == [shown, named]
    assert "canary" not in summarise(text, task)


def test_what_code_gives_to_a_declared_job_is_kept_encrypted() -> None:
    args, kwargs = decode(kept_arguments(DECLARED, '[["pos", "canary", true], {}]'))
    assert (args[0], args[2], kwargs) == ("pos", True, {}) and args[1].startswith("encrypted:")
    assert plain_texts(DECLARED, args, kwargs) == ["canary"]
    again = json.dumps([args, kwargs])
    assert kept_arguments(DECLARED, again) == again and sealed(DECLARED, args, kwargs) is None
    deep = decode(kept_arguments(listed.name, '[[["bob"], ["canary", "canary2"], {"a": "canary3"}], {}]'))
    assert "canary" not in repr(deep) and plain_texts(listed.name, *deep) == ["canary", "canary2", "canary3"]
    assert kept_arguments(PLAIN, '[["bob", "canary"], {}]') == '[["bob", "canary"], {}]', "a retry sends it again"


def test_the_ledger_gets_no_secret_from_a_publish() -> None:
    fact = published(1.0, DECLARED, arguments='[["pos", "canary"], {}]')
    run = new_observed_run(fact)
    apply_fact(run, fact)
    assert (run.summary, run.arguments_exact) == ("pos, •••", True) and "canary" not in run.arguments
    fact = published(1.0, PLAIN, arguments='[["bob", "canary"], {}]')
    run = new_observed_run(fact)
    apply_fact(run, fact)
    assert run.summary == "bob, •••"


def test_what_a_run_tells_of_its_end_has_no_secret() -> None:
    task = SimpleNamespace(request=SimpleNamespace(is_eager=False, id="t", retries=0))
    live._open(task)
    live.hide(["can'ary\n\"", "ab"])
    live.hide(["another"])  # of a job that is called within
    request = SimpleNamespace(id="u", is_eager=True)
    live._close(SimpleNamespace(request=request))
    assert live.take("t") is not None
    given = {"can'ary\n\"": [("x can'ary\n\"", repr("can'ary\n\""))], "n": 7, "json": json.dumps("can'ary\n\"")}
    masked = live.masked(given)
    assert "ary" not in repr(masked) and masked["n"] == 7 and live.masked("ab another") == "ab •••"
    assert live.masked("q=can%27ary%0A%22&r=can%27ary%0A%22") == "q=•••&r=•••"
    live._close(task)
    assert live.masked("another") == "another", "the next run of this process has other secrets"


def test_progress_says_no_secret() -> None:
    live.open_live(SimpleNamespace(id="t", retries=0))
    assert live.current.run is not None
    run = live.current.run
    live.hide(["canary"])
    run.counter = live.Counter(total=2, noun="canaries", began=0.0, note="asks canary")
    assert run.progress(1.0) == {"done": 0, "total": 2, "noun": "canaries".replace("canary", "•••"),
                                 "note": "asks •••", "began": 0.0, "at": 1.0}  # fmt: skip
    live.current.run, live.current.secrets = None, ()


def test_the_title_of_a_vanished_worker_does_not_name_it() -> None:
    for worker in ("pre@vm", "default@web-1.example.org"):
        said = f"{worker} stopped answering while it ran this; the work may be half done."
        found = fingerprint("shop.work", error_type="WorkerVanished", error_message=said)
        assert found.title == "A worker stopped answering while it ran this; the work may be half done."
    assert "<address>" in fingerprint("shop.work", error_type="E", error_message="ana@host stopped answering").title


@pytest.mark.parametrize(
    "text",
    [
        "pwd=canary", "'private_key': 'canary'", '"accessKey": "canary"', "Bearer: canary", "auth=canary",
        "session_id=canary", '{"signature": "canary', "see redis://:canary@host", "sessionid: canary", "token canary",
    ],
)  # fmt: skip
def test_text_that_is_no_json_goes_by_the_look_of_names(text: str) -> None:
    letter = DeadLetter("", "", "", f"broken {text}", len(text) + 7, has_fact=True)
    assert ("canary" in told(letter).text) == (text == "token canary"), "only a name with its value"
    plain = "author=plain, authority: plain, signature_date=plain, session=plain, https://h:80/?to=a@plain"
    assert told(DeadLetter("", "", "", plain, len(plain), has_fact=True)).text == plain


def test_a_task_that_is_registered_later_is_known_then() -> None:
    assert hide_call("tests.later", ["ana", "canary"], {}) == (["ana", "canary"], {})

    @current_app.task(name="tests.later")
    def later(user: str, password: str) -> None: ...

    try:
        assert hide_call("tests.later", ["ana", "canary"], {}) == (["ana", HIDDEN], {})
    finally:
        del current_app.tasks["tests.later"]


def test_tasks_of_this_file_are_registered() -> None:
    assert {bound.name, many.name, listed.name} <= current_app.tasks.keys()
