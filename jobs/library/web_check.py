"""The job *Check web addresses*: do they answer, how fast, and where do they lead."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Annotated, Any

from django.conf import settings
from pydantic import Field

from jobs import check_cancelled, job, progress
from jobs.catalog.secrecy import without_passwords
from jobs.errors import ConfigurationError, InvalidArguments, JobsError

from .tables import attach_table, counted
from .web_request import Answer, Network, Refused, address_parts, ask

MOST_ADDRESSES = 500
#: Seconds that all addresses together may take at worst.
LONGEST = 1200
COLUMNS = ("address", "status", "took, ms", "redirected to", "error")
NOT_ASKED = "Not known: the run ended before it answered."
#: Seconds that slow addresses keep the run from looking whether it should stop.
_LOOK_EVERY = 1.0


class SomeFailed(JobsError):
    """Addresses do not answer well, and the person wanted the run to fail then."""


def fits(urls: list[str], at_once: int, timeout: int, **_: Any) -> None:
    """Raises InvalidArguments for no address, for what is none, and for what would take too long."""
    wanted = _wanted(urls)
    if not wanted:
        raise InvalidArguments({"urls": "Enter at least one address."})
    if len(wanted) > MOST_ADDRESSES:
        raise InvalidArguments({"urls": f"At most {MOST_ADDRESSES} addresses are checked; these are {len(wanted):,}."})
    for number, url in enumerate(urls, 1):
        try:
            if url.strip():
                address_parts(url.strip())
        except Refused as refused:
            raise InvalidArguments({"urls": f"Line {number}: {refused}"}) from None
    longest = math.ceil(len(wanted) / at_once) * timeout
    if longest > LONGEST:
        raise InvalidArguments(
            {
                "timeout": f"If none answers this takes {longest / 60:.0f} min; at most {LONGEST // 60} are given. "
                "Wait less, or check more at once."
            }
        )


@job(
    title="Check web addresses",
    group="Checks",
    idempotent=True,
    check=fits,
    soft_time_limit=1500,
    time_limit=1560,
    runbook="Addresses that are not public are refused unless the setting WEB_CHECK_ALLOW names their network.",
)
def check_web_addresses(
    urls: Annotated[
        list[str], Field(title="Addresses", description=f"At most {MOST_ADDRESSES}, such as https://example.com/")
    ],
    at_once: Annotated[
        int, Field(title="At once", description="How many are asked at the same time.", ge=1, le=20)
    ] = 5,
    timeout: Annotated[int, Field(title="Wait", description="Seconds for each, redirects included.", ge=1, le=60)] = 10,
    fail: Annotated[
        bool, Field(title="Fail unless all answer well", description="Well is a status below 400.")
    ] = False,
) -> str:
    """Asks each address once and tells its status, how long it took, and where it redirects to.

    Addresses inside of a network are not asked, and no redirect leads there. The file is `addresses.csv`, slow and
    failed ones first. Where the run is stopped it says which addresses were not asked.

    Returns:
        One sentence with the numbers.

    Raises:
        SomeFailed: where that was asked for.
    """
    answers: list[Answer] = []
    wanted = _wanted(urls)
    try:
        for answer in _ask_all(wanted, at_once, timeout):
            answers.append(answer)
    finally:
        answers.sort(key=lambda a: (a.status is not None, -(a.status or 0) if _bad(a) else 0, -(a.ms or 0)))
        asked = {answer.url for answer in answers}
        rows: list[tuple[object, ...]] = [(a.url, a.status, a.ms, a.redirected_to, a.error) for a in answers]
        rows += [(url, None, None, "", NOT_ASKED) for url in wanted if url not in asked]
        attach_table("addresses.csv", COLUMNS, [_without_passwords(row) for row in rows])
    bad = [answer for answer in answers if _bad(answer)]
    if not bad:
        well = counted(len(answers), "address answers", "addresses answer")
        return f"{well} well; the slowest took {answers[0].ms:,} ms."
    sentence = _sentence(answers, bad)
    if fail:
        raise SomeFailed(sentence)
    return sentence


def allowed_networks() -> Sequence[Network]:
    """The networks of the setting WEB_CHECK_ALLOW, which is empty unless the project sets it."""
    named = getattr(settings, "WEB_CHECK_ALLOW", ())
    try:
        return [ipaddress.ip_network(name) for name in named]
    except ValueError as error:
        raise ConfigurationError(f"WEB_CHECK_ALLOW must list networks such as 10.1.0.0/16: {error}.") from None


def _ask_all(urls: list[str], at_once: int, timeout: int) -> Iterator[Answer]:
    """Their answers as they come."""
    allowed = allowed_networks()
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="web-check")
    try:
        asked = [pool.submit(ask, url, timeout=timeout, allowed=allowed) for url in urls]
        yield from progress(_as_they_come(asked), total=len(asked), noun="addresses")
    finally:
        # What has not begun never does; what has begun ends by its own limit.
        pool.shutdown(wait=False, cancel_futures=True)


def _as_they_come(asked: Sequence[Future[Answer]]) -> Iterator[Answer]:
    pending = set(asked)
    while pending:
        check_cancelled()
        done, pending = wait(pending, timeout=_LOOK_EVERY, return_when=FIRST_COMPLETED)
        for one in done:
            yield one.result()


def _wanted(urls: list[str]) -> list[str]:
    return list(dict.fromkeys(url.strip() for url in urls if url.strip()))


def _sentence(answers: Sequence[Answer], bad: Sequence[Answer]) -> str:
    """How many answer well, and what became of the others."""
    not_asked = sum(1 for answer in bad if answer.ms is None)
    # Who redirects to where nothing can be had has answered.
    silent = sum(1 for answer in bad if answer.ms is not None and answer.status is None and not answer.redirected_to)
    erring = len(bad) - not_asked - silent
    told = [
        (not_asked, counted(not_asked, "was not asked", "were not asked")),
        (silent, counted(silent, "does not answer", "do not answer")),
        (erring, counted(erring, "answers with an error", "answer with an error")),
    ]
    well = len(answers) - len(bad)
    numbers = f"{well:,} of {counted(len(answers), 'address', 'addresses')} {'answers' if well == 1 else 'answer'} well"
    first = (
        f"{without_passwords(bad[0].url)[:200]}, {without_passwords(bad[0].error) or f'status {bad[0].status}'}".rstrip(
            "."
        )
    )
    return f"{numbers}; {', '.join(words for count, words in told if count)}. First: {first}."


def _without_passwords(row: Sequence[object]) -> list[object]:
    """A redirect may lead to an address that holds one; the form has refused those that were typed."""
    return [without_passwords(cell) if isinstance(cell, str) else cell for cell in row]


def _bad(answer: Answer) -> bool:
    return bool(answer.error) or answer.status is None or answer.status >= 400
