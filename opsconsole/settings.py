"""Settings, driven by the environment (see the table in README.md). A missing or wrong value is refused by its name.

`make up` keeps what it generates in `var/opsconsole.env`; that file is read here and never overrides the environment.
"""

from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from opsconsole.navigation import UNFOLD as UNFOLD

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(environ.Env().str("OPSCONSOLE_VAR", default="") or BASE_DIR / "var")

env = environ.Env()
env.read_env(VAR_DIR / "opsconsole.env")


def _required(name: str, remedy: str) -> str:
    value = str(env(name, default="")).strip()
    if not value:
        raise ImproperlyConfigured(f"{name} is not set. {remedy}")
    return value


def _integer(name: str, default: int) -> int:
    try:
        return int(env(name, default=default))
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {env(name)!r}.") from None


def _switch(name: str, default: bool) -> bool:
    value = str(env(name, default="on" if default else "off")).strip().lower()
    if value not in {"on", "off", "true", "false", "1", "0", "yes", "no"}:
        raise ImproperlyConfigured(f"{name} must be on or off, not {value!r}.")
    return value in {"on", "true", "1", "yes"}


def _words(name: str, default: list[str]) -> list[str]:
    return [word.strip() for word in env.list(name, default=default) if word.strip()]


# --- Core ---
SECRET_KEY = _required("SECRET_KEY", "Set it to 50 random characters, or start with `make up`, which makes one.")
DEBUG = _switch("DEBUG", default=False)
ALLOWED_HOSTS = _words("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = _words("CSRF_TRUSTED_ORIGINS", [])
ENVIRONMENT_LABEL = str(env("ENVIRONMENT_LABEL", default="Local"))
RELEASE = str(env("RELEASE", default="unknown"))
ROOT_URLCONF = "opsconsole.urls"
WSGI_APPLICATION = "opsconsole.wsgi.application"

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_celery_beat",
    "django_celery_results",
    "jobs.apps.JobsConfig",
    "admin_ext.apps.AdminExtConfig",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        # Found before Unfold's own templates, so that the few that we replace (docs/decisions/0006) win.
        "DIRS": [BASE_DIR / "admin_ext" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "admin_ext.machinery.machinery",
            ],
        },
    },
]

# --- Database: SQLite unless DATABASE_URL says otherwise ---
_database_url = str(env("DATABASE_URL", default=""))
_scheme = urlsplit(_database_url).scheme if _database_url else "sqlite"
if _scheme not in {"sqlite", "postgres", "postgresql"}:
    raise ImproperlyConfigured(
        f"DATABASE_URL has the scheme {_scheme or 'none'!r}; the console runs on SQLite and PostgreSQL. "
        "Write postgres://user:password@host:5432/name, or unset it to use SQLite under var/."
    )
# The default is not spelled as a URL: a folder may have a `+` or a `?` in its name.
DATABASES: dict[str, Any] = {
    "default": env.db_url_config(_database_url)
    if _database_url
    else {"ENGINE": "django.db.backends.sqlite3", "NAME": str(VAR_DIR / "opsconsole.sqlite3")}
}
if _scheme == "sqlite":
    DATABASES["default"]["OPTIONS"] = {
        # Several processes write: wait for the lock, take it when the transaction begins (an upgrade of a read lock
        # fails at once, whatever the timeout), and let readers go on meanwhile.
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
else:
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    DATABASES["default"]["OPTIONS"] = {"connect_timeout": 3, **DATABASES["default"].get("OPTIONS", {})}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Time and language ---
LANGUAGE_CODE = "en"
TIME_ZONE = str(env("TIME_ZONE", default="UTC"))
USE_TZ = True
USE_I18N = True
USE_THOUSAND_SEPARATOR = False

# --- Files ---
STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
MEDIA_ROOT = Path(str(env("FILES_DIR", default=str(VAR_DIR / "files"))))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}
UPLOAD_MAX_MB = _integer("UPLOAD_MAX_MB", 10)
# Static files come straight from the packages, so no `collectstatic` stands between a clone and a styled page.
WHITENOISE_USE_FINDERS = True

# --- Security ---
HTTPS = _switch("HTTPS", default=True)
SECURE_SSL_REDIRECT = HTTPS
BEHIND_PROXY = _switch("BEHIND_PROXY", default=False)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_PROXY else None
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^livez$", r"^readyz$"]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_AGE = 8 * 60 * 60
CSRF_COOKIE_HTTPONLY = True
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        # Unfold ships the build of Alpine that evaluates expressions: reliability.md S8 and docs/decisions/0006.
        "script-src": ["'self'", "'unsafe-eval'"],
        "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "object-src": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}

# --- Redis ---
REDIS_URL = _required(
    "REDIS_URL",
    "Write it as redis://host:6379/0 or redis+socket:///path, or start with `make up`, which brings its own.",
)
_redis = urlsplit(REDIS_URL)
if _redis.scheme not in {"redis", "rediss", "redis+socket"} or not (_redis.hostname or _redis.path):
    raise ImproperlyConfigured(
        f"REDIS_URL has the scheme {_redis.scheme or 'none'!r}. Write redis://host:6379/0 or redis+socket:///path."
    )
if _redis.scheme == "rediss" and "ssl_cert_reqs" not in _redis.query:
    # Celery refuses a TLS address that does not say whether to look at the server's certificate.
    REDIS_URL += ("&" if _redis.query else "?") + "ssl_cert_reqs=required"

# --- Celery: each value with its reason; tests/unit/test_settings_contract.py holds them ---
CELERY_BROKER_URL = REDIS_URL
# The result backend that also appends the final fact to the stream. A socket is spelled `socket://` there.
CELERY_RESULT_BACKEND = "jobs.pipeline.backend:RecordingBackend+" + REDIS_URL.removeprefix("redis+")
CELERY_IMPORTS = tuple(_words("TASK_MODULES", []))  # modules with tasks besides each application's `tasks`
CELERY_TASK_SERIALIZER = CELERY_RESULT_SERIALIZER = "json"  # pickle is code
CELERY_ACCEPT_CONTENT = CELERY_RESULT_ACCEPT_CONTENT = ["json"]
CELERY_RESULT_EXTENDED = True
# None, so that beat installs no clean-up that deletes history; the backend expires its Redis keys itself.
CELERY_RESULT_EXPIRES = None
CELERY_TASK_TRACK_STARTED = False  # a second write per task, and a database outage would swallow the message
CELERY_TASK_ACKS_LATE = False  # the claim decides, redelivery is not needed and the worker survives a Redis restart
CELERY_TASK_REJECT_ON_WORKER_LOST = False  # an endless crash loop otherwise
CELERY_TASK_CREATE_MISSING_QUEUES = False  # a typing error would make a queue that nobody consumes
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_DEFAULT_EXCHANGE = "opsconsole"
QUEUES = _words("QUEUES", ["default", "reports"])
if CELERY_TASK_DEFAULT_QUEUE not in QUEUES:
    raise ImproperlyConfigured("QUEUES must name the queue default; add it to the list.")
CELERY_TASK_QUEUES = {name: {"exchange": "opsconsole", "routing_key": name} for name in QUEUES}
CELERY_TASK_SOFT_TIME_LIMIT = _integer("TASK_SOFT_TIME_LIMIT", 540)
CELERY_TASK_TIME_LIMIT = _integer("TASK_TIME_LIMIT", 600)
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.5}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1  # no hoarding: a reserved message waits for one worker only
CELERY_WORKER_MAX_TASKS_PER_CHILD = 200
CELERY_WORKER_MAX_MEMORY_PER_CHILD = 300_000  # kB
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 20  # with REMAP_SIGTERM=SIGQUIT in the Procfile; give it 30 s before SIGKILL
# Seen with 5.7.0: an idle worker gives its reserved ETA messages back within 2 s without it; with it every idle stop
# would last the whole 20 s.
CELERY_WORKER_ENABLE_SOFT_SHUTDOWN_ON_IDLE = False
CELERY_WORKER_ETA_TASK_LIMIT = 1000
CELERY_WORKER_HIJACK_ROOT_LOGGER = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # the default gives up after about 50 minutes
CELERY_BROKER_CHANNEL_ERROR_RETRY = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 3600,
    "socket_timeout": 5,  # unbounded by default: a frozen Redis would hang the publisher
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "health_check_interval": 25,
}
CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS = {
    "visibility_timeout": 3600,
    # A finished job keeps its result in hand for five minutes of Redis outage before it gives up.
    "retry_policy": {"max_retries": 300, "interval_start": 0, "interval_step": 0.2, "interval_max": 1},
}
CELERY_VISIBILITY_TIMEOUT = 3600
CELERY_REDIS_SOCKET_TIMEOUT = 5.0
CELERY_REDIS_SOCKET_CONNECT_TIMEOUT = 2.0
CELERY_TIMEZONE = "UTC"
CELERY_ENABLE_UTC = True
CELERY_BEAT_SCHEDULER = "jobs.schedules.scheduler:ConsoleScheduler"
CELERY_BEAT_SYNC_EVERY = 1  # what was sent is saved at once; by default a kill within three minutes sends it again
CELERY_BEAT_CRON_STARTING_DEADLINE = 600  # a missed hour must not fire at the wrong one
DJANGO_CELERY_BEAT_TZ_AWARE = True

LOG_LEVEL = str(env("LOG_LEVEL", default="INFO")).upper()
if LOG_LEVEL not in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}:
    raise ImproperlyConfigured(f"LOG_LEVEL must be DEBUG, INFO, WARNING, ERROR or CRITICAL, not {LOG_LEVEL!r}.")

# --- Logs: one line each, to standard output ---
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
}
# The REDIS_URL may hold a password; this form is fit for a page.
REDIS_URL_SHOWN = REDIS_URL.replace(quote(_redis.password or "", safe=""), "***") if _redis.password else REDIS_URL
