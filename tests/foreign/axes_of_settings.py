"""Projects that have several settings modules, or queues and workers of their own."""

from __future__ import annotations

from tests.foreign.projects import TASKS, Axis

_MODULES = {
    "proj/workers.py": "from .settings import *\n\nCELERY_RESULT_BACKEND = 'rpc://'\n"
    "CELERY_TASK_SERIALIZER = 'yaml'\nconsole(globals())\n",
    "proj/elsewhere.py": "from .settings import *\n\nCELERY_BROKER_URL += '?virtual_host=3'\nconsole(globals())\n",
    "proj/prefixed.py": "from .settings import *\n\n"
    "CELERY_BROKER_TRANSPORT_OPTIONS = {'global_keyprefix': 'team-a:'}\nconsole(globals())\n",
}
_LOOK_AT_MODULES = """\
import os
import subprocess
import sys

from celery import Celery
from celery.result import AsyncResult
from django_celery_results.models import TaskResult


def look(client, wait_for, runs_of):
    read_what_was_there()
    assert 'succeeded' in checked('proj.settings')
    for module, setting in (('elsewhere', 'CELERY_BROKER_URL'), ('prefixed', 'global_keyprefix')):
        told = checked(f'proj.{module}')
        assert 'the recorder is at work on another Redis' in told and setting in told, told


def read_what_was_there():
    TaskResult.objects.create(
        task_id='of-a-row', status='SUCCESS', result='5', content_type='application/json', content_encoding='utf-8'
    )
    socket = 'socket://' + os.environ['REDIS_SOCKET']
    before = Celery('before', broker='redis+' + socket, backend='celery.backends.redis:RedisBackend+' + socket,
                    set_as_current=False)
    before.backend.store_result('of-redis', 6, 'SUCCESS')
    assert AsyncResult('of-a-row').get(timeout=5) == 5 and AsyncResult('of-redis').get(timeout=5) == 6


def checked(settings):
    command = [sys.executable, 'manage.py', 'self_check', '--settings', settings, '--timeout', '8']
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout + done.stderr
"""
MODULES = Axis(
    "Workers with a settings module of their own: another result backend, another task serializer",
    settings="CELERY_ACCEPT_CONTENT = ['json', 'yaml']",
    files={**_MODULES, "shop/look.py": _LOOK_AT_MODULES},
    worker_env={"DJANGO_SETTINGS_MODULE": "proj.workers"},
)

_LOOK_AT_QUEUES = """\
import re

from celery import current_app
from django.core.management import call_command
from jobs.models import Run

from shop.tasks import slow


def look(client, wait_for, runs_of):
    call_command('self_check', timeout=20)
    assert slow.delay(3).get(timeout=30) == 3
    address = '/admin/jobs/run/catalog/shop.tasks.slow/start/'
    nonce = re.search(r'name="nonce" value="([^"]+)"', client.get(address).content.decode())[1]
    answer = client.post(address, {'number': '4', 'nonce': nonce})
    task_id = answer.headers['Location'].split('/')[-3]
    wait_for(lambda: runs_of().get(task_id, ('',))[0] == 'succeeded', f'the run {task_id}')
    assert set(Run.objects.filter(task_name='shop.tasks.slow').values_list('queue', flat=True)) == {'slow'}
"""
QUEUES = Axis(
    "Queues and routes of its own, workers with `-Q`, the shipped jobs routed to a queue of the project",
    settings="CELERY_TASK_ROUTES = {'shop.tasks.slow': {'queue': 'slow'}, 'jobs.library.*': {'queue': 'celery'}}",
    files={
        "shop/tasks.py": TASKS + "\n\n@shared_task\ndef slow(number: int):\n    return number\n",
        "shop/look.py": _LOOK_AT_QUEUES,
    },
    worker=("-Q", "celery"),
    second_worker=("-A", "proj", "-Q", "slow", "-n", "second@%h"),
)

OF_SETTINGS: tuple[Axis, ...] = (MODULES, QUEUES)
