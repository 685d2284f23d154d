"""Unfold's settings: title, colours, sidebar."""
from typing import Any

UNFOLD: dict[str, Any] = {"SITE_TITLE": "Operations"}
