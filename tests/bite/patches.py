"""What is taken out, and which tests must notice. tests/unit/test_bite.py holds that each still fits the code."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bite:
    """One part of the guarantee, and the change that removes it.

    Attributes:
        name: for the command line and the table.
        changes: file, text that stands there, text instead.
        tests: at least one of them must fail.
    """

    name: str
    removes: str
    changes: tuple[tuple[str, str, str], ...]
    tests: tuple[str, ...]


CLAIM = "tests/integration/test_claim.py"
MACHINE = "tests/integration/guarantee/test_machine.py"
MERGE = "tests/unit/test_merge.py"
START = "tests/integration/test_start.py"
FAULTS = "tests/e2e/test_faults.py"
RETRY = "tests/integration/test_retry.py"
ENDS = "tests/integration/test_cancel_ends.py"

BITES = (
    Bite(
        "attempt",
        "the claim takes only the next execution",
        (("jobs/pipeline/claim.py", "        attempt=n - 1,\n", ""),),
        (f"{CLAIM}::test_the_same_execution_is_not_claimed_twice",),
    ),
    Bite(
        "every base",
        "a task is joined whatever its class",
        (("jobs/pipeline/joined.py", "        _join(task)\n", ""),),
        ("tests/integration/test_every_base.py::test_of_two_deliveries_one_runs",),
    ),
    Bite(
        "cancelled",
        "the claim refuses what is cancelled",
        (("jobs/pipeline/claim.py", "        cancel_requested_at__isnull=True,\n", ""),),
        (f"{CLAIM}::test_what_is_cancelled_or_unknown_is_not_claimed",),
    ),
    Bite(
        "fencing",
        "a fact of an earlier execution does not count",
        (
            (
                "jobs/recorder/merge.py",
                "    if fact.n is not None:\n        return fact.n\n",
                "    if fact.n is not None:\n        return max(fact.n, run.attempt)\n",
            ),
        ),
        (f"{MERGE}::test_a_success_of_an_earlier_attempt_is_fenced",),
    ),
    Bite(
        "rank",
        "a fact moves a run only upwards",
        (
            (
                "jobs/recorder/merge.py",
                "    if (n, rank(state, provisional=provisional or note in NOT_STARTED)) <= _known(run):\n",
                "    if n < run.attempt:\n",
            ),
        ),
        (f"{MERGE}::test_no_fact_moves_a_run_backwards",),
    ),
    Bite(
        "never began",
        "what nobody claimed before it was cancelled tells nothing",
        (("jobs/recorder/merge.py", "    if _never_began(run, fact):\n", "    if False:\n"),),
        (f"{ENDS}::test_a_worker_that_stops_before_the_claim_changes_nothing_of_what_is_cancelled",),
    ),
    Bite(
        "second beat",
        "the reaper waits for what is told until the second beat",
        (("jobs/recorder/reap.py", "until, signs = told, signs | {sign}", "signs = signs | {sign}"),),
        (f"{ENDS}::test_the_reaper_waits_for_what_the_worker_tells_between_two_beats",),
    ),
    Bite(
        "provisional rank",
        "a provisional end gives way to a real one",
        (
            (
                "jobs/states.py",
                "    return min(RANKS[state], PROVISIONAL_RANK) if provisional else RANKS[state]\n",
                "    return RANKS[state]\n",
            ),
        ),
        (f"{MERGE}::test_a_real_end_beats_a_provisional_one_in_both_orders",),
    ),
    Bite(
        "lost rank",
        "remote control's word says more than that a worker vanished, whichever comes first",
        (("jobs/states.py", "PROVISIONAL_RANK = 5\n", "PROVISIONAL_RANK = 4\n"),),
        (f"{MERGE}::test_lost_and_revoked_come_to_the_same_in_both_orders",),
    ),
    Bite(
        "rumour",
        "an end that remote control tells is provisional",
        (
            (
                "jobs/pipeline/backend.py",
                "        fact.provisional, fact.makes_run = True, False\n",
                "        fact.makes_run = False\n",
            ),
        ),
        (MACHINE,),
    ),
    Bite(
        "parent",
        "a retry that the parent process tells at a stop means lost",
        (
            (
                "jobs/pipeline/backend.py",
                "        fact.provisional, fact.note = True, SHUTDOWN\n",
                "        fact.note = SHUTDOWN\n",
            ),
        ),
        (f"{FAULTS}::test_a_stopped_worker_tells_what_it_cut_off",),
    ),
    Bite(
        "nonce",
        "one form, one run",
        (
            (
                "jobs/migrations/0001_ledger.py",
                '("nonce", models.CharField(max_length=255, null=True, unique=True))',
                '("nonce", models.CharField(max_length=255, null=True))',
            ),
            (
                "jobs/models/run.py",
                "nonce = models.CharField(max_length=255, unique=True, null=True)",
                "nonce = models.CharField(max_length=255, null=True)",
            ),
        ),
        (f"{START}::test_the_same_form_is_one_run",),
    ),
    Bite(
        "one retry",
        "of one run at most one retry is under way",
        (
            (
                "jobs/migrations/0008_retry_and_cancel.py",
                "                    retry_of__isnull=False,\n",
                "                    retry_of__isnull=True,\n",
            ),
        ),
        (f"{RETRY}::test_the_database_itself_refuses_a_second_live_retry",),
    ),
    Bite(
        "cancelled ends",
        "what is cancelled before it begins has ended by that",
        (
            (
                "jobs/ledger/cancel.py",
                "        if how in {How.REMOVED, How.SKIPPED}:\n",
                "        if how is How.REMOVED:\n",
            ),
        ),
        (MACHINE,),
    ),
    Bite(
        "one transaction",
        "no act without its row in the audit trail",
        (
            (
                "jobs/ledger/start.py",
                "            keep([prepared])\n            if moment is None:\n",
                "            keep([prepared])\n        if True:\n            if moment is None:\n",
            ),
        ),
        (f"{START}::test_without_audit_no_run",),
    ),
    Bite(
        "append-only",
        "what is in the audit trail stays",
        (("jobs/models/audit.py", "        if not self._state.adding:\n", "        if False:\n"),),
        ("tests/integration/test_audit.py",),
    ),
    Bite(
        "permission",
        "who may not is refused, and that is recorded",
        (("jobs/ledger/verbs.py", "        if not actor.may(permission):\n", "        if False:\n"),),
        (f"{START}::test_who_may_not_is_told_and_noted",),
    ),
    Bite(
        "process",
        "a run is with the process that claimed it, not with whoever bears its name",
        (("jobs/recorder/reap.py", 'run.process or f":{run.worker}"', 'f":{run.worker}"'),),
        ("tests/integration/test_one_name.py::test_what_the_other_lists_is_not_the_ones",),
    ),
    Bite(
        "reaper",
        "a run whose worker vanished is told as lost",
        (("jobs/recorder/reap.py", "        return self._judge(", "        return 0 and self._judge("),),
        (MACHINE,),
    ),
    Bite(
        "publish again",
        "a message that Redis forgot is published again",
        (("jobs/recorder/dispatch.py", "        forgotten = self._forgotten(waiting)\n", "        forgotten = []\n"),),
        (MACHINE,),
    ),
    Bite(
        "snapshot",
        "nothing is published of a database that was restored since the last look",
        (("jobs/recorder/dispatch.py", "if not due or self._books.went_back(due[0].mark):", "if not due:"),),
        (
            "tests/integration/test_restored.py::test_nothing_is_published_of_a_database_that_was_restored_since_the_last_look",
        ),
    ),
    Bite(
        "quarantine",
        "a message that nobody can read costs no worker",
        (("jobs/pipeline/integration.py", '    app.steps["consumer"].add(QuarantineStep)\n', ""),),
        ("tests/e2e/test_poison.py::test_good_messages_flow_after[null]",),
    ),
)
