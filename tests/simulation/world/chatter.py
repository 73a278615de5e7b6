"""A lead about which much is said at once: more than a row would remember one by one, all of it
applied before a worker commits, and then perhaps one is killed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from .living import World
from .sequencer import Parts
from .sequences import Features
from .story import Happening, Story

AT_ONCE = 45
CHATTER = {
    "updated": 8.0, "enroll": 2.0, "stage": 1.0, "booking": 1.0, "reply": 1.0, "automatic": 0.5,
    "pause": 0.5, "resume": 0.5, "stop": 1.0,
}  # fmt: skip


class ChattyStory(Story):
    def chatter(self, at: datetime) -> Iterator[Happening]:
        """Of one lead that was created; begins with what enrolls it."""
        waiting = {lead for lead, what in self._queue if what == "created"}
        leads = [lead for lead in range(self.count) if lead not in waiting]
        if not leads:
            return
        lead = self._rng.choice(leads)
        drawn = self._rng.choices(list(CHATTER), list(CHATTER.values()), k=AT_ONCE)
        for what in ("enroll", *drawn):
            self._queue.insert(0, (lead, what))
            if (happening := self.next(at)) is not None:
                yield happening


class ChattyWorld(World):
    def __init__(self, seed: int, parts: Parts, *, tracing: bool) -> None:
        super().__init__(seed, parts, tracing=tracing)
        out = self.outside
        out.story = ChattyStory(self.rng, self.features, out._who, out._migratable, out._resendable)
        self._left = 2

    async def _step(self, *, quiet: bool = False) -> None:
        if self._left and not quiet and self.rng.random() < 0.02:
            self._left -= 1
            await self._say_much()
        await super()._step(quiet=quiet)

    async def _say_much(self) -> None:
        story: Any = self.outside.story
        for happening in story.chatter(self.durable.clock.now()):
            self.outside.told.append(happening)
            self.outside._append(happening)
        while ours := self.crew.readable():
            for worker, place in ours:
                await worker.read(place)
                await self._release_all()
        workers = self.crew.awake()
        if workers and self.rng.random() < 0.7:
            await self.crew.end(self.rng.choice(workers))


def takes_part(features: Features) -> bool:
    """What comes through intake, or from the portal, is not for this story to write."""
    return not features.intake and not features.portal
