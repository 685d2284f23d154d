"""The rows of the ledger."""

from .alert import Alert, AlertChannel, AlertMessage
from .attempt import Attempt
from .audit import AuditEvent
from .delivery import Delivery
from .failure import FailureCase, FailureCount, FailureGroup, FailureNote
from .lease import Lease
from .preset import Preset
from .run import Run, RunFile, RunLog, RunObject
from .snooze import SnoozedTrouble

__all__ = [
    "Alert",
    "AlertChannel",
    "AlertMessage",
    "Attempt",
    "AuditEvent",
    "Delivery",
    "FailureCase",
    "FailureCount",
    "FailureGroup",
    "FailureNote",
    "Lease",
    "Preset",
    "Run",
    "RunFile",
    "RunLog",
    "RunObject",
    "SnoozedTrouble",
]
