"""Pictures of the past: points of SVG lines, made here so that pages need no script and no inline style."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from typing import cast

from django.utils import timezone

from admin_ext.parts.remembered import last_read
from jobs.fleet.samples import Point, Resolution, Series

#: A small picture is so wide and high, in units of its own.
SPARK_WIDTH, SPARK_HEIGHT = 96, 30
#: A chart is so wide and high, in units of its own; it stretches to its card.
WIDTH, HEIGHT = 1000, 100
#: A chart draws no more points than this, and its table has so many rows.
MOST_POINTS = 360
TABLE_ROWS = 12


@dataclass(frozen=True, slots=True)
class Spark:
    """The last hour of one queue.

    Attributes:
        lines, areas: points of each piece between gaps.
        dot: where the last point is, "" where there is none.
        words: the same for who cannot see it.
    """

    lines: tuple[str, ...]
    areas: tuple[str, ...]
    dot_x: str
    dot_y: str
    tone: str
    words: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A place on an axis, in per cent, and its words; `anchor` is SVG's text-anchor."""

    at: str
    text: str
    anchor: str = "middle"


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of the chart's numbers; None where nothing was measured."""

    at: datetime
    ready: str
    oldest: str
    arrived: str
    left: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A queue over time.

    Attributes:
        ready, arrived, left: points of the pieces of each line.
        area: what lies under `ready`.
        top: the number at the upper end.
        measured: how much of the time was measured at all, 0 to 1.
    """

    ready: tuple[str, ...]
    area: tuple[str, ...]
    arrived: tuple[str, ...]
    left: tuple[str, ...]
    levels: tuple[Mark, ...]
    moments: tuple[Mark, ...]
    rows: tuple[TableRow, ...]
    top: int
    words: str
    measured: float


def _pieces(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """The runs of known values, with their places. One missing place between two known ones is no gap."""
    if None not in values:
        return [list(enumerate(cast(Sequence[float], values)))] if values else []
    known = [
        value if value is not None or not 0 < i < len(values) - 1 else _between(values[i - 1], values[i + 1])
        for i, value in enumerate(values)
    ]
    numbered = groupby(enumerate(known), key=lambda one: one[1] is None)
    return [[(i, value) for i, value in group if value is not None] for unknown, group in numbered if not unknown]


def _between(before: float | None, after: float | None) -> float | None:
    return (before + after) / 2 if before is not None and after is not None else None


def _line(piece: list[tuple[int, float]], count: int, top: float, width: float, height: float) -> str:
    across = width / max(count - 1, 1)
    if len(piece) == 1:
        piece = [*piece, (piece[0][0] + 1, piece[0][1])]
    return " ".join([f"{i * across:.1f},{height - value / top * height:.1f}" for i, value in piece])


def area(line: str, height: float) -> str:
    """What lies under the points of a line, as a polygon's points."""
    first, last = line.split(" ")[0].split(",")[0], line.split(" ")[-1].split(",")[0]
    return f"{first},{height} {line} {last},{height}"


def spark(ready: Sequence[int | None], tone: str) -> Spark | None:
    """The small picture of what was ready in each minute of an hour; None where nothing was measured."""
    known = [value for value in ready if value is not None]
    words = f"Ready in the last hour: at most {max(known):,}, last {known[-1]:,}" if known else ""
    return line_spark(ready, tone, words)


def line_spark(values: Sequence[float | None], tone: str, words: str, *, most: float = 1.0) -> Spark | None:
    """The small picture of any values; None where none is known. It is at least `most` high."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    top, low = max([*known, most]), SPARK_HEIGHT - 4
    lines = drawn(values, top * 1.1, SPARK_WIDTH - 4, low)
    last_x, last_y = lines[-1].split(" ")[-1].split(",")
    return Spark(
        lines=lines,
        areas=tuple(area(line, low) for line in lines),
        dot_x=last_x,
        dot_y=last_y,
        tone=tone,
        words=words,
    )


def as_of(one: Spark, at: float) -> Spark:
    """A small picture that was read at `at` (epoch seconds) and may have changed since: in grey, and it says so."""
    return replace(one, tone="idle", words=f"{one.words}. {last_read(at)}")


def chart(series: Series, resolution: Resolution, now: float) -> Chart | None:
    """The chart of a queue over the time of `series`; None where nothing was measured."""
    if not any(series):
        return None
    every = -(-len(series) // MOST_POINTS)
    points = [_gathered(series[i : i + every]) for i in range(0, len(series), every)]
    ready = [None if point is None else float(point.ready) for point in points]
    arrived = [None if point is None else point.in_per_minute for point in points]
    left = [None if point is None else point.out_per_minute for point in points]
    top = _nice(max([value for values in (ready, arrived, left) for value in values if value is not None] + [1.0]))
    seconds = len(series) * resolution.step
    lines = drawn(ready, top, WIDTH, HEIGHT)
    peak = max(value for value in ready if value is not None)
    return Chart(
        ready=lines,
        area=tuple(area(line, HEIGHT) for line in lines),
        arrived=drawn(arrived, top, WIDTH, HEIGHT),
        left=drawn(left, top, WIDTH, HEIGHT),
        levels=tuple(Mark(f"{100 - part * 25}%", f"{top * part / 4:,.4g}") for part in range(5)),
        moments=moments(now, seconds),
        rows=_rows(series, resolution, now),
        top=top,
        words=f"Ready messages over {_span(seconds)}: at most {peak:,.0f}.",
        measured=sum(point is not None for point in series) / len(series),
    )


def _gathered(points: Sequence[Point | None]) -> Point | None:
    known = [point for point in points if point is not None]
    if not known:
        return None
    return Point(
        ready=max(point.ready for point in known),
        oldest=max(point.oldest for point in known),
        seconds=sum(point.seconds for point in known),
        arrived=sum(point.arrived for point in known),
        left=sum(point.left for point in known),
    )


def drawn(values: Sequence[float | None], top: float, width: float, height: float) -> tuple[str, ...]:
    """The points of each piece of a line between gaps."""
    return tuple(_line(piece, len(values), top, width, height) for piece in _pieces(values))


def _nice(value: float) -> int:
    """The next number that four steps divide well: 4, 8, 20, 40, 80, 200, …"""
    size = 1
    while True:
        for factor in (4, 8, 20):
            if value <= factor * size:
                return factor * size
        size *= 10


def _span(seconds: int) -> str:
    return f"{seconds // 3600} h" if seconds <= 86_400 else f"{seconds // 86_400} d"


def moments(now: float, seconds: int) -> tuple[Mark, ...]:
    """The marks below a chart of so many seconds that ends at `now`."""
    written: Callable[[datetime], str] = (
        (lambda at: f"{at:%H:%M}") if seconds <= 86_400 else (lambda at: f"{at:%a} {at.day}")
    )
    parts = 6 if seconds <= 86_400 else 7
    marks = []
    for part in range(parts + 1):
        at = timezone.localtime(datetime.fromtimestamp(now - seconds * (1 - part / parts), UTC))
        anchor = "start" if part == 0 else "end" if part == parts else "middle"
        marks.append(Mark(f"{part * 100 / parts:.2f}%", written(at), anchor))
    return tuple(marks)


def _rows(series: Series, resolution: Resolution, now: float) -> tuple[TableRow, ...]:
    every = -(-len(series) // TABLE_ROWS)
    rows = []
    for start in range(0, len(series), every):
        point = _gathered(series[start : start + every])
        at = datetime.fromtimestamp((now // resolution.step - len(series) + 1 + start) * resolution.step, UTC)
        if point is None:
            rows.append(TableRow(at, *["not measured"] * 4))
        else:
            rates = [point.in_per_minute, point.out_per_minute]
            told = ["unknown" if rate is None else f"{rate:,.1f}" for rate in rates]
            rows.append(TableRow(at, f"{point.ready:,}", f"{point.oldest:,} s", *told))
    return tuple(rows)
