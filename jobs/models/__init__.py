"""The rows of the ledger."""

from .attempt import Attempt
from .audit import AuditEvent
from .delivery import Delivery
from .lease import Lease
from .preset import Preset
from .run import Run, RunFile, RunLog, RunObject

__all__ = ["Attempt", "AuditEvent", "Delivery", "Lease", "Preset", "Run", "RunFile", "RunLog", "RunObject"]
