"""Nothing goes out before what was said up to its claim is known (design.md, guarantee 4).

People reply, opt out and book while messages wait, and enrollments are stopped and paused; the
ledger knows of it as soon as somebody of the group has read it. So between claim and call a sender
asks how far the log goes, and waits until all of that has been applied: of the lead's own
partitions of lead-events and enrollment-events, whichever dispatcher owns them, of the suppression
lists and of the pauses. Then it looks up what is known of the lead once more. A stop that was in
the log before the claim is among it, also while a dead dispatcher's partitions are nobody's, and
after a start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from leadflow.clock import Clock
from leadflow.kafka.murmur2 import partition_of

FIRST_LOOK_SECONDS = 0.005
LONGEST_LOOK_SECONDS = 0.1


class Progress(Protocol):
    """As `leadflow.kafka.progress.GroupProgress`. Raises BrokerError."""

    async def partitions(self) -> int: ...

    async def ends(self) -> Mapping[int, int]: ...

    async def reached(self) -> Mapping[int, int]: ...


class Fence:
    """`leads` is the progress in the topics that are partitioned by lead; what the `others` say
    may be about anybody."""

    def __init__(self, leads: Sequence[Progress], others: Sequence[Progress], clock: Clock) -> None:
        self._leads = leads
        self._others = others
        self._clock = clock

    async def behind(self, lead_ids: Iterable[str], seconds: float) -> frozenset[str]:
        """The leads about which something was said before this call that is not known after
        `seconds`; of all others everything is. Raises BrokerError."""
        counts = await asyncio.gather(*(topic.partitions() for topic in self._leads))
        wanted = {
            lead_id: [partition_of(lead_id.encode(), count) for count in counts]
            for lead_id in lead_ids
        }
        topics, leads = [*self._leads, *self._others], len(self._leads)
        ends = await asyncio.gather(*(topic.ends() for topic in topics))
        deadline = self._clock.monotonic() + seconds
        pause = FIRST_LOOK_SECONDS
        while True:
            reached = await asyncio.gather(*(topic.reached() for topic in topics))
            short = list(map(_short, reached, ends))
            if any(short[leads:]):
                behind = frozenset(wanted)
            else:
                behind = frozenset(
                    lead_id
                    for lead_id, places in wanted.items()
                    if any(place in behind for place, behind in zip(places, short, strict=False))
                )
            if not behind or self._clock.monotonic() + pause > deadline:
                return behind
            await self._clock.sleep(pause)
            pause = min(2 * pause, LONGEST_LOOK_SECONDS)


def _short(reached: Mapping[int, int], ends: Mapping[int, int]) -> frozenset[int]:
    """The partitions that have not been applied to their ends."""
    return frozenset(each for each, end in ends.items() if reached.get(each, 0) < end)


class Followed:
    """The progress of a topic that this process follows by itself (`CompactedTopic`)."""

    def __init__(self, reached: Followable, ends: Progress) -> None:
        self._reached = reached
        self._ends = ends

    async def partitions(self) -> int:
        return await self._ends.partitions()

    async def ends(self) -> Mapping[int, int]:
        return await self._ends.ends()

    async def reached(self) -> Mapping[int, int]:
        return self._reached.reached


class Followable(Protocol):
    @property
    def reached(self) -> Mapping[int, int]:
        """By partition, the offset that is read next."""
