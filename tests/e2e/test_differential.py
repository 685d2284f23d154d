"""What a worker of Celery's executes, ours executes, and nothing ends ours; `make differential` tries more."""

from __future__ import annotations

from tests.differential.scene import meet_all
from tests.e2e.processes import Stack


def test_what_a_stock_worker_executes_ours_executes(stack: Stack) -> None:
    stack.worker.stop()
    compared, unrecorded = meet_all(stack, seed=7, number=60, say=print)
    assert compared.is_same and not unrecorded, "\n".join([compared.text(), *unrecorded])
    assert compared.stock_executed > 30 and compared.stock_ended > 4, compared.text()
