"""Pictures of a worker: its slots, its last hour, its memory. SVG points, made on the server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from admin_ext.parts.chart import HEIGHT, MOST_POINTS, TABLE_ROWS, WIDTH, Mark, area, drawn, moments
from admin_ext.parts.words import file_size
from jobs.fleet.vitals import TREND_POINTS, TREND_STEP, TrendPoint

#: More slots than this are drawn as a meter.
MOST_CELLS = 24
SPARK_WIDTH, SPARK_HEIGHT = 92, 26
#: Where each minute and each per cent stand in the small picture: a list draws six thousand of them.
_ACROSS = [f"{place * (SPARK_WIDTH - 4) / (TREND_POINTS - 1):.1f}," for place in range(TREND_POINTS)]
_DOWN = [f"{(SPARK_HEIGHT - 4) * (1 - min(share, 100) / 100):.1f}" for share in range(256)]


@dataclass(frozen=True, slots=True)
class Slots:
    """The slots of a worker.

    Attributes:
        cells: x of each and what it is: live, idle (reserved) or track (free); empty for a meter.
        used: width of the meter's bar in per cent.
        words: the same for who cannot see it.
    """

    cells: tuple[tuple[int, str], ...]
    used: str
    words: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line over a time: its points, what lies under it, and its last point."""

    points: str
    area: str
    dot_x: str
    dot_y: str
    words: str


@dataclass(frozen=True, slots=True)
class MemoryChart:
    """A worker's memory over a time, its lines and areas in pieces between gaps; `rows` are the same in numbers."""

    lines: tuple[str, ...]
    areas: tuple[str, ...]
    words: str
    levels: tuple[Mark, ...]
    moments: tuple[Mark, ...]
    rows: tuple[tuple[datetime, str, str], ...]


@lru_cache(maxsize=512)
def slots(total: int, used: int, reserved: int) -> Slots:
    """The slots of a worker that tells of itself."""
    words = f"{used:,} of {total:,} slots in use" + (f", {reserved:,} reserved" if reserved else "")
    if total > MOST_CELLS:
        return Slots((), f"{min(used / total, 1) * 100:.1f}%", words)
    tones = (["live"] * used + ["idle"] * reserved + ["track"] * total)[:total]
    return Slots(tuple((place * 15, tone) for place, tone in enumerate(tones)), "", words)


def busy_line(busy: Sequence[int], until: str = "") -> Line | None:
    """The small picture of how busy it has been; None before its second minute.

    Args:
        busy: slots in use in each minute, in per cent; the last one stands at the right end.
        until: completes its words where the last minute is not this one.
    """
    if len(busy) < 2:
        return None
    busy = busy[-TREND_POINTS:]
    across = _ACROSS[-len(busy) :]
    points = " ".join([x + _DOWN[share] for x, share in zip(across, busy, strict=True)])
    low = SPARK_HEIGHT - 4
    dot_x = across[-1][:-1]
    return Line(
        points=points,
        area=f"{across[0]}{low} {points} {dot_x},{low}",
        dot_x=dot_x,
        dot_y=_DOWN[busy[-1]],
        words=f"Slots in use in the last {len(busy)} min{until}: {sum(busy) / len(busy):.0f}% on average",
    )


def busy_words(busy: Sequence[int], until: str = "") -> str:
    """`busy 61 % of the last hour`; "" before its second minute; `until` as `busy_line` takes it."""
    if len(busy) < 2:
        return ""
    share = sum(busy) / len(busy)
    return f"busy {share:.0f} % of the last {'hour' if len(busy) >= TREND_POINTS else f'{len(busy)} min'}{until}"


def memory_chart(points: Sequence[TrendPoint | None], at: float, over: str) -> MemoryChart | None:
    """The chart of a worker's memory; None where that is known of fewer than two minutes.

    Args:
        points: one for each minute, oldest first, None where it was not heard.
        at: when the last one was measured, epoch seconds.
        over: how long that is, in words.
    """
    known = [point.memory for point in points if point is not None and point.memory is not None]
    if len(known) < 2:
        return None
    top = _top(max(known))
    each = -(-len(points) // MOST_POINTS)
    gathered = [_most(points[start : start + each]) for start in range(0, len(points), each)]
    lines = drawn([None if value is None else float(value) for value in gathered], top, WIDTH, HEIGHT)
    return MemoryChart(
        lines=lines,
        areas=tuple(area(line, HEIGHT) for line in lines),
        words=f"Memory over {over}: at most {file_size(max(known))}, last {file_size(known[-1])}.",
        levels=tuple(Mark(f"{100 - part * 25}%", file_size(top * part // 4)) for part in range(5)),
        moments=moments(at, len(points) * TREND_STEP),
        rows=_rows(points, at),
    )


def _most(points: Sequence[TrendPoint | None]) -> int | None:
    return max((point.memory for point in points if point is not None and point.memory is not None), default=None)


def _rows(points: Sequence[TrendPoint | None], at: float) -> tuple[tuple[datetime, str, str], ...]:
    each = -(-len(points) // TABLE_ROWS)
    rows = []
    for start in range(0, len(points), each):
        part = points[start : start + each]
        most, heard = _most(part), [point.busy for point in part if point is not None]
        rows.append(
            (
                datetime.fromtimestamp(at - (len(points) - 1 - start) * TREND_STEP, UTC),
                "not known" if most is None else file_size(most),
                f"{sum(heard) / len(heard):.0%}" if heard else "not known",
            )
        )
    return tuple(rows)


def _top(value: int) -> int:
    """The next number of bytes that four steps divide well."""
    size = 1_000_000
    while True:
        for factor in (4, 8, 20):
            if value <= factor * size:
                return factor * size
        size *= 10
