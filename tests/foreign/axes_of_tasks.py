"""Projects that differ in how their tasks travel, and in what their tasks are made of."""

from __future__ import annotations

from tests.foreign.projects import CELERY, TASKS, Axis

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

OF_TASKS: tuple[Axis, ...] = (YAML,)
