"""`manage.py recorder`: the process that keeps the books."""

import signal
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from jobs.recorder.chores import Recorder


class Command(BaseCommand):
    """Runs until SIGTERM or SIGINT; a second recorder stands by and takes over within 10 seconds."""

    help = "Record what workers report, publish what is due, find what was lost."

    def handle(self, *args: Any, **options: Any) -> None:
        recorder = Recorder()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: recorder.stop())
        try:
            recorder.run()
        except RuntimeError as error:
            raise CommandError(str(error)) from error
