"""The rows of the ledger."""

from .attempt import Attempt
from .audit import AuditEvent
from .lease import Lease
from .run import Run, RunFile

__all__ = ["Attempt", "AuditEvent", "Lease", "Run", "RunFile"]
