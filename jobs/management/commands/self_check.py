"""`manage.py self_check`: one run through the real path, or one sentence that says what is missing on it."""

import time
from typing import Any

from celery import current_app
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from jobs.catalog.registry import find_job
from jobs.catalog.routing import usual_queue
from jobs.errors import JobsError
from jobs.fleet.beacon import read_beacons
from jobs.fleet.broker import IDENTITY_KEY, RedisError, address_setting, key_of, steady_client
from jobs.fleet.conditions import shared_names
from jobs.fleet.hazards import Clash, of_clash
from jobs.fleet.workers import refusal
from jobs.ledger.audit import Actor
from jobs.ledger.leases import CLASH, holdings
from jobs.ledger.start import start_run
from jobs.models import Run
from jobs.recorder.identity import LEADER_KEY
from jobs.states import Source, State

JOB = "jobs.library.diagnostics.self_check"


class Command(BaseCommand):
    """Waits for a recorder and a worker, starts a run and waits for its record."""

    help = "Send one run through the whole path and wait until its success is recorded."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--timeout", type=float, default=60.0, help="seconds in all")

    def handle(self, *args: Any, timeout: float, **options: Any) -> None:
        deadline = time.monotonic() + timeout
        try:
            _await_processes(deadline, timeout)
            run, seconds = _await_run(deadline, timeout)
        except DatabaseError as error:
            raise CommandError(f"The self-check could not use the database: {error}. Start with `make up`.") from None
        except JobsError as error:
            raise CommandError(f"The self-check could not start: {error}") from None
        self.stdout.write(f"self-check run {run.short_id} succeeded in {seconds:.1f} s{_shared()}")


def _shared() -> str:
    """That workers share a name, with the remedy, as the rest of the proof; "" where none do."""
    try:
        shared = shared_names(read_beacons(steady_client()).beacons)
    except RedisError:
        return ""
    told = "".join(f"; {len(those)} workers bear the name {name}" for name, those in shared.items())
    return f"{told}: give each its own, celery -A {current_app.main} worker -n <name>@%h" if told else ""


def _await_processes(deadline: float, timeout: float) -> None:
    while missing := _missing():
        if time.monotonic() > deadline:
            raise CommandError(f"After {timeout:.0f} s {missing}")
        time.sleep(0.1)


def _missing() -> str:
    """What the path lacks, as the rest of a sentence with its remedy; empty when nothing is."""
    held = holdings()
    if (clash := held.get(CLASH)) is not None and clash.alive:
        hazard = of_clash(Clash(clash.holder), key_of(IDENTITY_KEY))
        return f"{hazard.fact} {hazard.remedy}"
    recorder = held.get("recorder")
    if recorder is None or not recorder.alive:
        return "no recorder holds the lease; see the lines of recorder, or start one: manage.py recorder."
    try:
        client = steady_client()
        if refused := refusal(client):  # else it would look as if no worker listened: none can write its beacon
            return f"Redis takes no writes ({refused[:200]}); see its memory, its disk and its log."
        beacons = read_beacons(client).beacons
        leader = client.get(key_of(LEADER_KEY)) if not beacons else recorder.holder
    except RedisError as error:
        return f"Redis does not answer ({error}); start it or correct {address_setting()}."
    queue = usual_queue(JOB)
    if any(queue in beacon.queues for beacon in beacons):
        return ""
    where = f"{address_setting()} or the global_keyprefix of CELERY_BROKER_TRANSPORT_OPTIONS"
    if leader != recorder.holder:
        return (
            "the recorder is at work on another Redis, or under another prefix, than this command reads: its settings "
            f"have another {where}. Give all processes the same."
        )
    missing = (
        f"no worker listens on the queue {queue}; "
        f"see the lines of worker, or start one: celery -A {current_app.main} worker."
    )
    if beacons:
        others = ",".join(sorted({name for beacon in beacons for name in beacon.queues}))
        return f"{missing} The workers that run listen to {others or 'no queue'}; name {queue} in -Q of one, too."
    return f"{missing} If one runs, see whether its settings have another {where}."


def _await_run(deadline: float, timeout: float) -> tuple[Run, float]:
    began = time.monotonic()
    run = start_run(find_job(JOB), {}, actor=Actor(label="self-check", via="system"), source=Source.SYSTEM).run
    while not run.is_finished:
        if time.monotonic() > deadline:
            raise CommandError(
                f"After {timeout:.0f} s the self-check run {run.short_id} is still {run.state}; "
                "see the lines of recorder and worker."
            )
        time.sleep(0.05)
        run.refresh_from_db(fields=["state", "error_message"])
    if run.state != State.SUCCEEDED:
        raise CommandError(
            f"The self-check run {run.short_id} ended as {run.state} ({run.error_message or 'no message'}); "
            "see the lines of worker."
        )
    return run, time.monotonic() - began
