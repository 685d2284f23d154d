"""Messages that workers could not read, newest first, with what they still tell; the other half of the page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.contrib.admin.utils import quote
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from admin_ext.parts.access import VIEW_RUN, ConsoleView, may, withheld_from
from admin_ext.parts.keyset import link
from admin_ext.parts.words import ago, file_size, plural
from admin_ext.queues.lines import queue_href
from admin_ext.workers.lines import worker_href
from jobs.catalog.registry import job_title
from jobs.fleet.dropped import DAYS, read_dropped
from jobs.fleet.quarantined import QUARANTINE_KEPT, Meant, SetAside, look_at_messages
from jobs.ledger.message_text import MessageText, message_text
from jobs.ledger.verbs import DISCARD_MESSAGES, PUT_BACK_MESSAGES
from jobs.models import Run

from .listing import LIST, TITLE, tabs

MESSAGES = "admin:jobs_messages_set_aside"
PUT_BACK, DISCARD = "admin:jobs_messages_put_back", "admin:jobs_messages_discard"
#: Whole messages are read, of up to 100 KB each.
PER_PAGE = 20


@dataclass(frozen=True, slots=True)
class MessageLine:
    """One message: when it was set aside, by which worker, from which queue, why, and its text.

    Attributes:
        title: the job's; "A message of an unknown task" where no task can be read.
        run, queue, worker: addresses of their pages; "" where there is none or the viewer may not see them.
        put_back: where that is asked for; "" for a message that is not kept whole.
        discard: where that is asked for; "" where the viewer may not.
    """

    one: SetAside
    at: datetime | None
    told: MessageText
    title: str
    run: str
    queue: str
    worker: str
    size: str
    put_back: str
    discard: str


@dataclass(frozen=True, slots=True)
class MessagesPage:
    """Everything that the page shows.

    Attributes:
        known: False where Redis did not answer: nothing is known then.
        total: how many there are, in words.
        first: the place of the first line, counted from 1.
        dropped: what workers dropped because nobody knows its run, in sentences; "" where there was nothing.
        put_back_all, discard_all: where the acts on all are asked for; "" where there is nothing or the viewer may not.
    """

    known: bool = True
    total: str = ""
    full: bool = False
    lines: tuple[MessageLine, ...] = ()
    first: int = 1
    count: int = 0
    newer: str = ""
    older: str = ""
    dropped: str = ""
    dropped_last: str = ""
    put_back_all: str = ""
    discard_all: str = ""

    @property
    def last(self) -> int:
        return self.first + len(self.lines) - 1


def messages_page(request: HttpRequest) -> MessagesPage:
    """Read the page that the address asks for, counted from 1: one query, and two round trips."""
    asked = request.GET.get("page", "")
    number = int(asked) if asked.isascii() and asked.isdigit() and 0 < len(asked) < 4 else 1
    found = look_at_messages((max(number, 1) - 1) * PER_PAGE, PER_PAGE)
    if found is not None and not found[0] and found[1]:  # there are fewer than there were
        number = -(-found[1] // PER_PAGE)
        found = look_at_messages((number - 1) * PER_PAGE, PER_PAGE)
    if found is None:
        return MessagesPage(known=False)
    messages, total = found
    number = max(number, 1) if messages else 1
    dropped, dropped_last = _dropped(request)
    every = link(until=repr(max(one.at for one in messages))) if messages and number == 1 else ""
    may_discard = may(request, DISCARD_MESSAGES.permission)
    return MessagesPage(
        total=plural(total, "message"),
        full=total >= QUARANTINE_KEPT,
        lines=_lines(request, messages, may_discard),
        first=(number - 1) * PER_PAGE + 1,
        count=total,
        newer=link(page=number - 1) if number > 1 else "",
        older=link(page=number + 1) if total > number * PER_PAGE else "",
        dropped=dropped,
        dropped_last=dropped_last,
        put_back_all=reverse(PUT_BACK) + every if every else "",
        discard_all=reverse(DISCARD) + every if every and may_discard else "",
    )


def _lines(request: HttpRequest, messages: list[SetAside], may_discard: bool) -> tuple[MessageLine, ...]:
    withheld = withheld_from(request)
    read = [(one, message_text(one, withheld)) for one in messages]
    sees_runs = may(request, VIEW_RUN)
    ids = {told.task_id for _, told in read if told.task_id} if sees_runs else set()
    known = set(Run.objects.filter(task_id__in=ids).values_list("task_id", flat=True)) if ids else set()
    return tuple(
        MessageLine(
            one=one,
            at=_moment(one.at),
            told=told,
            title=job_title(told.task) if told.task else "A message of an unknown task",
            run=reverse("admin:jobs_run_change", args=[quote(told.task_id)]) if told.task_id in known else "",
            queue=queue_href(one.queue) if sees_runs and one.queue else "",
            worker=worker_href(one.worker) if sees_runs and one.worker else "",
            size=file_size(one.size),
            put_back=reverse(PUT_BACK) + link(id=one.id) if one.can_go_back else "",
            discard=reverse(DISCARD) + link(id=one.id) if may_discard else "",
        )
        for one, told in read
    )


def _moment(epoch: float) -> datetime | None:
    return datetime.fromtimestamp(epoch, UTC) if epoch else None


def _dropped(request: HttpRequest) -> tuple[str, str]:
    """What workers dropped because the ledger knows no such run, and of the last one which and when."""
    found = read_dropped(timezone.now().timestamp())
    if found is None:
        return "", ""
    were = "message was" if found.count == 1 else "messages were"
    told = f"{found.count:,} {were} dropped by workers in the last {DAYS} days: this ledger does not know their runs."
    when = ago(datetime.fromtimestamp(found.at, UTC))
    return told, f"The last one {when}, by {found.worker or 'an unknown worker'}: run {found.task_id[:36]}."


class Messages(ConsoleView):
    """`…/set-aside/messages/`."""

    title = "Messages set aside"
    template_name = "admin_ext/dead_letters/messages.html"
    permission_required = PUT_BACK_MESSAGES.permission
    permission_denied_message = PUT_BACK_MESSAGES.sentence
    http_method_names = ["get", "head", "options"]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = messages_page(self.request)
        context = {
            "page": page,
            "tabs": tabs(self.request, messages=True),
            "crumbs": [(TITLE, reverse(LIST)), ("Messages", "")],
        }
        return super().get_context_data(**kwargs, **context)


def meant_by(parameters: Any) -> Meant | None:
    """Which messages an address or a form names; None where it names none."""
    message_id, until = parameters.get("id", ""), parameters.get("until", "")
    if message_id:
        known = len(message_id) == 40 and message_id.isascii() and message_id.isalnum()
        return Meant(id=message_id) if known else None
    try:
        moment = float(until)
    except ValueError:
        return None
    return Meant(until=moment) if 0 <= moment < 1e11 else None
