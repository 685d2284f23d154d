"""A Celery application without Django: what lets its tasks be observed, and what becomes of console runs.

Its own settings stay. Only where results are kept is set: a result and what tells of it are written in one step.
"""

from __future__ import annotations

import logging
from typing import Any

from celery import _state
from celery.exceptions import Ignore

from jobs.compat import has_django
from jobs.errors import ConfigurationError
from jobs.fleet.broker import MEMORY

logger = logging.getLogger(__name__)

_SCHEMES = {"redis", "rediss", "redis+socket", "memory"}


def observe_outside(app: Any) -> None:
    """Without Django: let `app`'s results be kept in the Redis of its broker, whatever its `result_backend` says.

    That is known once it has its settings, and asked again should it be given others later.
    """
    if app.configured:
        _settle(app)
    app.on_after_configure.connect(_settle, weak=False, dispatch_uid="opsconsole.outside")


def _settle(sender: Any, **_: Any) -> None:
    if has_django():
        return
    if getattr(_state, "default_app", None) is None:
        sender.set_default()  # a thread that asks for the current application finds this one
    url = str(sender.conf.broker_url or "").partition(";")[0]
    scheme = url.partition(":")[0]
    if scheme not in _SCHEMES:
        raise ConfigurationError(f"The console needs Redis as the broker; broker_url has the scheme {scheme!r}.")
    if url.startswith(MEMORY):
        return  # tests inside of one process: nothing is recorded
    if scheme == "rediss" and "ssl_cert_reqs" not in url:
        # Celery refuses a TLS address that does not say whether to look at the server's certificate.
        url += f"{'&' if '?' in url else '?'}ssl_cert_reqs=required"
        sender.conf.broker_url = url
    # Goes before `result_backend` and its variable in the environment; a socket is spelled `socket://` there.
    sender.backend_cls = "jobs.pipeline.backend:RecordingBackend+" + url.removeprefix("redis+")
    sender.conf.result_extended = True


def refuse_claim(task_id: str, n: int, **_: Any) -> None:
    """A run that the console accepted came here, where no ledger can say whether it may begin.

    Raises:
        Ignore: always; the message is dropped, and the dispatcher publishes it again for a worker with Django.
    """
    logger.error("Run %s, execution %s: dropped, a worker without Django executes no runs of the console.", task_id, n)
    raise Ignore("no ledger")
