"""`console(globals())`: what it sets, what it leaves, and what it refuses."""

from __future__ import annotations

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from django.conf import global_settings
from django.contrib.admin.apps import AdminConfig
from django.core.exceptions import ImproperlyConfigured
from kombu import Queue

from admin_ext.join import TEMPLATES, console


class OwnAdminConfig(AdminConfig):
    """As Django's documentation has it."""

    default_site = "shop.sites.Site"


PROJECT = Path(__file__).resolve().parents[2]
URL = "redis://localhost:6379/3"
#: What `django-admin startproject` writes, as far as it matters here.
PLAIN: dict[str, Any] = {
    "INSTALLED_APPS": ["django.contrib.admin", "django.contrib.auth", "shop"],
    "TEMPLATES": [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "DIRS": ["its own"],
            "APP_DIRS": True,
            "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
        }
    ],
    "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}},
    "USE_TZ": True,
    "CELERY_BROKER_URL": URL,
}


def joined(**own: Any) -> dict[str, Any]:
    settings = {**deepcopy(PLAIN), **own}
    console(settings)
    return settings


def test_every_setting_that_is_read_has_a_value_in_any_project() -> None:
    read = set()
    for folder in ("jobs", "admin_ext"):
        for path in (PROJECT / folder).rglob("*.py"):
            if path.name not in {"join.py"}:
                read |= set(re.findall(r"\bsettings\.([A-Z][A-Z_]+)", path.read_text()))
    assert {"RELEASE", "RETENTION"} <= read
    assert read - set(joined()) - set(dir(global_settings)) - {"SECRET_KEY"} == set()


def test_applications_stand_where_they_must() -> None:
    apps = joined()["INSTALLED_APPS"]
    assert apps.index("admin_ext.looks.LooksConfig") < apps.index("django.contrib.admin")
    assert apps[-1] == "admin_ext.apps.AdminExtConfig", "last: it takes the place of what others register"
    assert len(apps) == len(set(apps))
    twice = {**joined(), "CELERY_BROKER_URL": URL}
    console(twice)
    assert twice["INSTALLED_APPS"] == apps


@pytest.mark.parametrize("own", ["django.contrib.admin.apps.AdminConfig", f"{__name__}.OwnAdminConfig"])
def test_an_admin_config_of_the_project_is_the_admin(own: str) -> None:
    apps = joined(INSTALLED_APPS=["django.contrib.auth", "shop.apps.ShopConfig", own])["INSTALLED_APPS"]
    assert apps[2:6] == ["admin_ext.looks.LooksConfig", "unfold.contrib.filters", "unfold.contrib.forms", own]


def test_unfold_that_is_there_already_is_dressed_as_ours() -> None:
    apps = joined(INSTALLED_APPS=["unfold.apps.BasicAppConfig", "django.contrib.admin"])["INSTALLED_APPS"]
    assert apps.count("admin_ext.looks.LooksConfig") == 1 and not any(name.startswith("unfold.apps") for name in apps)


def test_its_own_templates_come_first_and_ours_before_those_of_applications() -> None:
    (engine,) = joined()["TEMPLATES"]
    assert engine["DIRS"] == ["its own", TEMPLATES]
    assert (engine["NAME"], engine["BACKEND"]) == ("django", "admin_ext.engine.DjangoTemplates")
    assert "admin_ext.frame.machinery.machinery" in engine["OPTIONS"]["context_processors"]


def test_what_the_project_has_set_stays() -> None:
    transport = {"visibility_timeout": 7200, "global_keyprefix": "shop"}
    settings = joined(
        RELEASE="9",
        CELERY_WORKER_PREFETCH_MULTIPLIER=4,
        CELERY_TASK_TIME_LIMIT=30,
        CELERY_BROKER_TRANSPORT_OPTIONS=transport,
        UNFOLD={"SITE_TITLE": "Shop", "SIDEBAR": {"navigation": [{"title": "Shop", "items": []}]}},
    )
    assert (settings["RELEASE"], settings["CELERY_WORKER_PREFETCH_MULTIPLIER"]) == ("9", 4)
    assert settings["CELERY_TASK_TIME_LIMIT"] == 30 and "CELERY_TASK_SOFT_TIME_LIMIT" not in settings
    assert settings["CELERY_BROKER_TRANSPORT_OPTIONS"].items() >= transport.items()
    assert settings["CELERY_BROKER_TRANSPORT_OPTIONS"]["socket_timeout"] == 5
    timeouts = {
        settings["CELERY_VISIBILITY_TIMEOUT"],
        settings["CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS"]["visibility_timeout"],
    }
    assert timeouts == {7200}
    assert settings["UNFOLD"]["SITE_TITLE"] == "Shop"
    assert settings["UNFOLD"]["SIDEBAR"]["navigation"][-1]["title"] == "Shop"
    assert settings["UNFOLD"]["SIDEBAR"]["show_all_applications"] is True


def test_how_long_redis_keeps_results_is_the_projects_own() -> None:
    own = {"CELERY_RESULT_EXPIRES": 60, "CELERY_RESULT_FAILURE_EXPIRES": 10}
    assert {name: joined(**own)[name] for name in own} == own
    assert not {*own} & joined().keys(), "Celery's own default: a day"


def test_what_recording_needs_is_set_whatever_it_was() -> None:
    settings = joined(
        CELERY_RESULT_BACKEND="django-db",
        CELERY_TASK_TRACK_STARTED=True,
        CELERY_BEAT_SCHEDULER="x",
    )
    assert settings["CELERY_RESULT_BACKEND"] == f"jobs.pipeline.backend:RecordingBackend+{URL}"
    assert settings["CELERY_TASK_TRACK_STARTED"] is False
    assert settings["CELERY_BEAT_SCHEDULER"] == "jobs.schedules.scheduler:ConsoleScheduler"


@pytest.mark.parametrize(
    ("own", "names"),
    [
        ({}, ["celery", "default", "reports"]),
        ({"CELERY_TASK_DEFAULT_QUEUE": "shop"}, ["shop", "default", "reports"]),
        ({"QUEUES": ["default"], "CELERY_TASK_DEFAULT_QUEUE": "default"}, ["default"]),
        ({"CELERY_TASK_QUEUES": {"mail": {"routing_key": "m"}}}, ["default", "reports", "mail"]),
        ({"CELERY_TASK_QUEUES": [Queue("mail"), Queue("default")]}, ["mail", "default", "reports"]),
    ],
)
def test_no_queue_of_the_project_is_forgotten(own: dict[str, Any], names: list[str]) -> None:
    settings = joined(**own)
    queues = settings["CELERY_TASK_QUEUES"]
    assert [queue if isinstance(queue, str) else queue.name for queue in queues] == names == settings["QUEUES"]


def test_sqlite_is_made_fit_for_several_processes_and_others_are_left_alone() -> None:
    assert joined()["DATABASES"]["default"]["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    postgres = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "shop"}}
    assert joined(DATABASES=postgres)["DATABASES"]["default"] == {**postgres["default"]}


def test_files_get_a_storage_of_their_own_and_the_others_stay() -> None:
    settings = deepcopy(PLAIN)
    console(settings, files="/srv/console")
    assert settings["STORAGES"]["console"]["OPTIONS"] == {"location": "/srv/console"}
    assert set(settings["STORAGES"]) == {"default", "staticfiles", "console"}


@pytest.mark.parametrize(
    ("own", "sentence"),
    [
        ({"CELERY_BROKER_URL": ""}, "CELERY_BROKER_URL is not set"),
        ({"CELERY_BROKER_URL": "amqp://localhost"}, "CELERY_BROKER_URL has the scheme 'amqp'"),
        ({"CELERY_BROKER_URL": "", "REDIS_URL": "http://h"}, "REDIS_URL has the scheme 'http'"),
        (
            {"CELERY_BROKER_URL": "amqp://h//"},
            "CELERY_BROKER_URL has the scheme 'amqp'; the console works with one Redis",
        ),
        ({"CELERY_BROKER_URL": "sqs://"}, "CELERY_BROKER_URL has the scheme 'sqs'; the console works with one Redis"),
        (
            {"CELERY_BROKER_URL": "redis+cluster://h"},
            "the scheme 'redis+cluster'; the console works",
        ),
        ({"CELERY_BROKER_URL": "sentinel://h:26379"}, "CELERY_BROKER_TRANSPORT_OPTIONS has no master_name"),
        ({"CELERY_BROKER_URL": "sentinel://h;i:26379"}, "CELERY_BROKER_URL has a sentinel without scheme"),
        (
            {"CELERY_BROKER_URL": "sentinel://h;sentinel://i:x"},
            "CELERY_BROKER_URL has a port or a host that cannot be read",
        ),
        ({"CELERY_BROKER_USE_SSL": True}, "CELERY_BROKER_USE_SSL is no dictionary"),
        ({"USE_TZ": False}, "USE_TZ is off"),
        ({"INSTALLED_APPS": ["shop"]}, "no django.contrib.admin"),
        ({"INSTALLED_APPS": ["django.contrib.admin", "unfold"]}, "put it before"),
        ({"INSTALLED_APPS": ["jazzmin", "django.contrib.admin"]}, "has jazzmin, another skin"),
        ({"INSTALLED_APPS": ["django.contrib.admin", "grappelli.dashboard"]}, "has grappelli, another skin"),
        ({"TEMPLATES": []}, "no DjangoTemplates"),
        ({"DATABASES": {"default": {"ENGINE": "django.db.backends.mysql"}}}, "not on mysql"),
        ({"RETENTION": "runs soon"}, "RETENTION"),
        ({"SHIPPED_JOBS": ["mail", "nosuch"]}, "'nosuch' is none of them"),
        ({"SHIPPED_JOBS": "mail"}, "SHIPPED_JOBS must be True, False or a list of"),
    ],
)
def test_what_cannot_work_is_refused_in_a_sentence(own: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=re.escape(sentence)):
        joined(**own)


def joined_again(first: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """What a production module has that begins with `from .base import *` and calls `console(globals())` as well."""
    again = {**{name: value for name, value in first.items() if not name.startswith("_")}, **changed}
    console(again)
    return again


def without_note(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name != "CONSOLE_JOINED"}


def test_a_second_call_changes_nothing() -> None:
    own = {
        "UNFOLD": {"SIDEBAR": {"navigation": [{"title": "Shop", "items": []}]}},
        "CELERY_RESULT_BACKEND": "django-db",
    }
    once = joined(**own)
    assert without_note(joined_again(once)) == without_note(once)


@pytest.mark.parametrize(
    "changed",
    [
        {"CELERY_BROKER_URL": "redis://production:6379/1"},
        {"CELERY_TASK_DEFAULT_QUEUE": "shop"},
        {"CELERY_TASK_QUEUES": {"mail": {"routing_key": "m"}}},
        {"CELERY_BROKER_TRANSPORT_OPTIONS": {"global_keyprefix": "shop", "visibility_timeout": 60}},
        {"DATABASES": {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "shop"}}},
        {"RETENTION": "runs 7 d"},
        {"CELERY_BROKER_URL": "memory://"},
        {"UNFOLD": {"SITE_TITLE": "Production"}},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_production_module_has_what_one_call_in_it_would_make(changed: dict[str, Any]) -> None:
    base = joined(CELERY_RESULT_BACKEND="django-db")
    expected = joined(CELERY_RESULT_BACKEND="django-db", **deepcopy(changed))
    assert without_note(joined_again(base, **changed)) == without_note(expected)


def test_what_production_adds_to_the_lists_of_the_base_stays_and_nothing_is_there_twice() -> None:
    settings = joined(UNFOLD={"SIDEBAR": {"navigation": [{"title": "Shop", "items": []}]}})
    settings["INSTALLED_APPS"] += ["toolbar"]
    settings["TEMPLATES"][0]["OPTIONS"]["debug"] = True
    settings["UNFOLD"]["SITE_TITLE"] = "Production"
    console(settings)
    once = joined(INSTALLED_APPS=[*PLAIN["INSTALLED_APPS"], "toolbar"])
    assert settings["INSTALLED_APPS"] == once["INSTALLED_APPS"]
    (engine,) = settings["TEMPLATES"]
    assert engine["OPTIONS"]["debug"] is True and engine["DIRS"] == ["its own", TEMPLATES]
    assert settings["UNFOLD"]["SITE_TITLE"] == "Production"
    titles = [group.get("title") for group in settings["UNFOLD"]["SIDEBAR"]["navigation"]]
    assert titles == [None, "Administration", "Shop"]
    assert settings["UNFOLD"]["STYLES"] == once["UNFOLD"]["STYLES"]


def test_arguments_of_the_first_call_count_until_the_project_says_otherwise() -> None:
    base = deepcopy(PLAIN)
    console(base, redis_url="redis://base:6379/0", files="/srv/console")
    assert joined_again(base)["CELERY_BROKER_URL"] == "redis://base:6379/0"
    moved = joined_again(base, CELERY_BROKER_URL="redis://production:6379/0")
    assert moved["CELERY_BROKER_URL"] == "redis://production:6379/0"
    assert moved["STORAGES"]["console"]["OPTIONS"] == {"location": "/srv/console"}


def test_the_redis_of_a_projects_cache_is_left_alone() -> None:
    settings = joined(REDIS_URL="redis://cache:6379/5")
    assert (settings["REDIS_URL"], settings["CELERY_BROKER_URL"]) == ("redis://cache:6379/5", URL)
    only = joined(REDIS_URL="redis://all:6379/5", CELERY_BROKER_URL="")
    assert only["CELERY_BROKER_URL"] == "redis://all:6379/5"
    assert (settings["CONSOLE_JOINED"].address_setting, only["CONSOLE_JOINED"].address_setting) == (
        "CELERY_BROKER_URL",
        "REDIS_URL",
    )


@pytest.mark.parametrize(
    "own", [{"CELERY_BROKER_URL": "memory://"}, {"CELERY_BROKER_URL": "", "CELERY_TASK_ALWAYS_EAGER": True}]
)
def test_without_redis_results_stay_where_the_project_has_them(own: dict[str, Any]) -> None:
    settings = joined(CELERY_RESULT_BACKEND="cache+memory://", **own)
    assert (settings["CELERY_BROKER_URL"], settings["CELERY_RESULT_BACKEND"]) == ("memory://", "cache+memory://")


def test_each_application_of_a_process_keeps_results_by_its_own_broker() -> None:
    """One after the other, as in tests: the first does not decide for the next."""
    ours, kept = "jobs.pipeline.backend:RecordingBackend+redis://nowhere:1/0", {}
    for broker in ("memory://", "redis://nowhere:1/0"):
        app = Celery("shop", broker=broker, set_as_current=False)
        app.backend_cls = ours
        kept[broker] = type(app.backend).__name__
    assert kept == {"memory://": "RedisBackend", "redis://nowhere:1/0": "RecordingBackend"}


def test_what_one_setting_says_of_tls_holds_for_both_connections() -> None:
    tls = {"ssl_cert_reqs": "required", "ssl_ca_certs": "/ca"}
    for name in ("CELERY_BROKER_USE_SSL", "CELERY_REDIS_BACKEND_USE_SSL"):
        settings = joined(**{"CELERY_BROKER_URL": "rediss://h:6379/0", name: tls})
        assert settings["CELERY_BROKER_USE_SSL"] == settings["CELERY_REDIS_BACKEND_USE_SSL"] == tls
        assert settings["CELERY_BROKER_URL"] == "rediss://h:6379/0", "else kombu would not look at the setting"


def test_an_address_that_says_how_to_encrypt_is_read_by_all() -> None:
    url = joined(CELERY_BROKER_URL="rediss://h:6379/0?ssl_cert_reqs=CERT_OPTIONAL&ssl_ca_certs=/ca")[
        "CELERY_BROKER_URL"
    ]
    assert url == "rediss://h:6379/0?ssl_cert_reqs=optional&ssl_ca_certs=/ca"
    assert joined(CELERY_BROKER_URL="rediss://h")["CELERY_BROKER_URL"] == "rediss://h?ssl_cert_reqs=required"


def test_results_are_found_by_the_sentinels_too() -> None:
    url = "sentinel://:p@h:26379/0;sentinel://:p@i:26379/0"
    settings = joined(
        CELERY_BROKER_URL=url, CELERY_BROKER_TRANSPORT_OPTIONS={"master_name": "m", "sentinel_kwargs": {}}
    )
    assert settings["CELERY_RESULT_BACKEND"] == f"jobs.pipeline.backend:RecordingSentinelBackend+{url}"
    options = settings["CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS"]
    assert (options["master_name"], options["sentinel_kwargs"]) == ("m", {})
