"""A run: one request to execute a task, and the files that it produced."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from jobs.states import ACTIVE, FINISHED, Source, State

from .json_object import JSONObjectField


def _choices(enum: type[State] | type[Source]) -> list[tuple[str, str]]:
    return [(member.value, member.value.capitalize()) for member in enum]


class Run(models.Model):
    """One request to execute a task. `task_id` is Celery's task id and the id in the URL."""

    task_id = models.CharField(max_length=255, unique=True, editable=False)
    task_name = models.CharField(max_length=255)
    #: kombu's tagged JSON of `[args, kwargs]`: exact, decodes to equal values (`jobs.pipeline.arguments`).
    arguments = models.TextField(default="[[], {}]")
    #: False where the publisher's arguments could not be kept whole; such a run cannot be retried as it was.
    arguments_exact = models.BooleanField(default=True)
    #: The arguments in one line without secrets, cut: what lists show and what the search looks at.
    summary = models.CharField(max_length=500, blank=True)
    #: True: the console accepted it, the claim guards it. False: observed, under Celery's own delivery rules.
    guaranteed = models.BooleanField(default=False)

    source = models.CharField(max_length=16, choices=_choices(Source), default=Source.CODE)
    #: The key as text, whatever the user model. No foreign key: deleting a user must not touch the history.
    actor_id = models.CharField(max_length=255, null=True)
    actor_label = models.CharField(max_length=255, blank=True)
    reason = models.TextField(blank=True)
    #: One submitted form, one due moment: the database refuses the second run.
    nonce = models.CharField(max_length=255, unique=True, null=True)
    schedule_id = models.BigIntegerField(null=True)
    schedule_name = models.CharField(max_length=255, blank=True)
    due_at = models.DateTimeField(null=True)
    retry_of = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="retries_by_staff")
    #: The id of the run whose values the form was filled from.
    based_on = models.CharField(max_length=255, blank=True)
    #: The outermost run of its family; NULL for that run itself and for one that is alone.
    root_id = models.CharField(max_length=255, null=True)
    #: The run whose task published it; "" where none did.
    parent_id = models.CharField(max_length=255, blank=True)
    #: Celery's id of the group or chord that it is a member of.
    group_id = models.CharField(max_length=255, blank=True)
    #: Which process published it, `pid@host`.
    origin = models.CharField(max_length=255, blank=True)

    queue = models.CharField(max_length=255, blank=True)
    priority = models.PositiveSmallIntegerField(null=True)
    not_before = models.DateTimeField(null=True)
    #: What else its message says, for a retry to say it again (`jobs.pipeline.delivery`); NULL where it says nothing.
    delivery = JSONObjectField(null=True)
    #: Its publisher wants it dropped if nobody has started it by then.
    expires_at = models.DateTimeField(null=True)

    state = models.CharField(max_length=16, choices=_choices(State), default=State.ACCEPTED)
    #: The final state was announced without the worker's own word and may still be corrected.
    provisional = models.BooleanField(default=False)
    #: Why it is in this state where the state alone does not say it: "worker gone", "shutdown", …
    state_note = models.CharField(max_length=255, blank=True)
    #: What a person decided about a lost run.
    resolution = models.CharField(max_length=32, blank=True)
    #: The number of the current attempt, 0 before the first claim. The fencing token of every fact.
    attempt = models.PositiveIntegerField(default=0)
    #: Attempts of earlier uses of the same id; only code reuses ids.
    attempts_before = models.PositiveIntegerField(default=0)
    #: Celery's own count of automatic retries in the next message.
    retries = models.PositiveIntegerField(default=0)
    #: The id of the worker process that has it, a colon, and a nonce of the claim; see `process`.
    claimed_by = models.CharField(max_length=64, blank=True)
    claimed_at = models.DateTimeField(null=True)
    cancel_requested_at = models.DateTimeField(null=True)

    accepted_at = models.DateTimeField(db_default=Now())
    published_at = models.DateTimeField(null=True)
    publish_count = models.PositiveIntegerField(default=0)
    #: When the dispatcher must look again: to publish, or to check that the message still exists. NULL: never.
    publish_after = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    #: Seconds of the last attempt, by the worker's monotonic clock.
    runtime = models.FloatField(null=True)
    worker = models.CharField(max_length=255, blank=True)
    release = models.CharField(max_length=64, blank=True)

    error_type = models.CharField(max_length=255, blank=True)
    error_message = models.CharField(max_length=500, blank=True)
    #: The failures that it is like; NULL unless it failed or was lost.
    failure_group = models.ForeignKey(
        "jobs.FailureGroup", null=True, on_delete=models.SET_NULL, related_name="runs", db_index=False
    )
    #: The attempt that the group has counted: the same fact may be recorded again.
    failed_attempt = models.PositiveIntegerField(null=True)
    #: Its value or traceback was too long to be kept whole.
    truncated = models.BooleanField(default=False)
    #: The last progress that it told (`jobs.pipeline.live.Counter`); NULL where it told none.
    progress = JSONObjectField(null=True)

    #: The person who looks may not read what it was given and what it said (`jobs.ledger.readable`).
    withheld = False

    class Meta:
        # By when it was asked for, not by row: an observed run may be recorded long after it was published.
        ordering = ["-accepted_at", "-id"]
        permissions = [
            ("run_job", "Can run jobs"),
            ("retry_run", "Can retry runs"),
            ("retry_unsafe", "Can retry runs of jobs that say never to"),
            ("cancel_run", "Can cancel runs"),
            ("force_cancel", "Can end a run by force"),
            ("purge_queue", "Can remove the waiting messages of a queue"),
            ("control_worker", "Can command workers"),
            ("run_any_task", "Can run diagnostics, and tasks that declare no job"),
            ("reread_facts", "Can see facts that were set aside and have them read again"),
            ("discard_facts", "Can discard facts that were set aside"),
            ("sign_out_users", "Can sign users out everywhere"),
            ("deactivate_users", "Can deactivate dormant users"),
        ]
        default_permissions = ("view",)
        indexes = [
            models.Index(
                fields=["publish_after"], name="run_to_dispatch", condition=models.Q(publish_after__isnull=False)
            ),
            models.Index(fields=["claimed_at"], name="run_running", condition=models.Q(state=State.RUNNING)),
            # Lists read these backwards from a position: every filter with an index of its own begins with it.
            models.Index(fields=["-accepted_at", "-id"], name="run_by_time"),
            # What they find may be spread over the history: where the index did not hold what it is counted or mostly
            # narrowed by, the table would be read, one page of it for each run, and from the disk where that is cold.
            models.Index(fields=["state", "-accepted_at", "-id", "task_name"], name="run_by_state"),
            models.Index(fields=["task_name", "-accepted_at", "-id", "state"], name="run_by_task"),
            models.Index(fields=["queue", "-accepted_at", "-id", "state"], name="run_by_queue"),
            models.Index(fields=["worker", "-accepted_at", "-id", "state"], name="run_by_worker"),
            models.Index(
                fields=["actor_id", "-accepted_at", "-id", "state"],
                name="run_by_actor",
                condition=models.Q(actor_id__isnull=False),
            ),
            models.Index(
                fields=["schedule_id", "-accepted_at", "-id", "state"],
                name="run_by_schedule",
                condition=models.Q(schedule_id__isnull=False),
            ),
            # What people and schedules started is a small part of what code publishes. The conditions are IS NOT NULL
            # because SQLite uses a partial index for no other one that a parameter implies.
            models.Index(
                fields=["-accepted_at", "-id", "source", "state", "task_name", "worker"],
                name="run_of_people",
                condition=models.Q(actor_id__isnull=False),
            ),
            models.Index(
                fields=["-accepted_at", "-id", "source", "state"],
                name="run_of_schedules",
                condition=models.Q(schedule_id__isnull=False),
            ),
            models.Index(fields=["root_id", "id"], name="run_family", condition=models.Q(root_id__isnull=False)),
            models.Index(
                fields=["failure_group", "-accepted_at", "-id"],
                name="run_by_failure",
                condition=models.Q(failure_group__isnull=False),
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(state__in=[s.value for s in State]), name="run_state_known"),
            # However many press the button at the same moment.
            models.UniqueConstraint(
                fields=["retry_of"],
                name="run_one_live_retry",
                condition=models.Q(retry_of__isnull=False, state__in=sorted(s.value for s in ACTIVE)),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task_name} {self.short_id}"

    @property
    def short_id(self) -> str:
        """The first eight characters of the id: what a page shows."""
        return self.task_id[:8]

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE

    @property
    def process(self) -> str:
        """The id of the worker process that claimed it; "" where a worker of an older release did, or none has."""
        return self.claimed_by.partition(":")[0] if ":" in self.claimed_by else ""

    @property
    def is_finished(self) -> bool:
        return self.state in FINISHED


class RunFile(models.Model):
    """A file that a run produced, kept in Django's default storage."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="files")
    attempt = models.PositiveIntegerField(default=1)
    name = models.CharField(max_length=255)
    #: The name inside the storage.
    path = models.CharField(max_length=500)
    content_type = models.CharField(max_length=100)
    size = models.PositiveBigIntegerField()
    rows = models.PositiveBigIntegerField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint("run", "path", name="run_file_once")]

    def __str__(self) -> str:
        return self.name


class RunObject(models.Model):
    """One object that a run is about: a link both ways, and a label that outlives the object."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="objects_of")
    #: `app_label.model_name`, as in `Model._meta.label_lower`.
    model = models.CharField(max_length=255)
    key = models.CharField(max_length=255)
    label = models.CharField(max_length=255)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint("run", "model", "key", name="run_object_once")]
        indexes = [models.Index(fields=["model", "key", "-run"], name="runs_by_object")]

    def __str__(self) -> str:
        return self.label


class RunLog(models.Model):
    """The last lines that a run logged or printed, over all its attempts."""

    run = models.OneToOneField(Run, on_delete=models.CASCADE, primary_key=True, related_name="log")
    #: JSON: a list of `[epoch seconds, level, attempt, text]`, oldest first (`jobs.pipeline.told.Line`).
    lines = models.TextField(default="[]")
    #: How many lines it wrote in all, the kept ones included.
    written = models.PositiveBigIntegerField(default=0)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"log of {self.run_id}"
