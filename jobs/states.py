"""The states of a run, and what may follow what. Nothing here touches a database, Redis or Celery."""

from enum import StrEnum


class State(StrEnum):
    """One state of a run. The recorder, the claim and the verbs move a run; nothing else does."""

    #: Not before a time that lies ahead; held in the database, no message exists.
    WAITING = "waiting"
    #: Accepted from a person or a schedule; the dispatcher has yet to publish it.
    ACCEPTED = "accepted"
    #: Published; a message should be in Redis.
    QUEUED = "queued"
    #: Claimed by a worker for its current attempt.
    RUNNING = "running"
    #: The last attempt asked for an automatic retry; the next attempt is pending.
    RETRYING = "retrying"
    #: Finished; the return value is stored.
    SUCCEEDED = "succeeded"
    #: Finished with an error, no automatic retry left.
    FAILED = "failed"
    #: Stopped by a person before or while it ran.
    CANCELLED = "cancelled"
    #: Not started before the time limit that its publisher set.
    EXPIRED = "expired"
    #: Its worker vanished; it may have partly run. The only finished state that may still change.
    LOST = "lost"


ACTIVE = frozenset({State.WAITING, State.ACCEPTED, State.QUEUED, State.RUNNING, State.RETRYING})
FINISHED = frozenset(State) - ACTIVE
#: What a worker may claim. WAITING and ACCEPTED too: it may be faster than the dispatcher notes the publish, and before
#: its time no message exists. RUNNING and RETRYING too: a retry may overtake the fact that its predecessor ended.
CLAIMABLE = frozenset({State.WAITING, State.ACCEPTED, State.QUEUED, State.RUNNING, State.RETRYING})
#: What the dispatcher looks at: to be published, or published with a message that may have been forgotten.
DISPATCHABLE = frozenset({State.WAITING, State.ACCEPTED, State.QUEUED, State.RETRYING})
RETRYABLE = frozenset({State.FAILED, State.LOST, State.CANCELLED, State.EXPIRED})

#: Order of knowledge within one attempt: a fact never moves a run to a lower rank of the same attempt.
RANKS: dict[State, int] = {
    State.WAITING: 0,
    State.ACCEPTED: 0,
    State.QUEUED: 1,
    State.RUNNING: 2,
    State.RETRYING: 3,
    State.LOST: 4,
    State.SUCCEEDED: 6,
    State.FAILED: 6,
    State.CANCELLED: 6,
    State.EXPIRED: 6,
}
#: The rank of a final state that Celery announced without the worker's own word (architecture.md, "False finals"): a
#: person's revocation says more than that nobody has heard of the worker, whichever of the two comes first.
PROVISIONAL_RANK = 5


def rank(state: State, *, provisional: bool = False) -> int:
    """The rank of `state` within its attempt, 0 to 6; a provisional final state ranks below a real one."""
    return min(RANKS[state], PROVISIONAL_RANK) if provisional else RANKS[state]


class Source(StrEnum):
    """Who or what asked for a run."""

    CONSOLE = "console"
    SCHEDULE = "schedule"
    RETRY = "retry"
    CODE = "code"
    SYSTEM = "system"
