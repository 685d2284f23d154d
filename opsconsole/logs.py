"""What of a log line nobody needs."""

from __future__ import annotations

import logging

from django.core.exceptions import PermissionDenied


class RefusedInOneLine(logging.Filter):
    """Django writes a traceback for each 403; the line itself names the page, and the audit trail who was refused."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], PermissionDenied):
            record.exc_info = record.exc_text = None
        return True
