"""The table: in what projects differ from the plain one, and what the console does in them."""

from __future__ import annotations

from tests.foreign.axes_of_settings import OF_SETTINGS
from tests.foreign.axes_of_tasks import OF_TASKS
from tests.foreign.people import PEOPLE
from tests.foreign.projects import Axis

PLAIN = Axis("A plain project")

#: Of a Redis that nobody may look for: no packet sent there is ever answered.
NOWHERE = "redis://192.0.2.1:6379/0"
EAGER = f"""\
from .settings import *

CELERY_BROKER_URL = {NOWHERE!r}
CELERY_TASK_ALWAYS_EAGER = True
CELERY_TASK_EAGER_PROPAGATES = True
CELERY_TASK_STORE_EAGER_RESULT = True
"""
MEMORY = """\
from .settings import *

CELERY_BROKER_URL = 'memory://'
DATABASES['default']['TEST'] = {'NAME': BASE_DIR / 'test.sqlite3'}
"""
EAGER_TESTS = """\
import os
import time

from celery.result import AsyncResult
from django.contrib.auth import get_user_model
from django.test import TestCase, override_settings
from jobs.models import Run
from redis import Redis

from .models import Widget
from .tasks import add, break_down


class EagerTests(TestCase):
    def setUp(self):
        self.began = time.monotonic()

    def tearDown(self):
        assert time.monotonic() - self.began < 3
        assert Redis(unix_socket_path=os.environ['REDIS_SOCKET']).dbsize() == 0

    def test_a_task_runs_at_once_and_its_result_is_where_the_project_keeps_it(self):
        Widget.objects.create(name='before')
        result = add.delay(4, 4)
        assert result.get() == 8
        assert AsyncResult(result.id).state == 'SUCCESS' and AsyncResult(result.id).get() == 8
        assert AsyncResult('unknown').state == 'PENDING'
        assert Widget.objects.count() == 1 and not Run.objects.exists()

    def test_an_error_comes_out(self):
        with self.assertRaises(LookupError):
            break_down.delay('bread')

    @override_settings(CELERY_TASK_EAGER_PROPAGATES=False)
    def test_an_error_is_kept(self):
        assert AsyncResult(break_down.delay('bread').id).state == 'FAILURE'

    def test_the_admin_opens(self):
        self.client.force_login(get_user_model().objects.create_superuser('ana'))
        for address in ('/admin/', '/admin/shop/widget/', '/admin/jobs/run/'):
            assert self.client.get(address).status_code == 200
"""
MEMORY_TESTS = """\
import os
import time

from celery.contrib.testing.worker import start_worker
from django.test import TransactionTestCase
from jobs.models import Run
from redis import Redis

from proj.celery import app

from .tasks import add


class MemoryTests(TransactionTestCase):
    def test_a_worker_of_the_test(self):
        began = time.monotonic()
        add.apply_async((1, 1), queue='default')
        with start_worker(app, perform_ping_check=False):
            assert add.apply_async((4, 4)).get(timeout=10) == 8
        assert time.monotonic() - began < 8
        assert not Run.objects.exists()
        assert Redis(unix_socket_path=os.environ['REDIS_SOCKET']).dbsize() == 0
"""
PYTEST = (
    "import subprocess, sys;"
    "sys.exit(subprocess.call([sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider',"
    " '--ds=proj.eager', 'shop/test_eager.py']))"
)
TESTED = Axis(
    "Its own tests without Redis: eager tasks, `memory://`, pytest-django",
    settings="CELERY_RESULT_BACKEND = 'django-db'",
    files={
        "proj/eager.py": EAGER,
        "proj/memory.py": MEMORY,
        "shop/test_eager.py": EAGER_TESTS,
        "shop/test_memory.py": MEMORY_TESTS,
    },
    commands=(
        ("test", "--settings", "proj.eager", "shop.test_eager"),
        ("test", "--settings", "proj.eager", "--parallel", "2", "shop.test_eager"),
        ("test", "--settings", "proj.memory", "shop.test_memory"),
        ("migrate", "--settings", "proj.memory"),
        ("shell", "-c", PYTEST),
    ),
)
TWICE = Axis(
    "`console(globals())` in a base and again in a production module",
    broker="redis+socket:///nowhere/r.sock",
    files={
        "proj/production.py": """\
import os

from .settings import *

CELERY_BROKER_URL = f"redis+socket://{os.environ['REDIS_SOCKET']}"
CELERY_TASK_DEFAULT_QUEUE = 'shop'
INSTALLED_APPS += ['django.contrib.humanize']
console(globals())
"""
    },
    env={"DJANGO_SETTINGS_MODULE": "proj.production"},
)
STOCK_BEAT = Axis(
    "No jobs that ship, and `celery beat --scheduler django_celery_beat.schedulers:DatabaseScheduler`",
    settings="SHIPPED_JOBS = False",
    beat=("--scheduler", "django_celery_beat.schedulers:DatabaseScheduler"),
)
HISTORY_ELSEWHERE = Axis(
    "The console's tables in another database, by a router",
    settings="DATABASE_ROUTERS = ['proj.routers.History']",
    files={
        "proj/routers.py": """\
class History:
    def db_for_write(self, model, **hints):
        return 'history' if model._meta.app_label in ('jobs', 'django_celery_results') else None

    db_for_read = db_for_write
"""
    },
    after="DATABASES['history'] = {'ENGINE': 'django.db.backends.sqlite3', 'NAME': BASE_DIR / 'history.sqlite3'}",
    refusal="jobs.E009",
)
PREFIXED = Axis(
    "`global_keyprefix` for the broker and for results",
    settings="""\
CELERY_BROKER_TRANSPORT_OPTIONS = {'global_keyprefix': 'team-a:'}
CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS = {'global_keyprefix': 'team-a:'}
""",
)
AXES: tuple[Axis, ...] = (
    PLAIN,
    TESTED,
    TWICE,
    STOCK_BEAT,
    HISTORY_ELSEWHERE,
    PREFIXED,
    *OF_SETTINGS,
    *OF_TASKS,
    *PEOPLE,
)
