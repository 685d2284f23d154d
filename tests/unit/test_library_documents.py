"""README.md names every job that ships, with its permission."""

from pathlib import Path

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
