"""What every test shares."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connections
from django.test.utils import setup_databases, teardown_databases
from hypothesis import HealthCheck
from hypothesis import settings as examples
from pytest_django.plugin import DjangoDbBlocker

from tests.environment import ROOT

# How fast a machine is, is no test's matter: in a new checkout the first text that is generated takes seconds.
examples.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
examples.load_profile("suite")


def pytest_unconfigure() -> None:
    """Also where several processes share a session's tests: each has a folder, the one that hands them out too."""
    if not os.environ.get("KEEP_TEST_ROOT"):
        shutil.rmtree(ROOT, ignore_errors=True)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Before the processes that share the tests begin: with this set each would read our settings, not its own."""
    os.environ.pop("DJANGO_SETTINGS_MODULE", None)


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of this test session: database, Redis, files, logs; kept with KEEP_TEST_ROOT set."""
    return ROOT


@pytest.fixture(scope="session")
def django_db_setup(root: Path, django_test_environment: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The test database. For SQLite a file, so that worker, recorder and beat can open the very same one.

    pytest-django's own fixture makes a database only for tests that it wraps in a transaction; the end-to-end tests
    are not, because other processes must see what they write.
    """
    if connections["default"].vendor == "sqlite":
        connections["default"].settings_dict["TEST"]["NAME"] = str(root / "test.sqlite3")
    elif worker := os.environ.get("PYTEST_XDIST_WORKER"):
        connections["default"].settings_dict["TEST"]["NAME"] = f"test_console_{worker}"
    with django_db_blocker.unblock():
        configuration = setup_databases(verbosity=0, interactive=False, aliases={"default": False})
    yield
    with django_db_blocker.unblock():
        teardown_databases(configuration, verbosity=0)


@pytest.fixture(scope="session")
def database_url(django_db_setup: None) -> str:
    """DATABASE_URL of the test database, for the processes that a test starts."""
    name = str(settings.DATABASES["default"]["NAME"])
    if connections["default"].vendor == "sqlite":
        return f"sqlite:///{name}"
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()
