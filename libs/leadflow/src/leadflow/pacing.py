"""How fast what waited goes on after a pause: the same in every service that holds things back."""

from __future__ import annotations

from leadflow.records import AutomationResumed

DEFAULT_PER_MINUTE = 60
"""Where a resume says nothing of its rate. One a second: a mailbox of a small team takes that
without its provider asking to come again, and a person who watches can still stop it."""


def rate_per_minute(resumed: AutomationResumed) -> int:
    """How many of those that wait in the scope go on each minute, over all workers, 1 or more.

    A rate below 1 is no rate: it is read as the default.
    """
    said = resumed.rate_per_minute
    return said if said is not None and said >= 1 else DEFAULT_PER_MINUTE
