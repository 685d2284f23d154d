"""Celery's own integration tests, run with plain Redis results and with our backend and task class."""
