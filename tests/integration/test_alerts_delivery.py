"""Messages on their way: signed, each taken once, tried until it is, by a real mail server and a real web server."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import ipaddress
import socket
import ssl
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from jobs.alerts import delivery, webhook
from jobs.alerts.delivery import CLAIM, MOST_WAITING, channels_of_settings, deliver
from jobs.alerts.settle import take_up
from jobs.ledger.leases import database_now, hold
from jobs.models import Alert, AlertChannel, AlertMessage, AuditEvent
from jobs.recorder.alert import Alerts
from tests.receivers import Receiver, mail_server, web_server

pytestmark = pytest.mark.django_db
SECRET = "between us"  # noqa: S105


@pytest.fixture
def site(settings: Settings, db: None) -> Iterator[Receiver]:
    """The webhook's receiver."""
    with web_server() as receiver:
        settings.ALERT_WEBHOOK = f"http://127.0.0.1:{receiver.port}/hook?team=ops"
        settings.ALERT_WEBHOOK_SECRET = SECRET
        yield receiver


@pytest.fixture
def post_office(settings: Settings, db: None) -> Iterator[Receiver]:
    """The mail server, and two addresses."""
    with mail_server() as receiver:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", receiver.port
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        settings.ALERT_MAIL_TO = ["ana@example.com", "ben@example.com"]
        yield receiver


def write(text: str = "Queue reports: 2 wait.") -> None:
    """A message for every channel of the settings."""
    take_up(channels_of_settings())
    for channel in AlertChannel.objects.all():
        AlertMessage.objects.create(
            channel=channel, subject=f"[Local] {text}", text=text, payload={"text": text}, made_at=timezone.now()
        )


def later(seconds: float) -> None:
    for name in ("try_after", "claimed_until"):
        for channel in AlertChannel.objects.filter(**{f"{name}__isnull": False}):
            AlertChannel.objects.filter(pk=channel.pk).update(
                **{name: getattr(channel, name) - timedelta(seconds=seconds)}
            )


def test_the_webhook_gets_signed_json_once(site: Receiver) -> None:
    write()
    assert deliver() == 1 and deliver() == 0
    (post,) = site.posts
    assert post.path == "/hook?team=ops" and post.told["text"] == "Queue reports: 2 wait."
    assert uuid.UUID(post.told["id"]) and post.headers["Content-Type"] == "application/json; charset=utf-8"
    stamp = post.headers["X-Opsconsole-Timestamp"]
    own = hmac.new(SECRET.encode(), stamp.encode() + b"." + post.body, hashlib.sha256).hexdigest()
    assert post.headers["X-Opsconsole-Signature"] == f"sha256={own}" and abs(time.time() - int(stamp)) < 60
    channel = AlertChannel.objects.get()
    assert channel.sent_at and not channel.error and channel.claimed_until is None


def test_without_a_secret_nothing_is_signed(site: Receiver, settings: Settings) -> None:
    settings.ALERT_WEBHOOK_SECRET = ""
    write()
    deliver()
    assert "X-Opsconsole-Signature" not in site.posts[0].headers


def test_a_redirect_is_not_followed(site: Receiver) -> None:
    with web_server() as elsewhere:
        site.status, site.headers = 307, {"Location": f"http://127.0.0.1:{elsewhere.port}/"}
        write()
        assert deliver() == 0 and elsewhere.posts == []
    assert AlertChannel.objects.get().error == "It redirects (307), which is not followed."


def test_a_failing_webhook_is_tried_again_later_and_later_and_told_of_once(
    site: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    write()
    write("Solved.")
    site.status = 503
    pauses = []
    for _ in range(8):
        deliver()
        channel = AlertChannel.objects.get()
        assert channel.try_after is not None
        pauses.append(round((channel.try_after - database_now()).total_seconds()))
        deliver()
        later(pauses[-1] + 1)
    assert pauses == [15, 30, 60, 120, 240, 480, 600, 600] and len(site.posts) == 8
    assert len({post.told["id"] for post in site.posts}) == 1, "the same message, by its id"
    assert [record.message for record in caplog.records if "webhook" in record.message] == [
        "Alerts to webhook: It answered 503. Tried again until it is taken."
    ]
    site.status = 200
    assert deliver() == 2 and [post.told["text"] for post in site.posts[8:]] == ["Queue reports: 2 wait.", "Solved."]
    channel = AlertChannel.objects.get()
    assert (channel.error, channel.failing_since, channel.tries) == ("", None, 0)


def test_what_does_not_leave_is_trouble_of_the_overview(site: Receiver) -> None:
    ana = Client()
    ana.force_login(User.objects.create_superuser("ana"))
    hold("recorder", "r")
    assert "nobody is told outside of these pages" in ana.get("/admin/").content.decode()
    write()
    assert "go to a webhook; none sent yet" in ana.get("/admin/").content.decode()
    site.status = 500
    deliver()
    text = ana.get("/admin/?all=1").content.decode()
    assert "Alerts could not be delivered to the webhook: It answered 500." in text
    assert "not all are delivered" in text and "127.0.0.1" not in text, "the address may hold a token"
    site.status = 204
    later(60)
    deliver()
    text = ana.get("/admin/?all=1").content.decode()
    assert "could not be delivered" not in text and "go to a webhook; last sent just now" in text


def test_each_address_gets_its_own_and_one_that_is_refused_harms_no_other(post_office: Receiver) -> None:
    post_office.refuses = {"ana@example.com"}
    write()
    assert deliver() == 1
    (mail,) = post_office.mails
    assert mail.to == ("ben@example.com",) and mail.message["Subject"] == "[Local] Queue reports: 2 wait."
    assert mail.message["From"] == "console@localhost" and mail.message["Auto-Submitted"] == "auto-generated"
    failing = AlertChannel.objects.exclude(error="").get()
    assert (failing.name, failing.error) == (
        "mail:ana@example.com",
        "The mail server refuses the address (550).",
    )
    post_office.refuses = set()
    later(60)
    assert deliver() == 1 and [mail.to for mail in post_office.mails] == [("ben@example.com",), ("ana@example.com",)]


def test_a_message_bears_the_same_id_at_every_try(post_office: Receiver, settings: Settings) -> None:
    settings.ALERT_MAIL_TO = ["ana@example.com"]
    write()
    (message,) = AlertMessage.objects.all()
    deliver()
    # As if the recorder had died between the server's yes and its own note of it.
    message.save()
    deliver()
    assert [mail.message["Message-ID"] for mail in post_office.mails] == [f"<{message.uid}@opsconsole>"] * 2


def test_no_mail_server_is_said_in_a_sentence(post_office: Receiver, settings: Settings) -> None:
    with mail_server() as gone:
        settings.EMAIL_PORT = gone.port
    write()
    deliver()
    assert {one.error for one in AlertChannel.objects.all()} == {"The mail server did not answer: Connection refused."}


@pytest.mark.parametrize("drips", [False, True])
def test_a_webhook_that_hangs_or_drips_is_let_go(
    site: Receiver, settings: Settings, monkeypatch: pytest.MonkeyPatch, drips: bool
) -> None:
    monkeypatch.setattr(webhook, "TIMEOUT", 0.4)
    if drips:
        port = dripping()
        settings.ALERT_WEBHOOK = f"http://127.0.0.1:{port}/"
    else:
        site.hangs = True
    write()
    began = time.monotonic()
    deliver()
    assert time.monotonic() - began < 3
    assert AlertChannel.objects.get().error == "It gave no answer within 0.4 s."


def dripping() -> int:
    """The port of a server that sends a byte of a header every 50 ms."""
    server = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        talk, _ = server.accept()
        with server, talk:
            try:
                while True:
                    talk.sendall(b"H")
                    time.sleep(0.05)
            except OSError:
                return

    threading.Thread(target=drip, daemon=True).start()
    return int(server.getsockname()[1])


def test_only_a_certificate_that_is_trusted_is_spoken_to(settings: Settings, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    with web_server(tls=context) as site:
        settings.ALERT_WEBHOOK = f"https://127.0.0.1:{site.port}/"
        write()
        deliver()
        assert site.posts == [] and AlertChannel.objects.get().error.startswith("Its certificate is not accepted")


def self_signed(folder: Path) -> Path:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = (
        builder.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    )
    made = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    path = folder / "site.pem"
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


def test_too_many_that_wait_are_given_up_into_the_log(
    site: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert MOST_WAITING == 100
    monkeypatch.setattr(delivery, "MOST_WAITING", 3)
    for number in range(5):
        write(f"Number {number}.")
    site.status = 500
    deliver()
    assert [one.text for one in AlertMessage.objects.order_by("pk")] == ["Number 2.", "Number 3.", "Number 4."]
    assert "3 newer ones wait: Number 0." in caplog.text and "Number 1." in caplog.text


@pytest.mark.django_db(transaction=True)
def test_while_one_recorder_sends_no_other_does_and_nobody_waits_for_the_database(site: Receiver) -> None:
    write()
    site.hangs = True
    sending = threading.Thread(target=in_a_thread, args=(deliver,))
    sending.start()
    assert site.asked.wait(10)
    began = time.monotonic()
    assert deliver() == 0
    Alert.objects.create(key="x", tone="bad", fact="x", since=timezone.now(), looked_at=timezone.now())
    assert time.monotonic() - began < 2, "no transaction is open while a message is on its way"
    site.goes_on.set()
    sending.join(10)
    assert len(site.posts) == 1 and not AlertMessage.objects.exists()


def in_a_thread(act: Any) -> None:
    try:
        act()
    finally:
        connection.close()


def test_what_a_killed_recorder_had_in_hand_is_sent_by_the_next(site: Receiver) -> None:
    write()
    AlertChannel.objects.update(claimed_until=database_now() + CLAIM)
    assert deliver() == 0 and site.posts == []
    later(CLAIM.total_seconds() + 1)
    assert deliver() == 1 and len(site.posts) == 1


def test_a_recorder_that_stops_leaves_the_rest_to_the_next(site: Receiver) -> None:
    write()
    assert deliver(lambda: True) == 0 and deliver() == 1


def test_a_channel_that_vanishes_while_it_is_sent_to_ends_nothing(
    site: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for answer in ("", "It answered 500."):
        write()
        monkeypatch.setattr(delivery, "send", lambda *_, answer=answer: take_up([]) or answer)
        deliver()
        assert not AlertChannel.objects.exists() and not AlertMessage.objects.exists()


def test_no_step_sends_without_end(site: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "MOST_AT_ONCE", 2)
    for number in range(3):
        write(f"Number {number}.")
    assert [deliver(), deliver()] == [2, 1]


def blind() -> None:
    raise TypeError("secret words")


def test_a_mistake_in_finding_troubles_ends_no_recorder_and_is_told_itself(
    site: Receiver, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.ALERT_TROUBLES = f"{__name__}.blind"
    settings.ALERT_AFTER = 0
    chore = Alerts(lambda: False)
    assert chore.every == 0.5
    for _ in range(3):
        assert chore.step() == 0
    (post,) = site.posts
    assert [one["fact"] for one in post.told["begun"]] == [
        "The recorder cannot work out what needs a look (TypeError)."
    ]
    assert len([one for one in caplog.records if one.exc_info]) == 1, "logged once"
    assert "secret words" not in post.body.decode()


def test_a_test_alert_says_what_became_of_each_and_is_written_down(site: Receiver, post_office: Receiver) -> None:
    post_office.refuses = {"ana@example.com"}
    out = StringIO()
    with pytest.raises(CommandError, match="1 of 3 did not take it"):
        call_command("test_alert", stdout=out)
    assert out.getvalue().splitlines() == [
        "ana@example.com: The mail server refuses the address (550).",
        "ben@example.com: taken",
        "the webhook: taken",
    ]
    assert site.posts[0].told["kind"] == "test" and "test alert" in post_office.mails[0].text
    told = AuditEvent.objects.filter(verb="test_alert").order_by("pk")
    assert [(one.object_label, one.details) for one in told][:2] == [
        ("ana@example.com", {"refused": "The mail server refuses the address (550)."}),
        ("ben@example.com", {}),
    ]
    assert not AlertMessage.objects.exists()


def test_a_test_alert_to_nobody_says_what_to_set(db: None) -> None:
    with pytest.raises(CommandError, match="set ALERT_MAIL_TO or ALERT_WEBHOOK"):
        call_command("test_alert")
