"""One careful request to an address that a person typed: the name is resolved, the answer is judged, and the connection
goes to the very address that was judged. What is inside the own network is refused, at every redirect anew."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urljoin, urlsplit

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
MOST_REDIRECTS = 5
#: Bytes of an answer that are read at most.
MOST_BYTES = 65_536
#: Characters of a path or query that are sent as they are; what is already written as %41 stays so.
_SAFE = "/%:@!$&'()*+,;=~-._?"
_REDIRECTS = {301, 302, 303, 307, 308}
_HEADERS = {"User-Agent": "opsconsole", "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close"}
#: Global by their bits, and yet they lead to an IPv4 address that they hold.
_TRANSLATED = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))


class Refused(Exception):
    """The address is not asked; the text says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one address. `status` is None where none came; then `error` says why.

    `ms` is None where nobody was asked at all, not even for a redirect.
    """

    url: str
    status: int | None
    ms: int | None
    redirected_to: str = ""
    error: str = ""


def ask(url: str, *, timeout: float, allowed: Sequence[Network] = ()) -> Answer:
    """GET `url`, following redirects; nothing takes longer than `timeout` seconds in all but the look-up of a name.

    Args:
        allowed: networks that may be asked although they are not public.
    """
    began = time.monotonic()
    here, status, error = url, None, ""
    asked = True
    try:
        for _ in range(MOST_REDIRECTS + 1):
            left = timeout - (time.monotonic() - began)
            if left <= 0:
                raise TimeoutError
            status, location = _get(here, left, allowed)
            if status not in _REDIRECTS or not location:
                break
            here = urljoin(here, location)
        else:
            error = f"It redirects more than {MOST_REDIRECTS} times."
    except Refused as refused:
        status, error, asked = None, str(refused), here != url
    except TimeoutError:
        status, error = None, f"No answer within {timeout:g} s."
    except socket.gaierror:
        status, error = None, "There is no such name."
    except ssl.SSLCertVerificationError as problem:
        status, error = None, f"Its certificate is not accepted: {problem.verify_message}."
    except (OSError, http.client.HTTPException, ValueError) as problem:
        late = time.monotonic() - began >= timeout
        status, error = None, f"No answer within {timeout:g} s." if late else f"It did not answer: {_told(problem)}."
    took = round((time.monotonic() - began) * 1000)
    return Answer(url, status, took if asked else None, here if here != url else "", error)


def public_address(host: str, port: int, allowed: Sequence[Network] = ()) -> Address:
    """An address of `host` that may be asked. A name with one address that may not be is refused altogether.

    Raises:
        Refused: an address is inside of a network, or reserved.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    for address in addresses:
        if not _may_ask(address, allowed):
            told = f"{host} is not public" if host == str(address) else f"{host} is {address}, which is not public"
            raise Refused(f"{told}. The setting WEB_CHECK_ALLOW can allow it.")
    return addresses[0]


def _may_ask(address: Address, allowed: Sequence[Network]) -> bool:
    if any(address in network for network in allowed):
        return True
    if isinstance(address, ipaddress.IPv6Address):
        if any(address in network for network in _TRANSLATED):
            return False
        inside = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inside is not None:
            return address.ipv4_mapped is not None and _may_ask(inside, allowed)
    return address.is_global and not address.is_multicast and not address.is_reserved


def _get(url: str, timeout: float, allowed: Sequence[Network]) -> tuple[int, str]:
    """Status and `Location` of one answer; its body is read within bounds and thrown away."""
    parts = address_parts(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = public_address(host, port, allowed)
    connection = _Pinned(host, port, address, timeout, secure=parts.scheme == "https")
    # A socket's own limit counts from byte to byte; one that drips would never end.
    watch = threading.Timer(timeout, connection.cut)
    watch.daemon = True
    watch.start()
    try:
        query = f"?{quote(parts.query, safe=_SAFE)}" if parts.query else ""
        connection.request("GET", quote(parts.path or "/", safe=_SAFE) + query, headers=_HEADERS)
        answer = connection.getresponse()
        answer.read(MOST_BYTES)
        if connection.was_cut:  # headers that end in the middle look whole
            raise TimeoutError
        return answer.status, answer.getheader("Location") or ""
    finally:
        watch.cancel()
        connection.close()


def address_parts(url: str) -> SplitResult:
    """The parts of an address that can be asked, its host in ASCII. No sentence repeats the address.

    Raises:
        Refused: it is none, or it holds what nobody may see.
    """
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode()
    except ValueError:
        raise Refused("It is no web address.") from None
    if parts.scheme not in {"http", "https"}:
        raise Refused("Only addresses that begin with http:// or https:// are asked.")
    if parts.username is not None or parts.password is not None:
        raise Refused("It holds a user name or a password; those would be shown to everybody.")
    if not host:
        raise Refused("It names no host, such as example.com.")
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        raise Refused("Its port is no number up to 65535.") from None
    return parts._replace(netloc=(f"[{host}]" if ":" in host else host) + port)


class _Pinned(http.client.HTTPConnection):
    """Speaks to `address` whatever the name says by now; the name is for the header and the certificate."""

    def __init__(self, host: str, port: int, address: Address, timeout: float, *, secure: bool) -> None:
        super().__init__(host, port, timeout=timeout)
        self._address = address
        self._secure = secure
        self.was_cut = False
        if secure:
            self.default_port = 443

    def connect(self) -> None:
        plain = socket.create_connection((str(self._address), self.port), self.timeout)
        self.sock = plain
        if self._secure:
            self.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=self.host)

    def cut(self) -> None:
        """End it from another thread."""
        self.was_cut = True
        sock = self.sock
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it has ended by itself


def _told(problem: Exception) -> str:
    reason = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
    return " ".join(str(reason).split())[:200].rstrip(".")
