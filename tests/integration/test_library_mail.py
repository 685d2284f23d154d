"""Send e-mail to users: once to each address, whatever is retried, run again or cut off."""

from __future__ import annotations

from smtplib import SMTPRecipientsRefused, SMTPServerDisconnected
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.utils import timezone

from jobs.catalog.registry import find_job
from jobs.errors import InvalidArguments
from jobs.library import mail as mail_job
from jobs.library.deliveries import settle
from jobs.library.mail import MailServerRefuses, send_mail
from jobs.models import Delivery, Run
from jobs.pipeline import cancelled
from tests.integration.library_runs import Ended, Stop, run_as

TEXT = {"campaign": "News", "subject": "For {first_name}", "body": "Dear {full_name}, you are {username}."}
pytestmark = pytest.mark.django_db


class Unsure(EmailBackend):
    """Breaks off at addresses that begin with `cut`, refuses those that begin with `no`."""

    def send_messages(self, messages: Any) -> int:
        for message in messages:
            (address,) = message.to
            if address.startswith("no"):
                raise SMTPRecipientsRefused({address: (550, b"no such mailbox")})
            if address.startswith("cut"):
                raise SMTPServerDisconnected("Connection unexpectedly closed")
        return super().send_messages(messages)


class StoppedAfterOne(EmailBackend):
    """While it sends the first e-mail somebody asks the run to stop."""

    def send_messages(self, messages: Any) -> int:
        Run.objects.update(cancel_requested_at=timezone.now())
        return super().send_messages(messages)


@pytest.fixture
def editors(db: None) -> Group:
    return Group.objects.create(name="Editor")


@pytest.fixture
def unsure(settings: Any) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.Unsure"
    mail.outbox = []


def person(name: str, role: Group, email: str | None = None, **values: Any) -> User:
    user = User.objects.create_user(name, email=f"{name}@example.com" if email is None else email, **values)
    user.groups.add(role)
    return user


def send(role: Group, stop: Stop = Stop.NEVER, **values: Any) -> Ended:
    return run_as(None, send_mail, stop, **{**TEXT, "roles": [role.pk], **values})


def outcomes(ended: Ended) -> dict[str, str]:
    return {row["username"]: row["outcome"] for row in ended.table("outcome.csv")}


def test_each_active_person_gets_their_own_e_mail_once(editors: Group, unsure: None) -> None:
    person("ana", editors, first_name="Ana\nBcc: x@example.com", last_name="Reyes")
    person("ben", editors, email="BEN@example.com")
    person("twin", editors, email="ben@Example.com")
    person("silent", editors, email="")
    person("gone", editors, is_active=False)
    outside = User.objects.create_user("outside", email="outside@example.com")

    ended = send(editors, people=[outside.pk])
    assert ended.value == "Sent 3 e-mails; 1 person has no address; 1 person shares an address."
    assert [(m.subject, m.to) for m in mail.outbox] == [
        ("For Ana Bcc: x@example.com", ["ana@example.com"]),
        ("For ben", ["ben@example.com"]),
        ("For outside", ["outside@example.com"]),
    ]
    assert "Dear ben, you are ben." in mail.outbox[1].body
    person("new", editors)
    again = send(editors)
    assert again.value.startswith("Sent 1 e-mail; 2 had been sent earlier")
    assert [m.to for m in mail.outbox[3:]] == [["new@example.com"]]
    assert send(editors, campaign="Other news").value.startswith("Sent 3 e-mails")


def test_nobody_gets_a_second_one_where_it_is_not_known(editors: Group, unsure: None) -> None:
    person("ana", editors)
    person("cut-off", editors)
    person("no-one", editors)
    ended = send(editors)
    assert outcomes(ended) == {"ana": "sent", "cut-off": "may have been sent", "no-one": "refused"}
    assert ended.value == "Sent 1 e-mail; 1 may have been sent and is not sent again; 1 refused."
    User.objects.filter(username="no-one").update(email="better@example.com")
    assert outcomes(send(editors)) == {"ana": "sent earlier", "cut-off": "may have been sent", "no-one": "sent"}
    assert sorted(m.to[0] for m in mail.outbox) == ["ana@example.com", "better@example.com"]


def test_a_refused_address_may_be_tried_again(editors: Group, unsure: None, settings: Any) -> None:
    person("no-one", editors)
    assert outcomes(send(editors)) == {"no-one": "refused"}
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert outcomes(send(editors)) == {"no-one": "sent"}


def test_a_crash_between_is_told_and_the_rest_is_sent(
    editors: Group, unsure: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies after the e-mail was handed over and before that was written down."""
    for name in ("ana", "ben", "cem"):
        person(name, editors)
    calls: list[str] = []

    def die_at_the_second(key: str, address: str, *, sent: bool) -> None:
        calls.append(address)
        if len(calls) == 2:
            raise KeyboardInterrupt
        settle(key, address, sent=sent)

    monkeypatch.setattr(mail_job, "settle", die_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        send(editors)
    monkeypatch.setattr(mail_job, "settle", settle)
    assert outcomes(send(editors)) == {"ana": "sent earlier", "ben": "may have been sent", "cem": "sent"}
    assert [m.to[0] for m in mail.outbox] == [f"{name}@example.com" for name in ("ana", "ben", "cem")]


def test_two_runs_at_once_share_the_work(editors: Group, unsure: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other run takes an address after this one has looked and before it sends."""
    person("ana", editors)
    looked = mail_job._open

    def meanwhile(connection: Any) -> None:
        Delivery.objects.create(key="News", recipient="ana@example.com", task_id="the other")
        looked(connection)

    monkeypatch.setattr(mail_job, "_open", meanwhile)
    assert outcomes(send(editors)) == {"ana": "may have been sent"}
    assert mail.outbox == []


def test_a_dry_run_sends_nothing_and_shows_the_first(editors: Group, unsure: None) -> None:
    for number in range(5):
        person(f"user-{number}", editors)
    ended = send(editors, dry_run=True)
    assert ended.value == "Would send 5 e-mails."
    assert mail.outbox == [] and not Delivery.objects.exists()
    preview = ended.text("preview.txt")
    assert "To: user-0@example.com\nSubject: For user-0\n\nDear user-0" in preview and "user-3" not in preview
    targets = find_job(send_mail.name).targets
    assert targets is not None and targets(**TEXT, roles=[editors], people=None, dry_run=False).count == 5


def test_a_server_that_refuses_everything_stops_the_run(editors: Group, unsure: None) -> None:
    for number in range(30):
        person(f"no-{number}", editors)
    ended = send(editors)
    assert isinstance(ended.value, MailServerRefuses) and "no such mailbox" in str(ended.value)
    assert list(outcomes(ended).values()) == ["refused"] * 20 + ["not reached"] * 10


def test_a_server_that_is_away_leaves_no_doubt(editors: Group, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", 1, 2
    person("ana", editors)
    ended = send(editors)
    assert isinstance(ended.value, MailServerRefuses) and not Delivery.objects.exists()
    assert outcomes(ended) == {"ana": "not reached"}


@pytest.mark.parametrize(
    ("values", "field", "sentence"),
    [
        ({"body": "{password}"}, "body", "There is no placeholder {password}"),
        ({"body": "{username.password}"}, "body", "There is no placeholder"),
        ({"body": "{username[0]}"}, "body", "There is no placeholder"),
        ({"body": "{username!r}"}, "body", "There is no placeholder"),
        ({"body": "{username:>9999999}"}, "body", "There is no placeholder"),
        ({"body": "{}"}, "body", "There is no placeholder"),
        ({"subject": "a } b"}, "subject", "stands alone"),
        ({"subject": "a\nb"}, "subject", "one line"),
        ({"campaign": " "}, "campaign", "Give the mailing a name"),
        ({"roles": None}, "roles", "Choose a role, or people."),
    ],
)
def test_a_text_that_cannot_be_filled_in_is_refused(
    editors: Group, values: dict[str, Any], field: str, sentence: str
) -> None:
    parameters = find_job(send_mail.name).parameters
    assert parameters is not None
    with pytest.raises(InvalidArguments) as refused:
        parameters.check({**TEXT, "roles": [editors.pk], **values})
    assert sentence in refused.value.fields[field]
    parameters.check({**TEXT, "body": "{{as it is}}", "roles": [editors.pk]})


def test_a_stopped_mailing_tells_whom_it_reached_and_goes_on_later(
    editors: Group, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancelled, "CHECK_EVERY", 0)
    settings.EMAIL_BACKEND = f"{__name__}.StoppedAfterOne"
    mail.outbox = []
    for name in ("ada", "bob", "cleo"):
        person(name, editors)
    ended = send(editors, Stop.LATER)
    assert isinstance(ended.value, cancelled.Cancelled)
    assert outcomes(ended) == {"ada": "sent", "bob": "not reached", "cleo": "not reached"}
    assert [state for (state,) in Delivery.objects.values_list("state")] == [Delivery.State.SENT]
    assert outcomes(send(editors)) == {"ada": "sent earlier", "bob": "sent", "cleo": "sent"}
    assert len(mail.outbox) == 3


def test_nobody_to_write_to_is_no_progress(editors: Group) -> None:
    ended = run_as(None, send_mail, Stop.LATER, roles=[editors.pk], **TEXT)
    assert ended.value == "Sent 0 e-mails." and ended.counter is None
