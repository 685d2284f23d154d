"""Attempts that did not succeed. A run that succeeds the first time has none."""

from django.db import models

from .run import Run


class Attempt(models.Model):
    """One try of a run that did not bring it to success."""

    class Outcome(models.TextChoices):
        #: Ended with an error; the run failed.
        FAILED = "failed"
        #: Ended with an error; an automatic retry followed.
        RETRIED = "retried"
        #: The worker vanished while it ran.
        LOST = "lost"
        #: Finished, but a later attempt had already begun: its result does not count.
        FENCED = "fenced"
        #: Stopped by a person.
        CANCELLED = "cancelled"

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    outcome = models.CharField(max_length=16, choices=Outcome)
    worker = models.CharField(max_length=255, blank=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    runtime = models.FloatField(null=True)
    error_type = models.CharField(max_length=255, blank=True)
    error_message = models.CharField(max_length=500, blank=True)
    traceback = models.TextField(blank=True)

    class Meta:
        ordering = ["number"]
        default_permissions = ()
        constraints = [models.UniqueConstraint("run", "number", "outcome", name="attempt_once")]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.run_id}"
