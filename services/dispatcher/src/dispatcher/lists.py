"""The topic `suppressions` into the suppression list: what people added, imported and lifted."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from dispatcher import suppress
from dispatcher.facts import Suppression, facts_of
from leadflow.kafka.loop import Received, Stateless


class ListHandler(Stateless):
    """Returns once the batch is committed: a claim after that sees it."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def handle(self, batch: Sequence[Received]) -> None:
        facts = facts_of(received.record for received in batch)
        changes = [fact for fact in facts if isinstance(fact, Suppression)]
        if changes:
            async with self._engine.begin() as connection:
                await suppress.apply(connection, changes)
