"""`console(globals())`: the line of a settings module that joins a Django project to the console.

It sets what the console cannot do without, gives a default to what it reads besides, and leaves everything else as it
is. A line after the call has the last word. The project of this repository joins by the same call.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from admin_ext.frame.navigation import UNFOLD
from jobs.settings import Joined, address_setting, changed, copied, is_same, settings_of

TEMPLATES = Path(__file__).resolve().parent / "templates"
_LOOKS = ("admin_ext.looks.LooksConfig", "unfold.contrib.filters", "unfold.contrib.forms")
#: Unfold's own entries, of which the first takes the place.
_UNFOLD = {"unfold", "unfold.apps.DefaultAppConfig", "unfold.apps.BasicAppConfig"}
_ADMIN = "django.contrib.admin"
#: Other skins of the admin: two at a time make no page that can be used.
_SKINS = {
    *("jazzmin", "grappelli", "baton", "suit", "admin_interface", "jet", "jet_reboot", "material", "simpleui"),
    *("semantic_admin", "adminlte3", "admin_tools", "admin_volt", "admin_soft", "admin_black", "admin_datta"),
}
#: Last, so that what they take the place of is registered already.
_APPLICATIONS = ("django_celery_beat", "django_celery_results", "jobs.apps.JobsConfig", "admin_ext.apps.AdminExtConfig")
_ENGINE = "django.template.backends.django.DjangoTemplates"
#: Differs from it in what Django could not send at all.
_SAFE_ENGINE = "admin_ext.engine.DjangoTemplates"
_CONTEXT = "admin_ext.frame.machinery.machinery"
#: What the recorder calls to learn what stands wrong: `jobs` knows no pages.
_TROUBLES = "admin_ext.overview.alerts.look"


def console(settings: dict[str, Any], *, redis_url: str = "", files: Path | str | None = None) -> None:
    """Complete a project's settings in place.

    A module that imports settings which have called it calls it again, once it has changed what the console reads: that
    call begins with what the project itself has set, and takes an argument that it is not given from the earlier one.

    Args:
        settings: `globals()` of the settings module, at its end.
        redis_url: where Redis is; else CELERY_BROKER_URL or REDIS_URL.
        files: the folder for files of runs and uploads, which the site must not serve; else the storage `console` of
            STORAGES, else the default one.

    Raises:
        ImproperlyConfigured: the project has something that the console cannot live with.
    """
    if not settings.get("USE_TZ", True):
        raise ImproperlyConfigured("USE_TZ is off; the console compares moments of several machines. Turn it on.")
    earlier: Joined | None = settings.pop("CONSOLE_JOINED", None)
    if earlier is not None:
        redis_url = redis_url or ("" if _has_moved(settings, earlier) else earlier.redis_url)
        files = earlier.files if files is None else files
        earlier.take_back(settings)
    before = {name: copied(value) for name, value in settings.items() if name.isupper()}
    _add_applications(settings)
    _add_templates(settings)
    _share_sqlite(settings)
    if files is not None:
        local = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(files)}}
        settings["STORAGES"] = {**_storages(settings), "console": local}
    settings["UNFOLD"] = _looks(settings.get("UNFOLD") or {})
    settings.update(settings_of(settings, redis_url))
    settings["ALERT_TROUBLES"] = settings["ALERT_TROUBLES"] or _TROUBLES
    made = changed(before, {name: value for name, value in settings.items() if name.isupper()})
    name = address_setting(before, redis_url)
    settings["CONSOLE_JOINED"] = Joined(
        name, redis_url, files, {name: before[name] for name in made.keys() & before.keys()}, made
    )


def _has_moved(settings: dict[str, Any], earlier: Joined) -> bool:
    """Whether the project says since then itself where Redis is."""
    return settings.get("CELERY_BROKER_URL") != earlier.made.get("CELERY_BROKER_URL")


def _add_applications(settings: dict[str, Any]) -> None:
    apps = list(settings.get("INSTALLED_APPS", ()))
    if skins := sorted({name.partition(".")[0] for name in apps} & _SKINS):
        raise ImproperlyConfigured(
            f"INSTALLED_APPS has {' and '.join(skins)}, another skin than Unfold, which the console wears; take it out."
        )
    admin = next((name for name in apps if name == _ADMIN), None) or next(filter(_is_admin, apps), None)
    if admin is None:
        raise ImproperlyConfigured("INSTALLED_APPS has no django.contrib.admin; the console is a part of the admin.")
    apps = [_LOOKS[0] if name in _UNFOLD else name for name in apps]
    place = apps.index(admin)
    if _LOOKS[0] in apps and apps.index(_LOOKS[0]) > place:
        raise ImproperlyConfigured(f"INSTALLED_APPS names unfold after {admin}; put it before.")
    apps[place:place] = [name for name in _LOOKS if name not in apps]
    settings["INSTALLED_APPS"] = [*apps, *(name for name in _APPLICATIONS if name not in apps)]


def _is_admin(name: str) -> bool:
    """Whether an entry is the project's own `AdminConfig`."""
    if not name.rpartition(".")[2][:1].isupper():
        return False
    try:
        return bool(getattr(import_string(name), "name", None) == _ADMIN)
    except Exception:  # noqa: BLE001 - what it needs is not set yet, or is wrong: Django will say so
        return False


def _add_templates(settings: dict[str, Any]) -> None:
    engines = [engine for engine in settings.get("TEMPLATES", ()) if engine["BACKEND"].endswith("DjangoTemplates")]
    if not engines:
        raise ImproperlyConfigured("TEMPLATES has no DjangoTemplates; the admin cannot do without.")
    for engine in engines:
        if engine["BACKEND"] == _ENGINE:
            engine["NAME"] = engine.get("NAME", "django")  # as that of the one it takes the place of
            engine["BACKEND"] = _SAFE_ENGINE
        # After the project's own folders and before every application, so that the few of Unfold's templates that we
        # replace (docs/decisions/0006) are found first.
        engine["DIRS"] = [*(folder for folder in engine.get("DIRS", ()) if folder != TEMPLATES), TEMPLATES]
        processors = engine.setdefault("OPTIONS", {}).setdefault("context_processors", [])
        if _CONTEXT not in processors:
            engine["OPTIONS"]["context_processors"] = [*processors, _CONTEXT]


def _share_sqlite(settings: dict[str, Any]) -> None:
    database = settings.get("DATABASES", {}).get("default", {})
    engine = str(database.get("ENGINE", "")).rpartition(".")[2]
    if engine == "sqlite3":
        # Several processes write: wait for the lock, take it when the transaction begins (an upgrade of a read lock
        # fails at once, whatever the timeout), and let readers go on meanwhile.
        database["OPTIONS"] = {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            **database.get("OPTIONS", {}),
        }
    elif engine in {"mysql", "oracle"}:
        raise ImproperlyConfigured(f"DATABASES: the console runs on SQLite and PostgreSQL, not on {engine}.")


def _storages(settings: dict[str, Any]) -> dict[str, Any]:
    return settings.get("STORAGES") or {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }


def _looks(own: dict[str, Any]) -> dict[str, Any]:
    """Unfold's settings: the project's own first, the console's beside them, every other page one click away."""
    sidebar = {"show_all_applications": True, **UNFOLD["SIDEBAR"], **own.get("SIDEBAR", {})}
    sidebar["navigation"] = _after(UNFOLD["SIDEBAR"]["navigation"], own.get("SIDEBAR", {}).get("navigation", ()))
    return {
        **UNFOLD,
        **own,
        "STYLES": _after(UNFOLD["STYLES"], own.get("STYLES", ())),
        "SCRIPTS": _after(UNFOLD["SCRIPTS"], own.get("SCRIPTS", ())),
        "SIDEBAR": sidebar,
    }


def _after(ours: Sequence[Any], own: Sequence[Any]) -> list[Any]:
    """The project's own after ours, which an earlier call may have put there already."""
    return [*ours, *(one for one in own if not any(is_same(one, mine) for mine in ours))]
