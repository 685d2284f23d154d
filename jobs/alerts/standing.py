"""What stands wrong now, as whoever can tell hands it over: for nobody in particular."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Standing:
    """One trouble.

    Attributes:
        key: what is in trouble; the same while it lasts, whatever else is said of it.
        tone: bad or warn.
        fact, more: sentences that may leave the house: no message of an error, no argument of a run.
        href: where it is shown, a path of the console.
    """

    key: str
    tone: str
    fact: str
    more: str = ""
    href: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at everything.

    Attributes:
        unknown: keys, or beginnings of keys with their colon, whose absence proves nothing; "" stands for all.
    """

    standing: tuple[Standing, ...] = ()
    unknown: tuple[str, ...] = ()

    def is_unknown(self, key: str) -> bool:
        """Whether nobody could see if this trouble still stands."""
        return any(not one or one == key or (one.endswith(":") and key.startswith(one)) for one in self.unknown)
