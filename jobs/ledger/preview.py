"""The first lines of a run's file, as text or as a table; at most PREVIEW_BYTES are read.

A page of HTML is not read here: the browser shows it in a frame of its own, in which nothing is allowed.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import PurePosixPath

from jobs.models import RunFile

from .audit import Actor
from .files import open_file

PREVIEW_BYTES = 20_000
PREVIEW_LINES = 20
PREVIEW_COLUMNS = 12
_WRONG = {"refused", "failed", "error", "invalid"}
_TEXT_ENDINGS = {".csv", ".tsv", ".json", ".jsonl", ".txt", ".log", ".md", ".html", ".xml", ".yaml", ".yml", ".sql"}


@dataclass(frozen=True, slots=True)
class Preview:
    """What a file begins with.

    Attributes:
        table: its first rows, the head first; empty where it is no table.
        text: its first lines, where it is no table.
        whole: the file has nothing beyond this.
        why_not: why there is nothing to show; "" where there is.
        framed: it is a page, to be shown in a frame.
    """

    file: RunFile
    table: tuple[tuple[str, ...], ...] = ()
    text: str = ""
    whole: bool = True
    why_not: str = ""
    framed: bool = False


def is_page(file: RunFile) -> bool:
    """Whether the file is HTML by its type, or by the end of its name where it has none that says more."""
    kind = file.content_type.partition(";")[0].strip().lower()
    by_name = PurePosixPath(file.name.lower()).suffix in {".html", ".htm"}
    return kind == "text/html" or (by_name and kind in {"", "application/octet-stream", "text/plain"})


def can_preview(file: RunFile) -> bool:
    """Whether the file is text by its type or by the end of its name."""
    kind = file.content_type.partition(";")[0].strip().lower()
    by_type = kind.startswith("text/") or kind.endswith(("json", "+xml", "/xml", "/csv"))
    return by_type or PurePosixPath(file.name.lower()).suffix in _TEXT_ENDINGS


def preview(file: RunFile, actor: Actor) -> Preview:
    """Read the file's beginning; that it was opened is recorded, as for a download.

    Args:
        file: with its run.

    Raises:
        NotPermitted: the actor may not see runs.
        FileGone: the storage no longer has it.
    """
    if not can_preview(file):
        return Preview(file, why_not="It is no text. Download it to look at it.")
    if is_page(file):
        return Preview(file, framed=True)
    with open_file(file, actor) as stream:
        data: bytes = stream.read(PREVIEW_BYTES + 1)
    whole, data = len(data) <= PREVIEW_BYTES, data[:PREVIEW_BYTES]
    if not data:
        return Preview(file, why_not="It is empty.")
    if b"\0" in data:
        return Preview(file, why_not="It is no text, whatever its name says. Download it to look at it.")
    text = data.decode("utf-8-sig", errors="replace")
    if not whole and "\n" in text:
        text = text[: text.rindex("\n")]  # half a line is no line
    if _is_table(file) and (table := _table(text)):
        rows = (table[0], *sorted(table[1:], key=_is_fine)[:PREVIEW_LINES])
        return Preview(file, table=rows, whole=whole and len(rows) == len(table))
    text = _indented(text) if whole else text
    lines = text.splitlines()
    return Preview(file, text="\n".join(lines[:PREVIEW_LINES]), whole=whole and len(lines) <= PREVIEW_LINES)


def _is_table(file: RunFile) -> bool:
    return "csv" in file.content_type or "tab-separated" in file.content_type or file.name.endswith((".csv", ".tsv"))


def _table(text: str) -> tuple[tuple[str, ...], ...]:
    """The rows; empty where the text is no table after all."""
    head = text.partition("\n")[0]
    delimiter = max(",;\t|", key=head.count)
    try:
        rows = [tuple(row[:PREVIEW_COLUMNS]) for row in csv.reader(text.splitlines(), delimiter=delimiter) if row]
    except csv.Error:
        return ()
    return tuple(rows)


def _is_fine(row: tuple[str, ...]) -> bool:
    """False for a row that tells of something wrong: those are looked for, and stand first."""
    return not any(cell.strip().lower() in _WRONG for cell in row)


def _indented(text: str) -> str:
    """JSON on one line is hard to read; whatever is no JSON stays as it is."""
    if "\n" in text.strip() or not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return text
