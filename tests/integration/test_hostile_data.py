"""Every table full of what nobody meant to be there: every address still answers, and what it says can be sent.

`HOSTILE=large` (`make hostile`) writes every value that there is, several times beside others, and follows more links.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from traceback import extract_tb
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.files.base import ContentFile
from django.core.signals import got_request_exception
from django.db import transaction
from django.test import Client
from redis import Redis

from jobs.ledger.audit import Actor, Subject, record
from jobs.models import Run
from jobs.storage import console_storage
from tests import jobs_under_test as under_test

from .hostile.addresses import Further, routes, seeds
from .hostile.in_redis import fill_redis
from .hostile.rows import fill
from .hostile.values import BROKEN, JSONS, MARKUP, NUL, REAL_FILE, TEXTS

LARGE = os.environ.get("HOSTILE") == "large"
ROWS = 60 if LARGE else 20
#: So many links of a kind are followed, and so many kinds of a route.
LINKS = (2, 30) if LARGE else (1, 12)
#: The second person looks at one of so many rows, and acts are asked for on one of so many.
OF_ROWS, OF_ACTS = (1, 1) if LARGE else (4, 4)
#: What addresses are asked with.
ASKED = [text[:4000] for text in (*TEXTS, NUL)] if LARGE else [NUL, MARKUP]


_PART = re.compile(r"/(?:live|log|new|moments)/(?:\?|$)")


#: What a person types in where JSON is asked for.
TYPED = [text for text in (*JSONS, *BROKEN) if text.strip()]


class Visit:
    """One person opens addresses; what went wrong, by where in the code."""

    def __init__(self, user: User) -> None:
        self.client = Client(raise_request_exception=False)
        self.client.force_login(user)
        self.opened: set[str] = set()
        self.statuses: dict[str, int] = {}
        self.wrong: dict[str, list[str]] = defaultdict(list)

    def all(self, addresses: Iterable[str], further: Further) -> None:
        """Open them and what they lead to."""
        waiting = list(dict.fromkeys(addresses))
        while waiting:
            address = waiting.pop()
            if address not in self.opened:
                self.opened.add(address)
                waiting += further.of(address, self._open(address))

    def _open(self, address: str) -> str:
        raised: list[BaseException] = []

        def note(**_: Any) -> None:
            error = sys.exc_info()[1]
            if error is not None:
                raised.append(error)

        point = transaction.savepoint()
        got_request_exception.connect(note)
        try:
            # The parts of pages that read themselves anew are asked for as htmx asks.
            part = {"HX-Request": "true"} if _PART.search(address) else {}
            response = self.client.get(address, headers=part)
            body = response.getvalue()
        finally:
            got_request_exception.disconnect(note)
            transaction.savepoint_rollback(point)
        self.statuses[address] = response.status_code
        if response.status_code >= 500:
            self.wrong[" / ".join(map(_place, raised)) or str(response.status_code)].append(address)
            return ""
        return self._read(address, response.get("Content-Type", ""), body)

    def _read(self, address: str, kind: str, body: bytes) -> str:
        if "/files/" in address or not kind.startswith(("text/", "application/json")):
            return ""  # a file is sent as it is
        try:
            text = body.decode()
        except UnicodeDecodeError:
            self.wrong["is no UTF-8"].append(address)
            return ""
        if kind.startswith("application/json"):
            json.loads(text)
        elif kind.startswith("text/html"):
            if MARKUP in text or "<img src=x" in text:
                self.wrong["holds stored markup"].append(address)
            return text
        return ""


def _place(error: BaseException) -> str:
    frames = [frame for frame in extract_tb(error.__traceback__) if "site-packages" not in frame.filename]
    frame = frames[-1] if frames else extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} {str(error)[:90]!r} in {frame.filename}:{frame.lineno} {frame.name}"


@pytest.fixture
def hostile(roles: None, redis: Redis) -> Iterator[None]:
    """Every table of the project, and a Redis, full of it."""
    redis.config_set("maxmemory", 0)
    storage = console_storage
    storage.save(REAL_FILE, ContentFile(b'\xff\x00,<b>\r\n"=1+1\xed\xa0\x80' * 50))
    taken = fill(ROWS)
    assert all(taken[model] for model in taken), {model: count for model, count in taken.items() if not count}
    fill_redis(redis, [*Run.objects.values_list("task_id", flat=True)])
    yield
    storage.delete(REAL_FILE)


@pytest.mark.parametrize(
    ("name", "zone", "step"), [("ana", "Pacific/Kiritimati", 1), ("vito", "America/New_York", OF_ROWS)]
)
def test_every_address_answers_over_hostile_data(hostile: None, settings: Any, name: str, zone: str, step: int) -> None:
    settings.TIME_ZONE = zone
    if name == "ana":
        user = User.objects.create_superuser(name)
    else:
        user = User.objects.create_user(name, is_staff=True)
        user.groups.add(Group.objects.get(name="Viewer"))
    visit, further = Visit(user), Further(*LINKS)
    visit.all(seeds(routes(), step, OF_ACTS), further)
    visit.all(further.hostile(ASKED, each=LARGE), further)
    assert not visit.wrong, "\n".join(f"{len(at)} × {why}\n    {at[:3]}" for why, at in visit.wrong.items())
    runs = [visit.statuses.get(address) for address in seeds(["admin/jobs/run/<path:object_id>/change/"])]
    assert runs.count(200) >= Run.objects.count() // step, "every run has its page"


@pytest.mark.parametrize("number", range(len(TYPED)))
def test_whatever_json_a_person_types_is_told_beside_the_field_or_becomes_a_run(ana: Client, number: int) -> None:
    form = f"/admin/jobs/run/catalog/{under_test.echo_types.name}/start/"
    response = ana.post(form, {"nonce": "n", "anything": TYPED[number]})
    if response.status_code == 302:
        assert (
            ana.get(response["Location"]).status_code == 200 and ana.get("/admin/jobs/auditevent/").status_code == 200
        )
    else:
        assert response.status_code == 200 and response.context["form"].errors.keys() & {"anything", "__all__"}
        response.content.decode()


def test_what_is_written_into_the_trail_can_be_kept_and_shown(ana: Client) -> None:
    actor, odd = Actor(label="a\ud800\x00", via="command"), {"\ud800": ["\x00", float("nan"), {"deep": "\udfff"}]}
    event = record("start_run", actor, Subject("job", "j\ud800", "l\udfff"), reason="r\x00\ud83d", details=odd)
    event.refresh_from_db()
    assert (event.actor_label, event.object_id, event.reason) == ("a?", "j?", "r?")
    assert event.details == {"?": ["", "nan", {"deep": "?"}]}
    assert ana.get("/admin/jobs/auditevent/").status_code == 200


def test_an_address_that_nobody_has_thought_of_makes_the_test_red() -> None:
    with pytest.raises(LookupError, match="new_thing"):
        list(seeds(["admin/jobs/new/<str:new_thing>/"]))
