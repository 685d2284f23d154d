"""The rows of the ledger."""

from .attempt import Attempt
from .audit import AuditEvent
from .delivery import Delivery
from .failure import FailureCase, FailureCount, FailureGroup, FailureNote
from .lease import Lease
from .preset import Preset
from .run import Run, RunFile, RunLog, RunObject
from .snooze import SnoozedTrouble

__all__ = [
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
