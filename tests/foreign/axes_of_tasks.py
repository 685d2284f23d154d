"""Projects that differ in how their tasks travel, and in what their tasks are made of."""

from __future__ import annotations

from tests.foreign.projects import CELERY, INIT, TASKS, Axis

_OWN_SERIALIZER = """
import json

from kombu.serialization import register

register(
    'shop',
    lambda value: 'shop:' + json.dumps(value),
    lambda text: json.loads((text if isinstance(text, str) else text.decode()).removeprefix('shop:')),
    'application/x-shop',
    'utf-8',
)
"""
_LOOK_AT_YAML = """\
from shop.tasks import add, count


def look(client, wait_for, runs_of):
    assert count.delay([1, 2]).get(timeout=30) == 2
    result = add.apply_async((1,), {"y": 2}, serializer="shop")
    assert result.get(timeout=30) == 3
    page = client.get("/admin/jobs/run/catalog/shop.tasks.count/start/")
    assert page.status_code == 200
"""
YAML = Axis(
    "Messages and results are YAML, those of one task have a serializer of its own",
    settings="CELERY_TASK_SERIALIZER = CELERY_RESULT_SERIALIZER = 'yaml'\nCELERY_ACCEPT_CONTENT = ['yaml', 'shop']",
    files={
        "proj/celery.py": CELERY + _OWN_SERIALIZER,
        "shop/tasks.py": TASKS
        + "\n\n@shared_task(serializer='shop')\ndef count(values: list[int]):\n    return len(values)\n",
        "shop/look.py": _LOOK_AT_YAML,
    },
)

_LOOK_AT_PICKLE = """\
from decimal import Decimal

from shop.tasks import add, count


def look(client, wait_for, runs_of):
    assert count.delay({Decimal("1.5"), (2, 3)}).get(timeout=30) == {Decimal("1.5"), (2, 3)}
    assert add.apply_async((1,), {"y": 2}).get(timeout=30) == 3
    page = client.get("/admin/jobs/run/catalog/shop.tasks.count/start/")
    assert page.status_code == 200
"""
_RETURNS = TASKS + "\n\n@shared_task\ndef count(values):\n    return values\n"
#: Celery's worker takes pickle from root by this word only.
_AS_ROOT = {"C_FORCE_ROOT": "1"}
PICKLE = Axis(
    "Messages and results are pickle",
    settings="CELERY_TASK_SERIALIZER = CELERY_RESULT_SERIALIZER = 'pickle'\nCELERY_ACCEPT_CONTENT = ['pickle']",
    files={"shop/tasks.py": _RETURNS, "shop/look.py": _LOOK_AT_PICKLE},
    env=_AS_ROOT,
)

#: Keys of the project's own, made once.
_SIGNED = """
from proj.keys import CERTIFICATE, KEY, make

make()
app.setup_security(
    key=str(KEY), cert=str(CERTIFICATE), store=str(CERTIFICATE), serializer='pickle', allowed_serializers=['pickle']
)
"""
_KEYS = """\
import subprocess
from pathlib import Path

KEY, CERTIFICATE = (Path(__file__).with_name(name) for name in ('key.pem', 'certificate.pem'))


def make():
    if not CERTIFICATE.exists():
        new = ['-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=proj', '-days', '2']
        subprocess.run(['openssl', 'req', '-x509', *new, '-keyout', KEY, '-out', CERTIFICATE], check=True)
"""
SIGNED = Axis(
    "Messages are signed (`setup_security`), with pickle inside",
    settings="CELERY_TASK_SERIALIZER = CELERY_EVENT_SERIALIZER = CELERY_RESULT_SERIALIZER = 'auth'\n"
    "CELERY_ACCEPT_CONTENT = ['auth']",
    files={
        "proj/celery.py": CELERY + _SIGNED,
        "proj/keys.py": _KEYS,
        "shop/tasks.py": _RETURNS,
        "shop/look.py": _LOOK_AT_PICKLE,
    },
    env=_AS_ROOT,
)

_BASES = """\
import os

from celery import Task


def note(text):
    with open(os.environ['BOOK'], 'a') as book:
        book.write(text + '\\n')


class OfTheApplication(Task):
    def __call__(self, *args, **kwargs):
        note(f'called {self.request.id}')
        return super().__call__(*args, **kwargs)


class Careless(Task):
    def before_start(self, task_id, args, kwargs):
        note(f'before {task_id}')
"""
_LOOK_AT_BASES = """\
import os
from pathlib import Path

from celery import current_app

from proj.bases import Careless, OfTheApplication
from shop.tasks import add, slow


def look(client, wait_for, runs_of):
    assert isinstance(add, OfTheApplication) and isinstance(slow, Careless)
    result = slow.delay(1)
    assert result.get(timeout=30) == 1
    page = client.get("/admin/jobs/run/catalog/shop.tasks.slow/start/")
    assert page.status_code == 200 and 'name="nonce"' in page.content.decode()
    book = Path(os.environ['BOOK']).read_text().split()
    assert book.count(result.id) == 1, book
    run_once_though_twice_delivered(wait_for, runs_of)


def run_once_though_twice_delivered(wait_for, runs_of):
    from jobs.catalog.registry import find_job
    from jobs.ledger.audit import Actor
    from jobs.ledger.start import start_run
    from jobs.models import Run
    from jobs.states import Source

    redis = current_app.connection_for_write().default_channel.client
    current_app.control.cancel_consumer('celery', reply=True)
    run = start_run(find_job('shop.tasks.slow'), {'number': 2}, actor=Actor(label='tests', via='system'),
                    source=Source.SYSTEM).run
    wait_for(lambda: redis.llen('celery'), 'the message to be there')
    redis.lpush('celery', redis.lindex('celery', 0))
    current_app.control.add_consumer('celery', reply=True)
    wait_for(lambda: runs_of().get(run.task_id, ('',))[0] == 'succeeded', 'the run')
    wait_for(lambda: not redis.llen('celery'), 'both messages to be taken')
    done = slow.delay(3)
    assert done.get(timeout=30) == 3
    book = Path(os.environ['BOOK']).read_text().split()
    assert book.count(run.task_id) == 1, book
"""
OWN_BASES = Axis(
    "`Celery(task_cls=…)`, and a base class whose `before_start` calls no `super()`",
    files={
        "proj/bases.py": _BASES,
        "proj/celery.py": CELERY.replace("Celery('proj')", "Celery('proj', task_cls='proj.bases:OfTheApplication')"),
        "shop/tasks.py": TASKS + "\n\nfrom proj.bases import Careless\n\n\n"
        "@shared_task(base=Careless)\ndef slow(number: int):\n    return number\n",
        "shop/look.py": _LOOK_AT_BASES,
    },
    env={"BOOK": "book.txt"},
)

_OTHER = """\
from celery import Celery

from jobs import integrate

app = Celery('other', set_as_current=False)
app.config_from_object('django.conf:settings', namespace='CELERY')
app.conf.task_default_queue = 'other'
integrate(app)


@app.task(shared=False)
def shout(word: str):
    return word.upper()
"""
_LOOK_AT_BOTH = """\
import re

from proj.celery import app
from proj.other import shout


def look(client, wait_for, runs_of):
    assert 'proj.other.shout' not in app.tasks
    result = shout.delay('abc')
    assert result.get(timeout=30) == 'ABC'
    address = '/admin/jobs/run/catalog/proj.other.shout/start/'
    nonce = re.search(r'name="nonce" value="([^"]+)"', client.get(address).content.decode())[1]
    answer = client.post(address, {'word': 'abc', 'nonce': nonce})
    task_id = answer.headers['Location'].split('/')[-3]
    for one in (task_id, result.id):
        wait_for(lambda: runs_of().get(one, ('',))[0] == 'succeeded', f'the run {one}')
"""
TWO_APPLICATIONS = Axis(
    "Two Celery applications, each with a worker",
    files={
        "proj/other.py": _OTHER,
        "proj/__init__.py": INIT + "\nfrom .other import app as other_app\n",
        "shop/look.py": _LOOK_AT_BOTH,
    },
    second_worker=("-A", "proj.other", "-Q", "other", "-n", "second@%h"),
)

OF_TASKS: tuple[Axis, ...] = (YAML, PICKLE, SIGNED, OWN_BASES, TWO_APPLICATIONS)
