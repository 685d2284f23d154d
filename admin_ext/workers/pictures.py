"""Pictures of a worker: its slots, its last hour, its memory. SVG points, made on the server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.utils import timezone

from admin_ext.parts.chart import HEIGHT, WIDTH, Mark
from admin_ext.parts.words import file_size
from jobs.fleet.vitals import TREND_POINTS, TREND_STEP, TrendPoint

#: More slots than this are drawn as a meter.
MOST_CELLS = 24
SPARK_WIDTH, SPARK_HEIGHT = 92, 26


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
    """A worker's memory in its last hour; `rows` are the same in numbers."""

    line: Line
    levels: tuple[Mark, ...]
    moments: tuple[Mark, ...]
    rows: tuple[tuple[datetime, str, str], ...]


def slots(total: int, used: int, reserved: int) -> Slots:
    """The slots of a worker that tells of itself."""
    words = f"{used:,} of {total:,} slots in use" + (f", {reserved:,} reserved" if reserved else "")
    if total > MOST_CELLS:
        return Slots((), f"{min(used / total, 1) * 100:.1f}%", words)
    tones = (["live"] * used + ["idle"] * reserved + ["track"] * total)[:total]
    return Slots(tuple((place * 15, tone) for place, tone in enumerate(tones)), "", words)


def busy_line(trend: Sequence[TrendPoint]) -> Line | None:
    """The small picture of how busy it has been; None before its second minute."""
    if len(trend) < 2:
        return None
    words = f"Slots in use in the last {len(trend)} min: {_mean([point.busy for point in trend]):.0%} on average"
    return _line([point.busy for point in trend], 1.0, SPARK_WIDTH - 4, SPARK_HEIGHT - 4, words)


def busy_words(trend: Sequence[TrendPoint]) -> str:
    """`busy 61 % of the last hour`; "" before its second minute."""
    if len(trend) < 2:
        return ""
    share = _mean([point.busy for point in trend]) * 100
    return f"busy {share:.0f} % of the last {'hour' if len(trend) >= TREND_POINTS else f'{len(trend)} min'}"


def memory_chart(trend: Sequence[TrendPoint], at: float) -> MemoryChart | None:
    """The chart of a worker's memory; None where it does not tell, or not for two minutes yet.

    Args:
        at: when the last point was measured, epoch seconds.
    """
    known = [point.memory for point in trend if point.memory is not None]
    if len(known) < 2 or len(known) < len(trend):
        return None
    top = _top(max(known))
    words = f"Memory in the last {len(known)} min: at most {file_size(max(known))}, last {file_size(known[-1])}."
    line = _line([float(value) for value in known], float(top), WIDTH, HEIGHT, words)
    moments = [_at(at, place) for place in range(TREND_POINTS)]
    marks = tuple(
        Mark(f"{part * 25}%", f"{_at(at, round(part * (TREND_POINTS - 1) / 4)):%H:%M}", _anchor(part))
        for part in range(5)
    )
    rows = [
        (moments[TREND_POINTS - len(trend) + place], file_size(point.memory or 0), f"{point.busy:.0%}")
        for place, point in enumerate(trend)
    ]
    levels = tuple(Mark(f"{100 - part * 25}%", file_size(top * part // 4)) for part in range(5))
    return MemoryChart(line, levels, marks, tuple(rows[:: -(-len(rows) // 12)]))


def _at(last: float, place: int) -> datetime:
    return timezone.localtime(datetime.fromtimestamp(last - (TREND_POINTS - 1 - place) * TREND_STEP, UTC))


def _anchor(part: int) -> str:
    return {0: "start", 4: "end"}.get(part, "middle")


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _top(value: int) -> int:
    """The next number of bytes that four steps divide well."""
    size = 1_000_000
    while True:
        for factor in (4, 8, 20):
            if value <= factor * size:
                return factor * size
        size *= 10


def _line(values: Sequence[float], top: float, width: float, height: float, words: str) -> Line:
    """The last value stands at the right end; a worker that is younger than the hour begins further right."""
    first, step = TREND_POINTS - len(values), width / (TREND_POINTS - 1)
    points = [((first + i) * step, height - min(value / top, 1.0) * height) for i, value in enumerate(values)]
    text = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    area = f"{points[0][0]:.1f},{height} {text} {points[-1][0]:.1f},{height}"
    return Line(text, area, f"{points[-1][0]:.1f}", f"{points[-1][1]:.1f}", words)
