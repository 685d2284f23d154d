"""Purge a queue: a page that shows what goes and what stays, and asks for the queue's name and a reason."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from admin_ext.parts.access import person, refuse_unless
from admin_ext.parts.asking import AskView, Consequence
from admin_ext.parts.not_taken import NOT_ALL_CHANGED
from admin_ext.parts.words import plural
from jobs.errors import JobsError, NotPermitted
from jobs.fleet.queues import configured
from jobs.ledger.purge import MOST_PURGED, Purged, purge_queue
from jobs.ledger.verbs import PURGE_QUEUE

from .lines import QueueLine, queue_href
from .listing import line_of, no_queue, read_known
from .page import LONGEST_NAME


class PurgeQueue(AskView):
    """`…/queues/queue/purge/?name=`: GET shows and asks, POST removes."""

    title = "Purge"
    template_name = "admin_ext/queues/purge.html"
    no_writes = NOT_ALL_CHANGED
    verb_refuses = True

    @property
    def name(self) -> str:
        return self.request.GET.get("name", "")[:LONGEST_NAME]

    def look(self) -> None:
        super().look()
        refuse_unless(self.request, PURGE_QUEUE.permission, PURGE_QUEUE.sentence)

    def find(self, **kwargs: Any) -> str:
        return ""  # whether there is such a queue Redis says, if it answers

    def act(self) -> HttpResponse:
        try:
            done = purge_queue(self.name, typed=self.typed, actor=person(self.request), reason=self.reason)
        except NotPermitted:
            raise
        except JobsError as error:
            return self.ask(refusal=str(error))
        messages.success(self.request, _told(self.name, done))
        # An unexpected queue that is empty has no page any more.
        return redirect(queue_href(self.name) if self.name in configured() else reverse("admin:jobs_queues"))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        known, live = read_known(self.request)
        depth = known.reading.queues.get(self.name) if known else None
        if live and depth is None:
            raise no_queue(self.name, known)
        line = line_of(self.name, known, live) if depth else None
        context = {
            "crumbs": [("Queues", reverse("admin:jobs_queues")), (self.name, queue_href(self.name)), ("Purge", "")],
            "name": self.name,
            "typed": self.typed,
            "line": line,
            "live": live,
            "facts": _facts(line, depth.ready if live and depth else None),
            "button": f"Purge {plural(min(depth.ready, MOST_PURGED), 'message')}" if live and depth else "Purge",
            "nothing": live and depth is not None and not depth.ready,
            "longest_name": LONGEST_NAME,
            "back": queue_href(self.name),
        }
        return super().get_context_data(**context | kwargs)


def _facts(line: QueueLine | None, ready: int | None) -> list[Consequence]:
    if ready == 0:
        return [Consequence("inbox", "Nothing: no message is ready. What workers hold stays and runs.")]
    count = "The messages that are ready" if ready is None else f"{plural(ready, 'message')} ready now"
    facts = [Consequence("delete_forever", f"{count} cannot be brought back once removed.", "bad")]
    if ready is not None and ready > MOST_PURGED:
        facts.append(Consequence("stacks", f"One press removes the next {MOST_PURGED:,}; press again for more."))
    facts += [
        Consequence("do_not_disturb_on", "Runs that the console accepted become cancelled, with your name."),
        Consequence("visibility", "So do the runs that code has published, once the recorder reads of it."),
        Consequence(
            "hub", "A run that belongs to a chord or a chain leaves the others waiting for it for ever.", "warn"
        ),
    ]
    if line is not None:
        held = f"{line.reserved.text} received and not begun, {line.held.text} held for later"
        facts.append(Consequence("memory", f"What workers hold stays and runs: {held}, {line.running.text} running."))
    return facts


def _told(name: str, done: Purged) -> str:
    parts = [f"{plural(done.removed, 'message')} of {name} removed"]
    parts.append(f"{plural(done.cancelled, 'run')} of the console cancelled")
    if done.observed:
        parts.append(f"{done.observed:,} published by code become cancelled as the recorder reads of it")
    if done.unreadable:
        parts.append(f"{done.unreadable:,} did not tell whose they were")
    if done.left:
        parts.append(f"{done.left:,} are in the queue now")
    return f"{'; '.join(parts)}."
