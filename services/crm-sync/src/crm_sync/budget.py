"""How many calls an account may get, whoever makes them. Pure.

A bucket of a tenth of the calls, filled at the pace of the rest: so no stretch of `seconds`,
wherever it begins, sees more than `calls`, and nine tenths of what is allowed can be used.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

AT_ONCE = 0.1
# What two additions of times lose must not make a call wait for nothing.
TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `calls` in any `seconds`."""

    calls: int
    seconds: float

    @property
    def most(self) -> float:
        """How many may come at once."""
        return max(1.0, self.calls * AT_ONCE)

    @property
    def pace(self) -> float:
        """Calls a second, beside those."""
        return max(1.0, self.calls - self.most) / self.seconds


@dataclass(frozen=True, slots=True)
class Bucket:
    """`calls_left` as they were `counted_at`."""

    calls_left: float
    counted_at: datetime


def take(bucket: Bucket | None, budget: Budget, now: datetime) -> tuple[Bucket, timedelta]:
    """The bucket after one call, and no wait; or without the call, and how long until there is
    room for it. None is the bucket of an account that was never called."""
    bucket = bucket or Bucket(budget.most, now)
    since = max(0.0, (now - bucket.counted_at).total_seconds())
    left = min(budget.most, bucket.calls_left + since * budget.pace)
    counted_at = max(now, bucket.counted_at)
    if left >= 1 - TOLERANCE:
        return Bucket(max(0.0, left - 1), counted_at), timedelta(0)
    return Bucket(left, counted_at), timedelta(seconds=(1 - left) / budget.pace)
