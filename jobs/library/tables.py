"""Tables that the jobs that ship hand to people, and the words for how many rows there are."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from jobs import attach

from .reports import safe_cell

#: Without it a spreadsheet takes UTF-8 for something else.
_BOM = "\ufeff"


def attach_table(name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Attach `rows` as CSV; what a spreadsheet would take for a formula is kept from being one."""
    attach(name, csv_text(columns, rows), content_type="text/csv", rows=len(rows))


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """The table as CSV with a head, each cell safe to open; None is an empty cell."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(columns)
    writer.writerows(["" if cell is None else safe_cell(cell) for cell in row] for row in rows)
    return _BOM + buffer.getvalue()


def counted(count: int, noun: str, plural: str = "") -> str:
    """ "1 user", "1,200 users"; `plural` where an s does not make it."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
