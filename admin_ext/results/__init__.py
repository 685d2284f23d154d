"""What django-celery-results keeps, read-only."""
