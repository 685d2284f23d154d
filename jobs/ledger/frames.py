"""A traceback's text as exceptions and frames: which of them are the project's own. Nothing is imported or looked up.

The text comes from whatever ran: it may be cut in the middle, hold ten thousand frames, or be made to deceive. Every
line is looked at once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

#: What `jobs.pipeline.facts.cut` leaves where it took something out.
CUT = "… cut …"
#: The link of an exception from which the next one was raised.
DIRECT_CAUSE = "Its direct cause"
_HEAD = "Traceback (most recent call last):"
_LINKS = {
    "During handling of the above exception, another exception occurred:": "It happened while this was handled",
    "The above exception was the direct cause of the following exception:": DIRECT_CAUSE,
}
_MEMBER = "One of them"
_FILE = re.compile(r'\s*File "([^"]*)", line (\d{1,9})(?:, in (.*))?$')
_REPEATED = re.compile(r"\s*\[Previous line repeated (\d{1,9}) more times?\]$")
#: The margin of an exception group's members.
_MARGIN = re.compile(r"\s*[|+] ?")
_EXCEPTION = re.compile(r"[\w.]+(?::|$)")
_LIBRARY = re.compile(
    r"(?:^|[/\\])(?:site-packages|dist-packages|celery|kombu|billiard)[/\\]|[/\\]python\d[\w.]*(?=[/\\])|^<frozen ",
    re.IGNORECASE,
)


@dataclass(slots=True)
class Frame:
    """One call.

    Attributes:
        source: the lines that the traceback shows of it, without their common indent.
        repeated: how many more times it followed on itself.
    """

    path: str
    line: int
    function: str
    source: list[str] = field(default_factory=list)
    repeated: int = 0

    @property
    def is_own(self) -> bool:
        """Whether it is the project's own code: no installed package, nothing of Python's or Celery's."""
        return not _LIBRARY.search(self.path)

    @property
    def file(self) -> str:
        """The end of the path: what tells files apart without the folders above the project."""
        return "/".join(re.split(r"[/\\]", self.path)[-3:])

    @property
    def package(self) -> str:
        """The library that it belongs to, as far as the path tells; "" for one's own code."""
        found = list(_LIBRARY.finditer(self.path))
        if not found:
            return ""
        name = re.split(r"[/\\]", self.path[found[-1].end() :])[0].removesuffix(".py")
        inside = re.search(r"(celery|kombu|billiard)[/\\]$", found[-1][0], re.IGNORECASE)
        return inside[1] if inside else name if "packages" in found[-1][0] else "Python"


@dataclass(slots=True)
class Raised:
    """One exception with its frames, outermost first.

    Attributes:
        link: how it led to the one that was raised after it; "" for the last one.
        cut: lines are missing.
    """

    frames: list[Frame] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    link: str = ""
    cut: bool = False

    @property
    def message(self) -> str:
        return "\n".join(self.text).strip("\n")

    @property
    def own(self) -> list[Frame]:
        """The project's own frames, innermost first."""
        return [frame for frame in reversed(self.frames) if frame.is_own]

    @property
    def library(self) -> list[Frame]:
        return [frame for frame in reversed(self.frames) if not frame.is_own]

    @property
    def raised_in_own(self) -> bool:
        """Whether the innermost frame is the project's own."""
        return bool(self.frames) and self.frames[-1].is_own


def read_traceback(text: str) -> tuple[Raised, ...]:
    """The exceptions, the one that ended the run first, then what led to it. Empty where nothing is recognised."""
    in_groups = "Exception Group Traceback" in text
    found = [Raised()]
    in_message = skipping = False
    for raw in text.split("\n"):
        line = _MARGIN.sub("", raw, count=1) if in_groups and _MARGIN.match(raw) else raw
        now = found[-1]
        if in_groups and line.startswith("-"):
            continue  # the rule above a member
        if line.strip() == CUT:
            now.cut, skipping = True, not in_message
        elif (link := _LINKS.get(line.strip())) is not None:
            now.link = link
            found.append(Raised())
            in_message = skipping = False
        elif line.endswith(_HEAD):
            if now.frames or now.text:
                found.append(Raised(link=_MEMBER if in_groups else ""))
            in_message = skipping = False
        elif not in_message and (frame := _FILE.match(line)) is not None:
            now.frames.append(Frame(frame[1], int(frame[2]), frame[3] or ""))
            skipping = False
        elif not in_message and (again := _REPEATED.match(line)) is not None:
            if now.frames:
                now.frames[-1].repeated += int(again[1])
        elif not in_message and line.startswith(" "):
            _source(now, line, skipping)
        elif line or in_message:
            in_message = in_message or not skipping or bool(_EXCEPTION.match(line))
            if in_message:
                now.text.append(line)
    # A group comes before its members, a cause before its effect.
    return tuple(raised for raised in (found if in_groups else reversed(found)) if raised.frames)


def _source(raised: Raised, line: str, skipping: bool) -> None:
    code = line.strip()
    marks_only = not code.strip("^~ ")
    if raised.frames and not skipping and not marks_only:
        raised.frames[-1].source.append(code)
