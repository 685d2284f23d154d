"""What pages say of the machinery: what needs a look, and the parts of its line on the Overview."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that needs a look: one fact, what follows from it, and what to do.

    Attributes:
        tone: bad or warn.
        on_every_page: shown as a banner wherever one looks, not on the Overview alone.
        key: names the same trouble tomorrow, so that a person can put it aside.
        subject: names what is in trouble whatever is wrong with it now, where that is more than the key says.
        ways: at most two links that help, each with its words.
        still_works: what goes on without it; "" where nothing stops.
    """

    tone: str
    icon: str
    fact: str
    consequence: str
    remedy: str
    still_works: str = ""
    on_every_page: bool = False
    key: str = ""
    ways: tuple[tuple[str, str], ...] = ()
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """One word of the machinery line: its tone is ok, warn, bad or unknown; `aside` tells of facts set aside."""

    name: str
    tone: str
    icon: str
    text: str
    aside: str = ""
