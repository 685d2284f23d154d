"""One worker in words: its state, its slots, what it runs against what is usual. Unknown is grey, never zero."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from urllib.parse import quote as urlquote
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.admin.utils import quote
from django.urls import get_script_prefix, reverse
from django.utils import timezone

from admin_ext.parts.chips import UNKNOWN, WORKER, Chip
from admin_ext.parts.rows import LATE_SECONDS
from admin_ext.parts.words import ago, clock, duration, file_size, plural
from jobs.catalog.registry import job_title
from jobs.fleet.beacon import Beacon
from jobs.fleet.conditions import Condition, Judged
from jobs.fleet.received import visibility
from jobs.fleet.vitals import read_busy
from jobs.ledger.durations import Usual

from .pictures import Line, Slots, busy_line, slots

PAGE = "admin:jobs_worker"
#: What needs a look.
TROUBLED = frozenset({Condition.GONE, Condition.WEDGED, Condition.SILENT})


@dataclass(frozen=True, slots=True)
class Execution:
    """Something that a worker runs.

    Attributes:
        took: how long so far.
        share: of the usual length, the bar's width in per cent; "" where that is not known.
        late: longer than 95 % of its runs.
        process, memory: of the pool process; "" where the pool has none.
    """

    task_id: str
    task: str
    title: str
    href: str
    took: str
    seconds: float
    usually: str = ""
    share: str = ""
    late: bool = False
    process: str = ""
    memory: str = ""
    attempt: str = ""


@dataclass(frozen=True, slots=True)
class WorkerLine:
    """One worker of the list.

    Attributes:
        process: which one it is, where others bear its name; "" else.
        key: its condition, "shared" or "skewed"; "" where it is unknown.
        release_differs: it is of another release than these pages.
        more: what it runs besides `first`.
        said: what it says instead of what it runs: lost runs, why it is wedged.
        free: it is alive, so its slots can be told.
    """

    name: str
    href: str
    process: str
    key: str
    chip: Chip
    tone: str
    pool: str
    up: str
    release: str
    release_differs: bool
    slots_words: str
    reserved: str
    picture: Slots | None
    unknown_slots: str
    first: Execution | None
    more: str
    said: str
    queues: str
    memory: str
    spark: Line | None
    heard: str


def worker_href(name: str, process: str = "") -> str:
    """The address of a worker's page: the name is a parameter, because it may hold anything.

    Args:
        process: its id, where the name alone may mean several.
    """
    return f"{_page(get_script_prefix())}?{urlencode({'name': name, **({'process': process} if process else {})})}"


def process_words(beacon: Beacon) -> str:
    """Which process it is, of several that bear one name: `process 4121 on web-1`."""
    return f"process {beacon.pid} on {beacon.host or 'an unknown host'}"


@cache
def _page(prefix: str) -> str:
    """Worked out once: a list would ask for a hundred of them."""
    return reverse(PAGE)


@cache
def _run_page(prefix: str) -> tuple[str, str]:
    before, _, after = reverse("admin:jobs_run_change", args=["__"]).partition("__")
    return before, after


def differs(beacon: Beacon) -> bool:
    """Whether it is of another release than these pages, where both are told."""
    return not {beacon.release, settings.RELEASE} & {"", "unknown"} and beacon.release != settings.RELEASE


def chip_of(judged: Judged) -> tuple[str, Chip]:
    """Its state's key and chip: a shared name and another release are told where nothing worse is."""
    calm = judged.condition in (Condition.READY, Condition.BUSY, Condition.QUIET)
    key = str(judged.condition)
    if calm and (judged.shared or differs(judged.beacon)):
        key = "shared" if judged.shared else "skewed"
    return key, WORKER[key]


def executions(judged: Judged, usual: Mapping[str, Usual], most: int | None = None) -> tuple[Execution, ...]:
    """What it runs, longest first; of a worker that is gone, what it ran when it was last heard.

    Args:
        most: so many are told.
    """
    before, after = _run_page(get_script_prefix())
    beacon = judged.beacon
    ahead = beacon.clock or 0.0
    now = beacon.at + ahead + (judged.age if judged.alive else 0.0)
    found = []
    for task_id, (began, retries) in sorted(beacon.started.items(), key=lambda item: item[1][0])[:most]:
        task, pid = (*beacon.tasks.get(task_id, ()), "", None)[:2]
        seconds = max(now - began, 0.0)
        known = usual.get(task)
        late = known is not None and seconds > max(known.p95, known.p50 + LATE_SECONDS)
        memory = (beacon.children or {}).get(str(pid))
        found.append(
            Execution(
                task_id=task_id,
                task=task,
                title=job_title(task) if task else "Not named",
                href=f"{before}{urlquote(quote(task_id))}{after}",
                took=duration(seconds),
                seconds=seconds,
                usually=f"usually {duration(known.p50)}" if known else "",
                share=f"{min(seconds / max(known.p95, 0.001), 1) * 100:.1f}%" if known else "",
                late=late,
                process=str(pid) if pid else "",
                memory=file_size(memory) if memory is not None else "",
                attempt=f"attempt {beacon.running.get(task_id) or int(retries) + 1}" if retries else "",
            )
        )
    return tuple(found)


def memory_of(beacon: Beacon) -> str:
    """Main process and pool processes together: `312 MB`."""
    return "unknown" if beacon.body is None else file_size(beacon.body)


def worker_line(judged: Judged, usual: Mapping[str, Usual], *, live: bool = True) -> WorkerLine:
    """A worker as it last described itself.

    Args:
        live: False shows what was read before Redis went away: nothing of it is judged.
    """
    beacon = judged.beacon
    key, chip = chip_of(judged) if live else ("", UNKNOWN)
    known = live and judged.condition not in (Condition.GONE, Condition.SILENT, Condition.STOPPED)
    running = executions(judged, usual, 1)
    alive = judged.alive or not live
    return WorkerLine(
        name=beacon.worker,
        href=worker_href(beacon.worker, beacon.boot if judged.others else ""),
        process=process_words(beacon) if judged.others else "",
        key=key,
        chip=chip,
        tone=chip.tone if chip.is_trouble else "",
        pool=beacon.pool,
        up=up_words(judged) if live else "",
        release=beacon.release,
        release_differs=differs(beacon),
        slots_words=f"{beacon.at_once:,}" if known else "",
        reserved=f" of {beacon.concurrency:,}" + (f" + {beacon.reserved:,} reserved" if beacon.reserved else ""),
        picture=slots(beacon.concurrency, beacon.at_once, beacon.reserved) if known else None,
        unknown_slots="" if known else f"unknown of {beacon.concurrency:,}",
        first=running[0] if running and alive else None,
        more=f"and {len(beacon.started) - 1:,} more" if len(beacon.started) > 1 and alive else "",
        said=said(judged) if live else "",
        queues=", ".join(beacon.queues[:3])
        + (f" and {len(beacon.queues) - 3:,} more" if len(beacon.queues) > 3 else ""),
        memory=memory_of(beacon) if alive else "unknown",
        spark=busy_line(read_busy(beacon.trend), "" if known else " before it was last heard"),
        heard=heard_words(judged) if live else "unknown",
    )


def heard_words(judged: Judged) -> str:
    """`2 s ago`, `34 min ago`: as it was when the workers were read."""
    now = timezone.now()
    return ago(now - timedelta(seconds=judged.age), now)


def up_words(judged: Judged) -> str:
    """`up 6 d 2 h`, `was up 19 d`; "" where its release does not tell."""
    if judged.beacon.up is None:
        return ""
    return f"{'up' if judged.alive else 'was up'} {duration(judged.beacon.up)}"


def left_by(judged: Judged) -> str:
    """What becomes of what a worker that is gone had: its runs, and the messages that it had received."""
    beacon = judged.beacon
    told = []
    if beacon.started:
        told.append("The recorder declares its runs lost, or puts them back where they may run again, within a minute.")
    if count := beacon.reserved + (beacon.holds or 0):
        back = datetime.fromtimestamp(beacon.at + visibility(), UTC)
        later = judged.age < visibility()
        told.append(
            f"It had received {plural(count, 'message')} and not begun: Redis gives them to other workers, "
            f"{'the last ones' if later else 'all'} from {clock(back)} on. What the console published is published "
            "again before."
        )
    elif beacon.holds is None:
        told.append("Whether it held messages for later is not known: its release does not tell.")
    return " ".join(told) or "Nothing of it is lost."


def said(judged: Judged) -> str:
    """What is to be said of its condition; "" where nothing is."""
    beacon = judged.beacon
    if judged.condition is Condition.WEDGED:
        return f"It beats, but {judged.why}"
    if judged.condition is Condition.GONE:
        had = plural(len(beacon.started), "run")
        return f"It had {had} at work when it was last heard" if beacon.started else "It had nothing at work"
    if judged.condition is Condition.STOPPED:
        return "It was stopped and had ended what it ran"
    if judged.condition is Condition.STOPPING:
        return "It takes nothing new and ends what it runs"
    if judged.condition is Condition.SILENT:
        return "A beat is missing"
    return ""
