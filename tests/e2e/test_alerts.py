"""A real recorder tells people outside: each trouble once by mail and webhook, and once when it is over."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jobs.catalog.registry import find_job
from jobs.failures.verbs import resolve
from jobs.ledger.audit import Actor
from jobs.ledger.start import start_run
from jobs.models import FailureGroup
from tests import jobs_under_test as under_test
from tests.e2e.conftest import finished
from tests.e2e.processes import Daemon, Stack, wait_for
from tests.receivers import Receiver, mail_server, web_server

#: No number in it: those are left out of a group's title.
MESSAGE = "the card of somebody was declined"


@pytest.fixture
def site() -> Iterator[Receiver]:
    with web_server() as receiver:
        yield receiver


@pytest.fixture
def post_office() -> Iterator[Receiver]:
    with mail_server() as receiver:
        yield receiver


@pytest.fixture
def recorder(stack: Stack, site: Receiver, post_office: Receiver) -> Iterator[Daemon]:
    """Instead of the stack's own: it tells what has stood, or been gone, for two seconds."""
    stack.recorder.stop()
    told = {
        "ALERT_MAIL_TO": "ana@example.com",
        "ALERT_WEBHOOK": f"http://127.0.0.1:{site.port}/hook",
        "ALERT_AFTER": "2",
        "EMAIL_URL": f"smtp://127.0.0.1:{post_office.port}",
        "CONSOLE_URL": "https://console.example.com",
    }
    daemon = Daemon("alerts-recorder", stack.recorder.command, stack.root / "logs", {**stack.env, **told}, "leads.")
    try:
        yield daemon
    finally:
        daemon.stop()
        stack.up(stack.recorder)


def told(site: Receiver, what: str) -> list[str]:
    """The keys that the webhook was told as begun, or as solved, in order."""
    return [one["key"] for post in site.posts for one in post.told[what]]


def test_each_trouble_is_told_once_and_once_when_it_is_over(
    stack: Stack, recorder: Daemon, site: Receiver, post_office: Receiver, actor: Actor
) -> None:
    # What other tests have left in trouble is theirs, and so is the title that they gave this job's failures.
    FailureGroup.objects.all().delete()
    # While nobody answers at the webhook, the books go on.
    site.hangs = True
    recorder.start()
    finished(start_run(find_job(under_test.fail.name), {"message": MESSAGE}, actor=actor).run.task_id)
    group = wait_for(lambda: FailureGroup.objects.filter(title=MESSAGE).first(), "the group")
    key = f"group:{group.pk}"
    assert site.asked.wait(20), "the webhook to be asked"
    finished(start_run(find_job(under_test.add.name), {"a": 1}, actor=actor).run.task_id, 4)
    site.hangs = False
    site.goes_on.set()
    wait_for(lambda: key in told(site, "begun"), "the webhook to be told")
    wait_for(lambda: any("Fail fails: ValueError." in mail.text for mail in post_office.mails), "the mail")

    # What a recorder has told, the next one knows; Redis away is told, and that queues are unknown meanwhile is not.
    recorder.stop()
    recorder.start()
    before = len(site.posts)
    stack.redis.stop()
    wait_for(lambda: "redis:away" in told(site, "begun"), "Redis to be missed")
    solved = [one["key"] for post in site.posts[before:] for one in post.told["solved"]]
    assert not [one for one in solved if one.startswith(("queue:", "worker"))]
    stack.up()
    group.refresh_from_db()
    resolve(group.pk, seen=group.version, actor=actor)
    wait_for(lambda: "redis:away" in told(site, "solved"), "Redis to be back")
    wait_for(lambda: key in told(site, "solved"), "the webhook to be told of the end")
    over = "Solved: Fail fails: ValueError. After "
    wait_for(lambda: any(over in mail.text for mail in post_office.mails), "the mail of the end")
    for what in ("begun", "solved"):
        assert told(site, what).count(key) == 1 and told(site, what).count("redis:away") == 1
    texts = "\n".join(mail.text for mail in post_office.mails)
    assert texts.count("Fail fails: ValueError.") == 2 and texts.count(over) == 1
    assert f"https://console.example.com/admin/jobs/failuregroup/{group.pk}/change/" in texts
    assert MESSAGE not in texts and MESSAGE not in b"".join(post.body for post in site.posts).decode()
