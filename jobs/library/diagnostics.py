"""Jobs that tell whether the console itself works."""

from jobs import job


@job(title="Self-check", group="Diagnostics", idempotent=True, listed=False, time_limit=30, soft_time_limit=20)
def self_check() -> str:
    """Goes through the whole path once: accepted, published, claimed, run, recorded."""
    return "The whole path works."
