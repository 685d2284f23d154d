"""One POST to the address that the deployer has set: no redirect, five seconds, little of the answer, TLS looked at."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import socket
import ssl
import threading
import time
from typing import Any
from urllib.parse import urlsplit

TIMEOUT = 5.0
#: Bytes of an answer that are read at most.
MOST_BYTES = 65_536
STAMP, SIGNATURE = "X-Opsconsole-Timestamp", "X-Opsconsole-Signature"


class _Cut:
    """Ends a connection from another thread: a socket's own limit counts from byte to byte, and a drip never ends."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self.done = False
        self._connection = connection

    def __call__(self) -> None:
        self.done = True
        sock = self._connection.sock
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it has ended by itself


def post(url: str, payload: dict[str, Any], secret: str) -> str:
    """Send it; "" where the receiver took it, else a sentence that says why not, without the address."""
    body = json.dumps(payload, ensure_ascii=False).encode()
    try:
        return _post(url, body, signed(body, secret, time.time()))
    except TimeoutError:
        return f"It gave no answer within {TIMEOUT:g} s."
    except socket.gaierror:
        return "There is no host of its name."
    except ssl.SSLCertVerificationError as problem:
        return f"Its certificate is not accepted: {problem.verify_message}."
    except (OSError, http.client.HTTPException, ValueError) as problem:
        return f"It did not answer: {getattr(problem, 'strerror', None) or type(problem).__name__}."


def signed(body: bytes, secret: str, at: float) -> dict[str, str]:
    """The headers of a body. With a secret its HMAC-SHA256 is over the time in whole seconds, a dot and the body."""
    stamp = str(int(at))
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "opsconsole", STAMP: stamp}
    if secret:
        digest = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
        headers[SIGNATURE] = f"sha256={digest}"
    return headers


def _post(url: str, body: bytes, headers: dict[str, str]) -> str:
    parts = urlsplit(url)
    host, path = str(parts.hostname), f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(
            host, parts.port, timeout=TIMEOUT, context=ssl.create_default_context()
        )
    else:
        connection = http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT)
    cut = _Cut(connection)
    watch = threading.Timer(TIMEOUT, cut)
    watch.daemon = True
    watch.start()
    try:
        connection.request("POST", path, body, {**headers, "Connection": "close"})
        answer = connection.getresponse()
        answer.read(MOST_BYTES)
    except (OSError, http.client.HTTPException):
        if cut.done:
            raise TimeoutError from None
        raise
    finally:
        watch.cancel()
        connection.close()
    if cut.done:  # headers that end in the middle look whole
        raise TimeoutError
    if 200 <= answer.status < 300:
        return ""
    if 300 <= answer.status < 400:
        return f"It redirects ({answer.status}), which is not followed."
    return f"It answered {answer.status}."
