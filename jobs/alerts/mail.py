"""One e-mail to one address, by Django's settings for mail. Each address gets its own: one refused harms no other."""

from __future__ import annotations

import logging
import smtplib
import socket
import ssl
import uuid

from django.core.mail import EmailMessage

from jobs.compat import mail_connection

logger = logging.getLogger(__name__)

#: Of each step of the talk with the mail server, in seconds.
TIMEOUT = 5
_NOWHERE = {f"django.core.mail.backends.{name}" for name in ("console", "dummy", "filebased")}


def mail(address: str, subject: str, text: str, uid: uuid.UUID) -> str:
    """Send it; "" where the server took it, else a sentence that says why not. A server's own words may name people.

    Args:
        uid: becomes its Message-ID, the same at every try: many readers then show a second copy of it once.
    """
    headers = {"Message-ID": f"<{uid}@opsconsole>", "Auto-Submitted": "auto-generated"}
    try:
        connection = mail_connection()
        connection.timeout = TIMEOUT
        connection.send_messages([EmailMessage(subject, text, to=[address], headers=headers)])
    except Exception as problem:  # a mail backend may be anybody's, and raise anything
        logger.debug("Alert to %s: %s", address, problem, exc_info=True)
        return _sentence(problem)
    return ""


def is_sent_nowhere() -> bool:
    """Whether the project's mail is printed, kept in files or thrown away, instead of being sent."""
    return type(mail_connection()).__module__ in _NOWHERE


def _sentence(problem: Exception) -> str:
    code = f" ({problem.smtp_code})" if isinstance(problem, smtplib.SMTPResponseException) else ""
    match problem:
        case smtplib.SMTPRecipientsRefused():
            codes = sorted({code for code, _ in problem.recipients.values()})
            return f"The mail server refuses the address ({', '.join(map(str, codes))})."
        case smtplib.SMTPAuthenticationError():
            return f"The mail server refuses the sign-in{code}."
        case smtplib.SMTPSenderRefused():
            return f"The mail server refuses the sender{code}."
        case smtplib.SMTPServerDisconnected():
            return "The mail server ended the connection."
        case smtplib.SMTPException():
            return f"The mail server refuses the e-mail{code}."
        case TimeoutError():
            return f"The mail server gave no answer within {TIMEOUT} s."
        case socket.gaierror():
            return "There is no host of the mail server's name."
        case ssl.SSLCertVerificationError():
            return f"The mail server's certificate is not accepted: {problem.verify_message}."
        case OSError():
            return f"The mail server did not answer: {problem.strerror or type(problem).__name__}."
    return f"The e-mail could not be sent ({type(problem).__name__})."
