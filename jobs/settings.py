"""What the console needs of Celery's settings, and what it reads besides: each value with its reason.

A project calls it through `admin_ext.join.console`; nothing here reads Django's settings, which are being made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from kombu import Exchange, Queue
from kombu.transport import TRANSPORT_ALIASES

from jobs.alerts.asked import checked_addresses, checked_after, checked_console_url, checked_webhook
from jobs.fleet.broker import MEMORY, SENTINEL
from jobs.ledger.keeping import parse_keeping

#: What else Celery takes as a broker.
OTHERS = TRANSPORT_ALIASES.keys() - {"redis", "rediss", "sentinel"}
_SENTINEL_OPTIONS = ("master_name", "min_other_sentinels", "sentinel_kwargs")
#: The queues of the jobs that ship, besides the project's own.
QUEUES = ("default", "reports")
RETENTION = "runs 90 d, failed 1 y"
#: Modules of `jobs.library` that a project may leave out.
SHIPPED_JOBS = (
    "diagnostics",
    "dormant_users",
    "mail",
    "reports",
    "sessions",
    "staff_activity",
    "user_export",
    "user_import",
    "users",
    "web_check",
)

#: A project may have other values of these; what it has set stays.
_DEFAULTS: dict[str, Any] = {
    "ENVIRONMENT_LABEL": "Local",
    "RELEASE": "unknown",
    "BEHIND_PROXY": False,
    "UPLOAD_MAX_MB": 10,
    "ALERT_WEBHOOK_SECRET": "",
    "ALERT_TROUBLES": "",  # who can tell what stands wrong: a dotted path; admin_ext.join sets it
    "CELERY_TASK_PUBLISH_RETRY_POLICY": {
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0.2,
        "interval_max": 0.5,
    },
    "CELERY_WORKER_PREFETCH_MULTIPLIER": 1,  # no hoarding: a reserved message waits for one worker only
    "CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT": 20,  # with REMAP_SIGTERM=SIGQUIT; give it 30 s before SIGKILL
    # Seen with 5.7.0: an idle worker gives its reserved ETA messages back within 2 s without it; with it every idle
    # stop would last the whole 20 s.
    "CELERY_WORKER_ENABLE_SOFT_SHUTDOWN_ON_IDLE": False,
    "CELERY_WORKER_ETA_TASK_LIMIT": 1000,
    "CELERY_WORKER_REDIRECT_STDOUTS_LEVEL": "INFO",  # what a job prints is no warning
    "CELERY_DB_REUSE_MAX": 1000,  # tasks; without it each claim opens a connection (jobs/pipeline/connections.py)
    "CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP": True,
    "CELERY_BROKER_CONNECTION_MAX_RETRIES": None,  # the default gives up after about 50 minutes
    "CELERY_BROKER_CHANNEL_ERROR_RETRY": True,
    "CELERY_VISIBILITY_TIMEOUT": 3600,
    "CELERY_REDIS_SOCKET_TIMEOUT": 5.0,
    "CELERY_REDIS_SOCKET_CONNECT_TIMEOUT": 2.0,
    "CELERY_BEAT_SYNC_EVERY": 1,  # what was sent is saved at once; by default a kill within three minutes repeats it
    "CELERY_BEAT_CRON_STARTING_DEADLINE": 600,  # a missed hour must not fire at the wrong one
    "DJANGO_CELERY_BEAT_TZ_AWARE": True,
}
#: Without these nothing is recorded, or promised for nothing.
_NEEDED: dict[str, Any] = {
    "CELERY_RESULT_EXTENDED": True,
    "CELERY_TASK_TRACK_STARTED": False,  # a second write per task, and a database outage would swallow the message
    "CELERY_TASK_REJECT_ON_WORKER_LOST": False,  # an endless crash loop otherwise
    "CELERY_BEAT_SCHEDULER": "jobs.schedules.scheduler:ConsoleScheduler",
}
_TRANSPORT = {
    "socket_timeout": 5,  # unbounded by default: a frozen Redis would hang the publisher
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "health_check_interval": 25,
}
#: A finished job keeps its result in hand for five minutes of Redis outage before it gives up.
_RESULT_RETRIES = {"max_retries": 300, "interval_start": 0, "interval_step": 0.2, "interval_max": 1}


@dataclass(frozen=True, slots=True)
class Joined:
    """What an earlier call made of a project's settings, so that one in a module that imports them begins anew.

    Attributes:
        address_setting: the name of the setting that says where Redis is.
        redis_url, files: the arguments.
        before, made: the settings that the call has changed, as they were and as they are since.
    """

    address_setting: str
    redis_url: str = ""
    files: Any = None
    before: Mapping[str, Any] = field(default_factory=dict, repr=False)
    made: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def take_back(self, settings: dict[str, Any]) -> None:
        """Undo it, except for what the project has set since."""
        for name, value in self.made.items():
            if not is_same(now := settings.get(name), value):
                if name == "INSTALLED_APPS":
                    # Ours go to the end again, behind those that have come since.
                    settings[name] = [app for app in now or () if app not in value or app in self.before[name]]
            elif name in self.before:
                settings[name] = copied(self.before[name])
            else:
                del settings[name]


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of `after` that `before` has not, or has with another value, each as a copy."""
    return {
        name: copied(value) for name, value in after.items() if name not in before or not is_same(before[name], value)
    }


def copied(value: Any) -> Any:
    """The same, in containers of its own: a settings module adds to those that it imports."""
    if isinstance(value, dict):
        return {name: copied(one) for name, one in value.items()}
    return type(value)(map(copied, value)) if type(value) in (list, tuple) else value


def is_same(one: Any, other: Any) -> bool:
    """Whether nobody has changed it. A lazy value is never looked into: settings are still being made."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_same(one[name], other[name]) for name in one)
    if isinstance(one, (list, tuple)) and type(one) is type(other):
        return len(one) == len(other) and all(map(is_same, one, other))
    return one is other or (type(one) is type(other) and isinstance(one, (str, int, float, PurePath)) and one == other)


def settings_of(project: Mapping[str, Any], redis_url: str = "") -> dict[str, Any]:
    """The settings to add to a project's own.

    Without Redis (`memory://`, or no address where tasks are eager: tests) results stay where the project has them.

    Args:
        project: its settings so far.
        redis_url: where Redis is; else CELERY_BROKER_URL or REDIS_URL of the project.

    Raises:
        ImproperlyConfigured: no Redis is named, or a value cannot be read.
    """
    name = address_setting(project, redis_url)
    url = str(redis_url or project.get(name) or (MEMORY if project.get("CELERY_TASK_ALWAYS_EAGER") else ""))
    recorded: dict[str, Any] = {}
    if not url.startswith(MEMORY):
        url, recorded = _redis(project, url, name)
    visible = project.get("CELERY_VISIBILITY_TIMEOUT", _DEFAULTS["CELERY_VISIBILITY_TIMEOUT"])
    transport = {"visibility_timeout": visible, **_TRANSPORT, **(project.get("CELERY_BROKER_TRANSPORT_OPTIONS") or {})}
    results = project.get("CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS") or {}
    # All three must agree, or a message is delivered again while another part still counts on it.
    visible = transport["visibility_timeout"]
    queues = _queues(project)
    return {
        "QUEUES": _names(queues),
        **{name: value for name, value in _DEFAULTS.items() if name not in project},
        **_NEEDED,
        "UPLOAD_MAX_MB": _upload(project.get("UPLOAD_MAX_MB", _DEFAULTS["UPLOAD_MAX_MB"])),
        "RETENTION": _retention(project.get("RETENTION", RETENTION)),
        "SHIPPED_JOBS": shipped_jobs(project.get("SHIPPED_JOBS", True)),
        "ALERT_MAIL_TO": checked_addresses(project.get("ALERT_MAIL_TO") or ()),
        "ALERT_WEBHOOK": checked_webhook(project.get("ALERT_WEBHOOK") or ""),
        "ALERT_AFTER": checked_after(project.get("ALERT_AFTER", 60)),
        "CONSOLE_URL": checked_console_url(project.get("CONSOLE_URL") or ""),
        "CELERY_BROKER_URL": url,
        **recorded,
        "CELERY_VISIBILITY_TIMEOUT": visible,
        "CELERY_BROKER_TRANSPORT_OPTIONS": transport,
        "CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS": {
            "retry_policy": _RESULT_RETRIES,
            # Results lie where messages do: what says how to find the primary holds for both.
            **{name: transport[name] for name in _SENTINEL_OPTIONS if name in transport},
            **results,
            "visibility_timeout": visible,
        },
        "CELERY_TASK_QUEUES": queues,
    }


def address_setting(project: Mapping[str, Any], redis_url: str = "") -> str:
    """The name under which the project says where Redis is. A project may have a REDIS_URL that is of its cache."""
    if redis_url:
        return "redis_url"
    return "REDIS_URL" if project.get("REDIS_URL") and not project.get("CELERY_BROKER_URL") else "CELERY_BROKER_URL"


def _redis(project: Mapping[str, Any], url: str, name: str) -> tuple[str, dict[str, Any]]:
    """The address as all read it, and what goes with it: the result backend, and TLS for both its connections."""
    tls = project.get("CELERY_BROKER_USE_SSL") or project.get("CELERY_REDIS_BACKEND_USE_SSL")
    if tls and not isinstance(tls, Mapping):
        raise ImproperlyConfigured(
            "CELERY_BROKER_USE_SSL is no dictionary, and kombu would not encrypt. Write {'ssl_cert_reqs': "
            "ssl.CERT_REQUIRED}, and 'ssl_ca_certs' with the path of a certificate authority of your own."
        )
    url = checked_url(url, name, tls=bool(tls))
    kind = "RecordingBackend"
    if url.startswith(SENTINEL):
        kind = "RecordingSentinelBackend"
        if not (project.get("CELERY_BROKER_TRANSPORT_OPTIONS") or {}).get("master_name"):
            raise ImproperlyConfigured(
                "CELERY_BROKER_TRANSPORT_OPTIONS has no master_name, so no sentinel can be asked. Write "
                "{'master_name': 'mymaster'}, as the sentinels call it."
            )
    # The result backend that also appends the final fact to the stream. A socket is spelled `socket://` there.
    backend = {"CELERY_RESULT_BACKEND": f"jobs.pipeline.backend:{kind}+{url.removeprefix('redis+')}"}
    return url, backend | ({"CELERY_BROKER_USE_SSL": tls, "CELERY_REDIS_BACKEND_USE_SSL": tls} if tls else {})


def checked_url(url: str, name: str, *, tls: bool = False) -> str:
    """The address of Redis as Celery takes it.

    Args:
        name: of the setting that says so, for whoever has to correct it.
        tls: another setting says how to encrypt.

    Raises:
        ImproperlyConfigured: it is none.
    """
    if str(url).startswith(SENTINEL):
        nodes = str(url).split(";")
        if not all(node.startswith(SENTINEL) for node in nodes):
            raise ImproperlyConfigured(f"{name} has a sentinel without scheme. Write each as sentinel://host:26379/0.")
        for node in nodes:
            checked_url(f"redis{node.removeprefix('sentinel')}", name)
        return str(url)
    if not url:
        raise ImproperlyConfigured(
            f"{name} is not set. Write it as redis://host:6379/0 or redis+socket:///path, and for tests without Redis "
            "as memory://."
        )
    # No sentence repeats the address: it may hold a password.
    remedy = "Write redis://host:6379/0 or redis+socket:///path."
    scheme = str(url).partition(":")[0] if ":" in str(url) else "none"
    if scheme in OTHERS or "cluster" in scheme:
        raise ImproperlyConfigured(
            f"{name} has the scheme {scheme!r}; the console works with one Redis, a primary and its replicas behind "
            f"sentinels among them, not with a cluster or another broker. {remedy}"
        )
    if scheme not in {"redis", "rediss", "redis+socket"}:
        raise ImproperlyConfigured(f"{name} has the scheme {scheme!r}. {remedy}")
    try:
        parts = urlsplit(str(url))
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ImproperlyConfigured(f"{name} has a port or a host that cannot be read. {remedy}") from None
    if scheme == "redis+socket":
        if not parts.path.startswith("/"):
            raise ImproperlyConfigured(f"{name} names no socket. {remedy}")
    elif not host:
        raise ImproperlyConfigured(f"{name} names no host. {remedy}")
    elif (database := parts.path.strip("/")) and not (database.isascii() and database.isdigit()):
        raise ImproperlyConfigured(f"{name} names a database that is no number. {remedy}")
    if parts.scheme == "rediss" and "ssl_cert_reqs" not in parts.query and not tls:
        # Celery refuses a TLS address that does not say whether to look at the server's certificate.
        return f"{url}{'&' if parts.query else '?'}ssl_cert_reqs=required"
    # Both Celery and redis-py read this spelling.
    return re.sub(r"(?<=ssl_cert_reqs=)CERT_([A-Z]+)", lambda found: found[1].lower(), str(url))


def shipped_jobs(wanted: Any) -> tuple[str, ...]:
    """The modules of `jobs.library` that are wanted besides what the console itself needs.

    Args:
        wanted: True for all, False for none, or their names.

    Raises:
        ImproperlyConfigured: it names one that does not exist.
    """
    if isinstance(wanted, bool):
        return SHIPPED_JOBS if wanted else ()
    names = () if isinstance(wanted, str) else tuple(wanted or ())
    if unknown := sorted({wanted} if isinstance(wanted, str) else {*map(str, names)} - {*SHIPPED_JOBS}):
        raise ImproperlyConfigured(
            f"SHIPPED_JOBS must be True, False or a list of {', '.join(SHIPPED_JOBS)}; {unknown[0]!r} is none of them."
        )
    return names


def _upload(megabytes: Any) -> Any:
    if isinstance(megabytes, bool) or not isinstance(megabytes, (int, float)) or megabytes <= 0:
        raise ImproperlyConfigured(f"UPLOAD_MAX_MB must be more than 0, not {megabytes!r}.")
    return megabytes


def _retention(rules: Any) -> Any:
    if not isinstance(rules, str):
        return rules
    try:
        return parse_keeping(rules)
    except ValueError as error:
        raise ImproperlyConfigured(f"RETENTION {error}") from None


def _queues(project: Mapping[str, Any]) -> Any:
    """The project's queues and those of QUEUES. A worker without `-Q` goes on listening on its old default queue."""
    exchange = project.get("CELERY_TASK_DEFAULT_EXCHANGE")
    names = tuple(project.get("QUEUES", QUEUES))
    own = project.get("CELERY_TASK_QUEUES")
    if own is None or isinstance(own, Mapping):
        default = (project.get("CELERY_TASK_DEFAULT_QUEUE", "celery"),) if own is None else ()
        wanted = {name: {"exchange": exchange or name, "routing_key": name} for name in (*default, *names)}
        return {**wanted, **(own or {})}
    known = {queue.name for queue in own}
    missing = [name for name in names if name not in known]
    return [*own, *(Queue(name, Exchange(exchange or name), routing_key=name) for name in missing)]


def _names(queues: Any) -> list[str]:
    return list(queues) if isinstance(queues, Mapping) else [queue.name for queue in queues]
