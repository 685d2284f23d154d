"""README.md names every job that ships, with its permission."""

import re
from pathlib import Path

from admin_ext.form.help import help_of
from jobs.catalog.registry import declared_jobs

PROJECT = Path(__file__).resolve().parents[2]


def test_every_job_that_ships_is_in_the_readme_with_its_permission() -> None:
    lines = (PROJECT / "README.md").read_text().splitlines()
    ship = [job for job in declared_jobs() if job.name.startswith("jobs.library.") and job.listed]
    assert len(ship) > 15
    for job in ship:
        assert any(f"*{job.title}*" in line and f"`{job.permission}`" in line for line in lines), job.title


def test_every_job_that_ships_says_what_it_does_and_what_it_asks_for() -> None:
    for job in declared_jobs():
        if job.name.startswith("jobs.library.") and job.listed:
            assert job.description.endswith(".") and job.parameters is not None, job.title


def test_no_help_of_a_job_that_ships_says_a_thing_twice() -> None:
    for job in declared_jobs():
        if not job.name.startswith("jobs.library.") or job.parameters is None:
            continue
        for parameter in job.parameters.fields:
            text = help_of(parameter)
            assert text.lower().count("one a line") <= 1, text
            limits = re.findall(r"(?:at least|at most|from) [\d,]+|(?<= to )[\d,]+", text.lower())
            numbers = [limit.split()[-1] for limit in limits]
            assert len(numbers) == len(set(numbers)), text


def test_a_label_of_a_job_that_ships_stands_alone() -> None:
    """What one says must not need the label above it: *Fail when one does* and *And to* did."""
    fields = {
        (job.name.rpartition(".")[2], field.name): field
        for job in declared_jobs()
        if job.parameters
        for field in job.parameters.fields
    }
    assert fields["check_web_addresses", "fail"].label == "Fail unless all answer well"
    people = fields["send_mail", "people"]
    assert people.label == "Also to these people" and "of them is not active gets nothing" in people.help
