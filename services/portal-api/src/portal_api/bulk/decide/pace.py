"""How many of those whose step is overdue a bulk resume lets go now (ADR 17). Pure.

The rate is that of an incident's resume: so many leads a minute, over all portal processes, and two
seconds' worth at once at the most. What is not overdue releases nothing and need not wait.
"""

from __future__ import annotations

from datetime import datetime, timedelta

MINUTE = timedelta(minutes=1)
BURST = timedelta(seconds=2)
UNANSWERED = timedelta(seconds=10)
"""So much of the rate may be on its way: a sequencer that was down finds no more waiting for it."""


def allowed(
    rate_per_minute: int, used_until: datetime, now: datetime, unanswered: int
) -> tuple[int, datetime]:
    """How many may go, and until when the rate is used up then. `used_until` is what this said the
    last time, in the beginning when the job was started; `unanswered` are on their way."""
    apart = MINUTE / rate_per_minute
    since = max(used_until, now - max(BURST, apart))
    room = max(1, int(UNANSWERED / apart)) - unanswered
    number = max(0, min((now - since) // apart, room))
    return number, since + number * apart
