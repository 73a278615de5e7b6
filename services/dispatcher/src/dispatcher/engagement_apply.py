"""What providers report is read from raw-events, kept, and applied once its message is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from dispatcher import (
    bounces,
    callbacks,
    doubts,
    engagement,
    engagement_store,
    metrics,
    store,
    suppress,
    thread_store,
)
from dispatcher.callbacks import Reported
from dispatcher.engagement_store import APPLIED, Settlement
from dispatcher.model import State
from dispatcher.pace import Wakeup
from dispatcher.threads import is_mail_id
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
            await engagement_store.receive(
                connection, [(report, hold_seconds(report.kind)) for report in reports]
            )
            await self._applier.apply(connection, limit=2 * len(reports))
        self._applier.to_publish.set()


def hold_seconds(kind: str) -> float:
    """Opens and clicks wait until what belongs to them is here as well."""
    return engagement.HOLD.total_seconds() if kind in engagement.SEEN_KINDS else 0.0


class CallbackApplier:
    """Judges each report once its time has come, and tells what counts."""

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
        """Judge up to `limit` reports in the caller's transaction; how many are settled now."""
        due = await engagement_store.due(connection, limit=limit)
        if not due:
            return 0
        possible = [message for each in due for message, _ in each.messages]
        told = await engagement_store.told_of(connection, {each.message_id for each in possible})
        around = await engagement_store.around(
            connection,
            (
                message
                for each in due
                if each.callback.kind in engagement.SEEN_KINDS
                for message, _ in each.messages
            ),
        )
        in_doubt = {
            message.message_id
            for each in due
            for message, standing in each.messages
            if standing.state is State.UNKNOWN
        }
        now = self._clock.now()
        settled: list[Settlement] = []
        waiting: list[str] = []
        reported: set[str] = set()
        events: list[tuple[str, bytes]] = []
        mail_ids: dict[str, str] = {}
        for each in engagement.judge_in_turn(
            ((each.callback, each.messages) for each in due), told, around, now
        ):
            callback = each.callback
            match each.verdict, each.message:
                case engagement.Wait(), _:
                    waiting.append(callback.event_id)
                case engagement.Refuse(rule), _:
                    settled.append(Settlement(callback.event_id, rule))
                    metrics.CALLBACKS.labels(callback.kind, rule).inc()
                case engagement.Tell(what, at, automated), Reported() as message:
                    settled.append(Settlement(callback.event_id, APPLIED, message.message_id, what))
                    reported.add(message.message_id)
                    if is_mail_id(mail_id := callback.details.get("mail_id")):
                        mail_ids[message.message_id] = mail_id
                    metrics.CALLBACKS.labels(callback.kind, APPLIED).inc()
                    event = callbacks.event_of(callback, message, at, automated, now)
                    events.append((message.lead_id, self._codec.encode(event)))
                    facts = callbacks.facts_of_callback(callback, message, at, now)
                    facts += await bounces.count(connection, callback, message, self._tenants, now)
                    if facts:
                        await store.remember(connection, facts)
        # Before what was reported of them: they were sent first.
        await doubts.accepted_after_all(connection, in_doubt & reported, self._codec, now)
        await suppress.tell(connection, self._codec, now)
        await store.tell(connection, events)
        await thread_store.note_mail_ids(connection, mail_ids)
        await engagement_store.settle(connection, settled)
        await engagement_store.postpone(connection, waiting)
        return len(settled)
