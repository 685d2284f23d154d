"""What an address names and nobody knows: the page that says so leads to what there is."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from django.http import Http404

#: So many of what there is are named.
NAMED = 8


class NotThere(Http404):
    """404 with ways on.

    Args:
        sentence: what there is none of.
        exists: word and address of each way on.
    """

    def __init__(self, sentence: str, exists: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(sentence)
        self.exists = tuple(exists)


def nearest(name: str, names: Iterable[str]) -> list[str]:
    """Those of `names` that one may have meant, the most alike first, then as many of the others as are named."""
    known = sorted(names)
    alike = get_close_matches(name, known, n=NAMED, cutoff=0.5)
    return [*alike, *(one for one in known if one not in alike)][:NAMED]
