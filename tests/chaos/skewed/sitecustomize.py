"""Put in front of one worker's path: what Python asks this process for the time is CLOCK_OFFSET seconds off."""

import datetime
import os
import time

_offset = float(os.environ.get("CLOCK_OFFSET", "0"))
_time = time.time
_real = datetime.datetime


def _now() -> float:
    return _time() + _offset


class _SkewedType(type):
    """What is a datetime stays one, whoever made it."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, _real)

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, _real)


class _Skewed(_real, metaclass=_SkewedType):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> _real:  # type: ignore[override]
        return _real.fromtimestamp(_now(), tz)

    @classmethod
    def utcnow(cls) -> _real:  # type: ignore[override]
        return _real.fromtimestamp(_now(), datetime.UTC).replace(tzinfo=None)


if _offset:
    time.time = _now
    datetime.datetime = _Skewed  # type: ignore[misc]
