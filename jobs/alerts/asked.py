"""What the deployer asks for: to whom alerts go. Called while Django's settings are being made."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import validate_email

#: To more addresses than this a list of the mail server's own should go.
MOST_ADDRESSES = 20


def checked_addresses(addresses: str | Iterable[str]) -> list[str]:
    """ALERT_MAIL_TO, with commas or as a list: each address once.

    Raises:
        ImproperlyConfigured: one is no address, or there are too many.
    """
    words = addresses.split(",") if isinstance(addresses, str) else addresses
    found = list(dict.fromkeys(word.strip() for word in words if word.strip()))
    for address in found:
        try:
            validate_email(address)
        except ValidationError:
            raise ImproperlyConfigured(f"ALERT_MAIL_TO holds {address!r}, which is no address.") from None
    if len(found) > MOST_ADDRESSES:
        raise ImproperlyConfigured(f"ALERT_MAIL_TO holds {len(found)} addresses, at most {MOST_ADDRESSES} may be.")
    return found


def checked_webhook(url: str) -> str:
    """ALERT_WEBHOOK: an https address; http only inside of the house, where no name or number is public.

    Raises:
        ImproperlyConfigured: it is none. The text does not repeat the address, which may hold a token.
    """
    url = str(url).strip()
    if not url:
        return ""
    try:
        parts = urlsplit(url)
        named, _ = parts.hostname or "", parts.port
    except ValueError:
        named = ""
    if not named or parts.scheme not in {"http", "https"}:
        raise ImproperlyConfigured("ALERT_WEBHOOK is no web address. Write https://host/path.")
    if parts.username is not None or parts.password is not None:
        raise ImproperlyConfigured("ALERT_WEBHOOK holds a user or a password. Set ALERT_WEBHOOK_SECRET instead.")
    if parts.scheme == "http" and not _inside(named):
        raise ImproperlyConfigured("ALERT_WEBHOOK is http:// to a public host. Write https://.")
    return url


def checked_console_url(url: str) -> str:
    """CONSOLE_URL without the slash at its end.

    Raises:
        ImproperlyConfigured: it is no web address.
    """
    url = str(url).strip().rstrip("/")
    try:
        parts = urlsplit(url)
        fine = parts.scheme in {"http", "https"} and parts.netloc and not parts.query and not parts.fragment
    except ValueError:
        fine = False
    if url and not fine:
        raise ImproperlyConfigured(f"CONSOLE_URL is {url!r}. Write it as https://console.example.com.")
    return url


def checked_after(seconds: Any) -> int:
    """ALERT_AFTER, in seconds.

    Raises:
        ImproperlyConfigured: it is no number that a trouble could stand.
    """
    if not isinstance(seconds, int) or not 0 <= seconds <= 86_400:
        raise ImproperlyConfigured(f"ALERT_AFTER is {seconds!r}. Write whole seconds, 0 to 86400.")
    return seconds


def _inside(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host
