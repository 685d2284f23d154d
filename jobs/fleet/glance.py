"""All that the Overview asks of Redis besides what every page asks: one round trip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .beacon import Beacon
from .broker import Redis, key_of, undecoded
from .conditions import Judged, ask_gone, judge, judge_gone, not_followed, told_gone, with_others
from .entries import answers_of, read
from .queues import Reading, ask_queues, configured
from .samples import LATEST_KEY, MINUTES, Latest, Series, ask_series, latest_of

#: The last hour of so many queues is read; with more, of none: a part of them would tell a wrong greatest wait.
MOST_SERIES = 50
#: Its length, in minutes.
MINUTES_READ = 60


@dataclass(frozen=True, slots=True)
class Glance:
    """Queues and workers at one moment.

    Attributes:
        workers: the living ones and those that went without a farewell, with their condition.
        series: the last hour of each queue; empty where there are more than MOST_SERIES.
    """

    reading: Reading
    latest: Latest | None
    workers: tuple[Judged, ...]
    series: dict[str, Series]


def read_glance(client: Redis, beacons: Sequence[Beacon], now: float, found: Sequence[str] = ()) -> Glance:
    """What the queues hold, who is gone, and the last hour.

    Args:
        beacons: of the workers that are alive, as of `now` on Redis' clock.
        found: names of queues that no setting and no worker names.

    Raises:
        RedisError: Redis did not answer in time.
    """
    names = sorted({*configured(), *(name for beacon in beacons for name in beacon.queues)})
    pipe = client.pipeline(transaction=False)
    undecoded(pipe, "GET", key_of(LATEST_KEY))
    ask_gone(pipe)
    series = ask_series(pipe, names if len(names) <= MOST_SERIES else (), MINUTES, MINUTES_READ, now)
    before = len(pipe)
    reading = ask_queues(pipe, beacons, found)
    answers = answers_of(pipe)
    told = reading(answers[before:])
    gone = (judge_gone(one, now) for one in not_followed(told_gone(answers[1]), beacons))
    return Glance(
        reading=told,
        latest=read(key_of(LATEST_KEY), answers[0], latest_of, None),
        workers=with_others([*(judge(beacon, now, told) for beacon in beacons), *gone]),
        series=series(iter(answers[2:before])),
    )
