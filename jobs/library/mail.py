"""The job *Send e-mail to users*: each address once for each mailing, whatever is retried or run again."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from smtplib import SMTPDataError, SMTPNotSupportedError, SMTPRecipientsRefused, SMTPSenderRefused
from typing import Annotated, Any

from celery import current_task
from django.contrib.auth.models import Group
from django.core.mail import EmailMessage
from django.db.models import Q
from pydantic import Field

from jobs import Targets, attach, check_cancelled, job, progress
from jobs.compat import mail_connection
from jobs.errors import InvalidArguments, JobsError
from jobs.ledger.people import User, email_of, everybody
from jobs.models import Delivery

from .deliveries import earlier_deliveries, settle, take
from .mail_text import PLACEHOLDERS, letter, wrong_with
from .tables import attach_table, counted

logger = logging.getLogger(__name__)

SENT, WOULD_SEND, NOT_REACHED = "sent", "would send", "not reached"
EARLIER, UNKNOWN, REFUSED, NO_ADDRESS, SHARED = "sent earlier", "may have been sent", "refused", "no address", "shared"
COLUMNS = ("username", "email", "outcome", "why")
MOST_PEOPLE = 10_000
#: After so many refusals one after the other it is not the address that is wrong.
REFUSED_IN_A_ROW = 20
#: E-mails that a dry run shows whole.
SHOWN = 3
#: The server has answered, and the answer is no; or the e-mail could not be written, and none was asked (ValueError, of
#: which Django's BadHeaderError was a kind). After any other error nobody knows.
_REFUSALS = (SMTPRecipientsRefused, SMTPSenderRefused, SMTPDataError, SMTPNotSupportedError, ValueError)


class MailServerRefuses(JobsError):
    """The mail server takes nothing; the text says what it said."""


@dataclass(slots=True)
class Recipient:
    """One person of the mailing, and what became of the e-mail."""

    user: User
    address: str
    outcome: str = NOT_REACHED
    why: str = ""


def fits(
    subject: str, body: str, campaign: str, roles: list[Group] | None, people: list[User] | None, **_: Any
) -> None:
    """Raises InvalidArguments for texts that cannot be filled in, and where nobody is chosen."""
    wrong = {name: sentence for name, text in (("subject", subject), ("body", body)) if (sentence := wrong_with(text))}
    if "\n" in subject or "\r" in subject:
        wrong["subject"] = "A subject is one line."
    if not campaign.strip():
        wrong["campaign"] = "Give the mailing a name."
    if not roles and not people:
        wrong["roles"] = "Choose a role, or people."
    if wrong:
        raise InvalidArguments(wrong)


def reached(campaign: str, roles: list[Group] | None, people: list[User] | None, **_: Any) -> Targets:
    """Who would get an e-mail now."""
    waiting = [r for r in _recipients(campaign, roles, people) if r.outcome == NOT_REACHED]
    return Targets(len(waiting), tuple(f"{r.user.get_username()} <{r.address}>" for r in waiting[:5]), "people")


@job(
    title="Send e-mail to users",
    group="Users",
    permission="jobs.send_mail",
    danger="danger",
    idempotent=True,
    dry_run="dry_run",
    targets=reached,
    check=fits,
    soft_time_limit=3300,
    time_limit=3600,
    runbook="Run it again with the same name of the mailing: who has got the e-mail, or may have, gets no second one. "
    "Those that may have been sent are in outcome.csv; ask these people, or send to them under another name.",
)
def send_mail(
    campaign: Annotated[
        str,
        Field(
            title="Name of the mailing",
            description="No address gets two e-mails of the same name, however often this is run.",
            max_length=100,
        ),
    ],
    subject: Annotated[str, Field(max_length=200, description="One line; may have the placeholders of the text.")],
    body: Annotated[
        str,
        Field(
            title="Text",
            description=f"Plain text. Filled in for each person: {', '.join(f'{{{p}}}' for p in PLACEHOLDERS)}.",
            max_length=50_000,
        ),
    ],
    roles: Annotated[
        list[Group] | None, Field(title="To the roles", description="All active users who have one.")
    ] = None,
    people: Annotated[
        list[User] | None,
        Field(title="Also to these people", description="Whoever of them is not active gets nothing."),
    ] = None,
    dry_run: Annotated[
        bool, Field(title="Dry run", description="Send nothing; attach the list and the first e-mails.")
    ] = False,
) -> str:
    """Sends one e-mail to each active user of some roles, or to people that you choose, each address once.

    Before an e-mail leaves, it is written down that it does. When a worker dies at that moment nobody can know whether
    it has left: it is not sent again, and `outcome.csv` says so. People who share an address get one e-mail.

    Returns:
        One sentence with the numbers.

    Raises:
        MailServerRefuses: nothing can be sent at all; what was sent before is in `outcome.csv`.
    """
    campaign = campaign.strip()
    recipients = _recipients(campaign, roles, people)
    if len(recipients) > MOST_PEOPLE:
        raise JobsError(f"Nothing was sent: {len(recipients):,} people are chosen, at most {MOST_PEOPLE:,} may be.")
    try:
        if dry_run:
            _preview(recipients, subject, body)
        else:
            _send_all(recipients, campaign, subject, body)
    finally:
        attach_table("outcome.csv", COLUMNS, [(r.user.get_username(), r.address, r.outcome, r.why) for r in recipients])
    return _sentence(Counter(r.outcome for r in recipients), dry_run=dry_run)


def _recipients(campaign: str, roles: list[Group] | None, people: list[User] | None) -> list[Recipient]:
    """Everybody who is meant, with an outcome where it is known beforehand."""
    meant = Q(pk__in=[user.pk for user in people or []]) | Q(
        pk__in=everybody().filter(groups__in=roles or []).values("pk")
    )
    found = everybody().filter(meant, is_active=True).order_by("pk")[: MOST_PEOPLE + 1]
    recipients = [Recipient(user, email_of(user).strip().lower()) for user in found]
    earlier = earlier_deliveries(campaign.strip(), {r.address for r in recipients})
    first: dict[str, Recipient] = {}
    for recipient in recipients:
        known = earlier.get(recipient.address)
        if not recipient.address:
            recipient.outcome = NO_ADDRESS
        elif (other := first.setdefault(recipient.address, recipient)) is not recipient:
            recipient.outcome, recipient.why = SHARED, f"Goes to {other.user.get_username()}, who has the same address."
        elif known is not None and known.state == Delivery.State.SENT:
            recipient.outcome, recipient.why = EARLIER, f"On {known.at:%Y-%m-%d at %H:%M} UTC."
        elif known is not None and known.state == Delivery.State.SENDING:
            recipient.outcome = UNKNOWN
            recipient.why = f"It was being sent on {known.at:%Y-%m-%d at %H:%M} UTC, and nobody heard whether it was."
    return recipients


def _preview(recipients: list[Recipient], subject: str, body: str) -> None:
    waiting = [r for r in recipients if r.outcome == NOT_REACHED]
    for recipient in waiting:
        recipient.outcome = WOULD_SEND
    texts = []
    for recipient in waiting[:SHOWN]:
        text = letter(subject, body, recipient.user)
        texts.append(f"To: {recipient.address}\nSubject: {text.subject}\n\n{text.body}\n")
    if texts:
        attach("preview.txt", f"\n{'-' * 72}\n\n".join(texts), content_type="text/plain", rows=len(texts))


def _send_all(recipients: list[Recipient], campaign: str, subject: str, body: str) -> None:
    waiting = [r for r in recipients if r.outcome == NOT_REACHED]
    task_id = str(current_task.request.id) if current_task else ""
    connection = mail_connection()
    refused_in_a_row = 0
    try:
        for recipient in progress(waiting, noun="e-mails") if waiting else ():
            check_cancelled()  # before the next is taken; `outcome.csv` tells who was not reached
            # First the connection: what cannot begin must not be taken for something that may have been sent.
            _open(connection)
            if not take(campaign, recipient.address, task_id):
                recipient.outcome, recipient.why = UNKNOWN, "Another run sends it at this moment."
                continue
            _send(recipient, campaign, connection, EmailMessage(*_parts(subject, body, recipient)))
            refused_in_a_row = refused_in_a_row + 1 if recipient.outcome == REFUSED else 0
            if refused_in_a_row >= REFUSED_IN_A_ROW:
                raise MailServerRefuses(f"The mail server refused the last {REFUSED_IN_A_ROW}: {recipient.why}")
            if recipient.outcome == UNKNOWN:
                connection.close()
    finally:
        connection.close()


def _parts(subject: str, body: str, recipient: Recipient) -> tuple[str, str, None, list[str]]:
    text = letter(subject, body, recipient.user)
    return text.subject, text.body, None, [recipient.address]


def _open(connection: Any) -> None:
    try:
        connection.open()
    except OSError as error:  # SMTPException is one
        raise MailServerRefuses(f"The mail server does not let us in ({error}). Ask an administrator.") from error


def _send(recipient: Recipient, campaign: str, connection: Any, message: EmailMessage) -> None:
    try:
        connection.send_messages([message])
    except _REFUSALS as error:
        settle(campaign, recipient.address, sent=False)
        recipient.outcome, recipient.why = REFUSED, str(error)[:200]
    except OSError as error:
        recipient.outcome, recipient.why = UNKNOWN, f"The mail server did not answer ({error})."[:200]
        logger.warning("The e-mail to %s may have been sent: %s", recipient.address, error)
    else:
        settle(campaign, recipient.address, sent=True)
        recipient.outcome = SENT


def _sentence(numbers: Counter[str], *, dry_run: bool) -> str:
    begin = (
        f"Would send {counted(numbers[WOULD_SEND], 'e-mail')}"
        if dry_run
        else f"Sent {counted(numbers[SENT], 'e-mail')}"
    )
    told = [
        f"{numbers[EARLIER]:,} had been sent earlier",
        f"{numbers[UNKNOWN]:,} may have been sent and {'is' if numbers[UNKNOWN] == 1 else 'are'} not sent again",
        f"{numbers[REFUSED]:,} refused",
        f"{counted(numbers[NO_ADDRESS], 'person has', 'people have')} no address",
        f"{counted(numbers[SHARED], 'person shares', 'people share')} an address",
    ]
    kinds = (EARLIER, UNKNOWN, REFUSED, NO_ADDRESS, SHARED)
    return "; ".join([begin, *(text for kind, text in zip(kinds, told, strict=True) if numbers[kind])]) + "."
