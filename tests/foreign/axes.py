"""The table: in what projects differ from the plain one, and what the console does in them."""

from __future__ import annotations

from tests.foreign.projects import Axis

PLAIN = Axis("A plain project")
AXES: tuple[Axis, ...] = (PLAIN,)
