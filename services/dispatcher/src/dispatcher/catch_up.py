"""Nothing goes out before the stops that were in the log when the process started are known.

While no dispatcher ran, people went on to reply and to opt out. What stands in the ledger since
before must not be sent until the group has read what they said (design.md, guarantee 4).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import structlog

from leadflow import topics
from leadflow.clock import Clock
from leadflow.errors import BrokerError, public_reason
from leadflow.health import Health
from leadflow.kafka.progress import Reach

log = structlog.get_logger()

STOPS = topics.LEAD_EVENTS.name
ASK_SECONDS = 0.25


class CatchUp:
    """Makes `part` of `health` ready once the group, whoever of it, has read its topic as far as
    it went at the first look. `reach` blocks and raises BrokerError."""

    def __init__(
        self,
        reach: Callable[[], Mapping[int, Reach]],
        *,
        clock: Clock,
        health: Health,
        part: str = STOPS,
    ) -> None:
        self._part = part
        self._reach = reach
        self._clock = clock
        self._health = health

    async def run(self, stop: asyncio.Event) -> None:
        ends: dict[int, int] | None = None
        while not stop.is_set():
            try:
                reached = await asyncio.to_thread(self._reach)
            except BrokerError as error:
                log.warning("will ask again", reason=public_reason(error))
            else:
                if ends is None:
                    ends = {number: each.end for number, each in reached.items()}
                if all(reached[number].next >= end for number, end in ends.items()):
                    self._health.ready(self._part)
                    await stop.wait()
                    return
                self._health.not_ready(self._part, "reading what was said while nobody listened")
            await self._clock.sleep(ASK_SECONDS)
