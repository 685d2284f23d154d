"""Settings, driven by the environment (see the table in README.md). A missing or wrong value is refused by its name;
an empty one is as good as none.

`make up` keeps what it generates in `var/opsconsole.env`; that file is read here and never overrides the environment.
"""

from importlib.machinery import PathFinder
from importlib.util import find_spec
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import environ
from django.core.exceptions import ImproperlyConfigured

from admin_ext.join import console
from jobs.fleet.broker import SENTINEL
from opsconsole import sentinels

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(environ.Env().str("OPSCONSOLE_VAR", default="") or BASE_DIR / "var")

env = environ.Env()
env.read_env(VAR_DIR / "opsconsole.env")


def _text(name: str, default: str) -> str:
    return str(env(name, default="")).strip() or default


def _required(name: str, remedy: str) -> str:
    value = _text(name, "")
    if not value:
        raise ImproperlyConfigured(f"{name} is not set. {remedy}")
    return value


def _integer(name: str, default: int, least: int = 0) -> int:
    text = _text(name, str(default))
    try:
        value = int(text)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {text!r}.") from None
    if value < least:
        raise ImproperlyConfigured(f"{name} must be {least} or more, not {value}.")
    return value


def _switch(name: str, default: bool) -> bool:
    value = _text(name, "on" if default else "off").lower()
    if value not in {"on", "off", "true", "false", "1", "0", "yes", "no"}:
        raise ImproperlyConfigured(f"{name} must be on or off, not {value!r}.")
    return value in {"on", "true", "1", "yes"}


def _words(name: str, default: list[str]) -> list[str]:
    return [word.strip() for word in env.list(name, default=[]) if word.strip()] or default


def _zone(name: str, default: str) -> str:
    value = _text(name, default)
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ImproperlyConfigured(
            f"{name} is {value!r}, which is no time zone. Write Europe/Vilnius or UTC."
        ) from None
    return value


def _modules(name: str) -> tuple[str, ...]:
    found = tuple(_words(name, []))
    for module in found:
        if not _exists(module):
            raise ImproperlyConfigured(f"{name} names {module!r}, and there is no such module.")
    return found


def _exists(module: str) -> bool:
    """Whether it can be found; nothing of it is imported, because what it imports may need these settings."""
    first, *rest = module.split(".")
    if not all(part.isidentifier() for part in (first, *rest)):
        return False
    found, name = find_spec(first), first
    for part in rest:
        places = found.submodule_search_locations if found else None
        name = f"{name}.{part}"
        found = PathFinder.find_spec(name, places) if places else None
    return found is not None


# --- Core ---
SECRET_KEY = _required("SECRET_KEY", "Set it to 50 random characters, or start with `make up`, which makes one.")
DEBUG = _switch("DEBUG", default=False)
ALLOWED_HOSTS = _words("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = _words("CSRF_TRUSTED_ORIGINS", [])
ENVIRONMENT_LABEL = _text("ENVIRONMENT_LABEL", "Local")
if len(SECRET_KEY) < 32 and ENVIRONMENT_LABEL != "Local":
    raise ImproperlyConfigured(
        "SECRET_KEY is shorter than 32 characters, which can be guessed. Set it to 50 random ones."
    )
RELEASE = _text("RELEASE", "unknown")
ROOT_URLCONF = "opsconsole.urls"
WSGI_APPLICATION = "opsconsole.wsgi.application"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
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
        "DIRS": [BASE_DIR / "opsconsole" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- Database: SQLite unless DATABASE_URL says otherwise ---
_database_url = _text("DATABASE_URL", "")
_scheme = _database_url.partition(":")[0] if ":" in _database_url else "" if _database_url else "sqlite"
if _scheme not in {"sqlite", "postgres", "postgresql"}:
    raise ImproperlyConfigured(
        f"DATABASE_URL has the scheme {_scheme or 'none'!r}; the console runs on SQLite and PostgreSQL. "
        "Write postgres://user:password@host:5432/name, or unset it to use SQLite under var/."
    )
# The default is not spelled as a URL: a folder may have a `+` or a `?` in its name.
DATABASES: dict[str, Any] = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(VAR_DIR / "opsconsole.sqlite3")}
}
if _database_url:
    try:
        DATABASES["default"] = env.db_url_config(_database_url)
    except (KeyError, ValueError):
        raise ImproperlyConfigured(
            "DATABASE_URL cannot be read. Write postgres://user:password@host:5432/name or sqlite:///path."
        ) from None
if _scheme != "sqlite":
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    DATABASES["default"]["OPTIONS"] = {"connect_timeout": 3, **DATABASES["default"].get("OPTIONS", {})}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Time and language ---
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English")]  # Unfold looks up the name of each on every page, shown or not
TIME_ZONE = _zone("TIME_ZONE", "UTC")
USE_TZ = True
USE_I18N = True
USE_THOUSAND_SEPARATOR = False

# --- Files ---
STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
MEDIA_ROOT = Path(_text("FILES_DIR", str(VAR_DIR / "files")))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}
UPLOAD_MAX_MB = _integer("UPLOAD_MAX_MB", 10, least=1)

# --- Mail and the web, as the jobs that ship use them ---
try:
    vars().update(env.email_url_config(_text("EMAIL_URL", "consolemail://")))
except (KeyError, ValueError, ImproperlyConfigured):
    raise ImproperlyConfigured("EMAIL_URL cannot be read. Write smtp+tls://user:password@host:587.") from None
DEFAULT_FROM_EMAIL = _text("DEFAULT_FROM_EMAIL", "console@localhost")
WEB_CHECK_ALLOW = _words("WEB_CHECK_ALLOW", [])
for network in WEB_CHECK_ALLOW:
    try:
        ip_network(network)
    except ValueError:
        raise ImproperlyConfigured(
            f"WEB_CHECK_ALLOW holds {network!r}, which is no network; write 10.0.0.0/8."
        ) from None
# Static files come straight from the packages, so no `collectstatic` stands between a clone and a styled page.
WHITENOISE_USE_FINDERS = True

# --- Alerts: what needs a look, told outside by the recorder (docs/operations.md) ---
ALERT_MAIL_TO = _words("ALERT_MAIL_TO", [])
ALERT_WEBHOOK = str(env("ALERT_WEBHOOK", default=""))
ALERT_WEBHOOK_SECRET = str(env("ALERT_WEBHOOK_SECRET", default=""))
ALERT_AFTER = _integer("ALERT_AFTER", 60)
CONSOLE_URL = str(env("CONSOLE_URL", default=""))

# --- History ---
RETENTION: Any = _text("RETENTION", "runs 90 d, failed 1 y")  # read by jobs/ledger/keeping.py

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
AUTHENTICATION_BACKENDS = ["opsconsole.backends.OneStatementBackend"]
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
        # A page that a run has made, behind a policy of its own that allows nothing.
        "frame-src": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}

# --- Redis ---
REDIS_URL = _required(
    "REDIS_URL",
    "Write it as redis://host:6379/0 or redis+socket:///path, or start with `make up`, which brings its own.",
)

if REDIS_URL.startswith(SENTINEL):
    _required(sentinels.MASTER, sentinels.REMEDY)
    CELERY_BROKER_TRANSPORT_OPTIONS = sentinels.sentinel_options(env.ENVIRON)

# --- Celery: what the console itself needs is in jobs/settings.py; tests/unit/test_settings_contract.py holds them ---
CELERY_IMPORTS = _modules("TASK_MODULES")  # modules with tasks besides each application's `tasks`
CELERY_TASK_SERIALIZER = CELERY_RESULT_SERIALIZER = "json"  # pickle is code
CELERY_ACCEPT_CONTENT = CELERY_RESULT_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = False  # the claim decides, redelivery is not needed and the worker survives a Redis restart
CELERY_TASK_CREATE_MISSING_QUEUES = False  # a typing error would make a queue that nobody consumes
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_DEFAULT_EXCHANGE = "opsconsole"
QUEUES = _words("QUEUES", ["default", "reports"])
if CELERY_TASK_DEFAULT_QUEUE not in QUEUES:
    raise ImproperlyConfigured("QUEUES must name the queue default; add it to the list.")
CELERY_TASK_SOFT_TIME_LIMIT = _integer("TASK_SOFT_TIME_LIMIT", 540, least=1)
CELERY_TASK_TIME_LIMIT = _integer("TASK_TIME_LIMIT", 600, least=1)
if CELERY_TASK_SOFT_TIME_LIMIT >= CELERY_TASK_TIME_LIMIT:
    raise ImproperlyConfigured(
        f"TASK_SOFT_TIME_LIMIT ({CELERY_TASK_SOFT_TIME_LIMIT}) must be less than "
        f"TASK_TIME_LIMIT ({CELERY_TASK_TIME_LIMIT}), or no job is told before it is killed."
    )
CELERY_WORKER_MAX_TASKS_PER_CHILD = 200
CELERY_WORKER_MAX_MEMORY_PER_CHILD = 300_000  # kB
CELERY_WORKER_HIJACK_ROOT_LOGGER = True
CELERY_TIMEZONE = "UTC"
CELERY_ENABLE_UTC = True

LOG_LEVEL = _text("LOG_LEVEL", "INFO").upper()
if LOG_LEVEL not in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}:
    raise ImproperlyConfigured(f"LOG_LEVEL must be DEBUG, INFO, WARNING, ERROR or CRITICAL, not {LOG_LEVEL!r}.")

# --- Logs: one line each, to standard output ---
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "filters": {"refused": {"()": "opsconsole.logs.RefusedInOneLine"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["refused"]}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
}

UNFOLD = {"SIDEBAR": {"show_all_applications": False}}  # there is no other application

# --- The console, by the same line as in any project that it is added to (docs/integrate.md) ---
console(globals())
