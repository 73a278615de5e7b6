"""What providers report is read from raw-events, kept, and applied once its message is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from dispatcher import bounces, callbacks, engagement_store, store
from dispatcher.pace import Wakeup
from leadflow.clock import Clock
from leadflow.codec import Codec
from leadflow.errors import CodecError
from leadflow.ids import derived_id
from leadflow.kafka.loop import Received, Stateless
from leadflow.kafka.port import Message
from leadflow.raw_json import decode_raw_event
from leadflow.records import RawEvent
from leadflow.records.base import Record
from leadflow.tenants import Tenant

NOT_OURS = "not-ours"
EPOCH = datetime.fromtimestamp(0, UTC)


def decode_callback(codec: Codec, message: Message) -> Record:
    """A raw event. What cannot be read is intake's to bury: here it is passed over."""
    try:
        return decode_raw_event(codec, message)
    except CodecError:
        return RawEvent(
            event_id=derived_id(message.topic, message.partition, message.offset),
            tenant_id="",
            occurred_at=EPOCH,
            recorded_at=EPOCH,
            source="",
            kind=NOT_OURS,
            external_id="",
            payload="{}",
        )


class CallbackHandler(Stateless):
    """raw-events of the five kinds that report on messages; passes over all others."""

    def __init__(self, engine: AsyncEngine, applier: CallbackApplier) -> None:
        self._engine = engine
        self._applier = applier

    async def handle(self, batch: Sequence[Received]) -> None:
        reports = [
            callbacks.read(received.record)
            for received in batch
            if isinstance(received.record, RawEvent) and received.record.kind in callbacks.KINDS
        ]
        if not reports:
            return
        async with self._engine.begin() as connection:
            await engagement_store.receive_callbacks(connection, reports)
            await self._applier.apply(connection, limit=len(reports))
        self._applier.to_publish.set()


class CallbackApplier:
    """Applies each callback once, when its message is known."""

    def __init__(
        self,
        codec: Codec,
        clock: Clock,
        to_publish: Wakeup,
        tenants: Mapping[str, Tenant] | None = None,
    ) -> None:
        self._codec = codec
        self._clock = clock
        self._tenants = tenants or {}
        self.to_publish = to_publish

    async def apply(self, connection: AsyncConnection, *, limit: int) -> int:
        """Apply what can be, in the caller's transaction; returns how many."""
        matched = await engagement_store.matched_callbacks(connection, limit=limit)
        if not matched:
            return 0
        now = self._clock.now()
        told = []
        for callback, message in matched:
            event = callbacks.event_of(callback, message, now)
            told.append((message.lead_id, self._codec.encode(event)))
            facts = callbacks.facts_of_callback(callback, message, now)
            facts += await bounces.count(connection, callback, message, self._tenants, now)
            if facts:
                await store.remember(connection, facts)
        await store.tell(connection, told)
        await engagement_store.callbacks_applied(
            connection, [callback.event_id for callback, _ in matched]
        )
        return len(matched)
