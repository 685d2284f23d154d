"""The jobs that ship: importing this registers those that SHIPPED_JOBS wants, and what the console itself needs.

What the user model does not allow for is left out.
"""

from importlib import import_module

from django.conf import settings

from jobs.ledger.shipped import fits
from jobs.settings import shipped_jobs

from . import maintenance

for name in shipped_jobs(getattr(settings, "SHIPPED_JOBS", True)):
    if fits(name):
        import_module(f"jobs.library.{name}")

__all__ = ["maintenance"]
