"""Groups of failed runs that are alike, how often each failed, and what people say of them."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class FailureGroup(models.Model):
    """Failed and lost runs of one job with one fingerprint (`jobs.failures.fingerprint`)."""

    class State(models.TextChoices):
        OPEN = "open"
        #: Out of sight until `snoozed_until`; it wakes by that time alone, nobody writes a row for it.
        SNOOZED = "snoozed"
        #: A person says that it is done. A run that begins after that and fails again opens it: *regressed*.
        RESOLVED = "resolved"

    fingerprint = models.CharField(max_length=64, unique=True, editable=False)
    #: What the fingerprint was made of: a `jobs.failures.fingerprint.Basis`.
    basis = models.CharField(max_length=16)
    task_name = models.CharField(max_length=255)
    error_type = models.CharField(max_length=255, blank=True)
    #: The message of its first run without what changes from run to run.
    title = models.CharField(max_length=255, blank=True)
    #: Where in the project's own code, "shop/gateway.py, charge"; "" where no own frame is known.
    place = models.CharField(max_length=255, blank=True)
    #: Of its newest run, as it was.
    sample_message = models.CharField(max_length=500, blank=True)
    #: A digest of `title` as two messages are compared; "" before the first failure since this is kept.
    message_key = models.CharField(max_length=16, blank=True, db_default="", editable=False)
    #: Not all of its messages are alike.
    varied = models.BooleanField(db_default=False)
    #: The id of its newest run.
    last_run = models.CharField(max_length=255)
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()
    #: Failures so far, those of pruned runs included.
    total = models.BigIntegerField(default=0)
    #: Pieces of work that hurt: its cases after whose last failure no equal run has succeeded. A retry that fails as
    #: well is no second one; failures of which nobody knows what is equal are one each.
    hurting = models.BigIntegerField(default=0)
    #: The last success after which a failure of it hurt no more, and the id of that run.
    healed_at = models.DateTimeField(null=True)
    healed_by = models.CharField(max_length=255, blank=True)

    state = models.CharField(max_length=16, choices=State, default=State.OPEN)
    snoozed_until = models.DateTimeField(null=True)
    #: When it failed again after it was resolved; NULL where it did not since.
    regressed_at = models.DateTimeField(null=True)
    #: The last time that a person snoozed, resolved or opened it, and who.
    decided_at = models.DateTimeField(null=True)
    decided_by = models.CharField(max_length=255, blank=True)
    #: Grows with each change of its state: a verb changes the version that the person saw, or nothing.
    version = models.PositiveIntegerField(default=0)

    class Meta:
        default_permissions = ("change",)
        indexes = [
            models.Index(fields=["state", "-last_seen", "-id"], name="failure_by_state"),
            models.Index(fields=["-last_seen", "-id"], name="failure_by_time"),
            # The badge of every page counts what hurts and is not put aside.
            models.Index(fields=["state", "hurting", "snoozed_until"], name="failure_hurting"),
            models.Index(fields=["task_name"], name="failure_by_task"),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(state__in=["open", "snoozed", "resolved"]), name="failure_state"),
        ]

    def __str__(self) -> str:
        return f"{self.error_type or 'Failure'} in {self.task_name}"

    @property
    def message(self) -> str:
        """What its newest run said, as it was: people do not read "<n> rows" as a number, and a key in quotes tells."""
        said = next((" ".join(line.split()) for line in self.sample_message.splitlines() if line.strip()), "")
        return said or self.title


class FailureCount(models.Model):
    """How many runs of a group that were asked for within one hour failed; kept for the last days only."""

    group = models.ForeignKey(FailureGroup, on_delete=models.CASCADE, related_name="counts", db_index=False)
    #: The hour's beginning, in UTC.
    hour = models.DateTimeField()
    n = models.BigIntegerField(default=0)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint("group", "hour", name="failure_count_once")]
        indexes = [models.Index(fields=["hour"], name="failure_count_by_hour")]

    def __str__(self) -> str:
        return f"{self.n} in {self.hour:%Y-%m-%d %H}"


class FailureCase(models.Model):
    """The failures of a group whose runs were equal, same job and same arguments: what one success heals."""

    group = models.ForeignKey(FailureGroup, on_delete=models.CASCADE, related_name="cases", db_index=False)
    #: Of the job and its arguments; "" where the arguments were not kept whole, so that nobody knows what is equal.
    digest = models.CharField(max_length=32, blank=True)
    #: Failures since the last equal success.
    hurting = models.BigIntegerField(default=0)
    last_failed_at = models.DateTimeField()
    #: The id of its newest failed run.
    last_run = models.CharField(max_length=255)
    healed_at = models.DateTimeField(null=True)
    healed_by = models.CharField(max_length=255, blank=True)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint("group", "digest", name="failure_case_once")]
        indexes = [
            models.Index(fields=["digest"], name="failure_case_digest"),
            models.Index(fields=["group", "-last_failed_at", "-id"], name="failure_case_newest"),
            models.Index(fields=["last_failed_at"], name="failure_case_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.hurting} of {self.group_id}"


class FailureNote(models.Model):
    """What a person wrote about a group."""

    group = models.ForeignKey(FailureGroup, on_delete=models.CASCADE, related_name="notes", db_index=False)
    at = models.DateTimeField(db_default=Now())
    #: The key as text. No foreign key: the note outlives the user.
    actor_id = models.CharField(max_length=255, null=True)
    actor_label = models.CharField(max_length=255)
    text = models.TextField()

    class Meta:
        default_permissions = ()
        ordering = ["-id"]
        indexes = [models.Index(fields=["group", "-id"], name="failure_notes")]

    def __str__(self) -> str:
        return self.text[:60]
