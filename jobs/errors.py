"""Errors of the domain. `str(error)` is fit for staff: it says what did not happen, why, and what to do now."""


class JobsError(Exception):
    """Base of every refusal of a verb."""


class NotPermitted(JobsError):
    """The actor lacks the permission that the verb or the job asks for."""


class UnknownJob(JobsError):
    """No registered task has this name."""


class InvalidArguments(JobsError):
    """The arguments do not fit the job's parameters.

    `fields` maps a parameter's name to one sentence; the key "" holds what belongs to no single parameter.
    """

    def __init__(self, fields: dict[str, str]) -> None:
        self.fields = fields
        names = ", ".join(name for name in fields if name)
        count = len(fields)
        super().__init__(
            f"Nothing was started: {count} field{'s' if count > 1 else ''} to correct{': ' + names if names else ''}."
        )


class FormReused(JobsError):
    """A form that already started a run was sent again with other values."""

    def __init__(self, task_id: str) -> None:
        self.task_id = task_id
        super().__init__(
            f"Nothing was started: this form already started run {task_id[:8]} with other values. "
            "Check the values and press the button once more to start a second run."
        )


class ImmutableRow(JobsError):
    """An append-only row was about to be changed or deleted."""


class ConfigurationError(JobsError):
    """A job is declared in a way that cannot work; the text names the declaration and the remedy."""
