"""Addresses of the console's own pages, each looked up once: some stand fifty times on a page."""

from __future__ import annotations

from functools import cache

from django.urls import get_script_prefix, get_urlconf, reverse


def place(name: str, *args: str) -> str:
    """The address of the page `name`, for pages of which there are few: it is kept as long as the process lives."""
    return _found(name, args, get_urlconf(), get_script_prefix())


@cache
def _found(name: str, args: tuple[str, ...], urlconf: str | None, prefix: str) -> str:
    """Once for each place that Django serves."""
    return reverse(name, args=args)
